"""What a data set holds: sizes, balance, and samples that are there more than once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecv.data.dataset import Array, Dataset, Split, Target
from edgecv.data.duplicates import count_duplicates
from edgecv.data.truths import ObjectColumn
from edgecv.tasks import registry
from edgecv.tasks.description import Spread

SIZED = 256
"""Samples of a split whose size or mask is looked at: decoding every one of a large folder would take minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSummary:
    """One target.

    Attributes:
        counts: Split to samples of each class or identity, to positive samples of each label, or to objects of each
            class; empty for regression and masks.
        measures: What `spread` tells of: the values of a regression, "objects per image", "box width", "box height",
            or "images per identity".
        spread: Split to the distribution of each measure.
        shares: Split to each class's share of the pixels of up to 256 masks, of those that have a class.
        ignored: Split to the share of all their pixels that have none.
        imbalance: Largest count of the training split over its smallest; 1.0 is balanced. None when a count is 0, and
            where there are no counts.
    """

    name: str
    task: str
    labels: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    spread: Mapping[str, tuple[Spread, ...]]
    imbalance: float | None
    measures: tuple[str, ...] = ()
    shares: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    ignored: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """Sizes, balance and duplicates. What is said of training is said of the first split when none is called so.

    Attributes:
        labels: Of the first target; so are `counts` and `imbalance`. Empty, and None, where there are no targets.
        targets: Every target.
        sizes: Split to its number of samples.
        smallest: Least height, width and channels (or length of the vectors) among `sized` training samples.
        largest: Greatest, likewise.
        sized: Training samples that these were read from, evenly spaced.
        duplicates_within: Split to samples that repeat an earlier one of it, byte for byte.
        notes: What was left out when the data set was opened.
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
    notes: tuple[str, ...] = ()

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
    smallest, largest, sized = _sizes(dataset.splits[_main(dataset.splits)])
    within, across = count_duplicates(dataset.splits)
    return DatasetSummary(
        name=dataset.name,
        uri=dataset.uri,
        labels=dataset.labels,
        counts=targets[0].counts if targets else {},
        imbalance=targets[0].imbalance if targets else None,
        targets=targets,
        sizes={name: len(split) for name, split in dataset.splits.items()},
        smallest=smallest,
        largest=largest,
        sized=sized,
        duplicates_within=within,
        duplicates_across=across,
        notes=dataset.notes,
    )


def _main(splits: Mapping[str, Any]) -> str:
    return "train" if "train" in splits else next(iter(splits))


def _summary(target: Target, index: int, splits: Mapping[str, Split]) -> TargetSummary:
    task = registry.of_kind(target.task)
    found = {name: task.describe(_looked_at(split.targets[index]), target.labels) for name, split in splits.items()}
    counts = {name: one.counts for name, one in found.items() if one.counts is not None}
    train = counts.get(_main(splits), ())
    measures = next(iter(found.values())).measures
    return TargetSummary(
        name=target.name,
        task=target.task,
        labels=target.labels,
        counts=counts,
        spread={name: one.spread for name, one in found.items()} if measures else {},
        imbalance=max(train) / min(train) if train and 0 not in train else None,
        measures=measures,
        shares={name: one.shares for name, one in found.items() if one.shares},
        ignored={name: one.ignored for name, one in found.items() if one.shares},
    )


def _looked_at(column: Any) -> Any:
    """Return a column's truths: all of them where they are at hand and small, else some, evenly spaced."""
    at_hand = isinstance(column, ObjectColumn) or (isinstance(column, np.ndarray) and column.ndim <= 2)
    return column if at_hand else [column[int(index)] for index in _spaced(len(column))]


def _sizes(split: Split) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    if not len(split):
        return (), (), 0
    shapes = np.array([_shape(split.image(int(i))) for i in _spaced(len(split))], np.int64)
    return tuple(shapes.min(axis=0).tolist()), tuple(shapes.max(axis=0).tolist()), len(shapes)


def _spaced(n: int) -> Array:
    """Return up to `SIZED` of n indices, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, min(SIZED, n)).astype(np.int64)) if n else np.zeros(0, np.int64)


def _shape(image: Array) -> tuple[int, ...]:
    return (*image.shape, 1) if image.ndim == 2 else tuple(image.shape)
