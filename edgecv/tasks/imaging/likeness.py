"""How alike two pictures are: structural similarity, squared error, peak signal-to-noise ratio. Pure numpy."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Tuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PEAK = 255.0
"""White, in the levels of 8 bits."""
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
"""Source: Wang, Bovik, Sheikh, Simoncelli 2004, "Image Quality Assessment: From Error Visibility to Structural
Similarity", section III.B and C."""


class Likeness(NamedTuple):
    """Evidence of one picture: its structural similarity to the truth, mean squared error in levels, and values."""

    ssim: float
    mse: float
    values: int


def likeness(truth: Array, pixels: Array) -> Likeness:
    """Return how alike two uint8 pictures (H, W, C) of one shape are."""
    difference = truth.astype(np.float64) - pixels
    return Likeness(ssim(truth, pixels), float((difference**2).mean()), int(difference.size))


def psnr(mse: float, values: int) -> float:
    """Return 10 log10(255^2 / mse), dB, of 8-bit pictures of `values` values.

    That of equal pictures would be infinite, and no mean of pictures could hold it: they count as two that differ by
    one level in one value, the least that differ at all.
    """
    return 10.0 * math.log10(PEAK**2 / max(mse, 1.0 / values))


def ssim(first: Array, second: Array) -> float:
    """Return the mean structural similarity of two pictures (H, W, C), 0..255: -1..1, and 1 when they are equal.

    The mean over all places of a Gaussian window that lie within the picture, and over the channels. On a picture
    smaller than the window, the window is cut to its size.
    Source: as of `WINDOW`, equation 13; channels one by one, as tensorflow's `tf.image.ssim` takes them.
    """
    one, other = (np.asarray(each, np.float64) for each in (first, second))
    weights = tuple(_gaussian(min(WINDOW, side)) for side in one.shape[:2])
    mean_1, mean_2 = _filtered(one, weights), _filtered(other, weights)
    squares = _filtered(one * one + other * other, weights)
    product = _filtered(one * other, weights)
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    means, both = mean_1 * mean_2, mean_1**2 + mean_2**2
    luminance = (2.0 * means + c1) / (both + c1)
    structure = (2.0 * (product - means) + c2) / (squares - both + c2)
    return float((luminance * structure).mean())


def _gaussian(size: int) -> Array:
    at = np.arange(size) - (size - 1) / 2.0
    weights = np.exp(-0.5 * (at / SIGMA) ** 2)
    return np.asarray(weights / weights.sum())


def _filtered(values: Array, weights: Tuple[Array, ...]) -> Array:
    """Weighted means over windows that lie within (H, W, C): rows first, then columns."""
    down, across = weights
    rows, columns = values.shape[0] - len(down) + 1, values.shape[1] - len(across) + 1
    high = sum(weight * values[i : i + rows] for i, weight in enumerate(down))
    return np.asarray(sum(weight * high[:, i : i + columns] for i, weight in enumerate(across)))
