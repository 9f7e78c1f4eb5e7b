"""Data sets in the form of COCO: one JSON file of images, categories and boxes.

Source: https://cocodataset.org/#format-data, "Object Detection": bbox is x, y, width, height from the upper left corner
of the image, 0-based; iscrowd marks a box around a group.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from edgecv.core.errors import ConfigError, DataError
from edgecv.data.dataset import ALL, Dataset
from edgecv.data.objects import Annotated, Boxes, annotated, object_dataset
from edgecv.data.sources import check_header
from edgecv.data.tree import read_text


def open_coco(path: Path, seed: int) -> Dataset:
    """Open a JSON file of instances. Classes are the categories in the order of their ids.

    An image lies beside the file, in images/ beside it or beside its folder, or in a folder there that is called like
    the file: val2017/ for instances_val2017.json.

    Raises:
        ConfigError: The file is missing.
        DataError: It is no COCO file, an image is missing, or a box lies outside its image.
    """
    if not path.is_file():
        raise ConfigError(f"data set {path} does not exist", hint="check the path after coco:, a JSON file")
    try:
        document = json.loads(read_text(path))
        ids = {int(each["id"]): str(each["name"]) for each in document["categories"]}
        rows = [(int(each["id"]), str(each["file_name"])) for each in document["images"]]
        said = _boxes(document["annotations"], sorted(ids))
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, IndexError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{path} is no COCO file of boxes: {what}",
            hint="expected images (id, file_name), categories (id, name), annotations (image_id, category_id, bbox)",
        ) from error
    _check_known(path, said, {number for number, _ in rows})
    items = [_annotated(path, name, said.get(number, Boxes((), (), ()))) for number, name in rows]
    labels = tuple(ids[number] for number in sorted(ids))
    return object_dataset(path.stem, f"coco:{path}", labels, {ALL: items}, seed, str(path))


def _boxes(annotations: list[dict[str, Any]], ids: list[int]) -> dict[int, Boxes]:
    """Return the boxes of each image id."""
    number = {category: index for index, category in enumerate(ids)}
    rows: dict[int, list[tuple[tuple[float, ...], int, bool]]] = defaultdict(list)
    for each in annotations:
        if each["category_id"] not in number:
            raise ValueError(f"an annotation is of category {each['category_id']}, which is not listed")
        x, y, width, height = (float(value) for value in each["bbox"])
        row = ((x, y, x + width, y + height), number[each["category_id"]], bool(each.get("iscrowd", 0)))
        rows[int(each["image_id"])].append(row)
    return {image: Boxes(*zip(*found, strict=True)) for image, found in rows.items()}


def _check_known(path: Path, said: dict[int, Boxes], images: set[int]) -> None:
    lost = sorted(said.keys() - images)
    if lost:
        raise DataError(f"{path} has boxes of image {lost[0]}, which it does not list", hint="add it, or remove them")


def _annotated(path: Path, name: str, said: Boxes) -> Annotated:
    places = _places(path)
    found = next((place / name for place in places if (place / name).is_file()), None)
    if found is None:
        raise DataError(
            f"{path} lists the image {name}, which is not there",
            hint=f"put it beside the file, or in images/; looked in {', '.join(map(str, places))}",
        )
    return annotated(found, check_header(found), said, f"{path}, image {name}")


def _places(path: Path) -> tuple[Path, ...]:
    folder, called = path.parent, path.stem.split("_")[-1]
    above = folder.resolve().parent
    return (folder, folder / "images", folder / called, above / "images", above / called)
