"""Where images come from: an array in memory, or files that are decoded when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core import files
from edgecv.core.errors import ConfigError, DataError
from edgecv.core.optional import require
from edgecv.data.dataset import Image
from edgecv.runtime.decoding import check_depth
from edgecv.runtime.image import load_image

# Source: Exif 2.32, tag 0x0112; from value 5 on, rows are columns.
_ORIENTATION, _TURNED = 0x0112, 5
# Source: Adobe, TIFF 6.0. Pillow's own size of a turned TIFF is that of the file or as shown, by its version.
_WIDTH, _HEIGHT = 256, 257


@dataclass(frozen=True, slots=True)
class ArrayImages:
    """Samples of one array: uint8 (n, H, W) or (n, H, W, 3), or float32 (n, d); `index` picks and orders them."""

    array: np.ndarray[Any, Any]
    index: np.ndarray[Any, np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> Image:
        image: Image = self.array[self.index[index]]
        return image

    def take(self, index: np.ndarray[Any, np.dtype[np.int64]]) -> ArrayImages:
        """Return the samples at `index`."""
        return ArrayImages(self.array, self.index[index])

    def digest(self, index: int) -> bytes:
        image = self[index]
        return repr(image.shape).encode() + image.tobytes()


@dataclass(frozen=True, slots=True)
class FileImages:
    """Images of files, decoded at each access and never kept."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image:
        path = self.paths[index]
        try:
            return load_image(path)
        except (ConfigError, DataError) as error:
            raise DataError(f"image {path} cannot be read: {error.message}", hint="replace or remove it") from error

    def take(self, index: np.ndarray[Any, np.dtype[np.int64]]) -> FileImages:
        """Return the images at `index`."""
        return FileImages(tuple(self.paths[int(i)] for i in index))

    def length(self, index: int) -> int:
        """Size of the file in bytes: files of different sizes differ."""
        try:
            return self.paths[index].stat().st_size
        except OSError as error:
            raise DataError(f"image {self.paths[index]} cannot be read: {error.strerror}") from error

    def digest(self, index: int) -> bytes:
        return bytes.fromhex(files.sha256(self.paths[index]))


def check_header(path: Path) -> tuple[int, int]:
    """Return the height and width of an image, as it is shown. Reads the header only: damage further in shows later.

    Raises:
        DataError: It does not start like an image, or has more than 8 bits a channel; the message names the file.
    """
    pil = require("PIL.Image", why="to read image files")
    try:
        with pil.open(path) as opened:
            check_depth(opened, str(path))
            tags = getattr(opened, "tag_v2", {})
            width, height = (tags[_WIDTH], tags[_HEIGHT]) if _WIDTH in tags else opened.size
            return (width, height) if opened.getexif().get(_ORIENTATION, 1) >= _TURNED else (height, width)
    except (OSError, ValueError, SyntaxError, pil.DecompressionBombError) as error:
        raise DataError(f"{path} is not a readable image: {error}", hint="replace or remove the file") from error
