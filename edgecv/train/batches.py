"""Turning a split into batches whose order and augmentation follow from (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from edgecv.core.errors import DataError, EdgecvError
from edgecv.modelio.env import tensorflow
from edgecv.runtime.image import preprocess_batch
from edgecv.train.augment import Augmentation, augment
from edgecv.values.specs import Head, ModelSpec

if TYPE_CHECKING:
    from edgecv.data import Split

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Targets = tuple[npt.NDArray[Any], ...]
"""One array per head: int64 (n,) for classification, float32 (n, k) for multilabel and regression."""

Batch = tuple[Floats, Targets]

CACHE_BYTES = 512 * 2**20
"""Preprocessed images of a split are kept in memory up to this size, and computed again for each epoch above it."""


class Source(Protocol):
    """What the loop trains on: inputs by index, and their targets."""

    targets: Targets

    def __len__(self) -> int: ...

    def inputs(self, indices: npt.NDArray[np.int64]) -> Floats: ...


class Samples:
    """A split seen through a spec: float32 inputs (n, H, W, C) or (n, d), and a target per head.

    Args:
        split: Yields uint8 images, or feature vectors, and targets.
        spec: Says how an image becomes the input tensor.
        order: For each head, the position of its target in the split; None: heads and targets are in the same order.
        cache_bytes: Keep the inputs in memory when they take no more than this.
    """

    def __init__(
        self, split: Split, spec: ModelSpec, *, order: tuple[int, ...] | None = None, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._split = split
        self._spec = spec
        positions = order if order is not None else range(len(spec.heads))
        self.targets: Targets = _targets(split, spec, tuple(positions))
        self._cached: Floats | None = None
        self._cacheable = len(split) * int(np.prod(spec.input_shape)) * 4 <= cache_bytes

    def __len__(self) -> int:
        return len(self._split)

    def inputs(self, indices: npt.NDArray[np.int64]) -> Floats:
        """Return the preprocessed images at `indices`: float32 (len(indices), H, W, C)."""
        if not self._cacheable:
            return self._compute(indices)
        if self._cached is None:
            self._cached = self._compute(np.arange(len(self)))
        return self._cached[indices]

    def _compute(self, indices: npt.NDArray[np.int64]) -> Floats:
        return preprocess_batch([self._split.image(int(i)) for i in indices], self._spec)


def _targets(split: Split, spec: ModelSpec, order: tuple[int, ...]) -> Targets:
    if len(split) == 0:
        raise DataError(f"the {split.name} split is empty", hint="add images, or use another data set")
    if max(order) >= len(split.targets):
        raise DataError(
            f"the {split.name} split has {len(split.targets)} targets, '{spec.name}' has {len(spec.heads)} heads",
            hint="use data with a target for each head",
        )
    found = tuple(split.targets[position] for position in order)
    for head, values in zip(spec.heads, found, strict=True):
        _check_target(head, values, split.name, spec)
    return found


def _check_target(head: Head, values: npt.NDArray[Any], split: str, spec: ModelSpec) -> None:
    known = len(head.labels)
    if head.task == "classification":
        fits = values.ndim == 1
        if fits and known and not (values.min() >= 0 and values.max() < known):
            raise DataError(
                f"labels of the {split} split lie in {values.min()}..{values.max()}, "
                f"and '{spec.name}' has {known} classes",
                hint="build the model with the data set's labels",
            )
    else:
        fits = values.ndim == 2 and (not known or values.shape[1] == known)
    if not fits:
        raise DataError(
            f"the target of head '{head.name}' in the {split} split has shape {values.shape}, which is no {head.task} "
            f"of {known} values",
            hint="use data of the head's kind",
        )


def training_batches(
    samples: Source, *, batch_size: int, augmentation: Augmentation, seed: int, epoch: int
) -> Iterator[Batch]:
    """Yield the shuffled, augmented batches of one epoch; the last one may be smaller."""
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(samples)).astype(np.int64)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        yield augment(samples.inputs(chosen), augmentation, rng), tuple(target[chosen] for target in samples.targets)


def ordered_batches(samples: Source, *, batch_size: int) -> Iterator[Batch]:
    """Yield the batches of a split in its own order, without augmentation."""
    for start in range(0, len(samples), batch_size):
        chosen = np.arange(start, min(start + batch_size, len(samples)))
        yield samples.inputs(chosen), tuple(target[chosen] for target in samples.targets)


def batches_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of batches that `training_batches` yields for a split of `images`."""
    return -(-images // batch_size)


def prefetched(batches: Callable[[], Iterator[Batch]], samples: Source) -> Iterator[Batch]:
    """Yield batches from a tf.data pipeline that makes them while the step before runs; values and order stay the same.

    Args:
        batches: Makes the iterator.
        samples: What the batches are of, for their shapes.

    Raises:
        EdgecvError: What `batches` raised, as it was: tf.data would wrap it.
    """
    tf, failures = tensorflow(), list[EdgecvError]()

    def guarded() -> Iterator[Batch]:
        try:
            yield from batches()
        except EdgecvError as error:
            failures.append(error)

    first = samples.inputs(np.arange(1))
    signature = (
        tf.TensorSpec((None, *first.shape[1:]), tf.float32),
        tuple(tf.TensorSpec((None, *target.shape[1:]), target.dtype) for target in samples.targets),
    )
    yield from tf.data.Dataset.from_generator(guarded, output_signature=signature).prefetch(2)
    if failures:
        raise failures[0]
