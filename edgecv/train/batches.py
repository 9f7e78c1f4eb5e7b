"""Turning a split into preprocessed batches whose order and augmentation follow from (seed, epoch) alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import numpy as np
import numpy.typing as npt

from edgecv.errors import DataError
from edgecv.runtime.image import preprocess_batch
from edgecv.specs import ModelSpec
from edgecv.train.augment import Augmentation, augment

if TYPE_CHECKING:
    from edgecv.data import Split

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Batch = tuple[Floats, Labels]

CACHE_BYTES = 512 * 2**20
"""Preprocessed images of a split are kept in memory up to this size, and computed again for each epoch above it."""


class Samples:
    """A split seen through a spec: float32 inputs (n, H, W, C) and labels (n,).

    Args:
        split: Yields uint8 images and labels.
        spec: Says how an image becomes the input tensor.
        cache_bytes: Keep the inputs in memory when they take no more than this.
    """

    def __init__(self, split: Split, spec: ModelSpec, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._split = split
        self._spec = spec
        self.labels: Labels = np.asarray(split.labels, np.int64)
        self._cached: Floats | None = None
        self._cacheable = len(split) * int(np.prod(spec.input_shape)) * 4 <= cache_bytes
        _check_labels(self.labels, split.name, spec)

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, indices: npt.NDArray[np.int64]) -> Floats:
        """Return the preprocessed images at `indices`: float32 (len(indices), H, W, C)."""
        if not self._cacheable:
            return self._compute(indices)
        if self._cached is None:
            self._cached = self._compute(np.arange(len(self)))
        return self._cached[indices]

    def _compute(self, indices: npt.NDArray[np.int64]) -> Floats:
        return preprocess_batch([self._split.image(int(i)) for i in indices], self._spec)


def _check_labels(labels: Labels, split: str, spec: ModelSpec) -> None:
    if len(labels) == 0:
        raise DataError(f"the {split} split is empty", hint="add images, or use another data set")
    known = len(spec.labels)
    if spec.head.task == "classification" and known and not (labels.min() >= 0 and labels.max() < known):
        raise DataError(
            f"labels of the {split} split lie in {labels.min()}..{labels.max()}, and '{spec.name}' has {known} classes",
            hint="build the model with the data set's labels",
        )


def training_batches(
    samples: Samples, *, batch_size: int, augmentation: Augmentation, seed: int, epoch: int
) -> Iterator[Batch]:
    """Yield the shuffled, augmented batches of one epoch; the last one may be smaller."""
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(samples)).astype(np.int64)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        yield augment(samples.inputs(chosen), augmentation, rng), samples.labels[chosen]


def ordered_batches(samples: Samples, *, batch_size: int) -> Iterator[Batch]:
    """Yield the batches of a split in its own order, without augmentation."""
    for start in range(0, len(samples), batch_size):
        chosen = np.arange(start, min(start + batch_size, len(samples)))
        yield samples.inputs(chosen), samples.labels[chosen]


def batches_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of batches that `training_batches` yields for a split of `images`."""
    return -(-images // batch_size)
