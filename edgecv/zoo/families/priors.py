"""The boxes that single-shot detectors start from at each cell, as (width, height) in input pixels.

Sources: Liu et al. 2016, "SSD: Single Shot MultiBox Detector", section 2.2 with the scales of the published models;
Sandler et al. 2018, "MobileNetV2", section 6.2, with the scales of the TensorFlow object detection models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Boxes = tuple[tuple[float, float], ...]

SSD_FIRST, SSD_LOW, SSD_HIGH = 10, 20, 90
"""Sizes of the smallest boxes of SSD300's scales, percent of the input's side: the first scale, the second, the last
but the final upper bound. Whole percents, as published, so that 300 gives 30, 60, 111, 162, 213, 264, 315."""
LITE_LOW, LITE_HIGH, LITE_FIRST = 0.2, 0.95, 0.1
"""Shares of the input's side: of the first and the last scale, and of the small square of the first."""


def ssd_sizes(side: int, scales: int) -> tuple[float, ...]:
    """Return the side of the smallest square of each scale, and the bound above the last: `scales` + 1 pixels."""
    step = (SSD_HIGH - SSD_LOW) // (scales - 2)
    percent = (SSD_FIRST, *(SSD_LOW + step * index for index in range(scales)))
    return tuple(side * share / 100 for share in percent)


def ssd(side: int, ratios: Sequence[Sequence[float]]) -> tuple[Boxes, ...]:
    """Return SSD's boxes: two squares, then each ratio of width to height and its inverse, for each scale.

    Args:
        side: Of the input, pixels.
        ratios: Of each scale, those above 1.
    """
    sizes = ssd_sizes(side, len(ratios))
    return tuple(_ssd_cell(low, high, own) for low, high, own in zip(sizes, sizes[1:], ratios, strict=False))


def ssd_lite(side: int, scales: int) -> tuple[Boxes, ...]:
    """Return the boxes of SSDLite's published models: three for the first scale, six for each other one."""
    step = (LITE_HIGH - LITE_LOW) / (scales - 1)
    shares = [LITE_LOW + step * index for index in range(scales)] + [1.0]
    first = (_box(LITE_FIRST * side, 1.0), _box(shares[0] * side, 2.0), _box(shares[0] * side, 0.5))
    return (first, *(_lite_cell(low * side, high * side) for low, high in zip(shares[1:], shares[2:], strict=False)))


def _ssd_cell(low: float, high: float, ratios: Sequence[float]) -> Boxes:
    pairs = [shape for ratio in ratios for shape in (_box(low, ratio), _box(low, 1 / ratio))]
    return (_box(low, 1.0), _box(math.sqrt(low * high), 1.0), *pairs)


def _lite_cell(low: float, high: float) -> Boxes:
    return (*(_box(low, ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)), _box(math.sqrt(low * high), 1.0))


def _box(size: float, ratio: float) -> tuple[float, float]:
    """The box of a square's area and a ratio of width to height."""
    return size * math.sqrt(ratio), size / math.sqrt(ratio)
