"""Whether a classifier's contract makes sense: it is held against labelled images, under each common scaling.

A model that is no better than guessing was described wrongly, and every figure about its files would prove nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv import data
from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset, Split, fitted
from edgecv.evaluate import KerasPredictor
from edgecv.modelio import LoadedModel
from edgecv.modelio.contract import with_preprocessing
from edgecv.runtime.image import preprocess_batch
from edgecv.tasks.registry import of_kind
from edgecv.values.presets import PRESETS, preset
from edgecv.values.specs import ModelSpec

TRIED = 200
"""Labelled images that decide between presets."""
Array = np.ndarray[Any, Any]
DEVIATIONS = 3.0
"""Of a share under chance: what lies within is no better than guessing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a classifier does under one scaling.

    Attributes:
        accuracy: On `n` labelled images.
        loss: Mean cross entropy of the true labels, nats.
        chance: The accuracy that is no better than always naming the commonest class, three deviations included.
    """

    preset: str
    accuracy: float
    loss: float
    n: int
    chance: float


def try_presets(loaded: LoadedModel, spec: ModelSpec, dataset: Dataset, names: Sequence[str]) -> tuple[Trial, ...]:
    """Return the accuracy of a classifier under each scaling, on at most `TRIED` images; nothing without labels."""
    whole = _classification(spec, dataset)
    if whole is None:
        return ()
    part = some_of(whole)
    labels = part.labels
    trials = []
    for name in names:
        twin = with_preprocessing(spec, preset(name, spec.inputs[0].shape[-1]))
        answers = _probabilities(loaded, twin, part)
        if answers.shape[1] <= int(labels.max()):
            return ()
        right = answers.argmax(1) == labels
        loss = -np.log(np.maximum(answers[np.arange(len(labels)), labels], 1e-12)).mean()
        chance = chance_of(labels)
        found = Trial(preset=name, accuracy=float(right.mean()), loss=float(loss), n=len(part), chance=chance)
        trials.append(found)
    return tuple(trials)


def _probabilities(loaded: LoadedModel, spec: ModelSpec, part: Split) -> Array:
    """Return float (n, classes) of the only head."""
    with KerasPredictor.of(loaded.model, spec) as predictor:
        rows = []
        for start in range(0, len(part), 50):
            images = [part.image(place) for place in range(start, min(start + 50, len(part)))]
            rows.append(np.asarray(predictor.run([preprocess_batch(images, spec)])[0], np.float64))
    answers = np.concatenate(rows).reshape(len(part), -1)
    if spec.head.activation == "probabilities":
        return answers
    exponents = np.exp(answers - answers.max(1, keepdims=True))
    return np.asarray(exponents / exponents.sum(1, keepdims=True))


def check_sense(loaded: LoadedModel, dataset: Dataset, *, promised: bool = False, reporter: Reporter = QUIET) -> None:
    """Hold a classifier's contract against labelled images, before anything is made of it.

    A model that is no better than guessing under its contract, and right under another scaling or another order of
    labels, was described wrongly: every figure after it would prove nothing.

    Args:
        promised: Whether a verdict on accuracy is asked for: of a model that only guesses there can be none.

    Raises:
        ConfigError: That is so; the hint says what is right.
    """
    spec = loaded.require_spec()
    whole = _classification(spec, dataset)
    if whole is None:
        return
    part = some_of(whole)
    answers, labels = _probabilities(loaded, spec, part), part.labels
    if answers.shape[1] <= int(labels.max()):
        return
    accuracy, chance = float((answers.argmax(1) == labels).mean()), chance_of(labels)
    if accuracy > chance:
        return
    said = f"the float model names {accuracy:.1%} of {len(part)} images of {whole.name} right, no better than guessing"
    channels = spec.inputs[0].shape[-1]
    names = tuple(PRESETS) if channels == 3 else ("raw", "unit", "imagenet-tf")
    best = best_of(try_presets(loaded, spec, dataset, names))
    order = _order(answers, labels)
    ordered = 0.0 if order is None else float((order[answers.argmax(1)] == labels).mean())
    if order is not None and ordered > max(chance, best.accuracy if best else 0.0):
        told = ", ".join(f"{index}: {_label(whole, int(label))}" for index, label in enumerate(order[:5]))
        raise ConfigError(
            f"{said}: its labels are in another order than the data's",
            hint=f"its outputs are {told}{', …' if len(order) > 5 else ''}: say so in labels of --spec",
        )
    if best is not None:
        raise ConfigError(
            f"{said}: its pixels are scaled otherwise",
            hint=f"under --preset {best.preset} ({PRESETS[best.preset]}) it is {best.accuracy:.1%}",
        )
    if promised:
        raise ConfigError(
            f"{said}: a file that loses nothing would prove nothing",
            hint="give the model's own --data, or train it first; without --max-drop the file is made all the same",
        )
    reporter.warn(f"{said}: figures about its files will prove nothing")


def _order(answers: Array, labels: Array) -> Array | None:
    """Return the true label that each output names mostly; None when two outputs name the same one."""
    counts = np.zeros((answers.shape[1], answers.shape[1]), np.int64)
    np.add.at(counts, (answers.argmax(1), labels), 1)
    order = counts.argmax(1)
    return order if len(set(order.tolist())) == len(order) else None


def _label(dataset: Dataset, index: int) -> str:
    known = next(target.labels for target in dataset.targets if _has_classes(target.task))
    return known[index] if index < len(known) else str(index)


def _classification(spec: ModelSpec, dataset: Dataset) -> Dataset | None:
    """Return a data set as a classifier of one head takes it; None for other models and data without class labels."""
    try:
        whole = fitted(dataset, spec)
    except ConfigError:
        return None
    plain = len(spec.heads) == 1 and len(spec.inputs) == 1 and _has_classes(spec.heads[0].task)
    scaled = spec.inputs[0].preprocessing is not None and spec.heads[0].activation in ("probabilities", "logits")
    return whole if plain and scaled and _classes(whole) else None


def chance_of(labels: Array) -> float:
    """Return the share of the commonest class plus three deviations: no accuracy up to it is better than guessing."""
    share = float(np.bincount(labels).max() / len(labels))
    return share + DEVIATIONS * float(np.sqrt(share * (1 - share) / len(labels)))


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial of the highest accuracy, the least loss among equals; None when it is no better than chance."""
    ranked = sorted(trials, key=lambda trial: (-trial.accuracy, trial.loss))
    return ranked[0] if ranked and ranked[0].accuracy > ranked[0].chance else None


def clearly_better(one: Trial, other: Trial) -> bool:
    """Say whether an accuracy is higher by more than two deviations of itself."""
    spread = np.sqrt(max(one.accuracy * (1 - one.accuracy), 1 / one.n) / one.n)
    return bool(one.accuracy - other.accuracy > 2 * spread)


def _classes(dataset: Dataset) -> bool:
    return any(_has_classes(target.task) for target in dataset.targets)


def _has_classes(task: str) -> bool:
    """Say whether samples of a task are each of one class."""
    return of_kind(task).divided_by == "classes"


def some_of(dataset: Dataset) -> Split:
    """Return labelled images spread evenly over the split that judges."""
    name = next(name for name in ("validation", data.ALL, "test", "train") if name in dataset.splits)
    split = dataset.split(name)
    count = min(TRIED, len(split))
    return split.take(np.linspace(0, len(split) - 1, count).astype(np.int64), split.name)
