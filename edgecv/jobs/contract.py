"""The contract of a model from elsewhere: what the model tells, and what labelled data decides.

Where nothing in a model says how its images are scaled, each common way is tried on labelled images: the one under
which the model is right is the one that it was trained with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecv import data
from edgecv.core.errors import ConfigError
from edgecv.core.files import atomic_path, check_output
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset, Split, Target, fitted
from edgecv.evaluate import KerasPredictor
from edgecv.jobs import models
from edgecv.modelio import LoadedModel
from edgecv.modelio.contract import Inferred, infer, with_preprocessing
from edgecv.modelio.provenance import manifest_for
from edgecv.runtime.image import preprocess, preprocess_batch
from edgecv.tasks.registry import of_kind
from edgecv.values.presets import PRESETS, preset
from edgecv.values.specs import Head, InputSpec, ModelSpec

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What was found out of a model.

    Attributes:
        spec: Its contract.
        known: What the model, the data or the caller says, a sentence each.
        guessed: What was assumed, likewise; look at it.
        trials: Each scaling that was tried on labelled images; empty when none had to be.
        open: Presets between which nothing decides; empty when the scaling is known.
    """

    spec: ModelSpec
    known: tuple[str, ...]
    guessed: tuple[str, ...]
    trials: tuple[Trial, ...] = ()
    open: tuple[str, ...] = ()


def contract_of(loaded: LoadedModel, *, dataset: Dataset | None = None, preset_name: str | None = None) -> Contract:
    """Return the contract of a model without one.

    Args:
        loaded: The model; what its file says of it is not looked at.
        dataset: Gives labels, and, where it has some, decides how images are scaled.
        preset_name: How images are scaled, in place of what the model says or the data shows.

    Raises:
        ConfigError: The model takes or gives what no task reads, or there is no such preset.
    """
    found = infer(loaded.model, loaded.path)
    widths = tuple(int(tensor.shape[-1]) for tensor in loaded.model.outputs)
    spec, known, guessed = _labelled(found, widths, dataset)
    candidates, trials = found.candidates, tuple[Trial, ...]()
    if preset_name is not None:
        shape = next((one.shape for one in spec.inputs if one.preprocessing is not None), (0, 0, 3))
        spec = with_preprocessing(spec, preset(preset_name, shape[-1]))
        known, guessed = _without_pixels(known), _without_pixels(guessed)
        known.append(f"pixels {PRESETS[preset_name]}: as you say")
        candidates = ()
    elif candidates and dataset is not None:
        trials = try_presets(loaded, spec, dataset, candidates)
        best = best_of(trials)
        if best is not None:
            spec = with_preprocessing(spec, preset(best.preset, spec.inputs[0].shape[-1]))
            guessed = _without_pixels(guessed)
            said = f"pixels {PRESETS[best.preset]}: {best.accuracy:.1%} of {best.n} images are right under it"
            equal = [trial.preset for trial in trials if trial is not best and not _clearly_better(best, trial)]
            (guessed if equal else known).append(said + (f", and as many under {', '.join(equal)}" if equal else ""))
            candidates = ()
    return Contract(spec=spec, known=tuple(known), guessed=tuple(guessed), trials=trials, open=candidates)


def opened(
    source: models.Source, uri: str | None = None, *, needed: bool = True, reporter: Reporter = QUIET
) -> LoadedModel:
    """Load a model with its contract, or with the one that is found out: see `described`.

    Raises:
        ConfigError, UnsupportedModelError: As `models.load` and `described`.
    """
    loaded = models.load(source)
    return described(loaded, uri=uri, preset_name=source.preset, needed=needed, reporter=reporter)


