"""Building blocks of the architectures: stem, learner, head. NHWC, functional tf_keras.

Every block takes a symbolic tensor and returns one. Names are required and never change: they become the map from
a file's operators to source layers.
"""

from __future__ import annotations

import string
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecv.modelio import env


def image_input(shape: tuple[int, ...], *, name: str = "image") -> Any:
    """Return the input, (batch, *shape) float32."""
    return env.keras().Input(shape, name=name)


def conv(
    x: Any,
    filters: int,
    kernel: int,
    *,
    name: str,
    strides: int = 1,
    padding: str = "same",
    activation: str = "relu",
    groups: int = 1,
) -> Any:
    """Square convolution with bias and activation; each of `groups` sees its own share of the input channels."""
    layer = env.keras().layers.Conv2D(
        filters, kernel, strides=strides, padding=padding, activation=activation, groups=groups, name=name
    )
    return layer(x)


def conv_norm(
    x: Any,
    filters: int,
    kernel: int,
    *,
    name: str,
    strides: int = 1,
    padding: str = "same",
    activation: str | None = "relu",
    bias: bool = False,
    momentum: float = 0.99,
) -> Any:
    """Square convolution `name`, batch normalisation `name`_bn, activation `name`_act (none when None)."""
    layers = env.keras().layers
    x = layers.Conv2D(filters, kernel, strides=strides, padding=padding, use_bias=bias, name=name)(x)
    x = layers.BatchNormalization(momentum=momentum, name=f"{name}_bn")(x)
    return activate(x, activation, name=f"{name}_act")


def separable_norm(x: Any, filters: int, *, name: str, strides: int = 1, activation: str | None = "relu") -> Any:
    """3x3 depthwise `name`_dw, 1x1 convolution `name`_pw, batch normalisation `name`_bn, activation `name`_act."""
    layers = env.keras().layers
    x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False, name=f"{name}_dw")(x)
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_pw")(x)
    return activate(layers.BatchNormalization(name=f"{name}_bn")(x), activation, name=f"{name}_act")


def activate(x: Any, activation: str | None, *, name: str) -> Any:
    """Element-wise activation: "relu", "relu6", "hard_swish", "hard_sigmoid", … or None for none."""
    if activation is None:
        return x
    layers = env.keras().layers
    if activation == "relu6":
        return layers.ReLU(6.0, name=name)(x)
    if activation in ("hard_swish", "hard_sigmoid"):
        from edgecv.modelio.layers import HardSigmoid, HardSwish

        return (HardSwish if activation == "hard_swish" else HardSigmoid)(name=name)(x)
    return layers.Activation(activation, name=name)(x)


def residual(x: Any, shortcut: Any, *, name: str, activation: str | None = "relu") -> Any:
    """Sum `name`_add of a block and its shortcut, then activation `name`_out."""
    return activate(env.keras().layers.Add(name=f"{name}_add")([x, shortcut]), activation, name=f"{name}_out")


