"""Keras layers that Keras itself lacks, registered for saving under the package "edgecv".

Importing this module imports tensorflow: do it inside functions. It lives beside the file readers, not in the zoo,
because a file that holds one of these layers must load without the architecture that made it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.modelio import env
from edgecv.modelio.tensor_function import TensorFunction as TensorFunction

tf, keras = env.tensorflow(), env.keras()
register = keras.saving.register_keras_serializable(package="edgecv")


def connection_mask(table: Sequence[Sequence[int]], kernel: int, channels: int) -> np.ndarray[Any, Any]:
    """Return which weights of a dense kernel exist: bool (kernel, kernel, channels, len(table)).

    Raises:
        ConfigError: A row is empty, repeats a channel, or names one outside 0..channels-1.
    """
    mask = np.zeros((kernel, kernel, channels, len(table)), bool)
    for output, row in enumerate(table):
        if not row or len(set(row)) != len(row) or not all(0 <= c < channels for c in row):
            raise ConfigError(
                f"connection table row {output} is {list(row)}, expected distinct channels in 0..{channels - 1}"
            )
        mask[:, :, list(row), output] = True
    return mask


@register
class SparseConv2D(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """Convolution in which each output map sees only the input maps that a fixed table names.

    The trainable weights are one vector of exactly the connected ones, in C order of the dense kernel; `call` puts
    them among zeros, so a frozen graph holds one dense CONV_2D.
    Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998, table I.

    Args:
        table: Row i lists the input channels of output map i.
        kernel_size: Side of the square kernel.
        padding: "valid" or "same".
        activation: Anything that keras.activations.get takes.
    """

    def __init__(
        self,
        table: Sequence[Sequence[int]],
        kernel_size: int,
        *,
        padding: str = "valid",
        activation: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = tuple(tuple(int(c) for c in row) for row in table)
        self.kernel_size = int(kernel_size)
        self.padding = padding
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: Any) -> None:
        mask = connection_mask(self.table, self.kernel_size, int(input_shape[-1]))
        count = int(mask.sum())
        # Position of each dense weight in the vector; absent ones point at a zero appended to it.
        self._index = np.where(mask, np.cumsum(mask).reshape(mask.shape) - 1, count).astype(np.int32)
        fan_in, fan_out = count / len(self.table), count / int(input_shape[-1])
        limit = math.sqrt(6 / (fan_in + fan_out))  # Glorot & Bengio 2010, with the mean fans of the table
        self.values = self.add_weight(
            name="values", shape=(count,), initializer=keras.initializers.RandomUniform(-limit, limit)
        )
        self.bias = self.add_weight(name="bias", shape=(len(self.table),), initializer="zeros")
        super().build(input_shape)

    def dense_kernel(self) -> Any:
        """Return the kernel as a plain convolution has it: (k, k, in, out), zero where nothing is connected."""
        return tf.gather(tf.concat([self.values, tf.zeros((1,), self.values.dtype)], 0), self._index)

    def call(self, inputs: Any) -> Any:
        maps = tf.nn.conv2d(inputs, self.dense_kernel(), strides=1, padding=self.padding.upper())
        return self.activation(tf.nn.bias_add(maps, self.bias))

    def compute_output_shape(self, input_shape: Any) -> Any:
        shrink = 0 if self.padding == "same" else self.kernel_size - 1
        return (input_shape[0], input_shape[1] - shrink, input_shape[2] - shrink, len(self.table))

    def macs(self, output_shape: Sequence[int]) -> int:
        """Return the multiply-accumulates of one image: connected weights x output positions."""
        return sum(map(len, self.table)) * self.kernel_size**2 * int(output_shape[1]) * int(output_shape[2])

    def get_prunable_weights(self) -> list[Any]:
        """Return what pruning may set to zero (tfmot's PrunableLayer protocol)."""
        return [self.values]

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return config | {
            "table": [list(row) for row in self.table],
            "kernel_size": self.kernel_size,
            "padding": self.padding,
            "activation": keras.activations.serialize(self.activation),
        }


@register
class Subsampling2D(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """Trainable sub-sampling: activation(coefficient[c] * average over non-overlapping windows + bias[c]).

    Computed as one depthwise convolution with equal weights in a window, so it exports as one DEPTHWISE_CONV_2D.
    Source: LeCun et al. 1998, section II.B (they sum the window; the coefficient takes up the factor).

    Args:
        pool_size: Side of the window and the stride.
        activation: Anything that keras.activations.get takes.
    """

    def __init__(self, pool_size: int = 2, *, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = int(pool_size)
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: Any) -> None:
        channels = int(input_shape[-1])
        self.coefficient = self.add_weight(name="coefficient", shape=(channels,), initializer="ones")
        self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        size = self.pool_size
        window = tf.ones((size, size, 1, 1), self.coefficient.dtype) / size**2
        kernel = window * tf.reshape(self.coefficient, (1, 1, -1, 1))
        pooled = tf.nn.depthwise_conv2d(inputs, kernel, strides=(1, size, size, 1), padding="VALID")
        return self.activation(tf.nn.bias_add(pooled, self.bias))

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, height, width, channels = input_shape
        return (batch, height // self.pool_size, width // self.pool_size, channels)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return config | {
            "pool_size": self.pool_size,
            "activation": keras.activations.serialize(self.activation),
        }


@register
class RbfOutput(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """Euclidean radial basis units with fixed codes: y[i] = sum_j (x[j] - codes[i, j])^2. The smallest wins.

    Source: LeCun et al. 1998, equation 7. The codes are a weight that does not train.

    Args:
        codes: (units, features), each +1 or -1.
    """

    def __init__(self, codes: Sequence[Sequence[float]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.codes = tuple(tuple(float(v) for v in row) for row in codes)

    def build(self, input_shape: Any) -> None:
        width = len(self.codes[0])
        if int(input_shape[-1]) != width:
            raise ConfigError(f"layer '{self.name}': codes have {width} features, the input {input_shape[-1]}")
        self.centers = self.add_weight(
            name="centers",
            shape=(len(self.codes), width),
            initializer=keras.initializers.Constant(np.array(self.codes, np.float32)),
            trainable=False,
        )
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        return tf.reduce_sum(tf.math.squared_difference(tf.expand_dims(inputs, 1), self.centers), axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], len(self.codes))

    def macs(self, output_shape: Sequence[int]) -> int:
        """Return units x features: a difference and a square each, counted like a dense layer's product."""
        return len(self.codes) * len(self.codes[0])

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return config | {"codes": [list(row) for row in self.codes]}


@register
class LocalResponseNormalization(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """Divide each value by a power of the energy of its neighbours along the channels.

    `x / (bias + alpha * sum(x_j^2 over 2 * depth_radius + 1 channels)) ^ beta`; TFLite has a builtin for it.
    Source: Krizhevsky, Sutskever, Hinton 2012, "ImageNet Classification with Deep Convolutional Networks", section 3.3.
    """

    def __init__(
        self, depth_radius: int = 2, *, bias: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.depth_radius, self.bias, self.alpha, self.beta = int(depth_radius), bias, alpha, beta

    def call(self, inputs: Any) -> Any:
        return tf.nn.local_response_normalization(
            inputs, depth_radius=self.depth_radius, bias=self.bias, alpha=self.alpha, beta=self.beta
        )

    def get_config(self) -> dict[str, Any]:
        settings = {"depth_radius": self.depth_radius, "bias": self.bias, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **settings}


@register
class HardSigmoid(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """`relu6(x + 3) / 6`, as in Keras 3 and PyTorch; Keras 2's own has another slope.

    Source: Howard et al. 2019, "Searching for MobileNetV3", section 5.2.
    """

    def call(self, inputs: Any) -> Any:
        return tf.nn.relu6(inputs + 3.0) * (1.0 / 6.0)


@register
class HardSwish(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """`x * relu6(x + 3) / 6`, written so that the TFLite converter makes one HARD_SWISH of it.

    Source: Howard et al. 2019, "Searching for MobileNetV3", section 5.2.
    """

    def call(self, inputs: Any) -> Any:
        return inputs * tf.nn.relu6(inputs + 3.0) * (1.0 / 6.0)


@register
class TanhGelu(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """`0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`: GELU by its tanh approximation.

    Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", section 2.
    """

    def call(self, inputs: Any) -> Any:
        return tf.nn.gelu(inputs, approximate=True)


@register
class ChannelScale(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """Multiply each channel by a weight of its own (LayerScale of ConvNeXt, the norm's scale of SSD).

    Args:
        start: Every weight's value before training.
    """

    def __init__(self, start: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start = float(start)

    def build(self, input_shape: Any) -> None:
        initial = keras.initializers.Constant(self.start)
        self.scale = self.add_weight(name="scale", shape=(int(input_shape[-1]),), initializer=initial)
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        return inputs * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start}


@register
class BilinearResize(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """Maps of another size, each value mixed of the four around it: TFLite's RESIZE_BILINEAR in all three forms.

    UpSampling2D has half-pixel centres and whole factors only.

    Args:
        size: Height and width of the result.
        coordinates: Where value i of the new ones lies among the old: "half_pixel" (i + 0.5) old / new - 0.5,
            "align_corners" i (old - 1) / (new - 1), or "asymmetric" i old / new.
    """

    def __init__(self, size: Sequence[int], coordinates: str = "half_pixel", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if coordinates not in ("half_pixel", "align_corners", "asymmetric"):
            raise ConfigError(f"layer '{self.name}': '{coordinates}' are no coordinates of a bilinear resize")
        self.size, self.coordinates = (int(size[0]), int(size[1])), coordinates

    def call(self, inputs: Any) -> Any:
        return tf.raw_ops.ResizeBilinear(
            images=inputs,
            size=self.size,
            align_corners=self.coordinates == "align_corners",
            half_pixel_centers=self.coordinates == "half_pixel",
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": list(self.size), "coordinates": self.coordinates}


@register
class EuclideanDistance(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """How far apart two vectors are: `sqrt(sum((a - b)^2) + 1e-7)`, from two (batch, d) to (batch, 1).

    The small term keeps the slope finite where both are equal: Keras' epsilon, a distance of 0.0003.
    """

    EPSILON = 1e-7

    def call(self, inputs: Any) -> Any:
        difference = inputs[0] - inputs[1]
        return tf.sqrt(tf.reduce_sum(difference * difference, axis=-1, keepdims=True) + self.EPSILON)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0][0], 1)
