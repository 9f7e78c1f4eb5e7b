"""From a Pillow image to pixels of 8 bits, judged by what its file stores, not by the mode that Pillow decodes it to.

Pillow reads 16-bit colours, and 16-bit gray with alpha, through modes of 8 bits: their lower bytes are gone without a
word. The same holds for colours of more than 8 bits in TIFF, PPM, SGI, JPEG 2000 and AVIF.
"""

from __future__ import annotations

import os
import re
from typing import Any, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError
from edgecv.core.optional import require

Array = NDArray[Any]

_TO_8_BITS = (
    "save it with 8 bits per channel first: of full range, round(value / 257); of fewer bits, as you scale them"
)
# Pillow's names of stored layouts: "RGB;16B" has 16 bits a channel, "BGR;16" and "RGB;16" have 16 bits a pixel.
_DEEP = re.compile(r";(16[BLN]|12|32)|^(L|LA|I);16")
_SHALLOW_GRAY = re.compile(r"^L;([24])")
# Tags of TIFF. Source: Adobe, TIFF 6.0, "BitsPerSample" and "SampleFormat"; 1 is unsigned, and the default.
_BITS_PER_SAMPLE, _SAMPLE_FORMAT, _UNSIGNED = 258, 339, 1
_HEAD = 1 << 16


def pixels_of(image: Any, name: str) -> Array:
    """Return a Pillow image as uint8 (H, W) or (H, W, 3), RGB, turned upright as its EXIF orientation says.

    Args:
        image: A Pillow image. One that is already decoded is judged by the file that it names, where there is one.
        name: What messages call it.

    Raises:
        DataError: It has more than 8 bits a channel, signed or floating samples, transparent pixels.
    """
    stored = check_depth(image, name)
    clear = _transparent_gray(image, stored)
    _decode(image)
    upright = _upright(image)
    if upright.mode in ("L", "1"):
        gray: Array = np.asarray(upright.convert("L"))
        if clear is not None and (gray == clear).any():
            raise _transparency(name)
        return gray
    return _coloured(upright, name)


def _upright(image: Any) -> Any:
    """Return an image as its EXIF orientation says; the image itself where that is nothing to do, without a copy."""
    image.load()
    # Source: Exif 2.32, tag 0x0112; 2 to 8 turn or mirror.
    if image.getexif().get(0x0112, 1) not in range(2, 9):
        return image
    return require("PIL.ImageOps", why="to read images").exif_transpose(image)


def check_depth(image: Any, name: str) -> Any:
    """Return the image as its file stores it, not decoded, of a Pillow image.

    Raises:
        DataError: It has more than 8 bits a channel, or signed or floating samples.
    """
    stored = _stored(image)
    kind = getattr(stored, "format", None)
    tags = getattr(stored, "tag_v2", None) or {}
    if kind == "TIFF" and set(tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))) - {_UNSIGNED}:
        raise DataError(f"{name} has signed or floating pixels, expected unsigned ones", hint=_TO_8_BITS)
    bits = max(tags.get(_BITS_PER_SAMPLE, (0,))) if kind == "TIFF" else _bits_of_header(stored, kind)
    deep = any(_DEEP.search(layout) or highest > 255 for layout, highest in _layouts(stored))
    if deep or bits > 8 or image.mode[0] in "IF":
        depth = f"{bits} bits per channel, more than 8 bits" if bits > 8 else "more than 8 bits per channel"
        raise DataError(f"{name} has {depth} (Pillow's mode {image.mode})", hint=_TO_8_BITS)
    return stored


