"""Columns of truths that are no arrays: objects of an image, and label maps in files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core import files
from edgecv.core.errors import DataError
from edgecv.core.optional import require
from edgecv.data.dataset import Array, Indices
from edgecv.runtime.decoding import gray_step
from edgecv.tasks import boxes
from edgecv.tasks.boxes import Objects


@dataclass(frozen=True, slots=True)
class ObjectColumn:
    """The objects of each image."""

    items: tuple[Objects, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Objects:
        return self.items[index]

    def take(self, index: Indices) -> ObjectColumn:
        """Return the objects of the images at `index`."""
        return ObjectColumn(tuple(self.items[int(i)] for i in index))

    def digest(self, index: int) -> bytes:
        """Return what identifies the objects of an image: boxes, classes and crowds, little-endian."""
        found = self.items[index]
        return found.xyxy.astype("<f4").tobytes() + found.class_id.astype("<i8").tobytes() + _crowd(found).tobytes()

    def presence(self) -> Array:
        """Return which classes each image shows: uint8 (n, highest class + 1) of 0 and 1."""
        return boxes.presence(self.items)


@dataclass(frozen=True, slots=True)
class MaskFiles:
    """Label maps in image files of gray or palette pixels, decoded at each access.

    Attributes:
        paths: One file per sample.
        classes: Pixel values 0..classes-1 are classes.
        ignore_index: The value of pixels that belong to none; None when there are no such pixels.
    """

    paths: tuple[Path, ...]
    classes: int
    ignore_index: int | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Array:
        mask = read_mask(self.paths[index])
        self._check(mask, self.paths[index])
        return mask

    def take(self, index: Indices) -> MaskFiles:
        """Return the masks at `index`."""
        return MaskFiles(tuple(self.paths[int(i)] for i in index), self.classes, self.ignore_index)

    def digest(self, index: int) -> bytes:
        """Return the SHA-256 of the file's bytes."""
        return bytes.fromhex(files.sha256(self.paths[index]))

    def _check(self, mask: Array, path: Path) -> None:
        wrong = np.flatnonzero(np.bincount(mask.reshape(-1), minlength=256)[self.classes :]) + self.classes
        wrong = wrong[wrong != self.ignore_index] if self.ignore_index is not None else wrong
        if wrong.size:
            value, ignored = int(wrong[0]), self.ignore_index
            other = "" if ignored is None else f" or {ignored} for no class"
            raise DataError(
                f"mask {path} holds the value {value}, expected 0..{self.classes - 1}{other}",
                hint=f"name class {value} in classes.txt; '{value} void' there makes it the value that is ignored",
            )


def column_of(truths: Sequence[Any]) -> Any:
    """Return truths of one target, one or more, as a column: an array where they are numbers or maps of one size.

    Raises:
        DataError: They are of no kind that a column holds.
    """
    if isinstance(truths[0], Objects):
        return ObjectColumn(tuple(truths))
    if len({np.shape(truth) for truth in truths}) > 1:
        raise DataError(
            f"truths of the shapes {', '.join(map(str, sorted({np.shape(truth) for truth in truths})))} make no array"
        )
    array = np.asarray(truths)
    if array.ndim == 1:
        return array.astype(np.int64)
    numbers = array.ndim == 2 or (array.ndim == 4 and array.dtype.kind == "f")
    return array.astype(np.float32 if numbers else np.uint8)


def read_mask(path: Path) -> Array:
    """Return a label map, uint8 (H, W): indices of a palette image, or gray values, as the file stores them.

    Raises:
        DataError: The file is no readable image, or has colours.
    """
    pil = require("PIL.Image", why="to read masks")
    try:
        with pil.open(path) as opened:
            if opened.mode not in ("L", "P", "1"):
                raise DataError(
                    f"mask {path} is of Pillow's mode '{opened.mode}', expected gray or a palette of 8 bits",
                    hint="a mask's pixel values are class indices: save it as an 8-bit gray or palette .png",
                )
            step = gray_step(opened)  # Pillow spreads gray of 2 and 4 bits over 0..255
            return np.asarray(opened, np.uint8) // step
    except (OSError, ValueError, SyntaxError, pil.DecompressionBombError) as error:
        raise DataError(f"mask {path} cannot be read: {error}", hint="replace or remove it") from error


def placed(
    boxes: Sequence[Sequence[float]], class_id: Sequence[int], crowd: Sequence[bool], size: tuple[int, int], where: str
) -> tuple[Objects, int]:
    """Return the objects of one image, and how many boxes without an area were left out.

    Args:
        boxes: (x1, y1, x2, y2) in half-open pixels; up to a pixel beyond the image is rounding, and clipped.
        class_id: Class of each box.
        crowd: Whether each box is around many objects, or too hard to count.
        size: Height and width of the image.
        where: The file that says so, for messages.

    Raises:
        DataError: A box is not finite, or lies outside its image.
    """
    found = np.asarray(boxes, np.float64).reshape(-1, 4)
    bounds = np.array([size[1], size[0], size[1], size[0]], np.float64)
    # Above the rounding of a pixel lies that of the sums which make x2 from x1 and a width.
    outside = ~((found >= -1.001) & (found <= bounds + 1.001)).all(axis=1)
    if outside.any():
        at = int(np.flatnonzero(outside)[0])
        raise DataError(
            f"{where}: box {at + 1} is {_text(found[at])} (x1, y1, x2, y2), outside its image of {size[1]}x{size[0]} "
            "pixels",
            hint="repair or remove the box: coordinates are in pixels of this very image",
        )
    clipped = np.clip(found, 0, bounds).astype(np.float32)
    solid = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    made = Objects(clipped[solid], np.asarray(class_id, np.int64)[solid], np.asarray(crowd, bool)[solid])
    return made, int((~solid).sum())


def _text(values: Array) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _crowd(found: Objects) -> Array:
    return np.zeros(len(found), bool) if found.crowd is None else np.asarray(found.crowd, bool)
