"""Segments of an image: connected pixels that are alike. Pure numpy, and a loop over the edges between pixels.

Source: Felzenszwalb, Huttenlocher 2004, "Efficient Graph-Based Image Segmentation".
"""

from __future__ import annotations

from typing import Any, Callable, List, Tuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

REACH = 4.0
"""Standard deviations after which a Gaussian ends."""


def segments(image: Array, *, scale: float, least: int, sigma: float = 0.8) -> Array:
    """Return the number of each pixel's segment, int64 (H, W), numbered from 0 without gaps.

    Two segments become one where the smallest difference of neighbouring pixels between them is at most what is inside
    each, plus `scale` over its number of pixels; then, in the order of differences, those of less than `least` pixels
    are joined with a neighbour.

    Args:
        image: float (H, W, C), on the scale of 0..255.
        scale: The larger, the larger the segments: the paper's k.
        least: Pixels of a segment.
        sigma: Of the Gaussian that smooths the image before.
    """
    height, width = image.shape[:2]
    first, second, weights = _edges(smoothed(image, sigma))
    order = np.argsort(weights, kind="stable")
    a, b, w = first[order].tolist(), second[order].tolist(), weights[order].tolist()
    parent, size = list(range(height * width)), [1] * (height * width)
    find = _finder(parent)
    _join(a, b, w, parent, size, find, scale)
    for one, other in zip(a, b):
        one, other = find(one), find(other)
        if one != other and (size[one] < least or size[other] < least):
            _unite(one, other, parent, size)
    roots = np.array([find(pixel) for pixel in range(height * width)], np.int64)
    return np.unique(roots, return_inverse=True)[1].reshape(height, width).astype(np.int64)


def smoothed(image: Array, sigma: float) -> Array:
    """Return an image (H, W, C) smoothed by a Gaussian, its border repeated: float64."""
    values = np.asarray(image, np.float64)
    if sigma <= 0:
        return values
    reach = int(REACH * sigma + 0.5)
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    kernel /= kernel.sum()
    for axis in (0, 1):
        pads = [(reach, reach) if other == axis else (0, 0) for other in range(3)]
        padded = np.pad(values, pads, mode="edge")
        length = values.shape[axis]
        values = np.sum([k * padded.take(range(i, i + length), axis) for i, k in enumerate(kernel)], axis=0)
    return np.asarray(values)


def _edges(image: Array) -> Tuple[Array, Array, Array]:
    """Return both pixels and the difference of every pair of neighbours, diagonal ones too."""
    height, width = image.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    found: List[Tuple[Array, Array, Array]] = []
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (slice(0, height - down), slice(max(0, -across), width - max(0, across)))
        there = (slice(down, height), slice(max(0, across), width - max(0, -across)))
        apart = np.sqrt(np.square(image[here] - image[there]).sum(axis=-1))
        found.append((index[here].ravel(), index[there].ravel(), apart.ravel()))
    first, second, weights = zip(*found)
    return np.concatenate(first), np.concatenate(second), np.concatenate(weights)


def _finder(parent: List[int]) -> Callable[[int], int]:
    def find(pixel: int) -> int:
        while parent[pixel] != pixel:
            parent[pixel] = parent[parent[pixel]]
            pixel = parent[pixel]
        return pixel

    return find


def _join(
    a: List[int],
    b: List[int],
    w: List[float],
    parent: List[int],
    size: List[int],
    find: Callable[[int], int],
    scale: float,
) -> None:
    """Join segments by differences in rising order; a root's threshold is its inner difference plus scale / size."""
    allowed = [scale] * len(parent)
    for one, other, apart in zip(a, b, w):
        one, other = find(one), find(other)
        if one != other and apart <= allowed[one] and apart <= allowed[other]:
            root = _unite(one, other, parent, size)
            allowed[root] = apart + scale / size[root]


def _unite(one: int, other: int, parent: List[int], size: List[int]) -> int:
    if size[one] < size[other]:
        one, other = other, one
    parent[other] = one
    size[one] += size[other]
    return one
