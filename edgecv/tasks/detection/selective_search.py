"""Where objects may be, by joining segments that are alike: regions for detectors without a network that proposes them.

Segments of an image are joined, the two most alike first, until one is left; the box of everything that ever was one
segment is a region. That is done for two colour spaces, two sizes of segments and two notions of being alike. It takes
seconds an image, in numpy and loops of Python.

Source: Uijlings, van de Sande, Gevers, Smeulders 2013, "Selective Search for Object Recognition", the "fast" setting of
table 5.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Set, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.detection.segments import segments, smoothed

Array = NDArray[Any]

SCALES = (50, 100)
"""Of the segments' size, and the least number of their pixels."""
COLOUR_BINS, TEXTURE_BINS, DIRECTIONS = 25, 10, 8
LEAST_SIDE = 8
"""Pixels of a region's shorter side."""


@dataclass
class _Grown:
    """What is known of a segment: boxes are x1, y1, x2, y2; histograms sum to 1 over all channels."""

    box: Tuple[int, int, int, int]
    size: int
    colour: Array
    texture: Array


def selective_search(image: Array, *, most: int = 2000, seed: int = 0) -> Array:
    """Return regions that may show an object: float32 (n, 4) xyxy in pixels, those joined last first, on the whole.

    Args:
        image: uint8 (H, W, 3) RGB, or (H, W) or (H, W, 1).
        most: Regions at most.
        seed: Of the order, in which the ranks of a joining are mixed by chance, as in the paper's section 3.3.
    """
    pixels = np.asarray(image).reshape(image.shape[0], image.shape[1], -1)
    pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    rng = np.random.default_rng(seed)
    ranked: List[Tuple[float, Tuple[int, int, int, int]]] = []
    for space in (hsv(pixels), lab(pixels)):
        for scale in SCALES:
            parts = segments(space, scale=scale, least=scale)
            grown, neighbours = _measured(space, parts)
            for with_colour in (True, False):
                found = _joined(grown, neighbours, parts.size, with_colour)
                ranks = np.arange(1, len(found) + 1) * rng.random(len(found))
                ranked += zip(ranks.tolist(), reversed(found))
    boxes = list(dict.fromkeys(box for _, box in sorted(ranked)))
    solid = [box for box in boxes if min(box[2] - box[0], box[3] - box[1]) >= LEAST_SIDE]
    return np.asarray(solid[:most], np.float32).reshape(-1, 4)


def hsv(image: Array) -> Array:
    """Return hue, saturation and value of RGB pixels 0..255, each on the scale of 0..255: float64 (H, W, 3)."""
    values = np.asarray(image, np.float64) / 255.0
    high, low = values.max(axis=-1), values.min(axis=-1)
    span = high - low
    safe = np.where(span > 0, span, 1.0)
    red, green, blue = np.moveaxis(values, -1, 0)
    hue = np.select(
        [high == red, high == green],
        [(green - blue) / safe % 6.0, (blue - red) / safe + 2.0],
        (red - green) / safe + 4.0,
    )
    saturation = np.where(high > 0, span / np.where(high > 0, high, 1.0), 0.0)
    return np.asarray(255.0 * np.stack([np.where(span > 0, hue / 6.0, 0.0), saturation, high], axis=-1))


def lab(image: Array) -> Array:
    """Return CIE L*a*b* of sRGB pixels 0..255, each on a scale of about 0..255: float64 (H, W, 3).

    Source: IEC 61966-2-1 for sRGB; CIE 15:2004 for L*a*b*, with the white of D65.
    """
    values = np.asarray(image, np.float64) / 255.0
    linear = np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)
    weights = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
    xyz = linear @ weights.T / np.array([0.95047, 1.0, 1.08883])
    roots = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16.0 / 116.0)
    x, y, z = np.moveaxis(roots, -1, 0)
    return np.asarray(np.stack([(116.0 * y - 16.0) * 2.55, 500.0 * (x - y) + 128.0, 200.0 * (y - z) + 128.0], axis=-1))


