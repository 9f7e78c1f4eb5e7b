"""Magnitude pruning with fine-tuning: small weights are set to zero step by step while the rest learns on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecv.compress.cloning import clone, copy_layer
from edgecv.compress.layer_graph import flattened
from edgecv.compress.sparsity import KERNEL_LAYERS, Sparsity, is_custom_prunable, measure, unwrapped
from edgecv.core.errors import ConversionError, UnsupportedModelError
from edgecv.core.progress import QUIET, Reporter
from edgecv.modelio.env import seed_everything, tfmot
from edgecv.modelio.layer_names import source_layer_name
from edgecv.train.batches import batches_per_epoch
from edgecv.train.loop import Hooks
from edgecv.train.recipe_files import default_recipe
from edgecv.train.recipes import TrainRecipe, check, fine_tuning
from edgecv.train.state import Epoch
from edgecv.train.training import run_stage
from edgecv.values.specs import ModelSpec

if TYPE_CHECKING:
    from edgecv.data import Dataset

UPDATES_PER_EPOCH = 4
"""How often the masks are recomputed: sorting all weights in every step would dominate the time of larger models."""

BLOCK_LAYERS = frozenset({"Conv2D", "Dense"})
"""Layers that can be pruned in blocks along the input channels."""

TIES = 1e-6
"""Share of a kernel's weights that may equal the threshold: float32 has 2^23 values between two powers of 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRecipe(TrainRecipe):
    """A pruning run: the fine-tuning of TrainRecipe, and what becomes zero when.

    Attributes:
        sparsity: Share of zeros asked of each prunable kernel, 0 < x < 1.
        ramp: Share of the epochs, 0 < x <= 1, in which sparsity rises from 0 by
            `sparsity * (1 - (1 - progress)^3)`; the rest recovers accuracy at full sparsity.
            Source: Zhu and Gupta 2017, "To prune, or not to prune", eq. 1.
        exclude: Names of layers that keep all weights.
        pattern: (zeros, of so many): (2, 4) makes two of each four consecutive input channels zero, at once and not by
            a ramp; `sparsity` is their quotient. Only convolutions and dense layers whose input channels fill whole
            blocks take part. Source: Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks", section 3.
    """

    sparsity: float
    epochs: int = 12
    ramp: float = 0.5
    exclude: tuple[str, ...] = ()
    pattern: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        TrainRecipe.__post_init__(self)
        check("sparsity", self.sparsity, 0 < self.sparsity < 1, "> 0 and < 1")
        check("ramp", self.ramp, 0 < self.ramp <= 1, "> 0 and <= 1")
        if self.pattern is not None:
            zeros, block = self.pattern
            check("pattern", f"{zeros}:{block}", 0 < zeros < block, "like 2:4")
            check("sparsity", self.sparsity, self.sparsity == zeros / block, f"{zeros / block}, as the pattern says")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """A pruned model.

    Attributes:
        model: A new plain model, of the source's layers and names, without wrappers.
        sparsity: Zeros in its prunable kernels, counted in the result.
        untouched: Layers with weights that were left alone.
        history: One entry per finished epoch; those before full sparsity are not eligible as the best.
        best_epoch: Index of the epoch whose weights were kept.
        best_value: Its validation metric.
    """

    model: Any
    sparsity: Sparsity
    untouched: tuple[str, ...]
    history: tuple[Epoch, ...]
    best_epoch: int
    best_value: float


def default_prune_recipe(spec: ModelSpec, *, sparsity: float) -> PruneRecipe:
    """Return the fine-tuning recipe for a model: its training recipe at half the rate and half the epochs."""
    return PruneRecipe(**fine_tuning(default_recipe(spec), rate=0.5, epochs=0.5), sparsity=sparsity)


def prune(
    model: Any,
    spec: ModelSpec,
    dataset: Dataset,
    recipe: PruneRecipe,
    *,
    state: Path | None = None,
    reporter: Reporter = QUIET,
) -> Pruned:
    """Return a pruned copy of `model`, fine-tuned on the train split; `model` itself is not changed.

    Seeds, the best epoch and resuming work as in `edgecv.train.train`.

    Raises:
        ConfigError: `recipe.exclude` names an unknown layer, or as `train` does.
        UnsupportedModelError: The model is subclassed, or has nothing to prune.
        ConversionError: The result has fewer zeros than asked for.
    """
    seed_everything(recipe.seed)
    model = flattened(model)
    names = _prunable(model, recipe)
    untouched = _left_alone(model, names)
    if untouched:
        reporter.warn(f"not pruned: {', '.join(untouched)}")
    steps = batches_per_epoch(len(dataset.split("train")), recipe.batch_size)
    schedule = _Schedule.of(recipe, steps)
    wrapped = _wrap(model, names, schedule, recipe)
    hooks = Hooks(
        stage="prune",
        after_step=lambda: _apply_masks(wrapped),
        eligible=lambda epoch: (epoch + 1) * steps >= schedule.end,
    )
    done = run_stage(wrapped, spec, dataset, recipe, hooks, state=state, reporter=reporter)
    result = _stripped(model, wrapped)
    sparsity = check_reached(measure(result), names, recipe.sparsity)
    return Pruned(
        model=result,
        sparsity=sparsity,
        untouched=untouched,
        history=done.history,
        best_epoch=done.best_epoch,
        best_value=done.best_value,
    )


