"""What a data set is: named splits of samples with what each head learns of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from edgecv.core.errors import ConfigError, DataError, unknown_name

Array = np.ndarray[Any, Any]
Image = np.ndarray[Any, Any]
Indices = np.ndarray[Any, np.dtype[np.int64]]

ONLY = "output"
"""Name of the target of a data set that has a single one."""

ALL = "all"
"""Name of the split of a data set that brings none."""

PURPOSES = ("train", "validation", "test")

_ARRAYS = ((np.int64, 1), (np.float32, 2), (np.float32, 4), (np.uint8, 3), (np.uint8, 4))


class Images(Protocol):
    """Where a split's images come from; `digest(i)` identifies the content of image i without decoding it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Image: ...

    def digest(self, index: int) -> bytes: ...


class Column(Protocol):
    """The truths of one target, sample by sample: an array, or a class of `edgecv.data.truths` that reads them."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What one head learns.

    Attributes:
        name: "output" when it is the only one, else the head's name in the data.
        task: The kind of truth, called like the task that reads it first: "classification", "detection", …
        labels: Class names in index order; for multilabel and regression one name per column.
        settings: What else the task has to know: {"ignore_index": 255} of masks.
    """

    name: str
    task: str
    labels: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One sample.

    Attributes:
        inputs: One image or vector per model input.
        truths: One per target; what it is depends on the target's task.
        group: Number of the identity or source that the sample comes from; None when unknown.
    """

    inputs: tuple[Image, ...]
    truths: tuple[Any, ...]
    group: int | None = None


# Not slotted: cached_property keeps the hash in the instance.
@dataclass(frozen=True, kw_only=True)
class Split:
    """Samples for one purpose.

    Attributes:
        name: "train", "validation", "test", or "all".
        images: The first input: uint8 (H, W) or (H, W, 3), RGB, or float32 (d,) for feature vectors; read when asked
            for.
        targets: One column per target of the data set. Classification, embedding, verification: int64 (n,), an index
            into the target's labels; multilabel: float32 (n, k) of 0 and 1; regression: float32 (n, k), in the labels'
            own units, responses likewise (n, H, W, k); segmentation: uint8 (n, H, W) or a column of uint8 (H, W);
            detection: a column of `edgecv.tasks.boxes.Objects`; imaging: uint8 (n, H, W) or (n, H, W, 3), or a column
            of such pictures.
        more_inputs: The further inputs of each sample, like `images`; empty for most data sets.
        groups: int64 (n,): samples of one number are of one person, scene or source; None when unknown.
    """

    name: str
    images: Images
    targets: tuple[Any, ...]
    more_inputs: tuple[Images, ...] = ()
    groups: Indices | None = None

    def __post_init__(self) -> None:
        for target in self.targets:
            if len(self.images) != len(target):
                raise DataError(f"split '{self.name}' has {len(self.images)} images and {len(target)} labels")
            if isinstance(target, np.ndarray) and (target.dtype, target.ndim) not in _ARRAYS:
                raise DataError(
                    f"a target of split '{self.name}' is {target.dtype} of shape {target.shape}, "
                    "expected int64 (n,), float32 (n, k) or (n, H, W, k), or uint8 (n, H, W) or (n, H, W, 3)"
                )
        lengths = [len(images) for images in self.more_inputs] + ([] if self.groups is None else [len(self.groups)])
        if any(length != len(self.images) for length in lengths):
            raise DataError(f"the inputs and groups of split '{self.name}' differ in length")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def inputs(self) -> tuple[Images, ...]:
        """One source of images per model input."""
        return (self.images, *self.more_inputs)

    @property
    def labels(self) -> Indices:
        """The first target of a classification data set: int64 (n,).

        Raises:
            DataError: The first target is no classification.
        """
        if not self.targets or not is_classes(self.targets[0]):
            raise DataError(
                f"split '{self.name}' has no class labels: its first target is of another kind",
                hint="use data with integer labels, or a model whose first head takes such targets",
            )
        found: Indices = self.targets[0]
        return found

    @cached_property
    def strata(self) -> Indices:
        """What stratified choices go by, int64 (n,).

        The first target of whole numbers; without one, the number of the row's pattern in the first target of several
        labels, or of the classes that an image shows objects of; without any, zeros.
        """
        classes = next((target for target in self.targets if is_classes(target)), None)
        if classes is not None:
            found: Indices = classes
            return found
        binary = next((rows for rows in map(presence, self.targets) if rows is not None), None)
        if binary is None or not len(self):
            return np.zeros(len(self), np.int64)
        return np.unique(binary, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def image(self, index: int) -> Image:
        """Return the first input of sample `index`: uint8 (H, W) or (H, W, 3), or float32 (d,).

        Raises:
            DataError: The file is corrupt or gone; the message names it.
        """
        return self.images[index]

    def sample(self, index: int) -> tuple[Image, ...]:
        """Return every input of sample `index`. Raises DataError as `image` does."""
        return tuple(source[index] for source in self.inputs)

    def record(self, index: int) -> Record:
        """Return sample `index` with its truths. Raises DataError as `image` does, and for a truth that is wrong."""
        group = None if self.groups is None else int(self.groups[index])
        return Record(inputs=self.sample(index), truths=tuple(t[index] for t in self.targets), group=group)

    def take(self, index: Indices, name: str | None = None) -> Split:
        """Return the samples at `index` (int64), in that order, as a split that may be called otherwise."""
        return Split(
            name=name or self.name,
            images=taken(self.images, index),
            targets=tuple(taken(target, index) for target in self.targets),
            more_inputs=tuple(taken(images, index) for images in self.more_inputs),
            groups=None if self.groups is None else self.groups[index],
        )

    def with_inputs(self, *inputs: Images) -> Split:
        """Return the split with other inputs for the same samples."""
        return replace(self, images=inputs[0], more_inputs=inputs[1:])

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        """Yield each sample with its class. Raises DataError when the first target is no classification."""
        return ((self.image(i), int(label)) for i, label in enumerate(self.labels))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over every sample in order: its targets and its content (array, or bytes of its file)."""
        digest = hashlib.sha256()
        stored = [_little_endian(target) for target in self.targets]
        for index in range(len(self)):
            for target in stored:
                digest.update(target[index].tobytes() if isinstance(target, np.ndarray) else target.digest(index))
            for images in self.inputs:
                digest.update(images.digest(index))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set; one without targets calibrates and is run through a model, and can neither train nor judge it.

    Attributes:
        uri: What it was opened from: "digits", "npz:PATH", "folder:PATH", …
        targets: What there is to learn, in the order of the model's heads.
        splits: "train", "validation" and "test", of which no sample is in two that are made here; or "all" alone, for
            data that brings no splits.
        notes: What was left out, or read in a way worth knowing.
    """

    name: str
    uri: str
    targets: tuple[Target, ...]
    splits: Mapping[str, Split]
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the first target; none of a data set without targets."""
        return self.targets[0].labels if self.targets else ()

    def split(self, name: str) -> Split:
        """Return a split by name.

        Raises:
            ConfigError: There is none; the message has the nearest match, or says how to divide the data.
        """
        if name in self.splits:
            return self.splits[name]
        if name in PURPOSES and set(self.splits) == {ALL}:
            raise ConfigError(
                f"'{self.name}' brings no splits, so it has no split '{name}'",
                hint="use all of it: --split all; training divides it in train, validation and test",
            )
        raise unknown_name("split", name, self.splits)

    def divided(self, seed: int = 0) -> Dataset:
        """Return the data set with the splits "train", "validation" and "test"; itself when it has splits.

        Args:
            seed: Another seed holds other samples out.

        Raises:
            DataError: There are too few samples of a class, or too few groups, for every split.
        """
        if set(self.splits) != {ALL}:
            return self
        # Dividing needs what is defined here.
        from edgecv.data.grouping import in_three

        return replace(self, splits=in_three(self.targets, self.splits[ALL], seed=seed, where=address(self.uri)))


