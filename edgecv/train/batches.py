"""Turning a split into batches whose order and augmentation follow from (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from edgecv.core.errors import ConfigError, DataError, EdgecvError
from edgecv.modelio.env import tensorflow
from edgecv.runtime.image import joined_batch, moved_batch, preprocess_batch
from edgecv.runtime.reading import frame_for
from edgecv.tasks.frame import Frame, Piece, Window, frame_of
from edgecv.tasks.registry import task_of
from edgecv.train.augment import Augmentation, moves
from edgecv.train.mosaic import check_mosaic, drawn, quarters
from edgecv.values.specs import ModelSpec

if TYPE_CHECKING:
    from edgecv.data import Split

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Arrays = tuple[npt.NDArray[Any], ...]
"""Inputs: float32 (n, …), one per input of the model. Targets: the tensors that the task of each head encodes, head by
head."""

Batch = tuple[Arrays, Arrays]

CACHE_BYTES = 512 * 2**20
"""Prepared samples of a split are kept in memory up to this size, and made again for each epoch above it."""


class Source(Protocol):
    """What the loop trains on: batches by index, and the truths of each head."""

    @property
    def truths(self) -> tuple[Sequence[Any], ...]: ...

    def __len__(self) -> int: ...

    def batch(self, indices: Indices) -> Batch: ...

    def moved(self, indices: Indices, how: Augmentation, rng: np.random.Generator) -> Batch: ...

    def at(self, size: tuple[int, int]) -> Source: ...


class Samples:
    """A split seen through a spec: float32 inputs, and the targets of every head.

    Args:
        split: Yields uint8 images, or feature vectors, and truths.
        spec: Says how an image becomes the input tensor, and what the heads are for.
        order: For each head, the position of its target in the split; None: heads and targets are in the same order.
        cache_bytes: Keep prepared samples in memory when they take no more than this.

    Raises:
        DataError: The split is empty, has too few targets or inputs, or a truth does not fit its head.
    """

    def __init__(
        self, split: Split, spec: ModelSpec, *, order: tuple[int, ...] | None = None, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._split, self._spec = split, spec
        positions = tuple(order if order is not None else range(len(spec.heads)))
        self.truths = _truths(split, spec, positions)
        self._positions, self._cache_bytes = positions, cache_bytes
        self._enlarged = 1.0
        self._encoders = [task_of(head).training(head) for head in spec.heads]
        self._cacheable = len(split) * _sample_bytes(split, spec, self._encoded(0)) <= cache_bytes
        self._prepared: Batch | None = None
        self._images = list[tuple[Any, ...]]()

    def __len__(self) -> int:
        return len(self._split)

    def at(self, size: tuple[int, int]) -> Samples:
        """Return the same samples for an input of another size (height, width); shifts grow with it."""
        shape = (*size, self._spec.input_shape[2])
        spec = replace(self._spec, inputs=(replace(self._spec.input, shape=shape),))
        made = Samples(self._split, spec, order=self._positions, cache_bytes=self._cache_bytes)
        made._enlarged = size[0] / self._spec.input_shape[0]
        made._images = self._images
        return made

    def batch(self, indices: Indices) -> Batch:
        """Return the samples at `indices` as the model takes them."""
        if not self._cacheable:
            return self._compute(indices)
        if self._prepared is None:
            self._prepared = self._compute(np.arange(len(self)))
        inputs, targets = self._prepared
        return tuple(array[indices] for array in inputs), tuple(array[indices] for array in targets)

    def moved(self, indices: Indices, how: Augmentation, rng: np.random.Generator) -> Batch:
        """Return the samples at `indices`, image and truth of each moved by one random matrix.

        Images of further inputs have moves of their own; truths that lie in an image lie in the first.
        """
        if self._enlarged != 1.0:
            how = replace(how, shift=how.shift * self._enlarged)
        if how.mosaic:
            return self._joined(indices, how, rng)
        samples = [self._sample(int(i)) for i in indices]
        inputs, first = [], list[Frame]()
        for place, only in enumerate(self._spec.inputs):
            if only.preprocessing is None:
                raise ConfigError("feature vectors cannot be moved or mirrored", hint="leave augmentation out")
            size, images = (only.shape[0], only.shape[1]), [sample[place] for sample in samples]
            matrices = moves(how, size, len(images), rng)
            frames = [
                frame_of(only.preprocessing, (image.shape[0], image.shape[1]), size).then(matrix)
                for image, matrix in zip(images, matrices, strict=True)
            ]
            inputs.append(moved_batch(images, only, frames))
            first = first or frames
        return tuple(inputs), _stacked([self._encoded(int(i), frame) for i, frame in zip(indices, first, strict=True)])

    def _joined(self, indices: Indices, how: Augmentation, rng: np.random.Generator) -> Batch:
        """As `moved`, with four images in some of the samples."""
        check_mosaic(self._spec)
        rows, targets = [], []
        size = (self._spec.input_shape[0], self._spec.input_shape[1])
        for index, further in zip(indices, drawn(how.mosaic, len(indices), len(self), rng), strict=True):
            members = [int(index), *further]
            images, own = [self._sample(member)[0] for member in members], moves(how, size, len(members), rng)
            placing = quarters(size, rng) if further else [((0, 0, size[1], size[0]), np.eye(2, 3))]
            frames = [
                frame_of(self._spec.preprocessing, (image.shape[0], image.shape[1]), size).then(move).then(matrix)
                for image, move, (_, matrix) in zip(images, own, placing, strict=True)
            ]
            windows = [window for window, _ in placing]
            rows.append(list(zip(images, frames, windows, strict=True)))
            targets.append(
                self._encoded_pieces(members, frames, windows) if further else self._encoded(members[0], frames[0])
            )
        return (joined_batch(rows, self._spec.input),), _stacked(targets)

    def _encoded_pieces(self, members: Sequence[int], frames: Sequence[Frame], windows: Sequence[Window]) -> Arrays:
        """Return the targets of one sample that shows several images."""
        size, found = frames[0].input_size, list[npt.NDArray[Any]]()
        for head, encoder, truths in zip(self._spec.heads, self._encoders, self.truths, strict=True):
            rows = zip(members, frames, windows, strict=True)
            pieces = [Piece(truths[member], frame, window) for member, frame, window in rows]
            found += encoder.encode(task_of(head).joined(pieces, size), frame_of(None, size, size))
        return tuple(found)

    def _compute(self, indices: Indices) -> Batch:
        samples = [self._split.sample(int(i)) for i in indices]
        columns = list(zip(*samples, strict=True))
        inputs = [preprocess_batch(column, only) for column, only in zip(columns, self._spec.inputs, strict=True)]
        frames = [frame_for(sample, self._spec) for sample in samples]
        encoded = [self._encoded(int(i), frame) for i, frame in zip(indices, frames, strict=True)]
        return tuple(inputs), _stacked(encoded)

    def _encoded(self, index: int, frame: Frame | None = None) -> Arrays:
        """Return the targets of one sample; without a frame, as its image lies in the input unmoved."""
        placed = frame or frame_for(self._split.sample(index), self._spec)
        pairs = zip(self._encoders, self.truths, strict=True)
        return tuple(array for encoder, truths in pairs for array in encoder.encode(truths[index], placed))

    def _sample(self, index: int) -> tuple[Any, ...]:
        if not self._cacheable:
            return self._split.sample(index)
        if not self._images:
            # In place: the same samples of other sizes share them.
            self._images.extend(self._split.sample(i) for i in range(len(self)))
        return self._images[index]


def _stacked(rows: Sequence[Arrays]) -> Arrays:
    return tuple(np.stack(column) for column in zip(*rows, strict=True))


def _sample_bytes(split: Split, spec: ModelSpec, targets: Arrays) -> int:
    inputs = sum(4 * int(np.prod(only.shape)) for only in spec.inputs)
    return inputs + sum(image.nbytes for image in split.sample(0)) + sum(array.nbytes for array in targets)


def _truths(split: Split, spec: ModelSpec, order: tuple[int, ...]) -> tuple[Sequence[Any], ...]:
    if len(split) == 0:
        raise DataError(f"the {split.name} split is empty", hint="add images, or use another data set")
    if len(split.inputs) != len(spec.inputs):
        raise DataError(
            f"a sample of the {split.name} split has {len(split.inputs)} inputs, '{spec.name}' takes {len(spec.inputs)}"
        )
    if max(order) >= len(split.targets):
        raise DataError(
            f"the {split.name} split has {len(split.targets)} targets, '{spec.name}' has {len(spec.heads)} heads",
            hint="use data with a target for each head",
        )
    found = tuple(split.targets[position] for position in order)
    for head, column in zip(spec.heads, found, strict=True):
        for index in range(len(column)):
            task_of(head).check_truth(column[index], head, f"sample {index} of the {split.name} split")
    return found


def training_batches(
    sources: Sequence[Source], *, batch_size: int, augmentation: Augmentation, order: Indices, rng: np.random.Generator
) -> Iterator[Batch]:
    """Yield the augmented batches of one epoch in `order`, each of one of the sources; the last one may be smaller."""
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        samples = sources[0 if len(sources) == 1 else int(rng.integers(len(sources)))]
        yield samples.batch(chosen) if augmentation.none else samples.moved(chosen, augmentation, rng)


def ordered_batches(samples: Source, *, batch_size: int, order: Indices | None = None) -> Iterator[Batch]:
    """Yield the batches of a split in its own order, or in the one that is given, without augmentation."""
    whole = np.arange(len(samples)) if order is None else order
    for start in range(0, len(whole), batch_size):
        yield samples.batch(whole[start : start + batch_size])


def batches_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of batches that `training_batches` yields for a split of `images`."""
    return -(-images // batch_size)


def signature(*sources: Source) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the tf.TensorSpec of every input and target, of any batch size; what differs by source is None."""
    tf = tensorflow()
    firsts = [samples.batch(np.arange(1)) for samples in sources]
    inputs, targets = (list(zip(*part, strict=True)) for part in zip(*firsts, strict=True))
    return (
        tuple(tf.TensorSpec((None, *_common(column)), tf.float32) for column in inputs),
        tuple(tf.TensorSpec((None, *_common(column)), column[0].dtype) for column in targets),
    )


def _common(column: Sequence[npt.NDArray[Any]]) -> tuple[int | None, ...]:
    """The shape of arrays without the batch, None where they differ."""
    sides = zip(*(array.shape[1:] for array in column), strict=True)
    return tuple(own[0] if len(set(own)) == 1 else None for own in sides)


def prefetched(batches: Callable[[], Iterator[Batch]], sources: Sequence[Source]) -> Iterator[Batch]:
    """Yield batches from a tf.data pipeline that makes them while the step before runs; values and order stay the same.

    Args:
        batches: Makes the iterator.
        sources: What the batches are of, for their shapes.

    Raises:
        EdgecvError: What `batches` raised, as it was: tf.data would wrap it.
    """
    tf, failures = tensorflow(), list[EdgecvError]()

    def guarded() -> Iterator[Batch]:
        try:
            yield from batches()
        except EdgecvError as error:
            failures.append(error)

    yield from tf.data.Dataset.from_generator(guarded, output_signature=signature(*sources)).prefetch(2)
    if failures:
        raise failures[0]
