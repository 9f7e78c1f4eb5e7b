"""Anchors: boxes that a detector's answers start from, found in data or laid out as a network expects them. Pure numpy.

Anchor boxes are float32 (N, 4) xyxy in pixels of the input, not clipped to it: layer by layer, then row by row, cell by
cell, and anchor by anchor. Divide by the input's width and height for coordinates in 0..1.
"""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError

Array = NDArray[Any]
Shape = Tuple[int, int]

ROUNDS = 300  # of k-means; it ends long before unless sizes go back and forth

#: SSD300's layers, and what its published networks were trained with.
SSD300_SHAPES: Tuple[Shape, ...] = ((38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1))
SSD300_SIZES: Tuple[float, ...] = (30, 60, 111, 162, 213, 264, 315)
SSD300_RATIOS: Tuple[Tuple[float, ...], ...] = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
SSD300_STEPS: Tuple[float, ...] = (8, 16, 32, 64, 100, 300)
#: As TensorFlow's published SSD configurations write them; a third is 0.3333 there.
SSDLITE_RATIOS: Tuple[float, ...] = (1.0, 2.0, 0.5, 3.0, 0.3333)


def size_iou(sizes: Array, anchors: Array) -> Array:
    """Return the IoU of boxes (n, 2) with anchors (k, 2), each width and height, on a common centre: float64 (n, k)."""
    own, other = np.asarray(sizes, np.float64), np.asarray(anchors, np.float64)
    shared = np.minimum(own[:, None, 0], other[None, :, 0]) * np.minimum(own[:, None, 1], other[None, :, 1])
    return np.asarray(shared / (own.prod(axis=1)[:, None] + other.prod(axis=1) - shared))


def kmeans(sizes: Array, k: int, *, seed: int = 0, repeats: int = 5) -> Tuple[Array, float]:
    """Return k anchors for boxes of some sizes, the smallest area first, and the mean IoU with the best anchor.

    k-means on the distance 1 - IoU, so that small boxes count as much as large ones. Of all rounds of all repeats the
    anchors with the highest mean IoU are taken: an anchor is the mean of its sizes, which is not what maximises it.

    Source: Redmon and Farhadi 2017, "YOLO9000: Better, Faster, Stronger", section 2; Arthur and Vassilvitskii 2007,
    "k-means++: The Advantages of Careful Seeding", section 2.2, for where it starts.

    Args:
        sizes: (n, 2), width and height, in any unit.
        k: How many anchors.
        seed: Of the starts. The same seed gives the same anchors.
        repeats: How many starts.

    Returns:
        float32 (k, 2) in the unit of `sizes`, and a number in 0..1.

    Raises:
        ConfigError: A size is not finite or not above 0, or there are fewer than k different ones.
    """
    values = _sizes(sizes)
    if k < 1 or repeats < 1:
        raise ConfigError(f"k-means takes k and repeats of 1 or more, got k = {k} and repeats = {repeats}")
    distinct, counts = np.unique(values, axis=0, return_counts=True)
    if len(distinct) < k:
        raise ConfigError(
            f"{k} anchors need as many different sizes, got {len(distinct)} among {len(values)}",
            hint="ask for fewer anchors, or use data with more objects",
        )
    rng = np.random.default_rng(seed)
    found = [_clustered(distinct, counts, _spread(distinct, counts, k, rng)) for _ in range(repeats)]
    fits = [_mean_iou(distinct, counts, anchors) for anchors in found]
    best = found[int(np.argmax(fits))]
    best = best[np.lexsort((best[:, 0], best.prod(axis=1)))].astype(np.float32)
    return best, _mean_iou(distinct, counts, best)


def grid(shape: Shape, stride: float, anchors: Array) -> Array:
    """Return the anchor boxes of a grid of cells, each anchor around the centre of each cell.

    Args:
        shape: Rows and columns of cells.
        stride: Side of a cell, in pixels of the input.
        anchors: (A, 2), width and height in pixels.

    Returns:
        float32 (rows * columns * A, 4) xyxy in pixels, cell by cell, then anchor by anchor.

    Raises:
        ConfigError: A size, the shape or the stride is not finite or not above 0.
    """
    return _tiled(shape, (stride, stride), _sizes(anchors)).astype(np.float32)


