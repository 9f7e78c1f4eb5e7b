"""Quantisation-aware training: fine-tuning with int8 rounding simulated in the forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping

import numpy as np
import numpy.typing as npt

from edgecv.compress.fakequant import annotated, set_ranges
from edgecv.compress.layer_graph import flattened
from edgecv.compress.names import QUANT_PREFIX
from edgecv.compress.rewrite import Rewritten, depthwise_kernel, retied, standardised
from edgecv.compress.sparsity import Sparsity, measure, prunable_weights
from edgecv.errors import ConversionError
from edgecv.modelio.env import seed_everything
from edgecv.progress import QUIET, Reporter
from edgecv.specs import ModelSpec
from edgecv.train.batches import Samples, ordered_batches
from edgecv.train.loop import Hooks
from edgecv.train.recipe_files import default_recipe
from edgecv.train.recipes import TrainRecipe, fine_tuning
from edgecv.train.state import Epoch
from edgecv.train.training import run_stage

if TYPE_CHECKING:
    from edgecv.data import Dataset

PRUNED_FROM = 0.01
"""Share of exact zeros from which a model counts as pruned: training alone leaves hardly any."""

RANGE_BATCHES = 16

Masks = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QatRecipe(TrainRecipe):
    """A QAT run: the fine-tuning of TrainRecipe with fake quantisation.

    Attributes:
        preserve_sparsity: Keep the zeros of a pruned source (from 1 % zeros on) at zero.
    """

    learning_rate: float = 2e-4
    epochs: int = 8
    preserve_sparsity: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class QatModel:
    """A fake-quantised model.

    Attributes:
        model: A new tf_keras model holding tfmot's quantisers; convert it with int8 weights and activations and a
            representative data set, which layers in `unquantised` need.
        sparsity: Zeros in its kernels.
        unquantised: Layers without fake quantisation; they are quantised after training, by calibration.
        history: One entry per finished epoch.
        best_epoch: Index of the epoch whose weights were kept; -1 when the calibrated start was best.
        best_value: Its validation metric, measured with quantisation simulated.
    """

    model: Any
    sparsity: Sparsity
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
        ConversionError: Zeros that had to be preserved were lost.
    """
    seed_everything(recipe.seed)
    source = standardised(flattened(model))
    quantised, unquantised = annotated(source.model, input_range=spec.input_range)
    if unquantised:
        reporter.warn(
            f"no fake quantisation for {', '.join(unquantised)}: edgecv has no integer form of these layers; "
            "they will be quantised by calibration, and may lose more accuracy"
        )
    samples = Samples(dataset.split("train"), spec)
    batches = ordered_batches(samples, batch_size=recipe.batch_size)
    set_ranges(quantised, source.model, (inputs for inputs, _ in islice(batches, RANGE_BATCHES)))
    masks = _masks(source, recipe)
    hooks = Hooks(
        stage="qat",
        facts={"masked": sorted(masks), "tied": source.tied},
        after_step=lambda: _project(quantised, masks, source.tied),
        start_counts=True,
    )
    done = run_stage(quantised, spec, dataset, recipe, hooks, state=state, reporter=reporter)
    return QatModel(
        model=quantised,
        sparsity=_checked(quantised, masks),
        unquantised=unquantised,
        history=done.history,
        best_epoch=done.best_epoch,
        best_value=done.best_value,
    )


def _masks(source: Rewritten, recipe: QatRecipe) -> Masks:
    """Return the kernels that keep their zeros: all of a pruned source, and the tables of sparse convolutions."""
    if not recipe.preserve_sparsity or _pruned_share(source) < PRUNED_FROM:
        return source.masks
    kernels = prunable_weights(source.model)
    return {name: (kernel.numpy() != 0).astype(np.float32) for name, kernel in kernels.items()}


def _pruned_share(source: Rewritten) -> float:
    """Return the share of zeros among the weights that exist: a table's absent connections do not count."""
    absent = {name: int(np.sum(mask == 0)) for name, mask in source.masks.items()}
    found = measure(source.model)
    size = found.size - sum(absent.values())
    return (found.zeros - sum(absent.values())) / size if size else 0.0


def _project(quantised: Any, masks: Masks, tied: tuple[str, ...]) -> None:
    """Undo what the optimizer did to weights that do not exist, are pruned, or share one value."""
    kernels = prunable_weights(quantised)
    for name, mask in masks.items():
        kernels[name].assign(kernels[name] * mask)
    for name in tied:
        kernel = depthwise_kernel(quantised.get_layer(QUANT_PREFIX + name))
        kernel.assign(retied(kernel))


def _checked(quantised: Any, masks: Masks) -> Sparsity:
    kernels = prunable_weights(quantised)
    broken = [name for name, mask in masks.items() if np.any(kernels[name].numpy()[mask == 0] != 0)]
    if broken:
        raise ConversionError(f"zeros were lost in quantisation-aware training: {', '.join(broken)}")
    return measure(quantised)
