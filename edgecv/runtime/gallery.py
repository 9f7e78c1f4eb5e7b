"""Recognising people, or anything else that a network turns into vectors, by those that were enrolled.

A gallery holds one or several vectors of each label. Whoever is asked about gets the label of the nearest one, and
counts as known when that is closer than a threshold. Enrolling and removing need no training. Pure numpy.

    from edgecv import runtime
    with runtime.load("encoder-int8.tflite") as model:
        gallery = runtime.Gallery.of(model)
        gallery.enrol("Ada", model.predict("ada.png"))
        print(gallery.identify(model.predict("door.png")))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DataError, unknown_name
from edgecv.core.files import PathLike
from edgecv.runtime import gallery_file
from edgecv.runtime.gallery_origin import Origin, origin_of
from edgecv.tasks.embedding.pairs import Measure, between, distances, pairs_of, unit
from edgecv.tasks.embedding.prediction import Embedding
from edgecv.tasks.embedding.thresholds import Calibration, calibrated
from edgecv.tasks.registry import task_of
from edgecv.values.specs import ModelSpec

Array = NDArray[Any]
Vectors = Union[Embedding, Array, Sequence[Union[Embedding, Array]]]
"""What is enrolled: an `Embedding`, floats (d,), floats (n, d), or a sequence of the first two."""

_CHUNK = 2**22


@dataclass(frozen=True)
class Match:
    """Whom a vector is nearest to.

    Attributes:
        label: Of the nearest enrolled vector, whether or not it counts as known.
        distance: To that vector, >= 0.
        known: Whether the distance lies below the threshold.
        threshold: Below which a match counts.
    """

    label: str
    distance: float
    known: bool
    threshold: float


class Gallery:
    """Enrolled vectors with their labels. Not safe to change from several threads.

    Args:
        origin: The network whose vectors these are.
        length: Values of a vector, >= 2.
        measure: "euclidean" or "cosine".
        threshold: >= 0, a nearest vector that is closer counts as known.
        normalised: Whether the vectors' lengths are 1.

    Attributes:
        vectors: float32 (n, length), in the order they were enrolled.
        labels: One per vector.
    """

    def __init__(
        self, origin: Origin, *, length: int, measure: Measure, threshold: float, normalised: bool = False
    ) -> None:
        if measure not in ("euclidean", "cosine"):
            raise unknown_name("measure", measure, ("euclidean", "cosine"))
        self.origin = origin
        self.length = length
        self.measure: Measure = measure
        self.normalised = normalised
        self.vectors: Array = np.zeros((0, length), np.float32)
        self.labels: Tuple[str, ...] = ()
        self.threshold = threshold

    @classmethod
    def of(cls, model: Any) -> Gallery:
        """Return an empty gallery for the vectors of a loaded model; the threshold is that of its spec.

        Raises:
            ConfigError: Its first head gives no vectors.
        """
        return cls.for_spec(model.spec, origin_of(model), int(model.outputs[model.bound_outputs[0][0]].shape[-1]))

    @classmethod
    def for_spec(cls, spec: ModelSpec, origin: Origin, length: int) -> Gallery:
        """Return an empty gallery for vectors of `length` values, of the first head of a model. Raises as `of`."""
        settings = embedding_settings(spec)
        return cls(
            origin,
            length=length,
            measure=settings.distance,
            threshold=settings.threshold,
            normalised=settings.normalise,
        )

    @property
    def threshold(self) -> float:
        """Distances below it count as known."""
        return self._threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        if not (np.isfinite(value) and value >= 0):
            raise ConfigError(f"a threshold is a finite distance >= 0, got {value}")
        self._threshold = float(value)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<Gallery of {self.origin.name}: {len(self.counts())} labels, {len(self)} vectors of {self.length}>"

    def counts(self) -> Dict[str, int]:
        """Return how many vectors each label has, in the order they were first enrolled."""
        found: Dict[str, int] = {}
        for label in self.labels:
            found[label] = found.get(label, 0) + 1
        return found

    def enrol(self, label: str, given: Vectors) -> None:
        """Add one or several vectors of a label, which may have some already.

        Raises:
            DataError: A vector is of another length or measure, or not finite; or there is none.
            ConfigError: The label is empty.
        """
        if not label.strip():
            raise ConfigError("a label is empty", hint="name whom the vectors are of")
        more = self._checked(given)
        if not len(more):
            raise DataError(f"there are no vectors to enrol as '{label}'", hint="pass one or more")
        self.vectors = np.concatenate([self.vectors, more])
        self.labels += (label,) * len(more)

    def remove(self, label: str) -> int:
        """Forget a label; return how many vectors it had. Raises ConfigError when it is not enrolled."""
        if label not in self.labels:
            raise self._unknown(label)
        kept = np.asarray([own != label for own in self.labels], bool)
        self.vectors = self.vectors[kept]
        self.labels = tuple(own for own in self.labels if own != label)
        return int((~kept).sum())

    def identify(self, given: Union[Embedding, Array]) -> Match:
        """Return whom a vector, an `Embedding` or floats (d,), is nearest to; of equally near ones the first enrolled.

        Raises:
            DataError: The gallery is empty, or the vector is of another length or measure, or not finite.
        """
        return self.identify_many([given])[0]

    def identify_many(self, given: Vectors) -> List[Match]:
        """Return whom each vector is nearest to. Raises as `identify`."""
        asked = self._checked(given)
        if not len(self):
            raise DataError("the gallery is empty, so nobody can be found in it", hint="enrol somebody first")
        places = self._nearest(asked)
        apart = between(asked, self.vectors[places], self.measure)
        return [
            Match(self.labels[place], float(distance), bool(distance < self.threshold), self.threshold)
            for place, distance in zip(places, apart)
        ]

    def calibrate(
        self, far: float = 0.001, *, vectors: Optional[Vectors] = None, labels: Sequence[str] = ()
    ) -> Calibration:
        """Set the threshold to the largest at which pairs of two labels pass at a rate of `far` at most.

        Args:
            far: False accept rate of one comparison, 0 < far < 1. Whoever is asked about is compared with everybody, so
                that a stranger passes about as many times as often as there are enrolled vectors.
            vectors: Of labelled samples, best of people that are not enrolled; None takes the enrolled ones.
            labels: One for each of `vectors`.

        Raises:
            DataError: There are no pairs of one label, or none of two.
            ConfigError: `far` is no rate, or there are not as many labels as vectors.
        """
        own = vectors is None
        known = self.vectors if vectors is None else self._checked(vectors)
        names = self.labels if own else tuple(labels)
        if len(names) != len(known):
            raise ConfigError(f"there are {len(known)} vectors and {len(names)} labels", hint="give one label each")
        codes = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1].reshape(-1)
        pairs = pairs_of(codes)
        found = calibrated(distances(known, pairs, self.measure), pairs.same, far)
        self.threshold = found.threshold
        return found

    def check_model(self, model: Any) -> None:
        """Raise ConfigError unless a loaded model gives vectors that can be compared with the enrolled ones.

        It must stem from the network that these are of. A float file and its int8 file do, and can be mixed; how much
        that costs is measured by `edgecv evaluate --gallery-model`.
        """
        length = int(model.outputs[model.bound_outputs[0][0]].shape[-1])
        self.check(model.spec, origin_of(model), length)

    def check(self, spec: ModelSpec, origin: Origin, length: int) -> None:
        """As `check_model`, for a model of which these are known."""
        settings = embedding_settings(spec)
        if origin.sha256 != self.origin.sha256:
            raise ConfigError(
                f"the gallery holds vectors of '{self.origin.name}' (trained file {self.origin.sha256[:12]}), and this "
                f"model is '{origin.name}' (trained file {origin.sha256[:12]}): their vectors cannot be compared",
                hint="ask with a file made of the same trained model, or enrol anew with this one",
            )
        ours = (self.length, self.measure, self.normalised)
        theirs = (length, settings.distance, settings.normalise)
        if ours != theirs:
            raise ConfigError(
                f"the gallery holds {_told(*ours)}, and this model gives {_told(*theirs)}",
                hint="read the model with the spec that was enrolled with",
            )

    def save(self, path: PathLike) -> None:
        """Write the gallery as an .npz, whole or not at all. Raises ConfigError when it cannot be written."""
        header = gallery_file.Header(
            length=self.length,
            measure=self.measure,
            normalised=self.normalised,
            threshold=self.threshold,
            origin=self.origin,
            labels=tuple(self.counts()),
        )
        codes = {label: code for code, label in enumerate(header.labels)}
        gallery_file.write(path, header, self.vectors, np.asarray([codes[label] for label in self.labels], np.int64))

    @classmethod
    def load(cls, path: PathLike, *, model: Any = None) -> Gallery:
        """Read a gallery, and check that it fits a loaded model when one is given.

        Raises:
            ConfigError: The file is missing, or holds vectors of another network than the model's.
            DataError: It is no gallery, or damaged.
        """
        header, vectors, codes = gallery_file.read(path)
        made = cls(
            header.origin,
            length=header.length,
            measure=header.measure,
            threshold=header.threshold,
            normalised=header.normalised,
        )
        made.vectors = vectors
        made.labels = tuple(header.labels[code] for code in codes)
        if model is not None:
            made.check_model(model)
        return made

    def _nearest(self, asked: Array) -> Array:
        """Return the place of the vector nearest to each of those asked about, int64 (m,)."""
        held, wanted = self.vectors.astype(np.float64), asked.astype(np.float64)
        if self.measure == "cosine":
            held, wanted = unit(held), unit(wanted)
        centre = held.mean(axis=0) if self.measure == "euclidean" else np.zeros(self.length)
        held, wanted = held - centre, wanted - centre
        # |a - b|^2 = |a|^2 - 2 ab + |b|^2, where |a|^2 is the same for all b.
        offsets = np.square(held).sum(axis=1) if self.measure == "euclidean" else np.zeros(len(held))
        found = np.empty(len(wanted), np.int64)
        step = max(1, _CHUNK // len(held))
        for start in range(0, len(wanted), step):
            part = slice(start, start + step)
            found[part] = (offsets - 2.0 * wanted[part] @ held.T).argmin(axis=1)
        return found

    def _checked(self, given: Vectors) -> Array:
        """Return vectors as float32 (n, length)."""
        several = given if isinstance(given, (list, tuple)) else [given]
        rows = [self._rows(one) for one in several]
        return np.concatenate(rows) if rows else np.zeros((0, self.length), np.float32)

    def _rows(self, given: Any) -> Array:
        if isinstance(given, Embedding) and (given.measure, given.normalised) != (self.measure, self.normalised):
            raise DataError(
                f"the gallery holds {_told(self.length, self.measure, self.normalised)}, got "
                f"{_told(len(given), given.measure, given.normalised)}",
                hint="enrol and identify with one spec",
            )
        values = given.vector if isinstance(given, Embedding) else given
        try:
            rows = np.atleast_2d(np.asarray(values, np.float32))
        except (TypeError, ValueError) as error:
            raise DataError(f"a vector is {self.length} numbers, got {type(given).__name__}") from error
        if rows.ndim != 2 or rows.shape[1] != self.length:
            raise DataError(
                f"the gallery holds vectors of {self.length} values, got {tuple(np.shape(values))}",
                hint="vectors of another network cannot be compared: enrol anew with it",
            )
        if not np.isfinite(rows).all():
            raise DataError("a vector holds NaN or infinity", hint="check the image and the model")
        return rows

    def _unknown(self, label: str) -> ConfigError:
        return unknown_name("label", label, self.counts())


def embedding_settings(spec: ModelSpec) -> Any:
    """Return the settings of a model's first head. Raises ConfigError unless it gives vectors."""
    if not task_of(spec.head).is_features:
        raise ConfigError(
            f"'{spec.name}' is for {spec.head.task}, and a gallery is for networks that give vectors (embedding)",
            hint="train an encoder: see docs/gallery.md",
        )
    task: Any = task_of(spec.head)
    return task.settings(spec.head)


def _told(length: int, measure: str, normalised: bool) -> str:
    return f"vectors of {length} values{', made of length 1' if normalised else ''}, compared by {measure} distance"