def gray_step(image: Any) -> int:
    """Return what one step of a gray image's stored values is in Pillow's: 85 of 2 bits, 17 of 4 bits, else 1."""
    found = [_SHALLOW_GRAY.match(layout) for layout, _ in _layouts(_stored(image))]
    return max([255 // (2 ** int(one.group(1)) - 1) for one in found if one], default=1)


def _stored(image: Any) -> Any:
    """Return an image that still tells how its file stores it: Pillow forgets that once it has decoded it."""
    path = getattr(image, "filename", "")
    if getattr(image, "tile", None) or not path or not os.path.isfile(path):
        return image
    with require("PIL.Image", why="to read images").open(path) as opened:
        return opened


def _decode(image: Any) -> None:
    """Decode an image of a file. Pillow maps an uncompressed TIFF into memory by its size as shown, which scrambles one
    that is turned (seen in 13.0); without the file's name it reads it as any other.
    """
    path = getattr(image, "filename", "")
    if getattr(image, "format", None) != "TIFF" or not path:
        return
    image.filename = ""
    try:
        image.load()
    finally:
        image.filename = path


def _layouts(stored: Any) -> Tuple[Tuple[str, int], ...]:
    """Return Pillow's names of the layouts that it reads, and their highest value or 0 where the layout says it."""
    found = []
    for part in getattr(stored, "tile", None) or ():
        codec, args = part[0], part[3]
        layout, *rest = args if isinstance(args, tuple) and args else (args,)
        highest = rest[0] if codec.startswith("ppm") and rest else 0
        found.append((layout if isinstance(layout, str) else "", int(highest)))
    return tuple(found)


def _bits_of_header(stored: Any, kind: Optional[str]) -> int:
    """Return the bits per channel of the formats whose decoders are not told them; 0 elsewhere."""
    find = {"JPEG2000": _bits_of_jpeg2000, "AVIF": _bits_of_avif, "SGI": _bits_of_sgi}.get(kind or "")
    return 0 if find is None else find(_head(stored))


def _head(stored: Any) -> bytes:
    path, stream = getattr(stored, "filename", ""), getattr(stored, "fp", None)
    if path and os.path.isfile(path):
        with open(path, "rb") as opened:
            return opened.read(_HEAD)
    if stream is None:
        return b""
    place = stream.tell()
    stream.seek(0)
    data = bytes(stream.read(_HEAD))
    stream.seek(place)
    return data


def _bits_of_jpeg2000(head: bytes) -> int:
    """Source: ITU-T T.800, A.5.1: SIZ follows SOC; its 40th byte starts (Ssiz, XRsiz, YRsiz) of each component."""
    at = head.find(b"\xff\x4f\xff\x51")
    sizes = head[at + 42 : at + 42 + 3 * int.from_bytes(head[at + 40 : at + 42], "big") : 3] if at >= 0 else b""
    return max([(size & 0x7F) + 1 for size in sizes], default=0)


def _bits_of_avif(head: bytes) -> int:
    """Source: AV1 Codec ISO Media File Format Binding, 2.3.3: high_bitdepth and twelve_bit in the third byte."""
    at = head.find(b"av1C")
    flags = head[at + 6] if 0 <= at < len(head) - 6 else 0
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8


def _bits_of_sgi(head: bytes) -> int:
    """Source: Haeberli, The SGI Image File Format 1.0: the fourth byte is the number of bytes per channel."""
    return 8 * head[3]


def _transparent_gray(image: Any, stored: Any) -> Optional[int]:
    """Return the value, as Pillow decodes it, of transparent pixels in a gray image; None when there is none.

    The tRNS chunk of PNG counts in stored values: 2 of 2 bits is the gray that Pillow decodes to 170.
    """
    value = image.info.get("transparency")
    if image.mode not in ("L", "1") or not isinstance(value, int):
        return None
    if image.mode == "1":
        return value  # Pillow has made it 0 or 255
    step = gray_step(stored)
    return (value & (255 // step)) * step


def _coloured(image: Any, name: str) -> Array:
    """Return the pixels of an image with colours, a palette or alpha, which must be opaque."""
    if image.mode == "RGB":
        found = np.asarray(image)
        clear = image.info.get("transparency")
        if isinstance(clear, tuple) and (found == np.array([value & 255 for value in clear])).all(axis=2).any():
            raise _transparency(name)
        return found
    if image.mode == "La":
        image = image.convert("LA")
    gray = image.mode == "LA"
    if "transparency" in image.info or image.getbands()[-1] in ("A", "a"):
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] < 255:
            raise _transparency(name)
    return np.asarray(image.getchannel("R") if gray else image.convert("RGB"))


def _transparency(name: str) -> DataError:
    return DataError(f"{name} has transparent pixels", hint="blend it onto a background first")