def address(uri: str) -> str:
    """Return what messages call a data set: the path of its address, or all of it."""
    return uri.partition(":")[2] or uri


def is_classes(column: Any) -> bool:
    """Whether a column is one whole number per sample: a class or an identity."""
    return isinstance(column, np.ndarray) and column.ndim == 1


def presence(column: Any) -> Array | None:
    """Return which labels samples have, of 0 and 1, (n, k); None for columns of another kind."""
    if isinstance(column, np.ndarray):
        return column if column.ndim == 2 and bool(np.isin(column, (0, 1)).all()) else None
    found: Array | None = column.presence() if hasattr(column, "presence") else None
    return found


def taken(source: Any, index: Indices) -> Any:
    """Return the entries of images or of a column at `index`, in that order."""
    if isinstance(source, np.ndarray):
        return source[index]
    return source.take(index) if hasattr(source, "take") else _Taken(source, index)


@dataclass(frozen=True, slots=True)
class _Taken:
    """Some entries of a source that cannot choose them itself."""

    source: Any
    index: Indices

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> Any:
        return self.source[int(self.index[index])]

    def digest(self, index: int) -> bytes:
        found: bytes = self.source.digest(int(self.index[index]))
        return found


def _little_endian(target: Any) -> Any:
    return target.astype(target.dtype.newbyteorder("<")) if isinstance(target, np.ndarray) else target
