"""Small random affine moves of training images: what a camera or a hand varies, without leaving the class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgecv.core.errors import ConfigError

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Largest random moves of a training image; each is drawn evenly from minus to plus its bound.

    Attributes:
        shift: Translation per axis, in pixels of the model's input, >= 0.
        rotation: In degrees about the image's centre, 0..180.
        zoom: Relative size change, 0 <= x < 1: 0.1 draws factors from 0.9 to 1.1.
        shear: Horizontal move per vertical pixel, >= 0 (the slant of handwriting).
        flip: Mirror every second image, on average, left to right. Not for text or digits.
    """

    shift: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0
    shear: float = 0.0
    flip: bool = False

    def __post_init__(self) -> None:
        bounds = {"shift": math.inf, "rotation": 180.0, "zoom": 1.0, "shear": math.inf}
        for name, bound in bounds.items():
            if not 0 <= getattr(self, name) < bound:
                raise ConfigError(f"augmentation {name} must be >= 0 and < {bound}, got {getattr(self, name)}")

    @property
    def none(self) -> bool:
        """Whether images pass unchanged."""
        return not (self.shift or self.rotation or self.zoom or self.shear or self.flip)


def augment(images: Floats, how: Augmentation, rng: np.random.Generator) -> Floats:
    """Return each image under its own random affine map, bilinear, the border repeated outwards.

    Args:
        images: float32 (n, H, W, C), any scale.
        how: Bounds of the moves; all zero returns `images`.
        rng: Draws five numbers per image, and a sixth when images flip.
    """
    if how.none:
        return images
    if images.ndim != 4:
        raise ConfigError("feature vectors cannot be moved or mirrored", hint="leave augmentation out of the recipe")
    rows, columns = _sources(images.shape, how, rng)
    moved = _sample(images, rows, columns)
    return _flipped(moved, rng) if how.flip else moved


def _flipped(images: Floats, rng: np.random.Generator) -> Floats:
    chosen = rng.random(len(images)) < 0.5
    return np.where(chosen[:, None, None, None], images[:, :, ::-1], images)


def _sources(shape: tuple[int, ...], how: Augmentation, rng: np.random.Generator) -> tuple[Floats, Floats]:
    count, height, width = shape[:3]
    draw = rng.uniform(-1.0, 1.0, (5, count, 1, 1)).astype(np.float32)
    angle = np.deg2rad(how.rotation) * draw[0]
    zoom = 1.0 + how.zoom * draw[1]
    y = np.arange(height, dtype=np.float32)[None, :, None] - (height - 1) / 2
    x = np.arange(width, dtype=np.float32)[None, None, :] - (width - 1) / 2
    x = x + how.shear * draw[2] * y
    rows = (np.cos(angle) * y - np.sin(angle) * x) / zoom + (height - 1) / 2 + how.shift * draw[3]
    columns = (np.sin(angle) * y + np.cos(angle) * x) / zoom + (width - 1) / 2 + how.shift * draw[4]
    return rows.astype(np.float32), columns.astype(np.float32)


def _sample(images: Floats, rows: Floats, columns: Floats) -> Floats:
    """Read `images` (n, H, W, C) at fractional positions (n, h, w) by bilinear interpolation, clamped to the border."""
    height, width = images.shape[1:3]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = (rows - top)[..., None], (columns - left)[..., None]
    one = np.arange(len(images))[:, None, None]
    upper = images[one, top, left] * (1 - across) + images[one, top, right] * across
    lower = images[one, bottom, left] * (1 - across) + images[one, bottom, right] * across
    mixed: Floats = (upper * (1 - down) + lower * down).astype(np.float32)
    return mixed
