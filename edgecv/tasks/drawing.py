"""Drawing predictions on images, with Pillow: boxes with a label tab, translucent masks, pictures side by side.

A picture is what `canvas` returns: a Pillow RGB image, the image scaled by a whole factor so that small images stay
crisp. Coordinates are always in pixels of the image that came in; `scale` is what `canvas` returned with the picture.
"""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError
from edgecv.core.optional import require

Array = NDArray[Any]
Color = Tuple[int, int, int]
Place = Tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels of a picture

# Told apart with any kind of colour vision. Source: Okabe and Ito 2008, "Color Universal Design", without its black;
# the order puts the colours first that show on gray photographs.
OKABE_ITO: Tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)
TRUTH: Color = (255, 255, 255)  # of what is right, beside what a model says
_TINTS = (0.0, 0.45, -0.4)  # of each further round of the palette: towards white, towards black
_TITLE = 18
_GAP = 8


def palette(index: int) -> Color:
    """Return the colour (r, g, b) of a class, 0..255; 21 are distinct, then they come again."""
    color = OKABE_ITO[index % len(OKABE_ITO)]
    tint = _TINTS[index // len(OKABE_ITO) % len(_TINTS)]
    goal = 255 if tint > 0 else 0
    red, green, blue = (round(part + (goal - part) * abs(tint)) for part in color)
    return red, green, blue


def canvas(image: Array, *, least: int = 256) -> Tuple[Any, int]:
    """Return a picture to draw on, and how many of its pixels stand for one of the image.

    Args:
        image: uint8 (H, W), (H, W, 1) or (H, W, 3), RGB.
        least: The longer side has this many pixels or more: smaller images grow by a whole factor, without smoothing.

    Raises:
        DataError: The image has another shape or dtype.
    """
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype != np.uint8 or pixels.size == 0 or not (pixels.ndim == 2 or pixels.shape[2:] == (3,)):
        raise DataError(
            f"drawing takes uint8 images (H, W) or (H, W, 3), got {pixels.dtype} {pixels.shape}",
            hint="pass the image as it was loaded, before preprocessing",
        )
    scale = max(1, -(-least // max(pixels.shape[:2])))
    big = np.repeat(np.repeat(pixels, scale, axis=0), scale, axis=1)
    return require("PIL.Image", why="to draw").fromarray(big).convert("RGB"), scale


def box(picture: Any, corners: Sequence[float], color: Color, *, scale: float = 1, text: str = "") -> None:
    """Draw the outline of a box on a picture, and a tab with text beside it.

    Args:
        picture: Of `canvas`.
        corners: (x1, y1, x2, y2), half-open pixels of the image.
        color: Of the outline and the tab.
        scale: Of `canvas`.
        text: Of the tab; no tab when empty.
    """
    boxes(picture, [corners], [color], scale=scale, texts=[text])


def boxes(
    picture: Any,
    corners: Any,
    colors: Sequence[Color],
    *,
    scale: float = 1,
    texts: Sequence[str] = (),
) -> None:
    """Draw the outlines of boxes on a picture, and then their tabs, so that no outline crosses a text.

    A tab stands above its box, or where that would cover another tab or leave the picture, inside or below it.

    Args:
        picture: Of `canvas`.
        corners: (n, 4), of each box x1, y1, x2, y2, half-open pixels of the image. Where boxes cover each other, the
            last one is on top, and has its tab where it belongs.
        colors: Of each outline and its tab.
        scale: Of `canvas`.
        texts: Of each tab; a box whose text is empty has none, and none has any where there are no texts.
    """
    for one, color in zip(corners, colors):
        _outline(picture, _scaled(one, scale), color)
    taken: List[Place] = []
    tabs = []
    for one, color, text in reversed(list(zip(corners, colors, texts))):
        if text:
            size = _tab_size(picture, text)
            taken.append(_free(_places(_scaled(one, scale), size, picture.size), size, taken))
            tabs.append((taken[-1], text, color))
    for place, text, color in reversed(tabs):
        _tab(picture, place, text, color)


def label(picture: Any, corner: Sequence[float], text: str, color: Color, *, scale: float = 1) -> None:
    """Write text on a tab of a colour whose lower left is at `corner`, image pixels; it is moved to lie inside.

    Args:
        picture: Of `canvas`.
        corner: (x, y).
        text: One line.
        color: Of the tab; the text is black or white, whichever reads better.
        scale: Of `canvas`.
    """
    size = _tab_size(picture, text)
    left, bottom = round(corner[0] * scale), round(corner[1] * scale)
    x, y = _inside((left, bottom - size[1] if bottom >= size[1] else bottom), size, picture.size)
    _tab(picture, (x, y, x + size[0], y + size[1]), text, color)


def overlay_mask(picture: Any, mask: Array, color: Color, *, alpha: float = 0.45, outline: bool = True) -> None:
    """Lay a translucent mask on a picture.

    Args:
        picture: Of `canvas`.
        mask: bool (H, W), of the image's size.
        color: Of the mask.
        alpha: 0 (nothing to see) .. 1 (nothing to see through).
        outline: Whether its rim is drawn in the full colour.
    """
    shown = _enlarged(np.asarray(mask, bool), picture)
    images = require("PIL.Image", why="to draw")
    strength = np.where(shown, round(255 * alpha), 0).astype(np.uint8)
    if outline:
        strength[shown & ~_eroded(shown, line_width(picture))] = 255
    picture.paste(images.new("RGB", picture.size, color), (0, 0), images.fromarray(strength))


def caption(picture: Any, lines: Sequence[str]) -> Any:
    """Return a picture with lines of text on a dark strip below it; the strip grows, and the text is never cut."""
    images, size = require("PIL.Image", why="to draw"), text_size(picture)
    letters = font(size)
    width = max([picture.width] + [round(letters.getlength(line)) + size for line in lines])
    found = images.new("RGB", (width, picture.height + len(lines) * (size * 3 // 2) + size // 2), (24, 24, 24))
    found.paste(picture, (0, 0))
    draw = require("PIL.ImageDraw", why="to draw").Draw(found)
    for index, line in enumerate(lines):
        top = picture.height + size // 4 + index * (size * 3 // 2)
        draw.text((size // 2, top), line, fill=(255, 255, 255), font=letters)
    return found


def captioned(image: Array, lines: Sequence[str]) -> Any:
    """Return a Pillow picture of an image with lines of text below it."""
    return caption(canvas(image)[0], lines)


def beside(images: Sequence[Any], titles: Sequence[str] = ()) -> Any:
    """Return pictures in one row on white, each with its title above it; they may be of different sizes.

    Raises:
        DataError: There are no pictures, or titles of another number.
    """
    if not images or (titles and len(titles) != len(images)):
        raise DataError(f"expected pictures with one title each, got {len(images)} and {len(titles)} titles")
    letters, top = font(_TITLE), (_TITLE * 3 // 2 + _GAP if titles else _GAP)
    names = tuple(titles) or ("",) * len(images)
    widths = [max(one.width, round(letters.getlength(name))) for one, name in zip(images, names)]
    size = (sum(widths) + _GAP * (len(images) + 1), top + max(one.height for one in images) + _GAP)
    row = require("PIL.Image", why="to draw").new("RGB", size, (255, 255, 255))
    draw, left = require("PIL.ImageDraw", why="to draw").Draw(row), _GAP
    for one, name, width in zip(images, names, widths):
        draw.text((left, _GAP // 2), name, fill=(0, 0, 0), font=letters)
        row.paste(one, (left, top))
        left += width + _GAP
    return row


def text_size(picture: Any) -> int:
    """Return the height of text on a picture, in its pixels: it grows with the picture, and can always be read."""
    return max(14, int(max(picture.size)) // 32)


def line_width(picture: Any) -> int:
    """Return the width of lines on a picture, in its pixels."""
    return max(2, round(int(max(picture.size)) / 220))


def font(size: int) -> Any:
    """Return Pillow's own scalable font at a size in pixels."""
    return require("PIL.ImageFont", why="to draw").load_default(size=size)


def _ink(color: Color) -> Color:
    """Black or white, whichever stands out. Source: ITU-R BT.601 luma."""
    luma = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    return (0, 0, 0) if luma > 120 else (255, 255, 255)


def _scaled(corners: Sequence[float], scale: float) -> Place:
    x1, y1, x2, y2 = (round(float(value) * scale) for value in corners)
    return x1, y1, x2, y2


def _outline(picture: Any, place: Place, color: Color) -> None:
    """A line along the inside of a box, and a thin one around it that stands out from the line."""
    x1, y1, x2, y2 = place
    draw = require("PIL.ImageDraw", why="to draw").Draw(picture)
    # Pillow takes the last pixel too; a box thinner than its line still shows.
    right, bottom = max(x1 + 1, x2 - 1), max(y1 + 1, y2 - 1)
    draw.rectangle([x1 - 1, y1 - 1, right + 1, bottom + 1], outline=_ink(color), width=1)
    draw.rectangle([x1, y1, right, bottom], outline=color, width=line_width(picture))


def _tab_size(picture: Any, text: str) -> Tuple[int, int]:
    """Width and height of a tab in pixels of the picture. All tabs of a picture have one height."""
    letters, pad = font(text_size(picture)), _pad(picture)
    _, top, _, bottom = letters.getbbox("Ag")
    return round(letters.getlength(text)) + 2 * pad, round(bottom - top) + 2 * pad


def _pad(picture: Any) -> int:
    return max(2, text_size(picture) // 5)


def _tab(picture: Any, place: Place, text: str, color: Color) -> None:
    letters, pad = font(text_size(picture)), _pad(picture)
    draw = require("PIL.ImageDraw", why="to draw").Draw(picture)
    draw.rectangle([place[0], place[1], place[2] - 1, place[3] - 1], fill=color)
    draw.text((place[0] + pad, place[1] + pad - letters.getbbox("Ag")[1]), text, fill=_ink(color), font=letters)


def _places(box: Place, size: Tuple[int, int], picture: Tuple[int, int]) -> List[Tuple[int, int]]:
    """Where a tab may stand, best first: above the box, inside at its top, below it, and the same from its right."""
    x1, y1, x2, y2 = box
    width, height = size
    rows = [y1 - height, y1, y2, y2 - height]
    found = [(x, y) for x in (x1, x2 - width) for y in rows if 0 <= y <= picture[1] - height]
    return [_inside(place, size, picture) for place in found or [(x1, y1)]]


def _inside(place: Tuple[int, int], size: Tuple[int, int], picture: Tuple[int, int]) -> Tuple[int, int]:
    """The place nearest to one at which a tab lies in the picture; at its upper left when it is too large."""
    x, y = (max(0, min(place[axis], picture[axis] - size[axis])) for axis in (0, 1))
    return x, y


def _free(places: Sequence[Tuple[int, int]], size: Tuple[int, int], taken: Sequence[Place]) -> Place:
    """The first place that covers nothing that is taken, else the one that covers least."""
    whole = [(x, y, x + size[0], y + size[1]) for x, y in places]
    return min(whole, key=lambda place: sum(_shared(place, other) for other in taken))


def _shared(a: Place, b: Place) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _enlarged(mask: Array, picture: Any) -> Array:
    """A mask of the image's size as one of the picture's."""
    scale = picture.height // mask.shape[0]
    if scale < 1 or (mask.shape[0] * scale, mask.shape[1] * scale) != (picture.height, picture.width):
        raise DataError(f"a mask of {mask.shape} does not fit a picture of {(picture.height, picture.width)}")
    return np.repeat(np.repeat(mask, scale, axis=0), scale, axis=1)


def _eroded(mask: Array, by: int) -> Array:
    """The mask without the pixels nearer than `by` to its rim, in steps of four neighbours. The border is no rim."""
    found: Array = mask
    for _ in range(by):
        wide = np.pad(found, 1, mode="edge")
        found = wide[1:-1, 1:-1] & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return found
