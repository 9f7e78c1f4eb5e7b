"""Drawn characters: alphabets of made-up signs in many hands, for networks that compare.

An identity is a sign of one to three strokes: arcs, lines with a corner, and free curves, most of which touch. Its
images are the sign in several hands: points, slant, proportions and the width of the pen differ. Like the scans of
MNIST an image is 28x28 gray pixels, white on black, 18 to 19 pixels high or wide, near its centre. A network that
learns to tell thousands of signs apart has to look at shapes, not at what a few classes happen to share.

The same seed gives the same signs, on every machine and in every version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edgecv.data.dataset import Array, Dataset, Image, Indices, Split, Target

SIZE = 28
SIGNS = {"train": 6000, "validation": 100, "test": 200}
"""Identities of each split; no sign is in two."""
HANDS = {"train": 8, "validation": 6, "test": 6}
"""Images of each identity."""
POINTS = 30
"""That the line of a stroke is drawn through; a stroke of many bends has twice as many."""
VERSION = 1
"""Of the drawing: another one is another data set."""

_Y, _X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
Random = np.random.RandomState
Sign = tuple[Array, ...]
"""Control points of each stroke, float64 (points, 2) of (x, y), about -1 to 1."""


def open_characters(seed: int) -> Dataset:
    """Return 6,000 signs in 8 hands to train on, 100 and 200 others in 6 hands to validate and to test.

    Args:
        seed: Another seed gives other signs.
    """
    first, splits, labels = 0, {}, []
    for name, count in SIGNS.items():
        numbers = np.repeat(np.arange(first, first + count), HANDS[name])
        hands = np.tile(np.arange(HANDS[name]), count)
        splits[name] = Split(name=name, images=DrawnImages(seed, numbers, hands), targets=(numbers.astype(np.int64),))
        labels += [f"sign {number}" for number in range(first, first + count)]
        first += count
    targets = (Target(name="identity", task="embedding", labels=tuple(labels)),)
    return Dataset(name="characters", uri="characters", targets=targets, splits=splits)


@dataclass(frozen=True)
class DrawnImages:
    """Images uint8 (28, 28) that are drawn when they are asked for, a sign's hands together, and kept.

    Attributes:
        signs: Number of the sign of each image; `hands` which of its hands.
    """

    seed: int
    signs: Indices
    hands: Indices
    _drawn: dict[int, Array] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.signs)

    def __getitem__(self, index: int) -> Image:
        number = int(self.signs[index])
        if number not in self._drawn:
            rng = random_of(self.seed, number)
            self._drawn[number] = drawn(sign(rng), max(HANDS.values()), rng)
        image: Image = self._drawn[number][int(self.hands[index])]
        return image

    def take(self, index: Indices) -> DrawnImages:
        """Return the images at `index`."""
        return DrawnImages(self.seed, self.signs[index], self.hands[index], self._drawn)

    def digest(self, index: int) -> bytes:
        return f"characters/{VERSION}/{self.seed}/{self.signs[index]}/{self.hands[index]}".encode()


def random_of(seed: int, number: int) -> Random:
    """Return the random numbers of a sign: numpy promises the stream of this generator for all its versions."""
    digest = hashlib.sha256(f"characters/{VERSION}/{seed}/{number}".encode()).digest()
    return Random(np.frombuffer(digest, np.uint32))


def sign(rng: Random) -> Sign:
    """Return a new sign: one to three strokes, of which a later one mostly starts on one before."""
    strokes: list[Array] = []
    for _ in range(int(rng.choice([1, 2, 3], p=[0.35, 0.45, 0.2]))):
        start = rng.uniform(-1, 1, 2)
        if strokes and rng.uniform() < 0.8:
            other = strokes[rng.randint(len(strokes))]
            start = other[rng.randint(len(other))]
        kind = rng.uniform()
        strokes.append(_arc(start, rng) if kind < 0.35 else _line(start, rng) if kind < 0.7 else _curve(start, rng))
    return tuple(strokes)


def drawn(strokes: Sequence[Array], hands: int, rng: Random) -> Array:
    """Return a sign in so many hands, uint8 (hands, 28, 28)."""
    lines = []
    for points in strokes:
        moved = points + rng.normal(0, 0.15, (hands, *points.shape)) + rng.normal(0, 0.12, (hands, 1, 2))
        lines.append(spline(moved, POINTS if len(points) < 7 else 2 * POINTS))
    line = np.einsum("hij,hpj->hpi", _leaning(hands, rng), np.concatenate(lines, axis=1))
    low, high = line.min(axis=1, keepdims=True), line.max(axis=1, keepdims=True)
    extent = np.maximum((high - low).max(axis=-1, keepdims=True), 1e-3)
    line = (line - (low + high) / 2) / extent * rng.uniform(17.5, 19.5)
    # Towards the middle of the ink, as far as the frame allows.
    shift = np.clip(0.5 * line.mean(axis=1, keepdims=True), -2, 2)
    pen = np.minimum(1.25 * np.exp(rng.normal(0, 0.28, hands)), 2.2)
    return _inked((line - shift + (SIZE - 1) / 2).astype(np.float32), pen.astype(np.float32))


def spline(points: Array, count: int) -> Array:
    """Return a smooth line through control points (..., k, 2), k >= 2, as so many points (..., count, 2).

    Source: Catmull and Rom 1974, "A class of local interpolating splines", with end points mirrored.
    """
    pieces = points.shape[-2] - 1
    ends = 2 * points[..., [0], :] - points[..., [1], :], 2 * points[..., [-1], :] - points[..., [-2], :]
    padded = np.concatenate([ends[0], points, ends[1]], axis=-2)
    place = np.linspace(0, pieces - 1e-6, count)
    whole = place.astype(int)
    t = (place - whole)[:, None]
    a, b, c, d = (padded[..., whole + shift, :] for shift in range(4))
    cubic = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    line: Array = 0.5 * cubic
    return line


def _arc(start: Array, rng: Random) -> Array:
    """Part of an ellipse, or all of it."""
    radii, begin = rng.uniform(0.25, 0.9, 2), rng.uniform(0, 2 * np.pi)
    turn = 2 * np.pi if rng.uniform() < 0.5 else rng.uniform(0.6 * np.pi, 1.8 * np.pi)
    angles = begin + np.linspace(0, 1, 7) * turn * rng.choice([-1, 1])
    centre = start - radii * [np.cos(begin), np.sin(begin)]
    arc: Array = centre + radii * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return arc


def _line(start: Array, rng: Random) -> Array:
    """A straight line, or two with a corner."""
    ends = [start]
    for _ in range(int(rng.choice([1, 2]))):
        angle = rng.uniform(0, 2 * np.pi)
        ends.append(ends[-1] + rng.uniform(0.5, 1.6) * np.array([np.cos(angle), np.sin(angle)]))
    # Several points on each side keep the corner sharp.
    sides = [np.linspace(a, b, 4) for a, b in zip(ends, ends[1:])]
    return np.concatenate([sides[0], *(side[1:] for side in sides[1:])])


def _curve(start: Array, rng: Random) -> Array:
    """A free curve through three to five points."""
    points = [start]
    for _ in range(rng.randint(2, 5)):
        points.append(np.clip(points[-1] + rng.normal(0, 0.8, 2), -1.2, 1.2))
    return np.array(points)


def _leaning(hands: int, rng: Random) -> Array:
    """Return a matrix (hands, 2, 2) for each hand: it turns, leans, and is wide or narrow."""
    turn, lean, wide = rng.normal(0, 0.17, hands), rng.normal(0, 0.35, hands), np.exp(rng.normal(0, 0.25, hands))
    rows = [np.cos(turn) * wide, lean - np.sin(turn)], [np.sin(turn), np.cos(turn) / wide]
    return np.moveaxis(np.array(rows), -1, 0)


def _inked(line: Array, pen: Array) -> Array:
    """Return what pens of half-widths (hands,), pixels, leave of lines (hands, points, 2), uint8 (hands, 28, 28)."""
    squares = np.square(_X - line[..., 0, None, None]) + np.square(_Y - line[..., 1, None, None])
    distance = np.sqrt(squares.min(axis=1))
    ink: Array = np.rint(255 * np.clip((pen[:, None, None] + 0.6 - distance) / 1.2, 0, 1)).astype(np.uint8)
    return ink
