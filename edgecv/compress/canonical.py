"""A trained float model in the form that integer kernels compute: what training with quantisation starts from.

Batch normalisation and every other per-channel scale and offset is folded into the convolution before it, or becomes a
1x1 depthwise convolution, which is one integer operator; a separable convolution becomes its two parts; activations
that are no part of an integer kernel become layers of their own. The answers stay the same.

Training goes on with the folded weights: the statistics of batch normalisation are frozen at their trained values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgecv.compress.layer_graph import Call, LayerGraph, Slot, build, read
from edgecv.modelio.env import keras
from edgecv.modelio.layer_names import PART, source_layer_name

Array = np.ndarray[Any, Any]
KERNEL_KINDS = frozenset({"Conv1D", "Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "Dense"})
FUSED = frozenset({"linear", "relu"})
"""Activations that stay inside a layer with a kernel."""

IDENTITIES = frozenset({"GaussianNoise", "GaussianDropout", "ActivityRegularization"})


def canonical(model: Any) -> Any:
    """Return a float model of the same answers in canonical form; the names of layers that stay are kept.

    A part that a layer is split into is called "<layer>..<part>". Several outputs keep their names, by which heads find
    them: where the layer that gave one is folded into another, an identity has its name.

    Raises:
        UnsupportedModelError: The model is subclassed, or a layer gives several tensors.
    """
    graph = read(model)
    outputs = _output_layers(graph)
    for call in list(graph.calls):
        if call.name in graph.shared:
            continue
        expand = _EXPANSIONS.get(call.kind)
        if expand is not None:
            expand(graph, call)
    for call in list(graph.calls):
        if call.kind in KERNEL_KINDS and call.name not in graph.shared:
            _split_activation(graph, call)
    _find_hard_swish(graph)
    _fold(graph)
    _lower_affines(graph)
    if len(outputs) > 1:
        _keep_names(graph, outputs)
    return build(graph)


def _output_layers(graph: LayerGraph) -> list[str]:
    """Return the source layer that gives each output; "" where it is an input."""
    maker = graph.maker()
    return [(source_layer_name(maker[key].name) or "") if key in maker else "" for key in graph.outputs]


def _keep_names(graph: LayerGraph, names: list[str]) -> None:
    maker = graph.maker()
    for place, (name, now) in enumerate(zip(names, _output_layers(graph), strict=True)):
        if name != now and now and name not in {call.name for call in graph.calls}:
            given = graph.outputs[place]
            layer = keras().layers.Activation("linear", name=name)
            graph.outputs[place] = graph.key()
            graph.calls.append(_layer(layer, [given], graph.outputs[place], maker[given].shape))


# Expansions: one keras layer to simpler calls.


def _batch_norm(graph: LayerGraph, call: Call) -> None:
    axis = call.layer.get_config()["axis"]
    if (axis[0] if isinstance(axis, (list, tuple)) else axis) not in (-1, len(call.shape)):
        return
    config, values = call.layer.get_config(), list(call.weights)
    gamma = values.pop(0) if config["scale"] else None
    beta = values.pop(0) if config["center"] else None
    mean, variance = values
    scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + config["epsilon"])
    _to_affine(call, scale, (0.0 if beta is None else beta) - mean * scale)


def _to_affine(call: Call, scale: Any, offset: Any) -> None:
    call.kind, call.layer, call.arguments = "Affine", None, None
    call.weights = [np.asarray(scale, np.float32), np.asarray(offset, np.float32)]


def _rescaling(graph: LayerGraph, call: Call) -> None:
    config = call.layer.get_config()
    _to_affine(call, config["scale"], config["offset"])


def _normalization(graph: LayerGraph, call: Call) -> None:
    layer = call.layer
    config = layer.get_config()
    if config.get("invert") or tuple(config.get("axis") or ()) not in ((), (-1,), (len(call.shape),)):
        return
    # Given statistics are in the configuration, adapted ones are weights.
    given = config.get("mean") is not None
    mean, variance = (config["mean"], config["variance"]) if given else call.weights[:2]
    deviation = np.maximum(np.sqrt(np.asarray(variance, np.float32).reshape(-1)), keras().backend.epsilon())
    _to_affine(call, 1.0 / deviation, -np.asarray(mean, np.float32).reshape(-1) / deviation)


def _channel_scale(graph: LayerGraph, call: Call) -> None:
    _to_affine(call, call.weights[0], 0.0)


def _operator(graph: LayerGraph, call: Call) -> None:
    """Arithmetic on keras tensors, written in Python: with one constant, or of two tensors."""
    name = str(getattr(call.layer, "symbol", "") or call.layer.get_config().get("function", ""))
    kind = name.split(".")[-1]
    if len(call.inputs) == 2 and kind in _MERGES and _in_order(call):
        call.layer = getattr(keras().layers, _MERGES[kind])(name=call.name)
        call.kind, call.arguments = _MERGES[kind], None
        return
    args, kwargs = call.arguments or ((), {})
    operands = [*args, *(kwargs[key] for key in ("x", "y") if key in kwargs)]
    numbers = [np.asarray(v, np.float32) for v in operands if isinstance(v, (int, float, np.ndarray))]
    if len(call.inputs) != 1 or len(operands) != 2 or len(numbers) != 1:
        return
    value, tensor_first = numbers[0].reshape(-1), isinstance(operands[0], Slot)
    # Python's reflected operators: `1 - x` arrives as rsub(x, 1), with the tensor first.
    reflected = kind.strip("_") in ("rsub", "rtruediv")
    form = _affine_form(kind.strip("_"), value, tensor_first=tensor_first and not reflected)
    if form is not None:
        _to_affine(call, *form)


def _affine_form(kind: str, value: Array, *, tensor_first: bool) -> tuple[Any, Any] | None:
    """Return scale and offset of `x kind value`, or of `value kind x`; None when it is no affine function of x."""
    if kind in ("add", "radd"):
        return 1.0, value
    if kind in ("multiply", "mul", "rmul"):
        return value, 0.0
    if kind in ("subtract", "sub", "rsub"):
        return (1.0, -value) if tensor_first else (-1.0, value)
    return (1.0 / value, 0.0) if kind == "truediv" and tensor_first else None


def _in_order(call: Call) -> bool:
    """Say whether a call of two tensors takes them as they come."""
    args, kwargs = call.arguments or ((), {})
    slots = [*args, *(kwargs[key] for key in ("x", "y") if key in kwargs)]
    return slots[:2] == [Slot(0), Slot(1)]


_MERGES = {"add": "Add", "multiply": "Multiply", "mul": "Multiply", "subtract": "Subtract", "sub": "Subtract"}


def _hard_sigmoid(graph: LayerGraph, call: Call) -> None:
    graph.replace(call, _hard_sigmoid_calls(graph, call))


def _hard_sigmoid_calls(graph: LayerGraph, call: Call) -> list[Call]:
    shifted, clipped = graph.key(), graph.key()
    return [
        _affine(f"{call.name}{PART}shift", call.inputs[0], shifted, call.shape, 1.0, 3.0),
        _layer(keras().layers.ReLU(6.0, name=f"{call.name}{PART}relu6"), [shifted], clipped, call.shape),
        _affine(call.name, clipped, call.output, call.shape, 1.0 / 6.0, 0.0),
    ]


def _separable(graph: LayerGraph, call: Call) -> None:
    config, middle = call.layer.get_config(), graph.key()
    names = ("strides", "padding", "depth_multiplier", "dilation_rate")
    depthwise = keras().layers.DepthwiseConv2D(
        config["kernel_size"], use_bias=False, name=f"{call.name}{PART}depthwise", **{n: config[n] for n in names}
    )
    pointwise = keras().layers.Conv2D(
        config["filters"], 1, activation=config["activation"], use_bias=config["use_bias"], name=call.name
    )
    first, *rest = call.weights
    graph.replace(
        call,
        [
            _layer(depthwise, call.inputs, middle, call.shape, [first]),
            _layer(pointwise, [middle], call.output, call.shape, rest),
        ],
    )


def _activation(graph: LayerGraph, call: Call) -> None:
    name = str(call.layer.get_config()["activation"])
    if name in ("swish", "silu"):
        graph.replace(call, _swish_calls(graph, call.name, call.inputs[0], call.output, call.shape))
    elif name == "linear":
        graph.bypass(call)


def _swish_calls(graph: LayerGraph, name: str, source: int, output: int, shape: tuple[int, ...]) -> list[Call]:
    layers, gate = keras().layers, graph.key()
    return [
        _layer(layers.Activation("sigmoid", name=f"{name}{PART}sigmoid"), [source], gate, shape),
        _layer(layers.Multiply(name=name), [source, gate], output, shape),
    ]


def _identity(graph: LayerGraph, call: Call) -> None:
    graph.bypass(call)


_EXPANSIONS: dict[str, Callable[[LayerGraph, Call], None]] = {
    "BatchNormalization": _batch_norm,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "ChannelScale": _channel_scale,
    "TFOpLambda": _operator,
    "HardSigmoid": _hard_sigmoid,
    "SeparableConv2D": _separable,
    "Activation": _activation,
    **dict.fromkeys(IDENTITIES, _identity),
}


def _layer(
    layer: Any, inputs: list[int], output: int, shape: tuple[int, ...], weights: list[Array] | None = None
) -> Call:
    return Call(
        name=layer.name,
        kind=type(layer).__name__,
        layer=layer,
        inputs=list(inputs),
        output=output,
        shape=shape,
        weights=list(weights or ()),
    )


def _affine(name: str, source: int, output: int, shape: tuple[int, ...], scale: Any, offset: Any) -> Call:
    values = [np.asarray(scale, np.float32), np.asarray(offset, np.float32)]
    return Call(name=name, kind="Affine", layer=None, inputs=[source], output=output, shape=shape, weights=values)


def _split_activation(graph: LayerGraph, call: Call) -> None:
    """Make a layer of its own of an activation that is no part of an integer kernel."""
    config = call.layer.get_config()
    name = config["activation"]
    # The converter does not fuse an activation into TRANSPOSE_CONV.
    fused = {"linear"} if call.kind == "Conv2DTranspose" else FUSED
    if isinstance(name, str) and name in fused:
        return
    output, call.output = call.output, graph.key()
    function = call.layer.activation
    call.layer = type(call.layer).from_config(config | {"activation": "linear"})
    after = f"{call.name}{PART}{getattr(function, '__name__', 'activation')}"
    at = graph.calls.index(call) + 1
    if name in ("swish", "silu"):
        graph.calls[at:at] = _swish_calls(graph, after, call.output, output, call.shape)
    elif name == "relu6" or getattr(function, "__name__", "") == "relu6":
        graph.calls.insert(at, _layer(keras().layers.ReLU(6.0, name=after), [call.output], output, call.shape))
    else:
        layer = keras().layers.Activation(function, name=after)
        graph.calls.insert(at, _layer(layer, [call.output], output, call.shape))


# Patterns.


def _find_hard_swish(graph: LayerGraph) -> None:
    """Make one layer of `x * relu6(x + 3) / 6`, which TFLite has an integer operator for."""
    from edgecv.modelio.layers import HardSwish

    maker, consumers = graph.maker(), graph.consumers()

    def alone(key: int) -> bool:
        return len(consumers.get(key, ())) == 1 and key not in graph.outputs

    for product in [call for call in graph.calls if call.kind == "Multiply" and len(call.inputs) == 2]:
        for source, gate in (product.inputs, product.inputs[::-1]):
            chain = _gate_chain(maker, gate)
            if chain and chain[0].inputs[0] == source and all(alone(call.output) for call in chain):
                graph.calls = [call for call in graph.calls if call not in chain]
                layer = HardSwish(name=product.name)
                graph.replace(product, [_layer(layer, [source], product.output, product.shape)])
                break


def _gate_chain(maker: dict[int, Call], key: int) -> list[Call]:
    """Return the calls of `relu6(x + 3) / 6` that end in a tensor, or nothing."""
    last = maker.get(key)
    middle = maker.get(last.inputs[0]) if last else None
    first = maker.get(middle.inputs[0]) if middle else None
    if last is None or middle is None or first is None:
        return []
    fits = _is_affine(last, 1 / 6, 0) and _is_relu6(middle) and _is_affine(first, 1, 3)
    return [first, middle, last] if fits else []


def _is_affine(call: Call, scale: float, offset: float) -> bool:
    return (
        call.kind == "Affine"
        and bool(np.allclose(call.weights[0], scale, rtol=1e-5))
        and bool(np.allclose(call.weights[1], offset, atol=1e-6))
    )


def _is_relu6(call: Call) -> bool:
    return call.kind == "ReLU" and call.layer.get_config()["max_value"] == 6.0


# Folding.


def _fold(graph: LayerGraph) -> None:
    """Fold each affine into the layer or affine that makes its input, where nobody else sees that tensor."""
    for call in [call for call in graph.calls if call.kind == "Affine"]:
        before, users = graph.maker().get(call.inputs[0]), graph.consumers()[call.inputs[0]]
        if before is None or len(users) != 1 or before.output in graph.outputs or before.name in graph.shared:
            continue
        if before.kind == "Affine":
            scale, offset = call.weights
            before.weights = [before.weights[0] * scale, before.weights[1] * scale + offset]
        elif before.kind in KERNEL_KINDS and before.layer.get_config()["activation"] == "linear":
            _fold_into_kernel(before, *call.weights)
        else:
            continue
        graph.calls.remove(call)
        before.output = call.output


def _fold_into_kernel(call: Call, scale: Array, offset: Array) -> None:
    """Give a layer with a kernel the weights of itself and a following `x * scale + offset`."""
    config = call.layer.get_config()
    kernel, bias = call.weights[0], call.weights[1] if config["use_bias"] else 0.0
    channels = _channels(call.kind, kernel)
    scale, offset = np.broadcast_to(scale, channels), np.broadcast_to(offset, channels)
    call.weights = [scaled_kernel(call.kind, kernel, scale), (bias * scale + offset).astype(np.float32)]
    call.layer = type(call.layer).from_config(config | {"use_bias": True})


def _channels(kind: str, kernel: Array) -> int:
    return int(output_channels(kind, kernel).shape[1])


def output_channels(kind: str, kernel: Array) -> Array:
    """Return a keras kernel as (weights, output channels), in the order of the layer's bias."""
    if kind == "DepthwiseConv2D":
        return kernel.reshape(-1, kernel.shape[2] * kernel.shape[3])
    moved = np.moveaxis(kernel, 2, -1) if kind == "Conv2DTranspose" else kernel
    return moved.reshape(-1, moved.shape[-1])


