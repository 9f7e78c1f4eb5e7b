"""Data sets in the form of PASCAL VOC: an XML file of boxes for each image.

Source: Everingham, Winn 2012, "The PASCAL Visual Object Classes Challenge 2012 Development Kit", section "Annotation
file format": boxes are 1-based and take their last pixel in; "difficult" objects are not judged.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from edgecv.core.errors import DataError
from edgecv.data.dataset import ALL, Dataset
from edgecv.data.objects import Annotated, Boxes, annotated, object_dataset
from edgecv.data.sources import check_header
from edgecv.data.tree import by_stem, read_text, require_folder

SETS = {"train": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True, slots=True)
class _Annotation:
    """What an XML file says: class names and half-open boxes."""

    file: Path
    names: tuple[str, ...]
    boxes: tuple[tuple[float, ...], ...]
    difficult: tuple[bool, ...]


def open_voc(root: Path, seed: int) -> Dataset:
    """Open a folder of Annotations/*.xml and JPEGImages/, split as ImageSets/Main/{train,val,test}.txt say.

    Classes are the names of all objects, sorted. Difficult objects become crowds: neither to be found nor a mistake.

    Raises:
        ConfigError: The folder is missing.
        DataError: A file is missing or not as it should be, or a box lies outside its image.
    """
    require_folder(root, "voc")
    for name in ("Annotations", "JPEGImages"):
        if not (root / name).is_dir():
            raise DataError(f"{root / name} does not exist", hint="expected Annotations/*.xml and JPEGImages/*.jpg")
    images = by_stem(root / "JPEGImages")
    found = {path.stem: _read(path) for path in sorted((root / "Annotations").glob("*.xml"))}
    labels = tuple(sorted({name for one in found.values() for name in one.names}))
    parts = {
        split: [_annotated(name, images, found, labels, root) for name in names]
        for split, names in _sets(root, found).items()
    }
    return object_dataset(root.resolve().name, f"voc:{root}", labels, parts, seed, str(root))


def _sets(root: Path, found: dict[str, _Annotation]) -> dict[str, list[str]]:
    """Return the stems of each split; of "all" when no file says so."""
    listed = {split: root / "ImageSets" / "Main" / f"{name}.txt" for split, name in SETS.items()}
    there = {split: _names(path) for split, path in listed.items() if path.is_file()}
    return there if len(there) > 1 else {ALL: list(found)}


def _names(path: Path) -> list[str]:
    # Lists of one class say 1 or -1 after the name.
    return [line.split()[0] for line in read_text(path).splitlines() if line.strip()]


def _annotated(
    name: str, images: dict[str, Path], found: dict[str, _Annotation], labels: tuple[str, ...], root: Path
) -> Annotated:
    if name not in found:
        raise DataError(f"{root / 'Annotations' / name}.xml does not exist", hint="a list in ImageSets/Main names it")
    one = found[name]
    if name not in images:
        raise DataError(
            f"{one.file} is about an image that {root / 'JPEGImages'} does not hold", hint=f"add {name}.jpg"
        )
    class_id = [labels.index(label) for label in one.names]
    said = Boxes(one.boxes, class_id, one.difficult)
    return annotated(images[name], check_header(images[name]), said, str(one.file))


def _read(path: Path) -> _Annotation:
    try:
        root = ElementTree.parse(path).getroot()
        objects = root.findall("object")
        names = tuple(_text(each, "name") for each in objects)
        boxes = tuple(_box(each) for each in objects)
        difficult = tuple((each.findtext("difficult") or "0").strip() == "1" for each in objects)
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise DataError(
            f"{path} is no annotation of PASCAL VOC: {error}",
            hint="an object has a name and a bndbox of xmin, ymin, xmax, ymax",
        ) from error
    return _Annotation(path, names, boxes, difficult)


def _box(each: ElementTree.Element) -> tuple[float, ...]:
    x1, y1, x2, y2 = (float(_text(each, f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
    # By the letter, x2 = x1 is one pixel wide. In practice it is a slip of the mouse: it stays a box without area.
    return (x1 - 1, y1 - 1, x2 if x2 > x1 else x1 - 1, y2 if y2 > y1 else y1 - 1)


def _text(each: ElementTree.Element, name: str) -> str:
    found = each.findtext(name)
    if found is None or not found.strip():
        raise ValueError(f"an object has no {name}")
    return found.strip()
