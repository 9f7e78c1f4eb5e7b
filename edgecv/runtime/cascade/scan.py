"""Every window of an image at every scale through the stages of a cascade, as OpenCV visits them. Pure numpy.

What OpenCV does, and so what is done here: the image is made smaller, not the window larger; windows stand two pixels
apart below twice the size, and one above; after a window that the first stage rejects, the next one of the row is left
out; a window with a standard deviation of 10 levels or less is no object.
"""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.runtime.cascade.haar import FeatureSums, integral, tilted_integral
from edgecv.runtime.cascade.values import Cascade, Stage

Array = NDArray[Any]

AT_ONCE = 1 << 16
"""Features of windows that are computed at once: few enough for the cache."""

FLAT = 0.1  # 1 / standard deviation from which a window is flat


def scales(
    size: Tuple[int, int],
    window: Tuple[int, int],
    factor: float,
    smallest: Tuple[int, int],
    largest: Tuple[int, int],
) -> List[float]:
    """Return by how much windows are larger than the cascade's, as float32 values, for objects within two sizes.

    Args:
        size: (height, width) of the image; `smallest` and `largest` of an object.
        window: Of the cascade.
        factor: From one scale to the next, > 1.
    """
    found: List[float] = []
    scale = 1.0
    while True:
        sides = [round(side * scale) for side in window]
        if any(side > most for side, most in zip(sides, size)) or any(a > b for a, b in zip(sides, largest)):
            return found
        if all(side >= least for side, least in zip(sides, smallest)):
            found.append(float(np.float32(scale)))
        scale *= factor


def windows_at(image: Array, cascade: Cascade, scale: float) -> Array:
    """Return the windows that pass every stage at one scale: int64 (n, 4) x, y, width, height in the image's pixels.

    Args:
        image: uint8 (H, W).
        cascade: To pass.
        scale: Of the window, as `scales` gives it.
    """
    exact = np.float32(scale)
    small = shrunk(image, tuple(int(np.rint(np.float32(side) / exact)) for side in image.shape))
    step = 1 if scale >= 2 else 2
    x, y = _passing(small, cascade, step)
    width, height = (int(np.rint(np.float32(side) * exact)) for side in cascade.window[::-1])
    left, top = (np.rint(axis.astype(np.float32) * exact).astype(np.int64) for axis in (x, y))
    return np.stack([left, top, np.full_like(left, width), np.full_like(top, height)], axis=1)


def _passing(image: Array, cascade: Cascade, step: int) -> Tuple[Array, Array]:
    """Return the columns and rows of the windows of an image that pass every stage."""
    (height, width), (rows, columns) = image.shape, cascade.window
    if height < rows or width < columns:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    sums = integral(image, np.int32)
    tilted = tilted_integral(image, np.int32) if cascade.features.tilted.any() else np.zeros((0, 0), np.int32)
    features = FeatureSums(cascade.features, width + 1)
    flat, turned = sums.reshape(-1), tilted.reshape(-1)
    y, x = np.mgrid[0 : height - rows + 1 : step, 0 : width - columns + 1 : step]
    places = y * (width + 1) + x
    norm, uneven = _norms(places, sums, integral(image.astype(np.int64) ** 2), cascade.window)
    first = np.zeros(places.shape, bool)
    first[uneven] = _passes(cascade.stages[0], features, places[uneven], norm[uneven], flat, turned)
    left = np.flatnonzero(first & _visited(uneven & ~first))
    for stage in cascade.stages[1:]:
        passed = _passes(stage, features, places.reshape(-1)[left], norm.reshape(-1)[left], flat, turned)
        left = left[passed]
    return x.reshape(-1)[left].astype(np.int64), y.reshape(-1)[left].astype(np.int64)


def _norms(places: Array, sums: Array, squares: Array, window: Tuple[int, int]) -> Tuple[Array, Array]:
    """Return 1 / (area * standard deviation) of each window without its edge, float32, and which are not flat."""
    height, width = window[0] - 2, window[1] - 2
    line = sums.shape[1]
    inner = places + line + 1

    def within(source: Array) -> Array:
        flat = source.reshape(-1)
        corners = (inner, inner + width, inner + height * line, inner + height * line + width)
        a, b, c, d = (flat[corner] for corner in corners)
        return np.asarray(a - b - c + d)

    area, total = float(width * height), within(sums).astype(np.float64)
    spread = area * within(squares).astype(np.float64) - total * total
    known = spread > 0.0
    norm = np.where(known, 1.0 / np.sqrt(np.where(known, spread, 1.0)), 1.0).astype(np.float32)
    return norm, known & (area * norm.astype(np.float64) < FLAT)


def _visited(rejected: Array) -> Array:
    """Return which windows of a grid are looked at: not the one behind a window that the first stage rejects."""
    seen = np.ones(rejected.shape, bool)
    for column in range(1, rejected.shape[1]):
        seen[:, column] = ~(seen[:, column - 1] & rejected[:, column - 1])
    return seen


def _passes(stage: Stage, features: FeatureSums, places: Array, norm: Array, sums: Array, tilted: Array) -> Array:
    """Return which windows pass a stage, bool (n,)."""
    found = np.zeros(len(places), bool)
    at_once = max(1, AT_ONCE // stage.feature.size)
    for begin in range(0, len(places), at_once):
        part = slice(begin, begin + at_once)
        values = features.values(stage.feature.reshape(-1), places[part], sums, tilted) * norm[part, None]
        found[part] = _votes(stage, values.reshape(-1, *stage.feature.shape)) >= stage.threshold
    return found


def _votes(stage: Stage, values: Array) -> Array:
    """Return the sums of the leaves that values (n, trees, nodes) lead to, float64 (n,)."""
    ways = np.where(values < stage.split, stage.left, stage.right)
    at = ways[:, :, 0]
    for _ in range(1, stage.feature.shape[1]):
        # A leaf, 0 or below, stays what it is.
        at = np.where(at > 0, np.take_along_axis(ways, np.maximum(at, 0)[..., None], axis=2)[..., 0], at)
    leaves = stage.leaves[np.arange(stage.leaves.shape[0])[None, :], -at]
    return np.asarray(leaves.astype(np.float64).sum(axis=1))


def shrunk(image: Array, size: Tuple[int, ...]) -> Array:
    """Return an image uint8 (H, W) at another size (height, width), as OpenCV's INTER_LINEAR_EXACT to the last bit.

    Bilinear with half-pixel centres; weights are whole 256ths, and sums are rounded half up once, at the end.
    """
    if image.shape == tuple(size):
        return image
    (top, down), (left, across) = (_weights(source, target) for source, target in zip(image.shape, size))
    bottom, right = np.minimum(top + 1, image.shape[0] - 1), np.minimum(left + 1, image.shape[1] - 1)
    wide = image.astype(np.int64)
    wide = wide[:, left] * (256 - across) + wide[:, right] * across
    tall = wide[top] * (256 - down)[:, None] + wide[bottom] * down[:, None]
    return np.asarray((tall + (1 << 15)) >> 16, np.uint8)


def _weights(source: int, target: int) -> Tuple[Array, Array]:
    """Return the pixel before each new pixel's centre, and the weight of the one behind in 256ths."""
    scale = 1.0 / (target / source)
    centres = scale * (np.arange(target) + 0.5) - 0.5
    before = np.floor(centres)
    weight = np.rint((centres - before) * 256).astype(np.int64)
    inside = (before >= 0) & (before < source - 1)
    return np.clip(before, 0, source - 1).astype(np.int64), np.where(inside, weight, 0)
