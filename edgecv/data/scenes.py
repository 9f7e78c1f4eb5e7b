"""The bundled scenes: scanned digits placed on cluttered canvases, so that every task has data without a download.

A scene is 64x64 gray pixels. Its digits are real scans (`edgecv.data.digits`), enlarged; no scan is in two splits, and
those that nobody could read at that size are left out.
The same seed gives the same scenes, on every machine and in every version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from edgecv.data.dataset import Array, Dataset, Indices, Split, Target
from edgecv.data.digits import open_digits
from edgecv.data.sources import ArrayImages
from edgecv.data.truths import ObjectColumn
from edgecv.tasks.boxes import Objects

SIZE = 64
COUNTS = {"train": 2000, "validation": 300, "test": 400}
DIGITS = tuple(str(n) for n in range(10))
LARGEST, SMALLER = (30, 39), (18, 25)
"""Sides of a scan once enlarged, pixels, from and below: of a scene's largest digit, and of the others."""
ALONE = (32, 53)
"""Of the digit of a scene of one."""
TRIES = 20
NOISY, NOISE = "noisy", 25.0
"""Standard deviation of the noise that a denoiser learns to remove, levels: what denoisers are mostly compared at.
Source: Zhang et al. 2017, "Beyond a Gaussian Denoiser", table II."""
_LINE = np.linspace(-0.5, 0.5, SIZE)
_STEEPNESS = 6.0
"""How fast ink fades at its rim: from nothing to full over a sixth of a digit's contrast, half at the mask's rim."""

Random = np.random.RandomState


@dataclass(frozen=True, slots=True)
class _Scene:
    """A canvas uint8 (64, 64), its mask likewise (0, or 1 + digit), boxes (n, 4) and digits (n,), largest first."""

    canvas: Array
    mask: Array
    boxes: Array
    digits: Indices


def open_scenes(which: str, seed: int) -> Dataset:
    """Return 2,000 scenes to train on, 300 to validate and 400 to test, of one to three digits, or of exactly one.

    Those of "noisy" are scenes of one to three digits under Gaussian noise, and their target, "picture", is without it.

    The targets: "objects", the digits' tight boxes; "mask", their ink; "digit", the class of the largest; "identity",
    the same as what is to be recognised.

    Args:
        which: "", "one" or "noisy".
        seed: Another seed gives other scenes, and holds other scans out.

    Raises:
        MissingDependencyError: scikit-learn, which brings the scans, is not installed.
    """
    if which == NOISY:
        return _noisy(seed)
    uri = "scenes:one" if which == "one" else "scenes"
    targets = (
        Target(name="objects", task="detection", labels=DIGITS),
        Target(name="mask", task="segmentation", labels=("background", *DIGITS)),
        Target(name="digit", task="classification", labels=DIGITS),
        Target(name="identity", task="embedding", labels=DIGITS),
    )
    return Dataset(name=uri, uri=uri, targets=targets, splits={name: _split(name, which, seed) for name in COUNTS})


def _noisy(seed: int) -> Dataset:
    """Return scenes under noise, and the scenes as they were."""
    uri, splits = f"scenes:{NOISY}", {}
    for name in COUNTS:
        rng, clean = _random(name, NOISY, seed), _split(name, "", seed)
        scenes = np.stack([clean.image(index) for index in range(len(clean))])
        shown = np.clip(np.rint(scenes + NOISE * rng.standard_normal(scenes.shape)), 0, 255).astype(np.uint8)
        splits[name] = Split(name=name, images=ArrayImages(shown, np.arange(len(shown))), targets=(scenes,))
    return Dataset(name=uri, uri=uri, targets=(Target(name="picture", task="imaging", labels=()),), splits=splits)


@lru_cache(maxsize=12)
def _split(name: str, which: str, seed: int) -> Split:
    pixels, labels = _legible(seed)[name]
    rng = _random(name, which, seed)
    made = [_scene(pixels, labels, rng, which == "one") for _ in range(COUNTS[name])]
    canvases = np.stack([scene.canvas for scene in made])
    largest = np.array([scene.digits[0] for scene in made], np.int64)
    return Split(
        name=name,
        images=ArrayImages(canvases, np.arange(len(made))),
        targets=(
            ObjectColumn(tuple(Objects(scene.boxes, scene.digits) for scene in made)),
            np.stack([scene.mask for scene in made]),
            largest,
            largest,
        ),
    )


@lru_cache(maxsize=4)
def _legible(seed: int) -> dict[str, tuple[Array, Indices]]:
    """Return the scans of each split that still read as their digit once enlarged, float64 (n, 8, 8), and the digits.

    A scan stays when two of the three scans most like it, of all splits, are of its digit; about one in fifty goes.
    """
    digits = open_digits(seed)
    whole = {name: _scans(split) for name, split in digits.splits.items()}
    ink = np.concatenate([_ink(scans) for scans, _ in whole.values()])
    known = np.concatenate([labels for _, labels in whole.values()])
    squares = (ink**2).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * ink @ ink.T
    np.fill_diagonal(distances, distances.max() + 1)
    nearest = np.argpartition(distances * len(ink) + np.arange(len(ink)), 3, axis=1)[:, :3]
    kept = np.split((known[nearest] == known[:, None]).sum(axis=1) >= 2, np.cumsum([len(s) for s, _ in whole.values()]))
    return {name: (scans[own], labels[own]) for (name, (scans, labels)), own in zip(whole.items(), kept, strict=False)}


