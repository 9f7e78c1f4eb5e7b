"""What predictions of classifiers and regressors share: probabilities, ranked labels, their drawing."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Dict, Iterator, Mapping, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.values.specs import Head

Array = NDArray[Any]
Ranked = Tuple[Tuple[str, float], ...]
"""(label, score or value) pairs."""


class Labelled:
    """A prediction of named numbers: a sequence of (label, number). Subclasses have `labels`, a `Ranked`.

    The fields of every prediction: `outputs`, what the model gave, float32 in real units without the batch, by the
    spec's order; and `heads`, the predictions of all heads by name.
    """

    labels: Ranked
    outputs: Tuple[Array, ...]
    heads: Mapping[str, Any]

    @property
    def label(self) -> str:
        """The first label: the best one of a classifier."""
        return self.labels[0][0]

    @property
    def score(self) -> float:
        """Its score or value."""
        return self.labels[0][1]

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Tuple[str, float]]:
        return iter(self.labels)

    def __getitem__(self, index: int) -> Tuple[str, float]:
        return self.labels[index]

    def to_dict(self) -> Dict[str, Any]:
        """Return {"labels": [{"label", "score"}, …]}, in the order of `labels`."""
        return {"labels": [{"label": label, "score": float(score)} for label, score in self.labels]}

    def draw(self, image: Array) -> Any:
        """Return a Pillow image of `image`, uint8 (H, W) or (H, W, 3), under its first labels."""
        from edgecv.tasks.drawing import captioned

        lines = [f"{label} {score:.3g}" for label, score in self.labels[:3]]
        return captioned(image, lines)


def scores(output: Array, activation: str, *, independent: bool = False) -> Array:
    """Return probabilities from the output of a classifier.

    Args:
        output: (..., n), real units; the last axis holds the classes.
        activation: "probabilities" (returned as they are), "logits" or "distances".
        independent: Whether each logit stands for itself.

    Returns:
        float32 (..., n), 0..1. Logits: softmax, or the logistic function when independent. Distances: softmax(-d).
        Source: LeCun et al. 1998, section II.C, for distances as negative log-likelihoods.

    Raises:
        ConfigError: The activation has no probabilities.
    """
    values = np.asarray(output, np.float32)
    if activation == "probabilities":
        return values
    if activation == "logits" and independent:
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float32)
    if activation == "logits":
        return softmax(values)
    if activation == "distances":
        return softmax(-values)
    raise ConfigError(f"'{activation}' outputs have no probabilities", hint="known: probabilities, logits, distances")


def softmax(values: Array) -> Array:
    """Return exp(v) / sum exp(v) over the last axis, float32."""
    # Shifting by the maximum keeps exp() in range and changes nothing else.
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def names(head: Head, units: int) -> Tuple[str, ...]:
    """Return the head's labels, or the numbers of its units."""
    return head.labels or _numbers(units)


@lru_cache(maxsize=16)
def _numbers(units: int) -> Tuple[str, ...]:
    return tuple(map(str, range(units)))


def ranked(values: Array, head: Head) -> Ranked:
    """Return (label, score) pairs, best first."""
    # Stable, so that ties, which are common in 8 bits, keep the model's order as argmax does.
    order = np.argsort(-values, kind="stable")
    known = names(head, len(values))
    return tuple(zip(map(known.__getitem__, order.tolist()), values[order].tolist()))


def check_units(head: Head, shape: Tuple[int, ...], widths: Sequence[int]) -> None:
    """Check that an output, shape with the batch, has as many values as the labels ask for.

    Args:
        head: Its labels may be unknown, which checks nothing.
        shape: Of the output.
        widths: Numbers of values that it may have.

    Raises:
        UnsupportedModelError: It has another number.
    """
    units = int(np.prod(shape, dtype=np.int64))
    if head.labels and units not in widths:
        raise UnsupportedModelError(
            f"head '{head.name}' has {len(head.labels)} labels, its output has {units} values",
            hint="give the spec one label per output, in order",
        )
