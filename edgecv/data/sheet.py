"""A contact sheet: samples of a split in rows, with their truths drawn on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecv.core.errors import DataError
from edgecv.core.optional import require
from edgecv.data.dataset import Array, Dataset, Record, Split, Target
from edgecv.tasks import drawing, registry
from edgecv.tasks.boxes import Objects, class_name

BACKGROUND = ("background",)
_GAP = 6
_LEAST = 192
_MOST = 320
_LINE = 34
"""Characters of a caption: longer ones are cut."""


def contact_sheet(dataset: Dataset, split: Split, *, rows: int = 4, columns: int = 4) -> Any:
    """Return a Pillow image of samples that are spread evenly over a split, with every truth drawn or written below.

    Raises:
        DataError: The split is empty or holds feature vectors, or an image or a truth cannot be read.
    """
    if not len(split):
        raise DataError(f"split '{split.name}' of '{dataset.name}' is empty")
    count = min(rows * columns, len(split))
    chosen = (np.arange(count) * len(split)) // count
    tiles = [_tile(split.record(int(index)), dataset.targets) for index in chosen]
    sheet = _grid(tiles, columns)
    first = zip(dataset.targets, split.record(0).truths, strict=True)
    masked = next((target for target, truth in first if _is_mask(target, truth)), None)
    return sheet if masked is None else _with_legend(sheet, masked)


def _tile(record: Record, targets: Sequence[Target]) -> Any:
    """Return the inputs of a sample side by side, the first with the truths that have a place in it, and pictures."""
    if any(image.ndim == 1 for image in record.inputs):
        raise DataError("feature vectors cannot be drawn", hint="a contact sheet needs images")
    truths = list(zip(targets, record.truths, strict=True))
    first = _on_image(_small(record.inputs[0], truths), targets)
    beside = [*record.inputs[1:], *(truth for target, truth in truths if _depicts(target))]
    pictures = [first, *(drawing.canvas(_small(image, ())[0], least=_LEAST)[0] for image in beside)]
    picture = pictures[0] if len(pictures) == 1 else drawing.beside(pictures)
    lines = [text for target, truth in truths if (text := _text(target, truth, alone=len(truths) == 1))]
    return drawing.caption(picture, lines) if lines else picture


def _small(image: Array, truths: Sequence[tuple[Target, Any]]) -> tuple[Array, list[Any]]:
    """Return an image that fits a tile, and its truths likewise: every k-th pixel."""
    step = -(-max(image.shape[:2]) // _MOST)
    return image[::step, ::step], [_shrunk(target, truth, step) for target, truth in truths]


def _shrunk(target: Target, truth: Any, step: int) -> Any:
    if isinstance(truth, Objects):
        return Objects(truth.xyxy / step, truth.class_id, truth.crowd)
    return truth[::step, ::step] if _is_mask(target, truth) else truth


def _on_image(sample: tuple[Array, list[Any]], targets: Sequence[Target]) -> Any:
    image, truths = sample
    picture, scale = drawing.canvas(image, least=_LEAST)
    # Masks first, so that boxes are seen.
    for target, truth in zip(targets, truths, strict=True):
        if _is_mask(target, truth):
            _draw_mask(picture, truth, target)
    for target, truth in zip(targets, truths, strict=True):
        if isinstance(truth, Objects):
            _draw_objects(picture, truth, target, scale)
    return picture


def _color(target: Target, value: int) -> drawing.Color:
    """Return a class's colour: with a background or without, things of one name have one colour in masks and boxes."""
    return drawing.palette(value - (target.labels[:1] == BACKGROUND))


def _draw_mask(picture: Any, mask: Array, target: Target) -> None:
    for value in np.unique(mask).tolist():
        # Where the first class is what is behind everything, the image itself shows it.
        behind = value == 0 and target.labels[:1] == BACKGROUND
        if not behind and value != target.settings.get("ignore_index"):
            drawing.overlay_mask(picture, mask == value, _color(target, value), outline=False)


def _draw_objects(picture: Any, objects: Objects, target: Target, scale: float) -> None:
    ids = objects.class_id.tolist()
    drawing.boxes(
        picture, objects.xyxy, [drawing.palette(index) for index in ids], scale=scale,
        texts=[class_name(target.labels, index) for index in ids],
    )  # fmt: skip


def _text(target: Target, truth: Any, *, alone: bool) -> str:
    """Return a truth in words, where it has no place in the image."""
    name = "" if alone else f"{target.name}: "
    told = registry.of_kind(target.task).told(truth, target.labels)
    return _cut(name + told) if told else ""


def _cut(text: str) -> str:
    return text if len(text) <= _LINE else text[: _LINE - 1] + "…"


def _is_mask(target: Target, truth: Any) -> bool:
    return isinstance(truth, np.ndarray) and truth.ndim == 2 and not _depicts(target)


def _depicts(target: Target) -> bool:
    return registry.of_kind(target.task).depicts


def _grid(tiles: Sequence[Any], columns: int) -> Any:
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    widths = [max(row[i].width for row in rows if i < len(row)) for i in range(len(rows[0]))]
    heights = [max(tile.height for tile in row) for row in rows]
    size = (sum(widths) + _GAP * (len(widths) + 1), sum(heights) + _GAP * (len(heights) + 1))
    sheet = require("PIL.Image", why="to draw").new("RGB", size, (255, 255, 255))
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        left = _GAP
        for tile, width in zip(row, widths, strict=False):
            sheet.paste(tile, (left, top))
            left += width + _GAP
        top += height + _GAP
    return sheet


def _with_legend(sheet: Any, target: Target) -> Any:
    """Return a sheet with the colours of a mask's classes below it."""
    height, letters = 30, drawing.font(15)
    lines: list[list[tuple[int, int, str]]] = [[]]
    left = _GAP
    for value, name in enumerate(target.labels):
        width = 24 + round(letters.getlength(name)) + 18
        if left + width > sheet.width and lines[-1]:
            lines.append([])
            left = _GAP
        if value or target.labels[:1] != BACKGROUND:
            lines[-1].append((left, value, name))
            left += width
    made = require("PIL.Image", why="to draw").new("RGB", (sheet.width, sheet.height + height * len(lines)), "white")
    made.paste(sheet, (0, 0))
    draw = require("PIL.ImageDraw", why="to draw").Draw(made)
    for row, line in enumerate(lines):
        top = sheet.height + row * height
        for at, value, name in line:
            draw.rectangle([at, top + 4, at + 16, top + 20], fill=_color(target, value), outline="black")
            draw.text((at + 22, top + 3), name, fill="black", font=letters)
    return made