def described(
    loaded: LoadedModel,
    *,
    uri: str | None = None,
    preset_name: str | None = None,
    needed: bool = True,
    reporter: Reporter = QUIET,
) -> LoadedModel:
    """Return a model with a contract: its own, or the one that is found out, which is said in a line.

    Args:
        uri: The data that the job is about, when there is some.
        preset_name: How images are scaled.
        needed: Whether the job feeds the model: what is open then is refused.

    Raises:
        ConfigError: The model has a contract of its own and a preset is given as well, or the scaling is open.
    """
    if loaded.manifest is not None:
        if preset_name is not None:
            raise ConfigError(
                f"{loaded.path} has a contract, so --preset has nothing to say", hint="leave --preset out"
            )
        return loaded
    dataset = data.open_dataset(uri) if uri is not None else None
    found = contract_of(loaded, dataset=dataset, preset_name=preset_name)
    if found.open and needed:
        raise ConfigError(
            f"{loaded.path} does not say how it wants its pixels, and edgecv did not write it",
            hint=f"--preset {'|'.join(found.open)} says it, labelled --data show it, --spec model.toml has everything: "
            f"`edgecv spec {loaded.path.name}` writes one",
        )
    if found.open:
        reporter.warn(
            "nothing says how pixels are scaled: the file's contract says 0..1. It computes right all the same; "
            "--preset names another scale"
        )
    reporter.info(f"contract found out: {'; '.join((*found.known, *found.guessed))}")
    recipe = {"step": "import", "file": loaded.path.name, "inferred": [*found.known, *found.guessed]}
    return replace(loaded, manifest=manifest_for(found.spec, recipe=recipe, source_sha256=loaded.sha256))


def try_presets(loaded: LoadedModel, spec: ModelSpec, dataset: Dataset, names: Sequence[str]) -> tuple[Trial, ...]:
    """Return the accuracy of a classifier under each scaling, on at most `TRIED` images; nothing without labels."""
    whole = _classification(spec, dataset)
    if whole is None:
        return ()
    part = _some(whole)
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


def check_sense(loaded: LoadedModel, dataset: Dataset, reporter: Reporter = QUIET) -> None:
    """Hold a classifier's contract against labelled images, before anything is made of it.

    A model that is no better than guessing under its contract, and right under another scaling or another order of
    labels, was described wrongly: every figure after it would prove nothing.

    Raises:
        ConfigError: That is so; the hint says what is right.
    """
    spec = loaded.require_spec()
    whole = _classification(spec, dataset)
    if whole is None:
        return
    part = _some(whole)
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


def _clearly_better(one: Trial, other: Trial) -> bool:
    """Say whether an accuracy is higher by more than two deviations of itself."""
    spread = np.sqrt(max(one.accuracy * (1 - one.accuracy), 1 / one.n) / one.n)
    return bool(one.accuracy - other.accuracy > 2 * spread)


def _classes(dataset: Dataset) -> bool:
    return any(_has_classes(target.task) for target in dataset.targets)


def _has_classes(task: str) -> bool:
    """Say whether samples of a task are each of one class."""
    return of_kind(task).divided_by == "classes"


def _some(dataset: Dataset) -> Split:
    """Return labelled images spread evenly over the split that judges."""
    name = next(name for name in ("validation", data.ALL, "test", "train") if name in dataset.splits)
    split = dataset.split(name)
    count = min(TRIED, len(split))
    return split.take(np.linspace(0, len(split) - 1, count).astype(np.int64), split.name)


def _labelled(
    found: Inferred, widths: Sequence[int], dataset: Dataset | None
) -> tuple[ModelSpec, list[str], list[str]]:
    """Return a contract with the labels of a data set, where one of its targets fits an output."""
    spec, known, guessed = found.spec, list(found.known), list(found.guessed)
    heads = []
    for head, width in zip(spec.heads, widths, strict=True):
        target = _fitting(head, dataset.targets if dataset else ())
        if target is not None and dataset is not None and not head.labels:
            if len(target.labels) == width:
                head = replace(head, labels=target.labels)
                known.append(f"{width} labels from {dataset.name}")
            else:
                guessed.append(f"{dataset.name} has {len(target.labels)} labels, output '{head.name}' {width}")
        heads.append(head)
    return replace(spec, heads=tuple(heads)), known, guessed