def inverted_residual(
    x: Any,
    expansion: int,
    filters: int,
    *,
    name: str,
    strides: int = 1,
    kernel: int = 3,
    activation: str = "relu6",
    ratio: int | None = None,
    centred: bool = False,
) -> Any:
    """1x1 expansion, depthwise convolution, linear 1x1 projection; the input is added where shapes agree.

    With a `ratio`, squeeze-and-excitation with hard sigmoids follows the depthwise convolution. `centred`: a stride
    goes over maps with as many zeros on each side, where "same" puts them after the last row and column only.
    Sources: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", section 3.3; Howard et al.
    2019, "Searching for MobileNetV3", section 5.
    """
    layers, channels, inner = env.keras().layers, int(x.shape[-1]), x
    if expansion > 1:
        inner = conv_norm(inner, expansion * channels, 1, name=f"{name}_expand", activation=activation)
    padding = "same"
    if centred and strides > 1:
        inner, padding = zero_pad(inner, kernel // 2, name=f"{name}_pad"), "valid"
    depthwise = layers.DepthwiseConv2D(
        kernel, strides=strides, padding=padding, use_bias=False, name=f"{name}_depthwise"
    )
    inner = layers.BatchNormalization(name=f"{name}_depthwise_bn")(depthwise(inner))
    inner = activate(inner, activation, name=f"{name}_depthwise_act")
    if ratio is not None:
        inner = squeeze_excite(inner, ratio=ratio, gate="hard_sigmoid", name=f"{name}_se")
    inner = conv_norm(inner, filters, 1, name=f"{name}_project", activation=None)
    same = strides == 1 and channels == filters
    return residual(inner, x, name=name, activation=None) if same else inner


def bilinear_transposed(x: Any, factor: int, *, name: str) -> Any:
    """Enlarge each map `factor` times by a transposed convolution without bias, which starts as bilinear interpolation.

    The kernel has 2 * factor rows and columns, mixes no channels at the start, and is learned like any other. Pixel
    centres stay where they are; at the border, zeros beyond it count too.
    Source: Long, Shelhamer, Darrell 2015, "Fully Convolutional Networks for Semantic Segmentation", section 3.3.
    """
    channels = int(x.shape[-1])
    layer = env.keras().layers.Conv2DTranspose(
        channels, 2 * factor, strides=factor, padding="same", use_bias=False, name=name
    )
    enlarged = layer(x)
    layer.set_weights([bilinear_kernel(factor, channels)])
    return enlarged


def bilinear_kernel(factor: int, channels: int) -> NDArray[np.float32]:
    """Return the weights of bilinear interpolation by an even `factor`, (2 factor, 2 factor, channels, channels)."""
    side = 2 * factor
    line = 1.0 - np.abs(np.arange(side) - (side - 1) / 2.0) / factor
    return (np.outer(line, line)[:, :, None, None] * np.eye(channels)).astype(np.float32)


def squeeze_excite(x: Any, *, name: str, ratio: int = 16, gate: str = "sigmoid") -> Any:
    """Scale each channel by what the means of all channels say of it.

    Two 1x1 convolutions on the kept-dimension mean: as many weights as two dense layers, without reshapes between.
    Source: Hu, Shen, Sun 2018, "Squeeze-and-Excitation Networks", section 3.
    """
    layers, channels = env.keras().layers, int(x.shape[-1])
    means = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    reduced = layers.Conv2D(channels // ratio, 1, activation="relu", name=f"{name}_reduce")(means)
    if gate == "sigmoid":
        factors = layers.Conv2D(channels, 1, activation="sigmoid", name=f"{name}_expand")(reduced)
    else:
        factors = activate(layers.Conv2D(channels, 1, name=f"{name}_expand")(reduced), gate, name=f"{name}_gate")
    return layers.Multiply(name=f"{name}_scale")([x, factors])


def global_average(x: Any, *, name: str = "pool") -> Any:
    """(batch, h, w, c) to (batch, c): the mean of each map."""
    return env.keras().layers.GlobalAveragePooling2D(name=name)(x)


def global_maximum(x: Any, *, name: str = "pool") -> Any:
    """(batch, h, w, c) to (batch, c): the maximum of each map."""
    return env.keras().layers.GlobalMaxPooling2D(name=name)(x)


def zero_pad(x: Any, width: int, *, name: str) -> Any:
    """Put `width` rows and columns of zeros around each map."""
    return env.keras().layers.ZeroPadding2D(width, name=name)(x)


def concat(parts: list[Any], *, name: str) -> Any:
    """Join maps along the channels."""
    return env.keras().layers.Concatenate(name=name)(parts)


def scaled(filters: int, width: float) -> int:
    """Return `filters * width`, rounded to a multiple of 8 that loses at most a tenth.

    Source: Howard et al. 2017, "MobileNets"; the rounding of its reference code.
    """
    value = max(8, int(filters * width + 4) // 8 * 8)
    return value + 8 if value < 0.9 * filters * width else value


def max_pool(x: Any, size: int, *, name: str) -> Any:
    """Maximum over non-overlapping windows; an incomplete last one is dropped."""
    return env.keras().layers.MaxPooling2D(size, name=name)(x)


def pool(x: Any, size: int, *, strides: int, name: str, kind: str = "max", padding: str = "same") -> Any:
    """Maximum or mean ("average") over windows that may overlap."""
    layers = env.keras().layers
    layer = layers.MaxPooling2D if kind == "max" else layers.AveragePooling2D
    return layer(size, strides=strides, padding=padding, name=name)(x)


def average_pool(x: Any, size: int, *, name: str) -> Any:
    """Mean over non-overlapping windows; an incomplete last one is dropped."""
    return env.keras().layers.AveragePooling2D(size, name=name)(x)


def conv_learner(x: Any, filters: tuple[int, ...], *, stage: int) -> Any:
    """3x3 convolutions in a row, named conv<stage>a, conv<stage>b, …, then a 2x2 max pool named pool<stage>."""
    for index, width in enumerate(filters):
        x = conv(x, width, 3, name=f"conv{stage}{string.ascii_lowercase[index]}")
    return max_pool(x, 2, name=f"pool{stage}")


def flatten(x: Any, *, name: str = "flatten") -> Any:
    """(batch, h, w, c) to (batch, h * w * c), in C order."""
    return env.keras().layers.Flatten(name=name)(x)


def dense(x: Any, units: int, *, name: str, activation: str = "relu") -> Any:
    """Fully connected layer with bias and activation."""
    return env.keras().layers.Dense(units, activation=activation, name=name)(x)


def dense_norm(x: Any, units: int, *, name: str, activation: str = "relu") -> Any:
    """Fully connected layer `name`, batch normalisation `name`_bn, activation `name`_act."""
    layers = env.keras().layers
    x = layers.Dense(units, use_bias=False, name=name)(x)
    return activate(layers.BatchNormalization(name=f"{name}_bn")(x), activation, name=f"{name}_act")


def dropout(x: Any, rate: float, *, name: str) -> Any:
    """Zero a share of the values while training; nothing in inference."""
    return env.keras().layers.Dropout(rate, name=name)(x)


def classifier(x: Any, labels: int, *, name: str = "output") -> Any:
    """Dense layer with softmax: probabilities, (batch, labels)."""
    return dense(x, labels, activation="softmax", name=name)


def hidden_layers(x: Any, units: tuple[int, ...], *, activation: str = "relu", rate: float | None = None) -> Any:
    """Dense layers fc1, fc2, … with a dropout drop1, drop2, … after each when there is a rate."""
    for index, width in enumerate(units, start=1):
        x = dense(x, width, name=f"fc{index}", activation=activation)
        x = x if rate is None else dropout(x, rate, name=f"drop{index}")
    return x


def dense_head(x: Any, hidden: tuple[int, ...], labels: int, *, rate: float | None = None) -> Any:
    """Flatten, then hidden layers, then the classifier."""
    return classifier(hidden_layers(flatten(x), hidden, rate=rate), labels)


def model(inputs: Any, outputs: Any, *, name: str) -> Any:
    """Return the functional model from `inputs` to `outputs`."""
    return env.keras().Model(inputs, outputs, name=name)
