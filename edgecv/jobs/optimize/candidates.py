"""Candidates: one value for each knob, which is a recipe that `edgecv compress` replays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgecv.core import codec
from edgecv.jobs.compress_recipe import CompressionRecipe, CompressionStep
from edgecv.jobs.float_islands import FASTER
from edgecv.jobs.optimize.knobs import KNOBS, RUNGS, Value

INTEGER = ("int8", "int16x8", "int4")
"""Schemes whose ranges are calibrated."""
SLIM = ("macs", "bytes")
ANEW = ("width", "size")
SCHEME, ARITHMETIC, SPARSE = "quantize.scheme", "quantize.arithmetic", "prune.sparse"
TRAINED = ("zoo", "slim", "low_rank", "units", "prune")
"""Steps that train on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A point of a space.

    Attributes:
        settings: Knobs that are not neutral, by name, in the order of a recipe.
        id: Eight hex digits, of the settings.
        shape: What candidates of equal time share: of the settings that change what the device computes.
        named: Knobs that the label speaks of: those with several values in the space, and what kind of file it is;
            empty: all.
    """

    settings: tuple[tuple[str, Value], ...]
    named: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    id: str = field(init=False, compare=False)
    shape: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        turned = {name for name, _ in self.settings}
        timed = tuple(
            (name, value) for name, value in self.settings if KNOBS[name].shapes or KNOBS[name].shapes_with in turned
        )
        object.__setattr__(self, "id", _digest(self.settings))
        object.__setattr__(self, "shape", _digest(timed))

    def __getitem__(self, name: str) -> Any:
        return next((value for knob, value in self.settings if knob == name), KNOBS[name].neutral)

    @property
    def label(self) -> str:
        """For people: "MACs 0.5, int8"."""
        spoken = self.named | {SCHEME, ARITHMETIC, SPARSE} if self.named else KNOBS.keys()
        said = [_said(name, value) for name, value in self.settings if name in spoken]
        float32 = self[SCHEME] == KNOBS[SCHEME].neutral
        return ", ".join([*said, *(["float32"] if float32 else [])])

    @property
    def answers_there(self) -> bool:
        """Whether its answers are its device's own, so that it is judged there: other CPUs compute it otherwise."""
        return bool(self[ARITHMETIC] != KNOBS[ARITHMETIC].neutral)

    @property
    def trains(self) -> bool:
        """Whether anything is trained."""
        return any(name.split(".")[0] in TRAINED for name, _ in self.settings) or self["quantize.method"] == "qat"

    @property
    def epochs(self) -> int:
        """Epochs of all its steps together."""
        return sum(int(self[name]) for name, _ in self.settings if name.endswith(".epochs"))


def candidate(settings: Mapping[str, Value], *, named: frozenset[str] = frozenset()) -> Candidate:
    """Return the canonical candidate of settings: what means nothing beside the others is neutral, and left out."""
    full = {name: settings.get(name, kind.neutral) for name, kind in KNOBS.items()}
    kept = {name: value for name, value in full.items() if value != KNOBS[name].neutral and means(name, full)}
    return Candidate(settings=tuple(kept.items()), named=named)