def ssd(
    size: Tuple[int, int] = (300, 300),
    shapes: Sequence[Shape] = SSD300_SHAPES,
    *,
    sizes: Sequence[float] = SSD300_SIZES,
    ratios: Sequence[Sequence[float]] = SSD300_RATIOS,
    steps: Optional[Sequence[float]] = SSD300_STEPS,
) -> Array:
    """Return SSD's prior boxes as its Caffe networks have them; without arguments SSD300's 8732.

    A cell of layer k has a square of side `s_k`, one of side `sqrt(s_k s_{k+1})`, and for each ratio r a box of width
    `s_k sqrt(r)` and height `s_k / sqrt(r)` and the same one upright. Source: Liu et al. 2016, "SSD: Single Shot
    MultiBox Detector", section 2.2, and the layer `PriorBox` of its code.

    Args:
        size: Height and width of the input.
        shapes: Rows and columns of each layer.
        sizes: Sides in pixels, one more than layers.
        ratios: Of each layer, beside 1.
        steps: Side of a cell of each layer, in pixels; None for the input's sides divided by the layer's. SSD300's are
            rounded, and 8 * 38 is more than 300.

    Returns:
        float32 (N, 4) xyxy in pixels.

    Raises:
        ConfigError: Lists differ in length, or a number is not finite or not above 0.
    """
    layers = len(shapes)
    if len(sizes) != layers + 1 or len(ratios) != layers or (steps is not None and len(steps) != layers):
        raise ConfigError(
            f"SSD with {layers} layers takes {layers + 1} sizes, {layers} lists of ratios and {layers} steps, got "
            f"{len(sizes)}, {len(ratios)} and {'none' if steps is None else len(steps)}",
            hint="the last size only serves the second square of the last layer",
        )
    _positive("sizes", sizes)
    found = []
    for index, shape in enumerate(shapes):
        side, following = float(sizes[index]), float(sizes[index + 1])
        _positive("ratios", ratios[index])
        both = [ratio for value in ratios[index] for ratio in (value, 1.0 / value)]
        cells = [(side, 1.0), (np.sqrt(side * following), 1.0), *((side, ratio) for ratio in both)]
        step = _steps(size, shape) if steps is None else (steps[index], steps[index])
        found.append(_tiled(shape, step, _shaped(cells)))
    return np.concatenate(found).astype(np.float32)


def ssdlite(
    size: Tuple[int, int],
    shapes: Sequence[Shape],
    *,
    min_scale: float = 0.2,
    max_scale: float = 0.95,
    ratios: Sequence[float] = SSDLITE_RATIOS,
    interpolated: float = 1.0,
    reduced: bool = True,
) -> Array:
    """Return SSD's anchors as TensorFlow's Object Detection API makes them: 1917 for 300 pixels, 2034 for 320.

    Scales rise in equal steps from layer to layer, and are shares of the input's shorter side. A cell has a box of each
    ratio (width over height), then one of the scale between this layer's and the next one's; behind the last one comes
    1. Source: `create_ssd_anchors` and `MultipleGridAnchorGenerator` of that API.

    Args:
        size: Height and width of the input.
        shapes: Rows and columns of each layer, the finest first.
        min_scale: Of the first layer.
        max_scale: Of the last layer.
        ratios: Of every layer.
        interpolated: Ratio of the box between the scales; 0 for none.
        reduced: Whether the first layer has three boxes only: scale 0.1 with ratio 1, and `min_scale` with 2 and 0.5.

    Returns:
        float32 (N, 4) xyxy in pixels.

    Raises:
        ConfigError: A number is not finite or not above 0, or there are no layers.
    """
    layers = len(shapes)
    if not layers:
        raise ConfigError("SSD's anchors need at least one layer, got none", hint="give rows and columns of each layer")
    _positive("scales", (min_scale, max_scale))
    _positive("ratios", ratios)
    _positive("input size", size)
    scales = [*np.linspace(min_scale, max_scale, layers).tolist(), 1.0]
    found = []
    for index, shape in enumerate(shapes):
        if index == 0 and reduced:
            cells: List[Tuple[float, float]] = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
        else:
            cells = [(scales[index], ratio) for ratio in ratios]
            if interpolated > 0.0:
                cells.append((float(np.sqrt(scales[index] * scales[index + 1])), interpolated))
        found.append(_tiled(shape, _steps(size, shape), min(size) * _shaped(cells)))
    return np.concatenate(found).astype(np.float32)


