"""From images with boxes to a data set: what the readers of VOC, COCO and YOLO files share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecv.core.errors import DataError
from edgecv.data.dataset import ALL, Dataset, Split, Target
from edgecv.data.grouping import completed
from edgecv.data.sources import FileImages
from edgecv.data.truths import ObjectColumn, placed
from edgecv.tasks.boxes import Objects


@dataclass(frozen=True, slots=True)
class Boxes:
    """What a file says of one image: boxes (x1, y1, x2, y2) in half-open pixels, names or numbers of their classes."""

    boxes: Sequence[Sequence[float]]
    class_id: Sequence[int]
    crowd: Sequence[bool]


@dataclass(frozen=True, slots=True)
class Annotated:
    """An image and its objects; `flat` boxes had no area and were left out."""

    path: Path
    objects: Objects
    flat: int


def annotated(path: Path, size: tuple[int, int], said: Boxes, where: str) -> Annotated:
    """Return an image with its objects. Raises DataError when a box lies outside it."""
    made, flat = placed(said.boxes, said.class_id, said.crowd, size, where)
    return Annotated(path, made, flat)


def object_dataset(
    name: str, uri: str, labels: tuple[str, ...], parts: Mapping[str, Sequence[Annotated]], seed: int, where: str
) -> Dataset:
    """Return a data set whose target is called "objects".

    Raises:
        DataError: There are no classes or no images, or splits are missing.
    """
    if not labels:
        raise DataError(f"{where} names no classes", hint="a detector needs at least one")
    empty = [split for split, items in parts.items() if not items]
    if empty or not parts:
        raise DataError(f"{where} has no images{f' in {empty[0]}' if empty else ''}", hint="add annotated images")
    targets = (Target(name="objects", task="detection", labels=labels),)
    splits = {split: _split(split, items) for split, items in parts.items()}
    made = splits if ALL in splits else completed(targets, splits, seed=seed, where=where)
    flat = sum(item.flat for items in parts.values() for item in items)
    notes = (f"left out {flat} boxes that have no area",) if flat else ()
    return Dataset(name=name, uri=uri, targets=targets, splits=made, notes=notes)


def _split(name: str, items: Sequence[Annotated]) -> Split:
    images = FileImages(tuple(item.path for item in items))
    return Split(name=name, images=images, targets=(ObjectColumn(tuple(item.objects for item in items)),))
