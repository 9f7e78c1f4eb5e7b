"""The answer of a head of maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.response import pictures

Array = NDArray[Any]


@dataclass(frozen=True)
class Peak:
    """The largest value of one map.

    Attributes:
        label: Of the map.
        value: There.
        place: (row, column) in the map.
        xyxy: The window that the value sees, in image pixels.
    """

    label: str
    value: float
    place: Tuple[int, int]
    xyxy: Tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Response:
    """The maps of one image.

    Attributes:
        maps: float32 (H, W, labels), in the network's own units.
        labels: One per map.
        peaks: Of each map.
        about: "maps", or "peak": what is drawn.
        outputs: Every output of the model, float32 in real units, without the batch.
        heads: Name of each head to its own prediction.
    """

    maps: Array
    labels: Tuple[str, ...]
    peaks: Tuple[Peak, ...]
    about: str = "maps"
    outputs: Tuple[Array, ...] = ()
    heads: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many maps there are."""
        return len(self.labels)

    @property
    def peak(self) -> Peak:
        """The peak of the first map."""
        return self.peaks[0]

    def to_dict(self) -> Dict[str, Any]:
        """Return it as JSON data: range and mean of each map, and its peak; the values are in `maps` alone."""
        return {
            "about": self.about,
            "size": [int(side) for side in self.maps.shape[:2]],
            "maps": [_told(self.maps[..., index], peak) for index, peak in enumerate(self.peaks)],
        }

    def draw(self, image: Array) -> Any:
        """Return a Pillow image of uint8 (H, W) or (H, W, 3) beside its maps, or with the window of each peak."""
        if self.about == "peak":
            return pictures.marked(image, self.peaks)
        return pictures.in_a_row(image, {"": (self.maps, self.labels)})


def _told(values: Array, peak: Peak) -> Dict[str, Any]:
    return {
        "label": peak.label,
        "min": float(values.min()),
        "mean": float(np.mean(values, dtype=np.float64)),
        "max": float(values.max()),
        "peak": {"place": list(peak.place), "box": [round(side, 3) for side in peak.xyxy], "value": peak.value},
    }
