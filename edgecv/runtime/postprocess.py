"""From a model's outputs to what the user asked for: pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import ConfigError, UnsupportedModelError
from edgecv.specs import Head, ModelSpec

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one image.

    Attributes:
        labels: (label, score) of the first head, best first. Scores are probabilities (0..1); for regression there is
            one entry per value, in the label's unit and in the model's order.
        outputs: Every output of the model, float32 in real units, without the batch.
    """

    labels: Tuple[Tuple[str, float], ...]
    outputs: Tuple[Array, ...]

    @property
    def label(self) -> str:
        """The best label."""
        return self.labels[0][0]

    @property
    def score(self) -> float:
        """The best label's score."""
        return self.labels[0][1]


def scores(output: Array, activation: str, task: str = "classification") -> Array:
    """Return probabilities from the output of a classifier.

    Args:
        output: (..., n), real units; the last axis holds the classes.
        activation: "probabilities" (returned as they are), "logits" or "distances".
        task: With "multilabel", each logit stands for itself.

    Returns:
        float32 (..., n), 0..1. Logits: softmax, or the logistic function for multilabel. Distances: softmax(-d).
        Source: LeCun et al. 1998, section II.C, for distances as negative log-likelihoods.

    Raises:
        ConfigError: The activation has no probabilities.
    """
    values = np.asarray(output, np.float32)
    if activation == "probabilities":
        return values
    if activation == "logits" and task == "multilabel":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float32)
    if activation == "logits":
        return _softmax(values)
    if activation == "distances":
        return _softmax(-values)
    raise ConfigError(f"'{activation}' outputs have no probabilities", hint="known: probabilities, logits, distances")


def _softmax(values: Array) -> Array:
    # Shifting by the maximum keeps exp() in range and changes nothing else.
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def read_outputs(outputs: Sequence[Array], spec: ModelSpec) -> Prediction:
    """Return the prediction of one image.

    Args:
        outputs: The model's outputs in real units, with batch 1.
        spec: The model's contract; its first head is read.

    Raises:
        UnsupportedModelError: The head's task has no labels to rank.
    """
    single = tuple(output[0] for output in outputs)
    return Prediction(labels=_ranked(single[0].reshape(-1), spec.head), outputs=single)


def _ranked(values: Array, head: Head) -> Tuple[Tuple[str, float], ...]:
    names = head.labels or tuple(str(index) for index in range(len(values)))
    if head.task == "regression":
        return tuple(zip(names, (float(value) for value in values)))
    if head.task not in ("classification", "multilabel"):
        raise UnsupportedModelError(
            f"predict() cannot read the {head.task} head '{head.name}'", hint="use run() and read the raw outputs"
        )
    ranked = scores(values, head.activation, head.task)
    # Stable, so that ties, which are common in 8 bits, keep the model's order as argmax does.
    order = np.argsort(-ranked, kind="stable")
    return tuple((names[index], float(ranked[index])) for index in order)
