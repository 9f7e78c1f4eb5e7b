"""What a data set holds: sizes, balance, and samples that are there more than once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecv.data.dataset import Array, Dataset, Split, Target, is_classes
from edgecv.data.duplicates import count_duplicates
from edgecv.data.truths import ObjectColumn

SIZED = 256
"""Samples of a split whose size or mask is looked at: decoding every one of a large folder would take minutes."""


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
        labels: Of the first target; so are `counts` and `imbalance`.
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
        counts=targets[0].counts,
        imbalance=targets[0].imbalance,
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
    columns = {name: split.targets[index] for name, split in splits.items()}
    known = [_counts(target, column) for column in columns.values()]
    counts = {name: found for name, found in zip(columns, known, strict=True) if found is not None}
    train = counts.get(_main(splits), ())
    measures, tables = _measures(target), {name: _table(target, column) for name, column in columns.items()}
    masks = {name: _pixels(target, column) for name, column in columns.items()} if _has_masks(target) else {}
    return TargetSummary(
        name=target.name,
        task=target.task,
        labels=target.labels,
        counts=counts,
        spread={name: _spread(table) for name, table in tables.items()} if measures else {},
        imbalance=max(train) / min(train) if train and 0 not in train else None,
        measures=measures,
        shares={name: shares for name, (shares, _) in masks.items()},
        ignored={name: ignored for name, (_, ignored) in masks.items()},
    )


def _has_masks(target: Target) -> bool:
    return target.task == "segmentation"


def _measures(target: Target) -> tuple[str, ...]:
    if target.task == "detection":
        return ("objects per image", "box width", "box height")
    if target.task == "embedding":
        return ("images per identity",)
    return target.labels if target.task == "regression" else ()


def _table(target: Target, column: Any) -> tuple[Array, ...]:
    """Return the values of each measure."""
    if isinstance(column, ObjectColumn):
        boxes = np.concatenate([np.zeros((0, 4), np.float32), *(found.xyxy for found in column.items)])
        per_image = np.array([len(found) for found in column.items])
        return per_image, boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    if target.task == "embedding":
        return (np.unique(column, return_counts=True)[1],)
    return tuple(column.T) if target.task == "regression" else ()


def _counts(target: Target, column: Any) -> tuple[int, ...] | None:
    """Return how often each label is there; None where labels are not counted."""
    if isinstance(column, ObjectColumn):
        column = np.concatenate([np.zeros(0, np.int64), *(found.class_id for found in column.items)])
    if is_classes(column):
        return tuple(np.bincount(column, minlength=len(target.labels)).tolist())
    if target.task != "multilabel":
        return None
    return tuple(int(count) for count in column.sum(axis=0, dtype=np.float64))


def _pixels(target: Target, column: Any) -> tuple[tuple[float, ...], float]:
    """Return each class's share of the pixels that have a class, and the share of those that have none."""
    found = np.zeros(256, np.int64)
    for index in _spaced(len(column)):
        found += np.bincount(column[int(index)].reshape(-1), minlength=256)
    classes = found[: len(target.labels)]
    shares = classes / max(1, classes.sum())
    return tuple(shares.tolist()), float(1 - classes.sum() / max(1, found.sum()))


def _spread(table: tuple[Array, ...]) -> tuple[Spread, ...]:
    if not all(values.size for values in table):
        return ()
    exact = [values.astype(np.float64) for values in table]
    return tuple(
        Spread(min=float(c.min()), mean=float(c.mean()), std=float(c.std()), max=float(c.max())) for c in exact
    )


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
