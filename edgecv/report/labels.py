"""Placing the labels of a chart so that they cover neither each other nor the points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CHARACTER_WIDTH = 6.3
LINE_HEIGHT = 14.0

_RADII = (9.0, 16.0, 26.0, 40.0, 58.0, 80.0, 110.0, 145.0)
_ANGLES = tuple(2 * math.pi * i / 24 for i in range(24))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on the page, in pixels."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """Return the area shared with `other`, in square pixels."""
        wide = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        tall = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return wide * tall if wide > 0 and tall > 0 else 0.0

    def edge(self, point: tuple[float, float]) -> tuple[float, float]:
        """Return the place of the box that is nearest to a point: the point itself where it lies within."""
        return min(max(point[0], self.x), self.x + self.width), min(max(point[1], self.y), self.y + self.height)

    def holds(self, other: Box) -> bool:
        """Say whether `other` lies within."""
        right, bottom = other.x + other.width, other.y + other.height
        return (
            self.x <= other.x and self.y <= other.y and right <= self.x + self.width and bottom <= self.y + self.height
        )


def place_labels(
    anchors: Sequence[tuple[float, float]], texts: Sequence[str], frame: Box, obstacles: Sequence[Box] = ()
) -> tuple[Box | None, ...]:
    """Choose a box for each label, greedily from left to right, nearest free place first.

    Args:
        anchors: Page position of each point.
        texts: One label per point.
        frame: Labels stay within it.
        obstacles: Boxes to keep clear where possible (error bars); points are kept clear always.

    Returns:
        One box per label, None where no place is free of other labels and points.
    """
    points = [Box(x - 5, y - 5, 10, 10) for x, y in anchors]
    taken: list[Box] = []
    result: list[Box | None] = [None] * len(texts)
    for i in sorted(range(len(texts)), key=lambda i: anchors[i]):
        others = [anchor for anchor in anchors if anchor != anchors[i]]
        box = _best(anchors[i], texts[i], frame, points + taken, obstacles, _Reading(others, taken))
        result[i] = box
        if box is not None:
            taken.append(box)
    return tuple(result)


_ASTRAY, _HIDDEN = 14.0, 30.0
"""What a place costs, in pixels of distance, when the label is read as another point's, or its line is hidden."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What can lead a reader astray: other points, and labels that are placed already."""

    others: Sequence[tuple[float, float]]
    labels: Sequence[Box]

    def cost(self, anchor: tuple[float, float], box: Box) -> float:
        """Return what it costs to place the label of `anchor` at `box`."""
        own = box.edge(anchor)
        apart = math.dist(anchor, own)
        astray = any(math.dist(other, box.edge(other)) <= apart for other in self.others)
        steps = [i / 8 for i in range(1, 8)]
        line = [(anchor[0] + t * (own[0] - anchor[0]), anchor[1] + t * (own[1] - anchor[1])) for t in steps]
        hidden = any(label.edge(at) == at for label in self.labels for at in line)
        return _ASTRAY * astray + _HIDDEN * hidden


def _best(
    anchor: tuple[float, float],
    text: str,
    frame: Box,
    blocked: Sequence[Box],
    obstacles: Sequence[Box],
    reading: _Reading,
) -> Box | None:
    width = CHARACTER_WIDTH * len(text) + 4
    best: tuple[float, Box] | None = None
    for radius in _RADII:
        if best is not None and best[0] <= radius:
            break
        for angle in _ANGLES:
            box = _at(anchor, radius, angle, width)
            if not frame.holds(box) or any(box.overlap(other) > 0 for other in blocked):
                continue
            cost = radius + 0.2 * sum(box.overlap(other) for other in obstacles) + reading.cost(anchor, box)
            if best is None or cost < best[0]:
                best = (cost, box)
    return best[1] if best else None


def _at(anchor: tuple[float, float], radius: float, angle: float, width: float) -> Box:
    # The box touches the circle around the point from outside, in the direction of the angle.
    x, y = anchor[0] + radius * math.cos(angle), anchor[1] + radius * math.sin(angle)
    left = x - width * (1 - math.cos(angle)) / 2
    top = y - LINE_HEIGHT * (1 - math.sin(angle)) / 2
    return Box(left, top, width, LINE_HEIGHT)
