"""Quantisation-aware training: fine-tuning with int8 rounding simulated in the forward pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecv.compress.dead_channels import SAMPLES, without_dead_channels
from edgecv.compress.fakequant import annotated, set_ranges
from edgecv.compress.layer_graph import flattened
from edgecv.compress.preserved import check_kept, kept, project
from edgecv.compress.rewrite import standardised
from edgecv.compress.sparsity import Sparsity, measure
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import fitted, match_targets
from edgecv.modelio.boundary import input_names
from edgecv.modelio.env import seed_everything
from edgecv.train.batches import Samples, ordered_batches
from edgecv.train.loop import Hooks
from edgecv.train.recipe_files import default_recipe
from edgecv.train.recipes import TrainRecipe, check, fine_tuning
from edgecv.train.state import Epoch
from edgecv.train.training import run_stage
from edgecv.values.binding import bind_inputs, in_order
from edgecv.values.specs import ModelSpec

if TYPE_CHECKING:
    from edgecv.data import Dataset

RANGE_BATCHES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class QatRecipe(TrainRecipe):
    """A QAT run: the fine-tuning of TrainRecipe with fake quantisation.

    Attributes:
        preserve_sparsity: Keep the zeros of a pruned source (from 1 % zeros on) at zero: its 2:4 blocks too.
        clusters: Values that each kernel of a clustered source has at most; they train, and stay so few. None: the
            source is not clustered, or its clusters may go.
    """

    learning_rate: float = 2e-4
    epochs: int = 8
    preserve_sparsity: bool = True
    clusters: int | None = None

    def __post_init__(self) -> None:
        TrainRecipe.__post_init__(self)
        known = self.clusters is None or 2 <= self.clusters <= 256
        check("clusters", self.clusters, known, "2 to 256, or None")


@dataclass(frozen=True, slots=True, kw_only=True)
class QatModel:
    """A fake-quantised model.

    Attributes:
        model: A new tf_keras model holding tfmot's quantisers; convert it with int8 weights and activations and a
            representative data set, which layers in `unquantised` need.
        sparsity: Zeros in its kernels.
        clustered: Layers that kept their clusters.
        unquantised: Layers without fake quantisation; they are quantised after training, by calibration.
        history: One entry per finished epoch.
        best_epoch: Index of the epoch whose weights were kept; -1 when the calibrated start was best.
        best_value: Its validation metric, measured with quantisation simulated.
    """

    model: Any
    sparsity: Sparsity
    clustered: tuple[str, ...]
    unquantised: tuple[str, ...]
    history: tuple[Epoch, ...]
    best_epoch: int
    best_value: float


def default_qat_recipe(spec: ModelSpec) -> QatRecipe:
    """Return the QAT recipe for a model: its training recipe at a fiftieth of the rate and a quarter of the epochs.

    A trained model sits in a minimum that larger steps leave, and a short run does not find again.
    """
    return QatRecipe(**fine_tuning(default_recipe(spec), rate=0.02, epochs=0.25))


def quantize_aware(
    model: Any,
    spec: ModelSpec,
    dataset: Dataset,
    recipe: QatRecipe,
    *,
    state: Path | None = None,
    reporter: Reporter = QUIET,
) -> QatModel:
    """Return a fake-quantised copy of `model`, fine-tuned on the train split; `model` itself is not changed.

    Seeds, the best epoch and resuming work as in `edgecv.train.train`.

    Raises:
        ConfigError: As `train` does.
        UnsupportedModelError: The model is subclassed, or a layer gives several tensors.
        ConversionError: Zeros or clusters that had to be preserved were lost.
    """
    seed_everything(recipe.seed)
    model = flattened(model)
    source = standardised(model)
    dataset = fitted(dataset, spec)
    order = match_targets(spec.heads, dataset.targets, dataset=dataset.name)
    samples = Samples(dataset.split("train"), spec, order=order)
    first, _ = samples.batch(np.arange(min(SAMPLES, len(samples))))
    source = replace(
        source, model=without_dead_channels(source.model, _ordered(first, model, spec), reporter=reporter).model
    )
    quantised, unquantised = annotated(source.model, input_ranges=_input_ranges(source.model, spec))
    if unquantised:
        reporter.warn(
            f"no fake quantisation for {', '.join(unquantised)}: edgecv has no integer form of these layers; "
            "they will be quantised by calibration, and may lose more accuracy"
        )
    batches = ordered_batches(samples, batch_size=recipe.batch_size)
    set_ranges(quantised, source.model, (_ordered(inputs, model, spec) for inputs, _ in islice(batches, RANGE_BATCHES)))
    keep = kept(model, source, zeros=recipe.preserve_sparsity, clusters=recipe.clusters)
    hooks = Hooks(
        stage="qat",
        facts=keep.facts,
        after_step=lambda: project(quantised, keep),
        start_counts=True,
    )
    done = run_stage(quantised, spec, dataset, recipe, hooks, state=state, reporter=reporter)
    check_kept(quantised, keep)
    return QatModel(
        model=quantised,
        sparsity=measure(quantised),
        clustered=tuple(sorted(keep.clusters)),
        unquantised=unquantised,
        history=done.history,
        best_epoch=done.best_epoch,
        best_value=done.best_value,
    )


def _input_ranges(model: Any, spec: ModelSpec) -> tuple[tuple[float, float] | None, ...]:
    """Return the known range of each input of a model, in its order."""
    return _ordered(tuple(only.range for only in spec.inputs), model, spec)


def _ordered(items: tuple[Any, ...], model: Any, spec: ModelSpec) -> tuple[Any, ...]:
    """Return one item per input of the spec as the model takes them."""
    return tuple(in_order(items, bind_inputs(spec, input_names(model), spec.name)))
