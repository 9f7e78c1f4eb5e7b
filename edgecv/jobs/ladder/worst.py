"""Which layers of an int8 file are the worst: by what they cost in the task's metric, else by the noise they add."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import edgecv.convert as convert
from edgecv.convert.check.samples import file_inputs
from edgecv.convert.check.stays_float import CONVERSIONS
from edgecv.convert.tflite.int16 import KERNELS
from edgecv.core.errors import DataError, UnsupportedModelError
from edgecv.core.progress import Reporter
from edgecv.data import Dataset, fitted
from edgecv.diagnose.layer_cost import LayerCost, beside, dearest
from edgecv.diagnose.layer_noise import LayerNoise, layer_noise
from edgecv.diagnose.quantised_layers import layers_of
from edgecv.evaluate.evaluating import judge_of
from edgecv.graphs import read_tflite
from edgecv.jobs import convert as artifacts
from edgecv.jobs import models
from edgecv.jobs.debug import labelled
from edgecv.modelio import LoadedModel
from edgecv.modelio.boundary import input_names, output_names
from edgecv.tasks.registry import task_of
from edgecv.zoo.profiling import profile

SPLIT = "validation"
NOISE_SAMPLES = 32
MOST_SAMPLES, FEWEST_SAMPLES = 256, 64
"""Labelled samples that layers are ranked on: below the fewest, one sample weighs more than most layers cost."""
MOST_RANKED = 24
"""Layers that are ranked by the metric, those that add most noise."""
WORK = 10**12
"""Multiply-accumulates that a ranking may take, some minutes of one core. A bound on time itself would make the choice
of layers, and so the file, depend on how busy the machine is."""
HELD = 2**26
"""Values of inputs and answers that are held at once: 256 MiB of float32."""

BEST_DB = 48.0
"""Signal to noise that 8 bits can give at most, 6.02 dB a bit: what a layer without layers before it starts from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The layers of a file, worst first.

    Attributes:
        layers: Source layers.
        wide: Those of them with kernels for int16 activations.
        by: "task metric" or "noise".
        reason: On what the ranking rests, or why noise decided.
        seconds: That it took.
    """

    layers: tuple[str, ...]
    by: str
    reason: str
    wide: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What a ranking by the metric may take.

    Attributes:
        layers: To rank; 0: the ranking is not affordable.
        samples: To rank them on.
    """

    layers: int
    samples: int


def ranked(
    loaded: LoadedModel, file: Path, plan: artifacts.Plan, dataset: Dataset, *, needed: float, reporter: Reporter
) -> Ranked:
    """Rank the layers of an int8 file.

    Args:
        loaded: The float model that it was made from.
        file: The int8 .tflite; a float32 one is put beside it.
        plan: How it was made.
        dataset: Its validation split is used.
        needed: Share of the layers whose order matters.
        reporter: Gets progress.
    """
    began = time.monotonic()
    reference = _reference(loaded, plan, dataset, file.with_name("float32.tflite"), reporter)
    noisy = _by_noise(loaded, reference, file, dataset, reporter)
    allowed = effort(loaded, len(dataset.split(SPLIT)), len(noisy), needed=max(1, int(needed * len(noisy))))
    if not allowed.layers:
        reason = f"{FEWEST_SAMPLES} samples per layer would take more than {WORK:.0e} multiply-accumulates"
        found = Ranked(layers=noisy, by="noise", reason=reason)
    else:
        found = _by_metric(loaded, reference, file, dataset, noisy, allowed, reporter)
    return replace(found, wide=_with_kernels(file, found.layers), seconds=time.monotonic() - began)


def _with_kernels(file: Path, layers: Sequence[str]) -> tuple[str, ...]:
    kinds: dict[str, set[str]] = {}
    for op, layer in zip(read_tflite(file).ops, layers_of(file), strict=True):
        kinds.setdefault(layer, set()).update({op.op} - set(CONVERSIONS))
    return tuple(layer for layer in layers if kinds.get(layer, set()) <= KERNELS)