def _scans(split: Split) -> tuple[Array, Indices]:
    return np.stack([split.image(i) for i in range(len(split))]).astype(np.float64), split.labels


def _ink(scans: Array) -> Array:
    """Return enlarged scans as rows of whole numbers, int64 (n, 256): sums of them are exact on every machine."""
    return np.stack([np.rint(15 * enlarged(scan, 16)).astype(np.int64).reshape(-1) for scan in scans])


def _random(name: str, which: str, seed: int) -> Random:
    # RandomState, since numpy promises its numbers for good (NEP 19), and those of newer generators not.
    digest = hashlib.sha256(f"{which}:{name}:{seed}".encode()).digest()
    return Random(int.from_bytes(digest[:4], "little"))


def _scene(pixels: Array, labels: Indices, rng: Random, alone: bool) -> _Scene:
    canvas = _background(rng)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    boxes, digits = [], []
    for side in _sides(rng, alone):
        scan = rng.randint(len(labels))
        alpha = enlarged(pixels[scan], side)
        rows, columns = np.flatnonzero((alpha > 0.5).any(axis=1)), np.flatnonzero((alpha > 0.5).any(axis=0))
        alpha = alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        corner = _free_corner(mask, alpha.shape, rng)
        if corner is None:
            continue
        y, x = corner
        window = np.s_[y : y + alpha.shape[0], x : x + alpha.shape[1]]
        tone = canvas[window].mean() + rng.randint(90, 131)
        canvas[window] += alpha * (tone - canvas[window])
        mask[window][alpha > 0.5] = 1 + labels[scan]
        boxes.append((x, y, x + alpha.shape[1], y + alpha.shape[0]))
        digits.append(labels[scan])
    noisy = canvas + rng.uniform(1, 4) * rng.standard_normal((SIZE, SIZE))
    shown = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return _Scene(shown, mask, np.array(boxes, np.float32), np.array(digits, np.int64))


def _sides(rng: Random, alone: bool) -> Iterator[int]:
    yield rng.randint(*(ALONE if alone else LARGEST))
    if not alone:
        for _ in range(rng.randint(3)):
            yield rng.randint(*SMALLER)


def enlarged(scan: Array, side: int) -> Array:
    """Return how much ink there is at each pixel of a scan of 0..255, enlarged: float64 (side, side), 0..1.

    Cubic interpolation; above 0.5 lies what is darker than half of the darkest pixel, and the rim is steep there.
    """
    weights = _weights(scan.shape[0], side)
    smooth = weights @ scan @ weights.T
    found: Array = np.clip((smooth / smooth.max() - 0.5) * _STEEPNESS + 0.5, 0, 1)
    return found


@lru_cache(maxsize=64)
def _weights(n: int, side: int) -> Array:
    """Return what each of n pixels adds to each of `side`: float64 (side, n), half-pixel centres, zeros beyond.

    Source: Keys 1981, "Cubic Convolution Interpolation for Digital Image Processing", equation 4, a = -1/2.
    """
    at = (np.arange(side) + 0.5) * n / side - 0.5
    d = np.abs(at[:, None] - np.arange(n)[None])
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _free_corner(mask: Array, shape: tuple[int, ...], rng: Random) -> tuple[int, int] | None:
    """Return where a digit of `shape` meets no other, with a pixel between; None when it is not found soon."""
    height, width = shape
    for _ in range(TRIES):
        y, x = rng.randint(SIZE - height + 1), rng.randint(SIZE - width + 1)
        if not mask[max(0, y - 1) : y + height + 1, max(0, x - 1) : x + width + 1].any():
            return y, x
    return None


def _background(rng: Random) -> Array:
    """Return a canvas with a gradient, rectangles and strokes, float64 (64, 64), darker than ink."""
    level = rng.uniform(40, 100)
    slope = rng.uniform(-25, 25, 2)
    canvas = level + slope[0] * _LINE[:, None] + slope[1] * _LINE[None, :]
    for _ in range(rng.randint(4)):
        y, x, height, width = rng.randint(SIZE), rng.randint(SIZE), rng.randint(4, 30), rng.randint(4, 30)
        canvas[y : y + height, x : x + width] += rng.uniform(-22, 22)
    for _ in range(rng.randint(5)):
        _stroke(canvas, rng)
    found: Array = canvas
    return found


def _stroke(canvas: Array, rng: Random) -> None:
    start, end, shade = rng.uniform(0, SIZE - 1, 2), rng.uniform(0, SIZE - 1, 2), rng.uniform(-30, 30)
    points = np.rint(start[:, None] + (_LINE + 0.5) * (end - start)[:, None]).astype(np.int64)
    # A pixel that two points round to gets the shade once.
    canvas[points[0], points[1]] += shade
