"""Resizing images: half-pixel centres, no antialiasing, the same pixels wherever numpy runs."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError

Array = NDArray[Any]
CACHED = 21504
"""Floats of a block of rows that stay in a core's nearest cache with what is made of them: 32 rows of 224 pixels."""


def resize(stack: Array, height: int, width: int, interpolation: str) -> Array:
    """Resize a stack of images (N, H, W, C) to (N, height, width, C), float32; half-pixel centres, no antialiasing.

    The value range is kept: bilinear never overshoots. Samples outside the image repeat its edge.

    Raises:
        ConfigError: Unknown interpolation.
    """
    if interpolation == "nearest":
        rows, columns = nearest(stack.shape[1], height), nearest(stack.shape[2], width)
        return np.take(np.take(stack, rows, axis=1), columns, axis=2).astype(np.float32)
    if interpolation != "bilinear":
        raise ConfigError(f"unknown interpolation '{interpolation}'", hint="known: bilinear, nearest")
    if stack.shape[1:3] == (height, width):
        return stack.astype(np.float32)
    out = np.empty((len(stack), height, width, stack.shape[3]), np.float32)
    for image, resized in zip(stack, out):
        _resize_bilinear(image, resized)
    return out


def _resize_bilinear(image: Array, out: Array) -> None:
    """Fill float32 (h, w, C) with an image (H, W, C), some rows at a time, so that they stay in the cache."""
    height, width, channels = out.shape
    top, bottom, down = _bilinear(image.shape[0], height)
    left, right, along = _neighbours(image.shape[1], width, channels)
    rows = image.reshape(image.shape[0], -1)
    flat, down = out.reshape(height, -1), down[:, None]
    count = max(1, CACHED // flat.shape[1])
    for first in range(0, height, count):
        block = slice(first, first + count)
        # Gathered as pixels, so that only those of the result become floats. Places are right already: "clip" never
        # moves one, and is faster than looking.
        upper, lower = rows[top[block]], rows[bottom[block]]
        a = mix(upper.take(left, 1, mode="clip"), upper.take(right, 1, mode="clip"), along)
        b = mix(lower.take(left, 1, mode="clip"), lower.take(right, 1, mode="clip"), along)
        b -= a
        b *= down[block]
        np.add(a, b, out=flat[block])


@lru_cache(maxsize=128)
def _neighbours(size: int, wanted: int, channels: int) -> Tuple[Array, Array, Array]:
    """Return `_bilinear` of a row of pixels for the values in it: (wanted * channels,) each."""
    left, right, along = _bilinear(size, wanted)
    each = np.arange(channels)
    return (
        (left[:, None] * channels + each).ravel(),
        (right[:, None] * channels + each).ravel(),
        np.repeat(along, channels),
    )


def mix(a: Array, b: Array, weight: Array) -> Array:
    """Return a + (b - a) * weight, float32."""
    base = a.astype(np.float32)
    step = b.astype(np.float32)
    step -= base
    step *= weight
    step += base
    return step


@lru_cache(maxsize=128)
def nearest(size: int, wanted: int) -> Array:
    """Source indices: the pixel that holds the centre of each wanted pixel."""
    index = (2 * np.arange(wanted) + 1) * size // (2 * wanted)
    return np.minimum(index, size - 1)


@lru_cache(maxsize=128)
def _bilinear(size: int, wanted: int) -> Tuple[Array, Array, Array]:
    """Lower and upper source indices, and the weight of the upper (0..1, float32)."""
    centre = (np.arange(wanted) + 0.5) * (size / wanted) - 0.5
    lower = np.floor(centre)
    weight = (centre - lower).astype(np.float32)
    low = np.clip(lower, 0, size - 1).astype(np.intp)
    high = np.clip(lower + 1, 0, size - 1).astype(np.intp)
    return low, high, weight