def zeroed(model: Any, recipe: PruneRecipe) -> Any:
    """Return `model` with as many zeros, in the same pattern, as `prune` ends with, without any training.

    Its sparse kernels take about the time of those that `prune` makes, whose zeros lie elsewhere.

    Raises:
        ConfigError, UnsupportedModelError: As `prune`.
    """
    model = flattened(model)
    end = 1
    wrapped = _wrap(model, _prunable(model, recipe), _Schedule(every=1, end=end), recipe)
    for layer in wrapped.layers:
        if hasattr(layer, "pruning_obj"):
            layer.pruning_step.assign(end)
            layer.pruning_obj.conditional_mask_update()
    _apply_masks(wrapped)
    return _stripped(model, wrapped)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schedule:
    """Steps between mask updates, and the step of the last one: tfmot updates at multiples of `every` only."""

    every: int
    end: int

    @classmethod
    def of(cls, recipe: PruneRecipe, steps_per_epoch: int) -> _Schedule:
        every = max(1, steps_per_epoch // UPDATES_PER_EPOCH)
        updates = max(1, int(recipe.ramp * recipe.epochs * steps_per_epoch) // every)
        return cls(every=every, end=updates * every)


def _prunable(model: Any, recipe: PruneRecipe) -> frozenset[str]:
    if not model.trainable_weights:
        raise UnsupportedModelError(
            f"model '{model.name}' has no layer to prune: its weights are fixed",
            hint="a filter is as small as it gets; quantise it",
        )
    known = {layer.name for layer in model.layers}
    unknown = sorted(set(recipe.exclude) - known)
    check("exclude", ", ".join(unknown), not unknown, f"layers of the model ({', '.join(sorted(known))})")
    kernels = (layer for layer in model.layers if type(layer).__name__ in KERNEL_LAYERS or is_custom_prunable(layer))
    names = frozenset(layer.name for layer in kernels if _fits(layer, recipe.pattern)) - set(recipe.exclude)
    if not names:
        raise UnsupportedModelError(
            f"model '{model.name}' has no layer to prune",
            hint=f"layers of class {', '.join(sorted(KERNEL_LAYERS))} can be pruned",
        )
    return names


def _fits(layer: Any, pattern: tuple[int, int] | None) -> bool:
    """Say whether a layer's kernel falls into whole blocks of the pattern along its input channels."""
    if pattern is None:
        return True
    return type(layer).__name__ in BLOCK_LAYERS and int(layer.kernel.shape[-2]) % pattern[1] == 0


def _left_alone(model: Any, names: frozenset[str]) -> tuple[str, ...]:
    return tuple(layer.name for layer in model.layers if layer.trainable_weights and layer.name not in names)


def _wrap(model: Any, names: frozenset[str], schedule: _Schedule, recipe: PruneRecipe) -> Any:
    keras_sparsity = tfmot().sparsity.keras
    decay = keras_sparsity.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=recipe.sparsity,
        begin_step=0,
        end_step=schedule.end,
        power=3,
        frequency=schedule.every,
    )

    def replace(layer: Any) -> Any:
        fresh = copy_layer(layer)
        if layer.name not in names:
            return fresh
        return keras_sparsity.prune_low_magnitude(fresh, pruning_schedule=decay, sparsity_m_by_n=recipe.pattern)

    wrapped = clone(model, replace)
    for layer in wrapped.layers:
        layer.set_weights(model.get_layer(source_layer_name(layer.name)).get_weights())
        if hasattr(layer, "pruning_step"):
            # tfmot counts from 1 within the forward pass and refuses to run before its callback set the counter.
            layer.pruning_step.assign(0)
    return wrapped


def _apply_masks(wrapped: Any) -> None:
    for layer in wrapped.layers:
        if hasattr(layer, "pruning_obj"):
            layer.pruning_obj.weight_mask_op()


def _stripped(model: Any, wrapped: Any) -> Any:
    plain = clone(model)
    for layer in wrapped.layers:
        plain.get_layer(source_layer_name(layer.name)).set_weights(unwrapped(layer).get_weights())
    return plain


def check_reached(sparsity: Sparsity, names: frozenset[str], asked: float) -> Sparsity:
    """Return `sparsity`, or raise ConversionError: a kernel of n weights may miss the share by one weight.

    A large one may miss it by a few: all weights as large as the threshold stay, and among millions some are equal.
    """
    for name in sorted(names):
        share, size = sparsity.by_layer[name], sparsity.size_by_layer[name]
        if share < asked - 1.0 / size - TIES:
            raise ConversionError(
                f"layer '{name}' has {share:.4f} zeros after pruning, asked for {asked:.4f}",
                hint="more epochs, or a smaller ramp",
            )
    return sparsity
