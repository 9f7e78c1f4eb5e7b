"""Low-rank factors of large dense layers: one matrix becomes the product of two thin ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecv.compress.layer_graph import Array, Call, LayerGraph, build, flattened, read
from edgecv.core.errors import UnsupportedModelError
from edgecv.core.progress import QUIET, Reporter
from edgecv.modelio.env import keras, seed_everything
from edgecv.modelio.layer_names import PART
from edgecv.train.loop import Hooks
from edgecv.train.recipe_files import default_recipe
from edgecv.train.recipes import TrainRecipe, check, fine_tuning
from edgecv.train.state import Epoch
from edgecv.train.training import run_stage
from edgecv.values.specs import ModelSpec

if TYPE_CHECKING:
    from edgecv.data import Dataset

SMALLEST = 4096
"""Weights of a dense layer below which two layers in place of one are not worth the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRankRecipe(TrainRecipe):
    """A factorisation and the fine-tuning after it. One of `energy` and `share` is given.

    Attributes:
        energy: Share of each matrix' squared singular values that stays, 0 < x <= 1.
        share: Share of the model's parameters that may be left, 0 < x < 1; all layers then keep the same energy.
        smallest: Dense layers with fewer weights stay as they are.
    """

    energy: float | None = None
    share: float | None = None
    smallest: int = SMALLEST
    epochs: int = 8

    def __post_init__(self) -> None:
        TrainRecipe.__post_init__(self)
        given = (self.energy is None) + (self.share is None)
        check("energy and share", f"{self.energy} and {self.share}", given == 1, "one of the two")
        check("energy", self.energy, self.energy is None or 0 < self.energy <= 1, "> 0 and <= 1")
        check("share", self.share, self.share is None or 0 < self.share < 1, "> 0 and < 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Factored:
    """A model with factored layers, fine-tuned.

    Attributes:
        model: New; a factored layer keeps its name, and "<layer>..low" stands before it.
        ranks: Layer to its rank; layers that are not here have not changed.
        history: One entry per finished epoch.
        best_epoch: 0-based.
        best_value: Its validation metric.
    """

    model: Any
    ranks: Mapping[str, int]
    history: tuple[Epoch, ...]
    best_epoch: int
    best_value: float


def default_low_rank_recipe(spec: ModelSpec, **given: Any) -> LowRankRecipe:
    """Return the recipe for a model: its training recipe at a fifth of the rate and a quarter of the epochs."""
    values = fine_tuning(default_recipe(spec), rate=0.2, epochs=0.25)
    return LowRankRecipe(**values | {name: value for name, value in given.items() if value is not None})


def factorise(
    model: Any,
    spec: ModelSpec,
    dataset: Dataset,
    recipe: LowRankRecipe,
    *,
    state: Path | None = None,
    reporter: Reporter = QUIET,
) -> Factored:
    """Return a copy of `model` with factored dense layers, fine-tuned with `model` as teacher.

    Raises:
        UnsupportedModelError: No dense layer gets smaller at this energy, or the share cannot be reached.
        ConfigError: As `edgecv.train.train`.
    """
    seed_everything(recipe.seed)
    model = flattened(model)
    graph = read(model)
    ranks = ranks_for(graph, recipe)
    small = build(factored(graph, ranks))
    for name, rank in ranks.items():
        reporter.info(f"layer '{name}': rank {rank}")
    hooks = Hooks(stage="low rank", teacher=model, start_counts=True)
    done = run_stage(small, spec, dataset, recipe, hooks, state=state, reporter=reporter)
    return Factored(
        model=small, ranks=ranks, history=done.history, best_epoch=done.best_epoch, best_value=done.best_value
    )


def ranks_for(graph: LayerGraph, recipe: LowRankRecipe) -> dict[str, int]:
    """Return the rank of each dense layer that gets smaller.

    Raises:
        UnsupportedModelError: None does, or a share of the parameters cannot be reached.
    """
    spectra = {
        call.name: (call.weights[0].shape, np.linalg.svd(call.weights[0].astype(np.float64), compute_uv=False))
        for call in graph.calls
        if call.kind == "Dense" and call.weights[0].size >= recipe.smallest and call.name not in graph.shared
    }
    if recipe.share is None:
        found = _ranks(spectra, float(recipe.energy or 1.0))
    else:
        found = _ranks_within(spectra, graph, recipe.share)
    if not found:
        raise UnsupportedModelError(
            "no dense layer gets smaller by factors of this energy", hint="ask for less energy, or use edgecv slim"
        )
    return found


def _ranks(spectra: Mapping[str, tuple[tuple[int, ...], Array]], energy: float) -> dict[str, int]:
    found = {}
    for name, ((rows, columns), values) in spectra.items():
        sums = np.cumsum(values**2)
        rank = int(np.searchsorted(sums, energy * sums[-1] * (1 - 1e-12)) + 1)
        if rank * (rows + columns) < rows * columns:
            found[name] = rank
    return found


def _ranks_within(
    spectra: Mapping[str, tuple[tuple[int, ...], Array]], graph: LayerGraph, share: float
) -> dict[str, int]:
    """Return the ranks of the most energy, the same for all layers, that a share of the parameters allows."""
    total = sum(weight.size for call in graph.calls for weight in call.weights)
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        ranks = _ranks(spectra, middle)
        saved = sum(rows * columns - ranks[name] * (rows + columns)
                    for name, ((rows, columns), _) in spectra.items() if name in ranks)  # fmt: skip
        low, high = (middle, high) if total - saved <= share * total else (low, middle)
    if low == 0.0:
        raise UnsupportedModelError(
            f"factors of the dense layers alone cannot bring the model down to {share:.0%} of its parameters",
            hint="ask for a larger share, or use edgecv slim as well",
        )
    return _ranks(spectra, low)


def factored(graph: LayerGraph, ranks: Mapping[str, int]) -> LayerGraph:
    """Return a graph in which dense layers are products of two, by truncated singular values.

    Source: Denton et al. 2014, "Exploiting Linear Structure Within Convolutional Networks for Efficient Evaluation",
    section 3.2; each factor takes the square root of the singular values, so that both have weights of the same size.
    """
    calls: list[Call] = []
    key = min([0, *(call.output for call in graph.calls)])
    for call in graph.calls:
        if call.name not in ranks:
            calls.append(call)
            continue
        rank, key = ranks[call.name], key - 1
        calls.extend(_pair(call, rank, key))
    return LayerGraph(name=graph.name, inputs=graph.inputs, calls=calls, outputs=graph.outputs, shared=graph.shared)


def _pair(call: Call, rank: int, key: int) -> list[Call]:
    kernel, *bias = call.weights
    left, values, right = np.linalg.svd(kernel.astype(np.float64), full_matrices=False)
    roots = np.sqrt(values[:rank])
    first, second = (left[:, :rank] * roots).astype(np.float32), (roots[:, None] * right[:rank]).astype(np.float32)
    name = f"{call.name}{PART}low"
    low = keras().layers.Dense(rank, use_bias=False, name=name)
    back = type(call.layer).from_config(call.layer.get_config())
    shape = (*call.shape[:-1], rank)
    return [
        Call(name=name, kind="Dense", layer=low, inputs=list(call.inputs), output=key, shape=shape, weights=[first]),
        Call(
            name=call.name, kind="Dense", layer=back, inputs=[key], output=call.output, shape=call.shape,
            weights=[second, *bias],
        ),
    ]  # fmt: skip