def means(name: str, full: Mapping[str, Value]) -> bool:
    """Say whether a knob changes anything beside the values of the others."""
    needs, scheme = KNOBS[name].needs, full["quantize.scheme"]
    if needs == "zoo":
        return any(full[f"zoo.{way}"] != 1.0 for way in ANEW)
    if needs == "slim":
        return any(full[f"slim.{way}"] != 1.0 for way in SLIM)
    if needs == "prune":
        pruned = full["prune.sparsity"] != 0.0 or full["prune.pattern"] != "none"
        return pruned and (name != SPARSE or scheme == "float32")
    if needs == "qat":
        return full["quantize.method"] == "qat" and scheme == "int8"
    if needs:
        return full[needs] != KNOBS[needs].neutral
    if name == ARITHMETIC:
        return scheme == "float16"
    if name == "quantize.method":
        return scheme == "int8"
    if name in ("quantize.rung", "quantize.calibration"):
        return scheme in INTEGER and not (full["quantize.method"] == "qat" and scheme == "int8")
    if name in ("quantize.keep_float", "quantize.int16"):
        return scheme == "int8" and full["quantize.method"] == "ptq"
    if name == "quantize.io":
        return scheme == "int8"
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What training anew starts from.

    Attributes:
        width: Of the model's architecture.
        input_size: Height of its input.
    """

    width: float = 1.0
    input_size: int = 0


def recipe_of(
    one: Candidate, *, data: str | None, seed: int, target: str = "cpu", epochs: float = 1.0, title: str = "",
    built: Built | None = None,
) -> CompressionRecipe:  # fmt: skip
    """Return what `edgecv compress` makes a candidate by.

    Args:
        one: The candidate.
        data: Trains and calibrates; None: what the model was trained on.
        seed: Of every step.
        target: What the file is made for.
        epochs: Share of the epochs, for a first look; each step that trains has one at least.
        title: Of the recipe.
        built: Of the model, for candidates that are trained anew.
    """
    steps = [
        *_zoo_steps(one, epochs, built or Built()),
        *_slim_steps(one, epochs),
        *_prune_steps(one, epochs),
        _file_step(one, epochs, target),
    ]
    return CompressionRecipe(title=title or one.label, data=data, seed=seed, steps=tuple(steps))


def content(recipe: CompressionRecipe) -> dict[str, Any]:
    """Return what a recipe does, as JSON data, without what it is called."""
    document: dict[str, Any] = codec.encode(recipe)
    return {key: value for key, value in document.items() if key != "title"}


def _zoo_steps(one: Candidate, share: float, built: Built) -> list[CompressionStep]:
    options: dict[str, Any] = {}
    if one["zoo.width"] != 1.0:
        options["width"] = round(built.width * one["zoo.width"], 6)
    if one["zoo.size"] != 1.0:
        options["input_size"] = max(1, round(built.input_size * one["zoo.size"]))
    if not options:
        return []
    return [CompressionStep(method="retrain", options={**options, **_epochs(one["zoo.epochs"], share)})]


def _slim_steps(one: Candidate, share: float) -> list[CompressionStep]:
    found = []
    for way in SLIM:
        if one[f"slim.{way}"] != 1.0:
            more = {"multiple": one["slim.multiple"], "min_share": one["slim.min_share"], "score": one["slim.score"],
                    "rounds": one["slim.rounds"]}  # fmt: skip
            options = {way: one[f"slim.{way}"], **more, **_training(one, "slim", share)}
            found.append(CompressionStep(method="slim", options=options))
    if one["low_rank.energy"] != 1.0:
        options = {"low_rank": one["low_rank.energy"], **_training(one, "low_rank", share)}
        found.append(CompressionStep(method="slim", options=options))
    if one["units.drop"]:
        options = {"drop_units": one["units.drop"], **_training(one, "units", share)}
        found.append(CompressionStep(method="slim", options=options))
    return found


def _prune_steps(one: Candidate, share: float) -> list[CompressionStep]:
    options: dict[str, Any] = {}
    if one["prune.sparsity"]:
        options["sparsity"] = one["prune.sparsity"]
    if one["prune.pattern"] != "none":
        options["pattern"] = one["prune.pattern"]
    if not options:
        return []
    return [CompressionStep(method="prune", options={**options, **_epochs(one["prune.epochs"], share)})]


def _file_step(one: Candidate, share: float, target: str) -> CompressionStep:
    scheme = one["quantize.scheme"]
    options: dict[str, Any] = {"scheme": scheme, "target": target}
    if one["quantize.softmax"] != "file":
        options["softmax"] = one["quantize.softmax"]
    if one[SPARSE]:
        options["sparse"] = True
    if one.answers_there:
        options["arithmetic"] = one[ARITHMETIC]
    if scheme in ("float32", "float16"):
        return CompressionStep(method="convert", options=options)
    if one["quantize.method"] == "qat":
        options |= {"by": "qat", **_epochs(one["quantize.epochs"], share)}
    options |= RUNGS[one["quantize.rung"]]
    if one["quantize.calibration"] != "minmax":
        options["calibration"] = one["quantize.calibration"]
    if scheme == "int8" and one["quantize.io"] != "int8":
        options["io"] = one["quantize.io"]
    for knob in ("keep_float", "int16"):
        if one[f"quantize.{knob}"]:
            options[knob] = list(one[f"quantize.{knob}"])
    return CompressionStep(method="quantize", options=options)


def _training(one: Candidate, table: str, share: float) -> dict[str, Any]:
    """Return how a step trains: what the table says of it; the default recipe decides the rest."""
    rate = one[f"{table}.learning_rate"]
    return {**({"learning_rate": rate} if rate else {}), **_epochs(one[f"{table}.epochs"], share)}


def _epochs(epochs: int, share: float) -> dict[str, int]:
    """Return the epochs of a step; none are named where the knob is neutral: the default recipe decides."""
    return {"epochs": max(1, round(share * epochs))} if epochs else {}


def _digest(settings: tuple[tuple[str, Value], ...]) -> str:
    return hashlib.sha256(json.dumps(codec.encode(settings)).encode()).hexdigest()[:8]


SPOKEN = {
    "zoo.width": "width {}",
    "zoo.size": "input {}",
    "slim.macs": "MACs {}",
    "slim.bytes": "bytes {}",
    "low_rank.energy": "low rank {}",
    "units.drop": "{} units dropped",
    "prune.sparsity": "zeros {}",
    "prune.pattern": "{} zeros",
    "prune.sparse": "zeros left out",
    "quantize.scheme": "{}",
    "quantize.arithmetic": "computed in {}",
    "quantize.method": "{}",
    "quantize.rung": "{}",
    "quantize.calibration": "ranges {}",
    "quantize.io": "{} in and out",
    "quantize.softmax": "softmax in the {}",
    "quantize.keep_float": "{} in float",
    "quantize.int16": "{} in int16",
    "device.threads": "{} threads",
    "device.accelerator": "on {}",
}
"""How a label says a value; other knobs by their name."""


def _said(name: str, value: Value) -> str:
    if value == (FASTER,):
        return "float where faster"
    text = "+".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)
    return SPOKEN.get(name, name.replace(".", " ") + " {}").format(text)


AS_IT_IS = candidate({})
"""The float model as it is, in a float32 file."""
