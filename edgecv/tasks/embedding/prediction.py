"""What a model that compares says of one sample: a vector, or of two samples: whether they are the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Mapping, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError
from edgecv.core.optional import require
from edgecv.tasks import drawing
from edgecv.tasks.embedding.pairs import Measure, between

Array = NDArray[Any]

_STRIP = 24  # pixels across
_LOW, _HIGH = (0, 114, 178), (213, 94, 0)  # below and above zero: blue and vermilion of Okabe and Ito


@dataclass(frozen=True, eq=False)
class Embedding:
    """A sample as a point: samples of one identity lie close.

    Attributes:
        vector: float32 (d,).
        normalised: Whether its length was made 1.
        measure: How the model's vectors are compared: "euclidean" or "cosine".
        outputs: Every output of the model, float32 in real units, without the batch.
        heads: Name of each head to its prediction, for models of several heads.
    """

    vector: Array
    normalised: bool = False
    measure: Measure = "euclidean"
    outputs: Tuple[Array, ...] = ()
    heads: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.vector.shape[0])

    def distance(self, other: Embedding) -> float:
        """Return how far apart two samples are, >= 0. Raises DataError unless the vectors are of one length."""
        return float(between(self.vector, self._like(other), self.measure))

    def similarity(self, other: Embedding) -> float:
        """Return the cosine of the angle between two vectors, -1..1. Raises DataError unless they are of one length."""
        return 1.0 - float(between(self.vector, self._like(other), "cosine"))

    def to_dict(self) -> Mapping[str, Any]:
        """Return it as JSON data."""
        return {
            "vector": [float(value) for value in self.vector],
            "normalised": self.normalised,
            "measure": self.measure,
        }

    def draw(self, image: Array) -> Any:
        """Return a Pillow image: the image, and beside it a strip with a row per value of the vector.

        Zero is white; values below it are blue and those above it orange, the largest one strongest.

        Args:
            image: uint8 (H, W) or (H, W, 3).
        """
        picture, _ = drawing.canvas(image)
        strip = require("PIL.Image", why="to draw").fromarray(_colours(self.vector)[:, None])
        return drawing.beside([picture, strip.resize((_STRIP, picture.height), 0)])

    def _like(self, other: Embedding) -> Array:
        if other.vector.shape != self.vector.shape:
            raise DataError(
                f"cannot compare vectors of {len(self)} and {len(other)} values", hint="compare answers of one model"
            )
        return other.vector


@dataclass(frozen=True, eq=False)
class Verification:
    """Whether two samples are of one identity.

    Attributes:
        same: Whether the distance lies below the threshold.
        distance: >= 0.
        threshold: Distances below it count as one identity.
        outputs: Every output of the model, float32 in real units, without the batch.
        heads: Name of each head to its prediction, for models of several heads.
    """

    same: bool
    distance: float
    threshold: float
    outputs: Tuple[Array, ...] = ()
    heads: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return 1

    def to_dict(self) -> Mapping[str, Any]:
        """Return it as JSON data."""
        return {"same": self.same, "distance": self.distance, "threshold": self.threshold}

    def draw(self, image: Union[Array, Sequence[Array]]) -> Any:
        """Return a Pillow image: the samples side by side, with the answer below.

        Args:
            image: uint8 (H, W) or (H, W, 3); or a sequence of such images, the two that were compared.
        """
        answer = "same" if self.same else "different"
        told = f"{answer}: distance {self.distance:.3f}, threshold {self.threshold:g}"
        return drawing.caption(side_by_side(image), [told])


def side_by_side(image: Union[Array, Sequence[Array]]) -> Any:
    """Return one image, or several in a row, as a picture (see `edgecv.tasks.drawing`)."""
    if isinstance(image, np.ndarray):
        return drawing.canvas(image)[0]
    return drawing.beside([drawing.canvas(one)[0] for one in image])


def _colours(vector: Array) -> Array:
    """Return uint8 (d, 3): white at zero, blue and orange at the largest magnitude."""
    strength = np.abs(vector) / max(float(np.abs(vector).max(initial=0.0)), 1e-12)
    ends: List[Tuple[int, int, int]] = [_LOW if value < 0 else _HIGH for value in vector]
    mixed = 255.0 + strength[:, None] * (np.asarray(ends, np.float64).reshape(-1, 3) - 255.0)
    return np.asarray(np.rint(mixed), np.uint8)