def _fitting(head: Head, targets: Sequence[Target]) -> Target | None:
    found = [target for target in targets if target.task == head.task]
    return found[0] if len(found) == 1 else None


def _without_pixels(sentences: Sequence[str]) -> list[str]:
    return [one for one in sentences if not one.startswith("pixels ")]


def toml_of(found: Contract) -> str:
    """Return the text of a spec file, with what was guessed as comments."""
    spec = found.spec
    lines = [f'name = "{spec.name}"', *(f"# guessed: {one}" for one in found.guessed)]
    for one in spec.inputs:
        lines += ["", "[[inputs]]", f'name = "{one.name}"', f"shape = {list(one.shape)}"]
        settings = one.preprocessing
        if settings is not None:
            lines += [
                "", "[inputs.preprocessing]", f'color = "{settings.color}"', f'resize = "{settings.resize}"',
                f'interpolation = "{settings.interpolation}"', f"mean = {list(settings.mean)}",
                f"std = {list(settings.std)}   # input = (pixel - mean) / std",
            ]  # fmt: skip
    for head in spec.heads:
        labels = ", ".join('"' + label.replace("\\", "\\\\").replace('"', '\\"') + '"' for label in head.labels)
        lines += [
            "",
            "[[heads]]",
            f'name = "{head.name}"',
            f'task = "{head.task}"',
            f'activation = "{head.activation}"',
        ]
        lines += [f"labels = [{labels}]"] if labels else []
    return "\n".join(lines) + "\n"


def describe(
    source: models.Source,
    *,
    uri: str | None = None,
    preset_name: str | None = None,
    out: Path | None = None,
    sheet: Path | None = None,
    force: bool = False,
) -> Contract:
    """Find the contract of a model out, and write it as TOML, and a picture of what the model sees.

    Args:
        uri: Data that gives labels and decides how images are scaled.
        preset_name: How they are scaled.
        out: Where the TOML goes; `sheet` where the picture goes, which needs `uri`.

    Raises:
        ConfigError: A file exists already, or the model takes or gives what no task reads.
    """
    if sheet is not None and uri is None:
        raise ConfigError("a picture of what the model sees needs images", hint="give --data")
    for path in (out, sheet):
        if path is not None:
            check_output(path, force=force)
    loaded = models.load(source)
    dataset = data.open_dataset(uri) if uri is not None else None
    found = contract_of(loaded, dataset=dataset, preset_name=preset_name)
    if out is not None:
        with atomic_path(out) as partial:
            partial.write_text(toml_of(found), encoding="utf-8")
    if sheet is not None and dataset is not None:
        with atomic_path(sheet) as partial:
            picture(found.spec, dataset).save(partial, format="PNG")
    return found


def picture(spec: ModelSpec, dataset: Dataset) -> Any:
    """Return a Pillow image of what the first input sees of eight samples: resized and scaled as the contract says.

    Raises:
        ConfigError: The input takes no image.
    """
    only = spec.inputs[0]
    if only.preprocessing is None:
        raise ConfigError(f"input '{only.name}' takes numbers, so there is nothing to draw", hint="leave --picture out")
    part = _some(dataset)
    part = part.take(np.unique(np.linspace(0, len(part) - 1, 8).astype(np.int64)))
    seen = replace(part, images=_Seen([_seen(part.image(place), only) for place in range(len(part))]))
    return data.contact_sheet(dataset, seen, rows=2, columns=4)


class _Seen(list[Any]):
    """Images in memory, as a split wants them."""

    def digest(self, index: int) -> bytes:
        """Return the sha256 of an image's pixels."""
        return hashlib.sha256(self[index].tobytes()).digest()


def _seen(image: np.ndarray[Any, Any], only: InputSpec) -> np.ndarray[Any, Any]:
    """Return an input tensor as uint8 RGB: its range from black to white, blue first put back last."""
    low, high = only.range or (0.0, 1.0)
    tensor = preprocess(image, only)[0]
    pixels = np.clip((tensor - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    if only.preprocessing is not None and only.preprocessing.color == "bgr":
        pixels = pixels[..., ::-1]
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
