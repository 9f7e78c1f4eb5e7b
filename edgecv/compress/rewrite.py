"""Layers that tfmot does not know, as equal standard ones, with what must stay true of their weights while training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping

import numpy as np
import numpy.typing as npt

from edgecv.compress.canonical import canonical
from edgecv.compress.cloning import clone, copy_layer
from edgecv.compress.sparsity import unwrapped
from edgecv.modelio.env import keras, tensorflow

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """A model of standard layers.

    Attributes:
        model: Same layer names and same outputs as the source.
        masks: Layer name to a 0/1 array of its kernel's shape: weights that do not exist in the source.
        tied: Layers whose depthwise kernel holds one value per channel.
    """

    model: Any
    masks: Mapping[str, Floats]
    tied: tuple[str, ...]


def standardised(model: Any) -> Rewritten:
    """Return `model` in canonical form, with edgecv's own layers as plain convolutions."""
    from edgecv.modelio.layers import SparseConv2D, Subsampling2D, connection_mask

    sparse = [layer for layer in model.layers if isinstance(layer, SparseConv2D)]
    pools = [layer for layer in model.layers if isinstance(layer, Subsampling2D)]
    makers: dict[str, Callable[[Any], Any]] = {layer.name: _conv for layer in sparse}
    makers |= {layer.name: _depthwise for layer in pools}
    twin = clone(model, lambda layer: makers.get(layer.name, copy_layer)(layer))
    values = {layer.name: [layer.dense_kernel().numpy(), layer.bias.numpy()] for layer in sparse}
    values |= {layer.name: [_pool_kernel(layer), layer.bias.numpy()] for layer in pools}
    for layer in model.layers:
        twin.get_layer(layer.name).set_weights(values.get(layer.name) or layer.get_weights())
    twin = canonical(twin)
    masks = {
        layer.name: connection_mask(layer.table, layer.kernel_size, int(layer.input_shape[-1])).astype(np.float32)
        for layer in sparse
    }
    return Rewritten(model=twin, masks=masks, tied=tuple(layer.name for layer in pools))


def retied(kernel: Any) -> Any:
    """Return a depthwise kernel (k, k, channels, 1) with each channel's values replaced by their mean."""
    tf = tensorflow()
    return tf.broadcast_to(tf.reduce_mean(kernel, axis=(0, 1), keepdims=True), kernel.shape)


def depthwise_kernel(layer: Any) -> Any:
    """Return the kernel variable of a depthwise convolution, wrapped or not."""
    found = [weight for weight in layer.weights if weight.name.split("/")[-1] == "depthwise_kernel:0"]
    return found[0] if found else unwrapped(layer).depthwise_kernel


def _conv(layer: Any) -> Any:
    return keras().layers.Conv2D(
        len(layer.table), layer.kernel_size, padding=layer.padding, activation=layer.activation, name=layer.name
    )


def _depthwise(layer: Any) -> Any:
    size = layer.pool_size
    return keras().layers.DepthwiseConv2D(size, strides=size, activation=layer.activation, name=layer.name)


def _pool_kernel(layer: Any) -> Floats:
    size, coefficient = layer.pool_size, layer.coefficient.numpy()
    kernel: Floats = np.broadcast_to(coefficient / size**2, (size, size, len(coefficient)))[..., None]
    return kernel
