"""Small random affine moves of training images: what a camera or a hand varies, without leaving the class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgecv.core.errors import ConfigError

Matrices = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Largest random moves of a training image, each drawn evenly within plus or minus its bound; and mosaics.

    Attributes:
        shift: Translation per axis, in pixels of the model's input, >= 0.
        rotation: In degrees about the image's centre, 0..180.
        zoom: Relative size change, 0 <= x < 1: 0.1 draws factors from 0.9 to 1.1.
        shear: Horizontal move per vertical pixel, >= 0 (the slant of handwriting).
        flip: Mirror every second image, on average, left to right. Not for text or digits.
        mosaic: Share of the samples that are made of four images, 0..1, each of them moved by itself: for truths that
            lie in the image.
    """

    shift: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0
    shear: float = 0.0
    flip: bool = False
    mosaic: float = 0.0

    def __post_init__(self) -> None:
        bounds = {"shift": math.inf, "rotation": 180.0, "zoom": 1.0, "shear": math.inf}
        for name, bound in bounds.items():
            if not 0 <= getattr(self, name) < bound:
                raise ConfigError(f"augmentation {name} must be >= 0 and < {bound}, got {getattr(self, name)}")
        if not 0 <= self.mosaic <= 1:
            raise ConfigError(f"augmentation mosaic must be in 0..1, got {self.mosaic}")

    @property
    def none(self) -> bool:
        """Whether images pass unchanged."""
        return not (self.shift or self.rotation or self.zoom or self.shear or self.flip or self.mosaic)


def moves(how: Augmentation, size: tuple[int, int], count: int, rng: np.random.Generator) -> Matrices:
    """Return a random affine move per sample, float64 (count, 2, 3), of points (x, y) of the model's input.

    A move turns, zooms, slants and shifts about the input's centre; image and truth are moved by the same one.

    Args:
        how: Bounds of the moves.
        size: (height, width) of the input.
        count: Of the samples.
        rng: Draws five numbers per sample, and a sixth when images flip.
    """
    draw = rng.uniform(-1.0, 1.0, (5, count))
    angle, zoom = np.deg2rad(how.rotation) * draw[0], 1.0 + how.zoom * draw[1]
    cos, sin, slant = np.cos(angle) / zoom, np.sin(angle) / zoom, how.shear * draw[2]
    # From a point of the moved image to where it comes from, then inverted: that is how images are sampled.
    source = np.zeros((count, 3, 3))
    source[:, 0, 0], source[:, 0, 1], source[:, 0, 2] = cos, sin + cos * slant, how.shift * draw[4]
    source[:, 1, 0], source[:, 1, 1], source[:, 1, 2] = -sin, cos - sin * slant, how.shift * draw[3]
    source[:, 2, 2] = 1.0
    to_centre, back = _shifted(-size[1] / 2, -size[0] / 2), _shifted(size[1] / 2, size[0] / 2)
    found: Matrices = np.linalg.inv(back @ source @ to_centre).astype(np.float64)
    if how.flip:
        mirrored = rng.random(count) < 0.5
        found[mirrored] = np.array([[-1.0, 0.0, size[1]], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) @ found[mirrored]
    return found[:, :2]


def _shifted(across: float, down: float) -> Matrices:
    return np.array([[1.0, 0.0, across], [0.0, 1.0, down], [0.0, 0.0, 1.0]])
