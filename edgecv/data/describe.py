"""What a data set holds: sizes, balance, and samples that are there more than once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgecv.data.dataset import Array, Dataset, Split, Target
from edgecv.data.duplicates import count_duplicates

SIZED = 256
"""Training samples whose size is looked at: decoding every image of a large folder would take minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The distribution of one value, in its own unit; `std` is of the population."""

    min: float
    mean: float
    std: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSummary:
    """One target.

    Attributes:
        counts: Split to samples of each class, or to positive samples of each label; empty for regression.
        spread: Split to the distribution of each value; empty for the other tasks.
        imbalance: Largest count of the training split over its smallest; 1.0 is balanced. None when a count is 0, and
            for regression.
    """

    name: str
    task: str
    labels: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    spread: Mapping[str, tuple[Spread, ...]]
    imbalance: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """Sizes, balance and duplicates.

    Attributes:
        labels: Of the first target; so are `counts` and `imbalance`.
        targets: Every target.
        sizes: Split to its number of samples.
        smallest: Least height, width and channels (or length of the vectors) among `sized` training samples.
        largest: Greatest, likewise.
        sized: Training samples that these were read from, evenly spaced.
        duplicates_within: Split to samples that repeat an earlier one of it, byte for byte.
        duplicates_across: "train/test" to samples of the second split whose content is in the first one too.
    """

    name: str
    uri: str
    labels: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    imbalance: float | None
    targets: tuple[TargetSummary, ...]
    sizes: Mapping[str, int]
    smallest: tuple[int, ...]
    largest: tuple[int, ...]
    sized: int
    duplicates_within: Mapping[str, int]
    duplicates_across: Mapping[str, int]

    @property
    def leaks(self) -> int:
        """Samples that are in two splits: what is measured on them says nothing of new data."""
        return sum(self.duplicates_across.values())


def describe(dataset: Dataset) -> DatasetSummary:
    """Return what a data set holds.

    Files are read where two have the same length, arrays whole; up to 256 training images are decoded.

    Raises:
        DataError: An image is corrupt or gone.
    """
    targets = tuple(_summary(target, i, dataset.splits) for i, target in enumerate(dataset.targets))
    smallest, largest, sized = _sizes(dataset.splits["train"])
    within, across = count_duplicates(dataset.splits)
    return DatasetSummary(
        name=dataset.name,
        uri=dataset.uri,
        labels=dataset.labels,
        counts=targets[0].counts,
        imbalance=targets[0].imbalance,
        targets=targets,
        sizes={name: len(split) for name, split in dataset.splits.items()},
        smallest=smallest,
        largest=largest,
        sized=sized,
        duplicates_within=within,
        duplicates_across=across,
    )


def _summary(target: Target, index: int, splits: Mapping[str, Split]) -> TargetSummary:
    values = {name: split.targets[index] for name, split in splits.items()}
    n, regression = len(target.labels), target.task == "regression"
    counts: dict[str, tuple[int, ...]] = (
        {} if regression else {name: _counts(found, n) for name, found in values.items()}
    )
    train: tuple[int, ...] = counts.get("train", ())
    return TargetSummary(
        name=target.name,
        task=target.task,
        labels=target.labels,
        counts=counts,
        spread={name: _spread(found) for name, found in values.items()} if regression else {},
        imbalance=max(train) / min(train) if train and 0 not in train else None,
    )


def _counts(values: Array, n: int) -> tuple[int, ...]:
    found = np.bincount(values, minlength=n) if values.ndim == 1 else values.sum(axis=0, dtype=np.float64)
    return tuple(int(count) for count in found)


def _spread(values: Array) -> tuple[Spread, ...]:
    if not len(values):
        return ()
    exact = values.astype(np.float64)
    return tuple(
        Spread(min=float(c.min()), mean=float(c.mean()), std=float(c.std()), max=float(c.max())) for c in exact.T
    )


def _sizes(split: Split) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    count = min(SIZED, len(split))
    if not count:
        return (), (), 0
    chosen = np.unique(np.linspace(0, len(split) - 1, count).astype(np.int64))
    shapes = np.array([_shape(split.image(int(i))) for i in chosen], np.int64)
    return tuple(shapes.min(axis=0).tolist()), tuple(shapes.max(axis=0).tolist()), len(shapes)


def _shape(image: Array) -> tuple[int, ...]:
    return (*image.shape, 1) if image.ndim == 2 else tuple(image.shape)