def rpn(
    shape: Shape,
    stride: float = 16,
    sizes: Sequence[float] = (128, 256, 512),
    ratios: Sequence[float] = (0.5, 1, 2),
) -> Array:
    """Return the anchors of a region proposal network: around each cell's centre, ratio by ratio, then size by size.

    A box of size s and ratio r (height over width) has the area s * s. Source: Ren et al. 2015, "Faster R-CNN",
    section 3.1.1. Its Caffe code rounds sides and places boxes half a pixel beside the centre; this does neither.

    Args:
        shape: Rows and columns of cells.
        stride: Side of a cell, in pixels of the input.
        sizes: Square roots of areas, in pixels.
        ratios: Height over width.

    Returns:
        float32 (rows * columns * ratios * sizes, 4) xyxy in pixels.

    Raises:
        ConfigError: A number is not finite or not above 0.
    """
    _positive("sizes", sizes)
    _positive("ratios", ratios)
    return grid(shape, stride, _shaped([(size, 1.0 / ratio) for ratio in ratios for size in sizes]))


def _shaped(cells: Sequence[Tuple[float, float]]) -> Array:
    """Width and height (A, 2) of (side, width over height): the area is the side's square."""
    side, ratio = np.asarray(cells, np.float64).reshape(-1, 2).T
    return np.stack([side * np.sqrt(ratio), side / np.sqrt(ratio)], axis=1)


def _steps(size: Tuple[int, int], shape: Shape) -> Tuple[float, float]:
    return size[0] / shape[0], size[1] / shape[1]


def _tiled(shape: Shape, steps: Tuple[float, float], anchors: Array) -> Array:
    """Boxes float64 (rows * columns * A, 4): anchors (A, 2) around the centres of cells of `steps` (height, width)."""
    _positive("shape", shape)
    _positive("stride", steps)
    y, x = np.meshgrid(*((np.arange(count) + 0.5) * step for count, step in zip(shape, steps)), indexing="ij")
    centres = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
    return np.concatenate([centres - anchors / 2, centres + anchors / 2], axis=-1).reshape(-1, 4)


def _spread(sizes: Array, counts: Array, k: int, rng: np.random.Generator) -> Array:
    """Sizes to start from, (k, 2): each drawn by how badly it fits those before it, squared."""
    chosen = [int(rng.choice(len(sizes), p=counts / counts.sum()))]
    while len(chosen) < k:
        far = counts * np.square(1.0 - size_iou(sizes, sizes[chosen]).max(axis=1))
        far[chosen] = 0.0
        chosen.append(int(rng.choice(len(sizes), p=far / far.sum())))
    return sizes[chosen]


def _clustered(sizes: Array, counts: Array, anchors: Array) -> Array:
    """The best anchors on the way from those given to where k-means ends."""
    best, best_fit, before = anchors, -1.0, np.zeros(0, np.int64)
    for _ in range(ROUNDS):
        overlap = size_iou(sizes, anchors)
        owner, fits = overlap.argmax(axis=1), overlap.max(axis=1)
        fit = float(np.average(fits, weights=counts))
        if fit > best_fit:
            best, best_fit = anchors, fit
        _fill(owner, fits, len(anchors))
        if np.array_equal(owner, before):
            break
        before = owner
        total = np.bincount(owner, counts, minlength=len(anchors))
        sums = [np.bincount(owner, counts * side, minlength=len(anchors)) for side in sizes.T]
        anchors = np.stack(sums, axis=1) / total[:, None]
    return best


def _fill(owner: Array, fit: Array, k: int) -> None:
    """Give each anchor that owns nothing the size that fits worst, of anchors that own several."""
    for index in np.flatnonzero(np.bincount(owner, minlength=k) == 0):
        several = np.bincount(owner, minlength=k)[owner] > 1
        owner[int(np.where(several, fit, np.inf).argmin())] = index


def _mean_iou(sizes: Array, counts: Array, anchors: Array) -> float:
    return float(np.average(size_iou(sizes, anchors).max(axis=1), weights=counts))


def _sizes(values: Array) -> Array:
    given = np.asarray(values, np.float64)
    if given.ndim != 2 or given.shape[1] != 2 or not len(given):
        raise ConfigError(
            f"sizes of anchors are (n, 2) with n >= 1, got {given.shape}", hint="a size is width and height"
        )
    _positive("sizes", given)
    return given


def _positive(what: str, values: Any) -> None:
    given = np.asarray(values, np.float64)
    bad = ~(np.isfinite(given) & (given > 0.0))
    if bad.any():
        raise ConfigError(
            f"{what} of anchors: expected finite numbers above 0, got {float(given[bad][0])}",
            hint="widths and heights are sizes, not corners",
        )