def _measured(image: Array, parts: Array) -> Tuple[List[_Grown], Set[Tuple[int, int]]]:
    """Return what is known of every segment, and which touch."""
    count = int(parts.max()) + 1
    colour = _histograms(np.floor(image * COLOUR_BINS / 256.0), parts, count, COLOUR_BINS)
    texture = _histograms(_textures(image), parts, count, TEXTURE_BINS)
    sizes = np.bincount(parts.ravel(), minlength=count)
    boxes = _boxes(parts, count)
    grown = [_Grown(boxes[index], int(sizes[index]), colour[index], texture[index]) for index in range(count)]
    touching: Set[Tuple[int, int]] = set()
    for one, other in ((parts[:, :-1], parts[:, 1:]), (parts[:-1], parts[1:])):
        apart = one != other
        pairs = np.sort(np.stack([one[apart], other[apart]], axis=1), axis=1)
        touching.update((int(a), int(b)) for a, b in np.unique(pairs, axis=0))
    return grown, touching


def _textures(image: Array) -> Array:
    """Bins (H, W, channels * directions) of a Gaussian's derivatives in eight directions, each by its largest."""
    smooth = smoothed(image, 1.0)
    down, across = np.gradient(smooth, axis=0), np.gradient(smooth, axis=1)
    found = []
    for turn in range(DIRECTIONS):
        angle = 2 * np.pi * turn / DIRECTIONS
        slope = np.maximum(0.0, np.cos(angle) * across + np.sin(angle) * down)
        found.append(slope / np.maximum(slope.max(axis=(0, 1)), 1e-12) * TEXTURE_BINS)
    return np.asarray(np.floor(np.concatenate(found, axis=-1)))


def _histograms(binned: Array, parts: Array, count: int, bins: int) -> Array:
    """Histograms of each segment, (count, channels * bins): each row sums to 1."""
    flat = parts.ravel() * bins
    whole = np.clip(binned, 0, bins - 1).astype(np.int64).reshape(parts.size, -1)
    found = [np.bincount(flat + channel, minlength=count * bins).reshape(count, bins) for channel in whole.T]
    joined = np.concatenate(found, axis=1).astype(np.float64)
    return np.asarray(joined / joined.sum(axis=1, keepdims=True))


def _boxes(parts: Array, count: int) -> List[Tuple[int, int, int, int]]:
    rows, columns = np.indices(parts.shape)
    found = []
    for values in (columns, rows):
        low, high = np.full(count, parts.size), np.full(count, -1)
        np.minimum.at(low, parts.ravel(), values.ravel())
        np.maximum.at(high, parts.ravel(), values.ravel())
        found += [low, high + 1]
    left, right, top, bottom = (side.tolist() for side in found)
    return list(zip(left, top, right, bottom))


def _joined(
    grown: Sequence[_Grown], touching: Set[Tuple[int, int]], area: int, with_colour: bool
) -> List[Tuple[int, int, int, int]]:
    """Return the box of every segment and of everything that is joined, in the order in which it comes to be."""
    found: Dict[int, _Grown] = dict(enumerate(grown))
    near: Dict[int, Set[int]] = {index: set() for index in found}
    waiting: List[Tuple[float, int, int]] = []
    for a, b in touching:
        near[a].add(b)
        near[b].add(a)
        waiting.append((-_alike(found[a], found[b], area, with_colour), a, b))
    heapq.heapify(waiting)
    boxes = [one.box for one in grown]
    following = len(found)
    while waiting:
        _, a, b = heapq.heappop(waiting)
        if a not in found or b not in found:
            continue
        joined = _union(found.pop(a), found.pop(b))
        around = (near.pop(a) | near.pop(b)) - {a, b}
        found[following], near[following] = joined, around
        boxes.append(joined.box)
        for other in sorted(around):
            near[other] = (near[other] - {a, b}) | {following}
            heapq.heappush(waiting, (-_alike(joined, found[other], area, with_colour), other, following))
        following += 1
    return boxes


def _alike(a: _Grown, b: _Grown, area: int, with_colour: bool) -> float:
    """Equations 2 to 6 of the paper: shared colours and texture, small segments first, and those that fit together."""
    box = _around(a.box, b.box)
    outside = (box[2] - box[0]) * (box[3] - box[1]) - a.size - b.size
    small = 1.0 - (a.size + b.size) / area
    shared = float(np.minimum(a.texture, b.texture).sum()) + small + 1.0 - outside / area
    return shared + float(np.minimum(a.colour, b.colour).sum()) if with_colour else shared


def _union(a: _Grown, b: _Grown) -> _Grown:
    size = a.size + b.size
    colour = (a.size * a.colour + b.size * b.colour) / size
    texture = (a.size * a.texture + b.size * b.texture) / size
    return _Grown(_around(a.box, b.box), size, colour, texture)


def _around(a: Tuple[int, int, int, int], b: Tuple[int, int, int, int]) -> Tuple[int, int, int, int]:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