def effort(loaded: LoadedModel, available: int, layers: int, *, needed: int) -> Effort:
    """Return how many layers can be ranked on how many samples within `WORK` and `HELD`.

    Each layer takes two passes, rounded alone and left out, and two more say what to compare with.

    Args:
        available: Samples of the split.
        layers: Of the file.
        needed: Layers at least; fewer are not worth a ranking.
    """
    macs = max(1, profile(loaded.model).macs)
    values = sum(math.prod(tensor.shape[1:]) for tensor in (*loaded.model.inputs, *loaded.model.outputs))
    held = HELD // max(1, values)
    fewest = min(FEWEST_SAMPLES, available)
    count = min(MOST_RANKED, layers, WORK // (2 * macs * fewest) - 1)
    if count < min(layers, needed + 1) or held < fewest:
        return Effort(layers=0, samples=0)
    return Effort(layers=count, samples=min(MOST_SAMPLES, available, held, WORK // (macs * (2 * count + 2))))


def _reference(loaded: LoadedModel, plan: artifacts.Plan, dataset: Dataset, out: Path, reporter: Reporter) -> Path:
    """Write the float file with the weights that the int8 file rounds: those after equalisation, where it was done."""
    if plan.recipe.steps:
        before = replace(plan, correct_bias=False, adaround=False)
        loaded, _ = artifacts.prepared(loaded, before, dataset, reporter=reporter)
    convert.convert(loaded, format="tflite", scheme="float32", out=out, dataset=dataset, force=True, seed=plan.seed)
    return out


def _by_noise(
    loaded: LoadedModel, reference: Path, file: Path, dataset: Dataset, reporter: Reporter
) -> tuple[str, ...]:
    spec = models.require_manifest(loaded).spec
    split = fitted(dataset, spec).split(SPLIT)
    count = min(NOISE_SAMPLES, len(split))
    inputs = file_inputs(split.take(np.arange(count)), spec, input_names(loaded.model))
    layers = layer_noise(reference, file, inputs, total=count, reporter=reporter)
    return tuple(layer.layer for layer in sorted(layers, key=_lost, reverse=True))


def _lost(layer: LayerNoise) -> float:
    if layer.lost_db is not None:
        return layer.lost_db
    return BEST_DB - layer.sqnr_db if layer.sqnr_db is not None else 0.0


def _by_metric(
    loaded: LoadedModel,
    reference: Path,
    file: Path,
    dataset: Dataset,
    noisy: tuple[str, ...],
    allowed: Effort,
    reporter: Reporter,
) -> Ranked:
    spec = models.require_manifest(loaded).spec
    dataset = fitted(dataset, spec)
    chosen = labelled(dataset, spec, allowed.samples, inputs=input_names(loaded.model))
    names = output_names(loaded.model)
    judge = judge_of(spec, chosen.split, dataset.name, targets=dataset.targets, outputs=names)
    try:
        costs = dearest(reference, file, chosen.inputs, judge, among=noisy[: allowed.layers], reporter=reporter)
    except (UnsupportedModelError, DataError) as error:
        return Ranked(layers=noisy, by="noise", reason=f"layers cannot be rounded one at a time: {error.message}")
    return merged(costs, noisy, metric=task_of(spec.head).metric.name, samples=len(chosen))


def merged(costs: Sequence[LayerCost], noisy: Sequence[str], *, metric: str, samples: int) -> Ranked:
    """Return all layers in order: by cost; equal costs by the noise in the answer, then by the noise they add."""
    place = {layer: index for index, layer in enumerate(noisy)}
    first = [cost.layer for cost in sorted(costs, key=lambda cost: (*beside(cost), place[cost.layer]))]
    layers = (*first, *(layer for layer in noisy if layer not in set(first)))
    on = f"{metric} of {samples} labelled samples"
    if len({beside(cost)[0] for cost in costs}) < 2:
        return Ranked(layers=layers, by="noise", reason=f"no layer costs more than another in {on}")
    return Ranked(layers=layers, by="task metric", reason=f"{len(first)} of {len(noisy)} layers by {on}, simulated")
