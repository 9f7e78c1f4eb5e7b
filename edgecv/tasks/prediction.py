"""From a model's outputs to what the user asked for: pure numpy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.values.specs import Head, ModelSpec

Array = NDArray[Any]
Ranked = Tuple[Tuple[str, float], ...]

READABLE = ("classification", "multilabel", "regression")


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one image.

    Attributes:
        labels: (label, score) of the first head, best first. Scores are probabilities (0..1), which sum to 1 for
            classification and stand each for itself for multilabel; for regression there is one entry per value, in
            the label's unit and in the model's order.
        heads: Name of each head to what `labels` holds for the first; heads of other tasks are in `outputs` only.
        outputs: Every output of the model, float32 in real units, without the batch.
    """

    labels: Ranked
    outputs: Tuple[Array, ...]
    heads: Mapping[str, Ranked] = field(default_factory=dict)

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
        outputs: The model's outputs in real units, with batch 1; the first ones are the heads'.
        spec: The model's contract.

    Raises:
        UnsupportedModelError: The first head's task has no labels to rank.
    """
    if spec.head.task not in READABLE:
        raise UnsupportedModelError(
            f"predict() cannot read the {spec.head.task} head '{spec.head.name}'",
            hint="use run() and read the raw outputs",
        )
    single = tuple(output[0] for output in outputs)
    heads: Dict[str, Ranked] = {
        head.name: _ranked(values.reshape(-1), head)
        for head, values in zip(spec.heads, single)
        if head.task in READABLE
    }
    return Prediction(labels=heads[spec.head.name], outputs=single, heads=heads)


def _ranked(values: Array, head: Head) -> Ranked:
    names = head.labels or tuple(str(index) for index in range(len(values)))
    if head.task == "regression":
        return tuple(zip(names, (float(value) for value in values)))
    ranked = scores(values, head.activation, head.task)
    # Stable, so that ties, which are common in 8 bits, keep the model's order as argmax does.
    order = np.argsort(-ranked, kind="stable")
    return tuple((names[index], float(ranked[index])) for index in order)
