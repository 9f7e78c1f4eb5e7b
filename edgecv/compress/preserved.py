"""What quantisation-aware training keeps of its source: zeros, clusters, weights that share one value.

Each is a linear subspace of the weights. After every step of the optimizer the weights are put back into it by the
nearest point: masked weights to zero, and the weights of a cluster to their mean, which moves a cluster's value by the
mean gradient of its members. Folding batch normalisation scales output channels, so that a kernel of N values becomes
N values times one scale for each channel: the scales are found from the source and stay, and the N values train.

Source: tensorflow_model_optimization's sparsity- and cluster-preserving quantisation, which mask and average gradients
in the same way; its own classes work on its own quantisers and unfolded layers only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecv.compress.rewrite import Rewritten, depthwise_kernel, retied
from edgecv.compress.sparsity import KERNEL_LAYERS, measure, prunable_weights
from edgecv.core.errors import ConfigError, ConversionError
from edgecv.modelio.env import tensorflow
from edgecv.modelio.layer_names import QUANT_PREFIX

Floats = npt.NDArray[np.float32]

PRUNED_FROM = 0.01
"""Share of exact zeros from which a model counts as pruned: training alone leaves hardly any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """The clusters of one kernel.

    Attributes:
        index: Number of each weight's cluster, int32 of the kernel's shape.
        scales: What folding multiplied each output channel by, float32, of a shape that broadcasts to the kernel's.
        count: Clusters of the kernel.
    """

    index: npt.NDArray[np.int32]
    scales: Floats
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What stays true of a model's weights while it trains.

    Attributes:
        masks: Layer to a 0/1 array of its kernel's shape: where 0, the weight is 0.
        tied: Layers whose depthwise kernel holds one value per channel.
        clusters: Layer to the clusters of its kernel.
    """

    masks: Mapping[str, Floats]
    tied: tuple[str, ...]
    clusters: Mapping[str, Clusters]

    @property
    def facts(self) -> dict[str, Any]:
        """JSON-able: what defines a run beyond its recipe and weights."""
        facts: dict[str, Any] = {"masked": sorted(self.masks), "tied": self.tied}
        return facts | ({"clustered": sorted(self.clusters)} if self.clusters else {})


def kept(model: Any, source: Rewritten, *, zeros: bool, clusters: int | None) -> Kept:
    """Return what training on from a model keeps.

    Args:
        model: The flat float model.
        source: The same in canonical form.
        zeros: Keep the zeros of a pruned model (from 1 % zeros on); those of absent connections stay in any case.
        clusters: Values that each kernel has at most and keeps; None: not clustered.

    Raises:
        ConfigError: No kernel of the model has so few values.
    """
    return Kept(
        masks=_masks(source, zeros=zeros),
        tied=source.tied,
        clusters={} if clusters is None else _clusters(model, source.model, clusters),
    )


def project(quantised: Any, keep: Kept) -> None:
    """Undo what the optimizer did to weights that do not exist, are pruned, or share one value. Can be traced."""
    kernels = prunable_weights(quantised)
    for name, clusters in keep.clusters.items():
        kernels[name].assign(nearest(kernels[name], clusters))
    for name, mask in keep.masks.items():
        kernels[name].assign(kernels[name] * mask)
    for name in keep.tied:
        kernel = depthwise_kernel(quantised.get_layer(QUANT_PREFIX + name))
        kernel.assign(retied(kernel))


def nearest(kernel: Any, clusters: Clusters) -> Any:
    """Return the kernel nearest to a given one, by squares, whose weights are a cluster's value times their scale."""
    tf = tensorflow()
    index, scales = clusters.index.reshape(-1), np.broadcast_to(clusters.scales, clusters.index.shape).reshape(-1)
    weight = np.bincount(index, weights=np.square(scales, dtype=np.float64), minlength=clusters.count)
    products = tf.reshape(kernel, [-1]) * scales
    sums = tf.math.unsorted_segment_sum(products, index, clusters.count)
    values = sums / np.where(weight > 0, weight, 1.0).astype(np.float32)
    return tf.reshape(tf.gather(values, index) * scales, kernel.shape)


def check_kept(quantised: Any, keep: Kept) -> None:
    """Raise ConversionError when a trained model lost a zero, or a channel has more values than clusters."""
    kernels = {name: weight.numpy() for name, weight in prunable_weights(quantised).items()}
    lost = [name for name, mask in keep.masks.items() if np.any(kernels[name][mask == 0] != 0)]
    if lost:
        raise ConversionError(f"zeros were lost in quantisation-aware training: {', '.join(lost)}")
    spread = [name for name, one in keep.clusters.items() if _most_values(kernels[name], one) > one.count]
    if spread:
        raise ConversionError(f"clusters were lost in quantisation-aware training: {', '.join(spread)}")


def _most_values(kernel: Floats, clusters: Clusters) -> int:
    """Return the most different values that an output channel of a kernel has."""
    axis = int(np.argmax(clusters.scales.shape))
    return max(len(np.unique(channel)) for channel in np.moveaxis(kernel, axis, 0))


def _masks(source: Rewritten, *, zeros: bool) -> Mapping[str, Floats]:
    """Return the kernels that keep their zeros: all of a pruned source, and the tables of sparse convolutions."""
    if not zeros or _pruned_share(source) < PRUNED_FROM:
        return source.masks
    kernels = prunable_weights(source.model)
    return {name: (kernel.numpy() != 0).astype(np.float32) for name, kernel in kernels.items()}


def _pruned_share(source: Rewritten) -> float:
    """Return the share of zeros among the weights that exist: a table's absent connections do not count."""
    absent = {name: int(np.sum(mask == 0)) for name, mask in source.masks.items()}
    found = measure(source.model)
    size = found.size - sum(absent.values())
    return (found.zeros - sum(absent.values())) / size if size else 0.0


def _clusters(model: Any, canonical: Any, most: int) -> dict[str, Clusters]:
    before, after = prunable_weights(model), prunable_weights(canonical)
    kinds = {layer.name: type(layer).__name__ for layer in model.layers}
    found: dict[str, Clusters] = {}
    for name, weight in before.items():
        values, index = np.unique(weight.numpy(), return_inverse=True)
        if kinds[name] not in KERNEL_LAYERS or len(values) > most:
            continue
        shape = tuple(weight.shape)
        scales = _scales(kinds[name], weight.numpy(), after[name].numpy(), name)
        found[name] = Clusters(index=index.reshape(shape).astype(np.int32), scales=scales, count=len(values))
    if not found:
        raise ConfigError(f"no kernel of '{model.name}' has {most} values or fewer", hint="cluster the model first")
    return found


def _scales(kind: str, before: Floats, after: Floats, name: str) -> Floats:
    """Return the factor of each output channel between a kernel before and after folding, ready to broadcast."""
    channel = before.ndim - 2 if kind == "Conv2DTranspose" else before.ndim - 1
    others = tuple(axis for axis in range(before.ndim) if axis != channel)
    norm = np.sum(np.square(before, dtype=np.float64), axis=others, keepdims=True)
    ratio = np.sum(before.astype(np.float64) * after, axis=others, keepdims=True)
    scales = np.where(norm > 0, ratio / np.where(norm > 0, norm, 1.0), 1.0).astype(np.float32)
    if not np.allclose(before * scales, after, rtol=1e-4, atol=1e-7):
        raise ConversionError(f"the clusters of layer '{name}' were lost before training: its kernel was rewritten")
    return scales
