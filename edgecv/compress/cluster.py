"""Weight clustering: each kernel has a few values, so that the file compresses well; no kernel runs faster by it."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecv.compress.cloning import clone, copy_layer
from edgecv.compress.layer_graph import flattened
from edgecv.compress.sparsity import KERNEL_LAYERS, prunable_weights
from edgecv.core.errors import ConversionError, UnsupportedModelError
from edgecv.core.progress import QUIET, Reporter
from edgecv.modelio.env import seed_everything, tfmot
from edgecv.train.loop import Hooks
from edgecv.train.recipe_files import default_recipe
from edgecv.train.recipes import TrainRecipe, check, fine_tuning
from edgecv.train.state import Epoch
from edgecv.train.training import run_stage
from edgecv.values.specs import ModelSpec

if TYPE_CHECKING:
    from edgecv.data import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRecipe(TrainRecipe):
    """A clustering run.

    Attributes:
        clusters: Values of each kernel, 2..256.
        keep_zeros: Weights that are zero stay zero: for a pruned model.
    """

    clusters: int
    keep_zeros: bool = False
    epochs: int = 8

    def __post_init__(self) -> None:
        TrainRecipe.__post_init__(self)
        check("clusters", self.clusters, 2 <= self.clusters <= 256, "2 to 256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustered:
    """A model whose kernels have few values.

    Attributes:
        model: New and plain, of the source's layers and names.
        values: Layer to the number of different values in its kernel.
        history: One entry per finished epoch.
        best_epoch: 0-based; -1 when no epoch was better than the start.
        best_value: Its validation metric.
    """

    model: Any
    values: Mapping[str, int]
    history: tuple[Epoch, ...]
    best_epoch: int
    best_value: float


def default_cluster_recipe(spec: ModelSpec, *, clusters: int, **given: Any) -> ClusterRecipe:
    """Return the recipe for a model: its training recipe at a tenth of the rate and a quarter of the epochs."""
    values = fine_tuning(default_recipe(spec), rate=0.1, epochs=0.25)
    return ClusterRecipe(
        **values | {name: value for name, value in given.items() if value is not None}, clusters=clusters
    )


def cluster(
    model: Any,
    spec: ModelSpec,
    dataset: Dataset,
    recipe: ClusterRecipe,
    *,
    state: Path | None = None,
    reporter: Reporter = QUIET,
) -> Clustered:
    """Return a copy of `model` with clustered kernels, fine-tuned with `model` as teacher.

    Convolutions and dense layers are clustered, each kernel with its own values; depthwise layers stay.

    Raises:
        UnsupportedModelError: The model is subclassed, or has nothing to cluster.
        ConversionError: A kernel has more values than asked for.
        ConfigError: As `edgecv.train.train`.
    """
    seed_everything(recipe.seed)
    model = flattened(model)
    names = {layer.name for layer in model.layers if type(layer).__name__ in KERNEL_LAYERS}
    if not names:
        raise UnsupportedModelError(f"model '{model.name}' has no convolution or dense layer to cluster")
    wrapped = _wrap(model, names, recipe)
    hooks = Hooks(stage="cluster", teacher=model, start_counts=True)
    done = run_stage(wrapped, spec, dataset, recipe, hooks, state=state, reporter=reporter)
    result = _stripped(model, wrapped)
    values = distinct_values(result)
    if max(values.values()) > recipe.clusters:
        raise ConversionError(f"a kernel has {max(values.values())} values, asked for {recipe.clusters}")
    return Clustered(
        model=result, values=values, history=done.history, best_epoch=done.best_epoch, best_value=done.best_value
    )


def _wrap(model: Any, names: set[str], recipe: ClusterRecipe) -> Any:
    clustering = tfmot().clustering.keras
    weigh = clustering.cluster_weights
    if recipe.keep_zeros:
        from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster as experimental

        weigh = experimental.cluster_weights

    def replace(layer: Any) -> Any:
        fresh = copy_layer(layer)
        if layer.name not in names:
            return fresh
        # Centroids are found when the wrapper is built, so the weights must be there by then.
        fresh.build(layer.input_shape)
        fresh.set_weights(layer.get_weights())
        # A wrapper is called like its layer, since outputs are bound by name.
        more = {"name": layer.name, **({"preserve_sparsity": True} if recipe.keep_zeros else {})}
        return weigh(
            fresh,
            number_of_clusters=recipe.clusters,
            cluster_centroids_init=clustering.CentroidInitialization.KMEANS_PLUS_PLUS,
            **more,
        )

    wrapped = clone(model, replace)
    plain = {layer.name: layer for layer in model.layers}
    for layer in wrapped.layers:
        if layer.name in plain and layer.name not in names:
            layer.set_weights(plain[layer.name].get_weights())
    return wrapped


def _stripped(model: Any, wrapped: Any) -> Any:
    plain = clone(model)
    for layer in wrapped.layers:
        inner = getattr(layer, "layer", layer)
        if inner is not layer:
            layer.update_clustered_weights_associations()
            kernel = np.asarray(inner.kernel)
            bias = [np.asarray(inner.bias)] if inner.use_bias else []
            plain.get_layer(inner.name).set_weights([kernel, *bias])
        else:
            plain.get_layer(layer.name).set_weights(layer.get_weights())
    return plain


def distinct_values(model: Any) -> dict[str, int]:
    """Return the number of different values in the kernel of each convolution and dense layer."""
    return {name: len(np.unique(weight.numpy())) for name, weight in prunable_weights(model).items()}


def gzip_bytes(data: bytes) -> int:
    """Return the size of a file after gzip, what a download or an app store would carry."""
    return len(gzip.compress(data, compresslevel=9, mtime=0))