def scaled_kernel(kind: str, kernel: Array, scale: Array) -> Array:
    """Return a keras kernel with every output channel times a factor; `scale` is (output channels,)."""
    if kind == "DepthwiseConv2D":
        return kernel * scale.reshape(kernel.shape[2:])
    return kernel * (scale[:, None] if kind == "Conv2DTranspose" else scale)


def _lower_affines(graph: LayerGraph) -> None:
    """Make a 1x1 depthwise convolution of each affine that is left."""
    for call in [call for call in graph.calls if call.kind == "Affine"]:
        width = call.shape[-1]
        layers, (scale, offset) = keras().layers, (np.broadcast_to(w, width) for w in call.weights)
        kernel = [np.array(scale, np.float32).reshape(1, 1, width, 1), np.array(offset, np.float32)]
        depthwise = layers.DepthwiseConv2D(1, name=call.name)
        if len(call.shape) == 3:
            graph.replace(call, [_layer(depthwise, call.inputs, call.output, call.shape, kernel)])
            continue
        raised, lowered = graph.key(), graph.key()
        to_maps = layers.Reshape((-1, 1, width), name=f"{call.name}{PART}maps")
        back = tuple(-1 if size is None else size for size in call.shape)
        from_maps = layers.Reshape(back, name=f"{call.name}{PART}back")
        chain = [
            _layer(to_maps, call.inputs, raised, (1, 1, width)),
            _layer(depthwise, [raised], lowered, (1, 1, width), kernel),
            _layer(from_maps, [lowered], call.output, call.shape),
        ]
        graph.replace(call, chain)
