"""Sheets of small pictures: the maps of a layer, what two models differ by, kernels, and heat on an image."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgecv.core.optional import require

Array = np.ndarray[Any, Any]
Color = tuple[int, int, int]

MOST = 64
"""Maps of a sheet."""
TILE, WIDTH, GAP = 44, 352, 3
SMALLEST_SHARE = 1e-12
BACKGROUND: Color = (118, 124, 132)
MARKS: Mapping[str, Color] = {"dead": (213, 94, 0), "constant": (86, 180, 233), "duplicate": (240, 228, 66)}
HEAT = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float64)
"""From cold to hot; even steps of lightness. Source: the colour map "inferno" of matplotlib, at 0, 1/4 … 1."""


def data_uri(pixels: Array) -> str:
    """Return uint8 (H, W) or (H, W, 3) as a PNG that stands in the page itself."""
    written = io.BytesIO()
    require("PIL.Image", why="to draw").fromarray(pixels).save(written, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode('ascii')}"


def sheet(maps: Array, limits: Array, marks: Mapping[int, str] | None = None, *, most: int = MOST) -> Array:
    """Return maps as a sheet of grey tiles, row by row, uint8 (H, W, 3).

    Args:
        maps: (h, w, channels).
        limits: (channels, 2): what is black and what is white in each.
        marks: Channel to why it is marked: a key of `MARKS`.
        most: The first so many channels.
    """
    low, high = limits.T
    span = np.where(high - low > SMALLEST_SHARE, high - low, 1.0)
    shares = np.clip((maps - low) / span, 0, 1)[..., :most]
    target = max(TILE, min(WIDTH // max(1, shares.shape[-1]) - GAP, 4 * TILE))
    tiles = [_grey(shares[..., index], target) for index in range(shares.shape[-1])]
    return _laid(tiles, {place: MARKS[why] for place, why in (marks or {}).items()})


def own_limits(maps: Array) -> Array:
    """Return the smallest and largest value of each map, (channels, 2)."""
    return np.stack([maps.min(axis=(0, 1)), maps.max(axis=(0, 1))], axis=1)


def kernel_sheet(kernel: Array, *, inputs: int = 8, outputs: int = 32) -> Array:
    """Return a kernel (h, w, inputs, outputs) as tiles: in colours where it takes three, else a row of tiles per input.

    Zero is grey; white and black are its largest magnitude.
    """
    reach = max(float(np.abs(kernel).max(initial=0.0)), SMALLEST_SHARE)
    shares = 0.5 + kernel / (2 * reach)
    if kernel.shape[2] == 3:
        return _laid([_enlarged(_bytes(shares[..., index])) for index in range(min(kernel.shape[3], MOST))])
    greys = [
        _grey(shares[:, :, row, column])
        for row in range(min(kernel.shape[2], inputs))
        for column in range(min(kernel.shape[3], MOST if kernel.shape[2] == 1 else outputs))
    ]
    return _laid(greys, columns=None if kernel.shape[2] == 1 else min(kernel.shape[3], outputs))


def overlay(image: Array, heat: Array) -> Array:
    """Return an image under a heat map, uint8 (H, W, 3) of 280 pixels or more along the longer side.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        heat: (h, w), of any size; what is 0 or less is cold, its largest value is hot.
    """
    images = require("PIL.Image", why="to draw")
    scale = max(1, math.ceil(280 / max(image.shape[:2])))
    size = (image.shape[1] * scale, image.shape[0] * scale)
    below = np.asarray(images.fromarray(image).convert("RGB").resize(size, images.Resampling.NEAREST), np.float64)
    share = np.maximum(heat, 0) / max(float(heat.max(initial=0.0)), SMALLEST_SHARE)
    smooth = images.fromarray(share.astype(np.float32)).resize(size, images.Resampling.BILINEAR)
    place = np.clip(np.asarray(smooth, np.float64), 0, 1)
    hot = np.stack([np.interp(place, np.linspace(0, 1, len(HEAT)), HEAT[:, part]) for part in range(3)], axis=-1)
    weight = (0.25 + 0.45 * place)[..., None]
    return np.rint(below * (1 - weight) + hot * weight).astype(np.uint8)


def _bytes(shares: Array) -> Array:
    found: Array = np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)
    return found


def _grey(shares: Array, target: int = TILE) -> Array:
    return np.repeat(_enlarged(_bytes(shares), target)[..., None], 3, axis=2)


def _enlarged(tile: Array, target: int = TILE) -> Array:
    """Return a tile by whole pixels larger, or thinned, so that its longer side is near `target`, or above."""
    longer = max(tile.shape[:2])
    if longer > 4 * TILE:
        step = math.ceil(longer / (4 * TILE))
        return tile[::step, ::step]
    scale = max(1, round(target / longer), math.ceil(TILE / longer))
    return np.repeat(np.repeat(tile, scale, axis=0), scale, axis=1)


def _laid(tiles: list[Array], marks: Mapping[int, Color] | None = None, *, columns: int | None = None) -> Array:
    height, width = tiles[0].shape[:2]
    across = columns or max(1, min(len(tiles), WIDTH // (width + GAP)))
    rows = math.ceil(len(tiles) / across)
    page = np.empty((rows * (height + GAP) + GAP, across * (width + GAP) + GAP, 3), np.uint8)
    page[:] = BACKGROUND
    for place, tile in enumerate(tiles):
        top, left = (
            GAP + part * (side + GAP) for part, side in zip(divmod(place, across), (height, width), strict=True)
        )
        if marks and place in marks:
            page[top - GAP : top + height + GAP, left - GAP : left + width + GAP] = marks[place]
        page[top : top + height, left : left + width] = tile
    return page
