"""Data sets in the form of YOLO: a text file for each image, a line for each box.

Source: https://docs.ultralytics.com/datasets/detect/: "class x_center y_center width height", the box in shares of the
image's width and height.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from edgecv.core.errors import DataError
from edgecv.data.dataset import Dataset
from edgecv.data.objects import Annotated, Boxes, annotated, object_dataset
from edgecv.data.sources import check_header
from edgecv.data.tree import beside, by_stem, class_lines, numbered, read_text, require_folder

NO_NAMES = "write the class names into classes.txt, one a line, in the order of the indices"


def open_yolo(root: Path, seed: int) -> Dataset:
    """Open a folder of images/ and labels/, split or not, with the class names in classes.txt or data.yaml.

    An image without a text file shows no objects.

    Raises:
        ConfigError: The folder is missing.
        DataError: There are no class names, a line is no box, or a box lies outside its image.
    """
    require_folder(root, "yolo")
    labels = _labels(root)
    parts = {
        split: [_annotated(image, answers / f"{name}.txt", labels) for name, image in by_stem(images).items()]
        for split, (images, answers) in beside(root, "labels").items()
    }
    return object_dataset(root.resolve().name, f"yolo:{root}", labels, parts, seed, str(root))


def _annotated(image: Path, answers: Path, labels: tuple[str, ...]) -> Annotated:
    size = check_header(image)
    rows = _rows(answers, len(labels)) if answers.is_file() else []
    height, width = size
    boxes = [
        ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
        for _, cx, cy, w, h in rows
    ]
    return annotated(image, size, Boxes(boxes, [int(row[0]) for row in rows], [False] * len(rows)), str(answers))


def _rows(path: Path, classes: int) -> list[tuple[float, ...]]:
    found: list[tuple[float, ...]] = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = tuple(float(value) for value in line.split())
        except ValueError:
            row = ()
        if len(row) != 5 or not all(map(math.isfinite, row)) or row[0] not in range(classes):
            raise DataError(
                f"{path}, line {number}: '{line.strip()[:60]}', expected 'class cx cy width height' with a class of "
                f"0..{classes - 1}",
                hint="the box is in shares of the image, 0..1; polygons are not read",
            )
        found.append(row)
    return found


def _labels(root: Path) -> tuple[str, ...]:
    listed, described = root / "classes.txt", root / "data.yaml"
    if listed.is_file():
        return numbered(class_lines(listed), listed)
    if described.is_file():
        names = _yaml_names(read_text(described))
        if names:
            return numbered(names, described)
        raise DataError(f"{described} has no list 'names:' that can be read", hint=NO_NAMES)
    raise DataError(f"{root} has neither classes.txt nor data.yaml", hint=NO_NAMES)


def _yaml_names(text: str) -> dict[int, str]:
    """Return the names of a data.yaml: `names: [a, b]`, or a list, or `0: a` a line below it. No other YAML is read."""
    lines = [line for line in (re.sub(r"(^|\s)#.*$", "", raw).rstrip() for raw in text.splitlines()) if line]
    start = next((i for i, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        return {}
    inline = lines[start].partition(":")[2].strip()
    block = [line.strip() for line in _below(lines[start + 1 :])]
    if inline:
        inside = " ".join([inline, *block])
        if inside[0] + inside[-1] not in ("[]", "{}"):
            return {}
        items = [item.strip() for item in inside[1:-1].split(",") if item.strip()]
        return _items(items, mapping=inside[0] == "{")
    dashed = all(line.startswith("-") for line in block)
    return _items([line.lstrip("- ") for line in block] if dashed else block, mapping=not dashed)


def _below(lines: list[str]) -> list[str]:
    """The lines that belong to the key above them: indented ones, items of a list, and a bracket that ends one."""
    found = []
    for line in lines:
        if not line[0].isspace() and line[0] not in "-]}":
            break
        found.append(line)
    return found


def _items(items: list[str], *, mapping: bool) -> dict[int, str]:
    found: dict[int, str] = {}
    for position, item in enumerate(items):
        key, colon, value = item.partition(":")
        if mapping and not (colon and key.strip().isdigit()):
            return {}
        found[int(key) if mapping else position] = (value if mapping else item).strip().strip("'\"")
    return found
