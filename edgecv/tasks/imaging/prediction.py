"""The answer of a head that makes pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.drawing import canvas

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture made of one image.

    Attributes:
        pixels: uint8 (H, W, 3), RGB: of the image's height and width, or of `scale` times these.
        outputs: Every output of the model, float32 in real units, without the batch.
        heads: Name of each head to its own prediction.
    """

    pixels: Array
    outputs: Tuple[Array, ...] = ()
    heads: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many pictures it is: one."""
        return 1

    @property
    def size(self) -> Tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def to_dict(self) -> Dict[str, Any]:
        """Return {"size": [height, width], "mean": [r, g, b]}, 0..255; the pixels themselves are for files."""
        means = self.pixels.reshape(-1, 3).mean(axis=0)
        return {"size": list(self.size), "mean": [round(float(mean), 3) for mean in means]}

    def draw(self, image: Array) -> Any:
        """Return the picture itself as a Pillow image; `image`, which it was made of, does not show.

        A picture of less than 256 pixels is enlarged by a whole factor, each pixel to a square.
        """
        return canvas(self.pixels)[0]


def as_colors(pixels: Array) -> Array:
    """Return gray pictures (H, W) or (H, W, 1) as (H, W, 3); those of three channels as they are."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3)) if pixels.shape[2] == 1 else pixels
