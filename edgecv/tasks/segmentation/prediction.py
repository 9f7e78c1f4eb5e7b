"""The answer of a segmentation head."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.segmentation.pictures import colored

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A class for every pixel of one image.

    Attributes:
        mask: uint8, or int32 for more than 256 labels, (H, W) of the image: indices of `labels`.
        labels: One per class.
        outputs: Every output of the model, float32 in real units, without the batch.
        heads: Name of each head to its own prediction.
    """

    mask: Array
    labels: Tuple[str, ...]
    outputs: Tuple[Array, ...] = ()
    heads: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many classes the mask holds."""
        return len(np.unique(self.mask))

    @property
    def shares(self) -> Mapping[str, float]:
        """Share of the pixels (0..1) by label, most first; labels that do not occur are left out."""
        counts = np.bincount(self.mask.ravel(), minlength=len(self.labels))
        order = np.argsort(-counts, kind="stable")
        return {self.labels[index]: float(counts[index] / self.mask.size) for index in order if counts[index]}

    def to_dict(self) -> Dict[str, Any]:
        """Return it as JSON data: the mask's runs are (class, pixels), row by row from the upper left."""
        return {
            "size": list(self.mask.shape),
            "labels": list(self.labels),
            "shares": dict(self.shares),
            "runs": encode_runs(self.mask),
        }

    def draw(self, image: Array) -> Any:
        """Return a Pillow image of uint8 (H, W) or (H, W, 3) with each class in its colour, and a legend."""
        return colored(image, self.mask, self.labels)


def encode_runs(mask: Array) -> List[List[int]]:
    """Return a mask as [class, number of pixels] of each run of equal pixels, row by row."""
    flat = mask.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]])) if flat.size else np.zeros(0, np.intp)
    lengths = np.diff(np.append(starts, flat.size))
    return [[int(flat[start]), int(length)] for start, length in zip(starts, lengths)]


def decode_runs(runs: List[List[int]], size: Tuple[int, int]) -> Array:
    """Return the mask of `encode_runs`, int32 of `size` (height, width)."""
    values, lengths = np.asarray(runs, np.int64).reshape(-1, 2).T
    return np.repeat(values, lengths).reshape(size).astype(np.int32)
