"""Small Keras 3 models, one for each layer, function and option that a vision network may hold, and blocks of them.

Each is made of a shape and what happens to the input. The networks around them give the case something to read and
something that reads it: a convolution before and a dense head behind, where the case itself has no weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np

L, ops = keras.layers, keras.ops
SIDE = 12


@dataclass(frozen=True)
class Case:
    """A small classifier of three classes around what is tried.

    Attributes:
        make: From a tensor to another.
        shape: Of the tensor that it takes, without the batch; as many values as the image has when not led.
        image: Height, width and channels of the input.
        low, high: Of the values that the input holds.
        lead: Whether a convolution goes before.
    """

    make: Callable[[Any], Any]
    shape: tuple[int, ...] = (SIDE, SIDE, 4)
    image: tuple[int, int, int] = (SIDE, SIDE, 3)
    low: float = -1.0
    high: float = 1.0
    lead: bool = True

    task: ClassVar[tuple[str, str]] = ("classification", "logits")
    """Of the output, and what it holds."""

    def graph(self) -> Any:
        """Return the Keras 3 model, of one output "answer"."""
        image = keras.Input(self.image, name="image")
        before = L.Conv2D(self.shape[-1], 3, padding="same", name="lead")(image) if self.lead else image
        tried = self.make(before if tuple(before.shape[1:]) == self.shape else L.Reshape(self.shape)(before))
        floats = tried if "float" in str(tried.dtype) else ops.cast(tried, "float32")
        return keras.Model(image, L.Dense(3, name="answer")(L.Flatten()(floats)))

    def model(self) -> Any:
        """Return the Keras 3 model, its weights at random but fixed."""
        keras.utils.set_random_seed(1)
        model = self.graph()
        rng = np.random.default_rng(2)
        for weight in model.weights:
            kind = weight.path.rpartition("/")[2]
            if kind in ("gamma", "moving_variance", "variance", "scale"):
                weight.assign(rng.uniform(0.7, 1.3, weight.shape))
            elif kind in ("beta", "moving_mean", "bias", "mean"):
                weight.assign(rng.normal(0, 0.1, weight.shape))
        return model

    def pixels(self, count: int, seed: int = 0) -> Any:
        """Return images (count, *image), uint8: shades and patches, as pictures have them."""
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (count, 4, 4, self.image[-1]))
        rows, columns = (np.arange(size) * 4 // size for size in self.image[:2])
        noise = rng.integers(-40, 41, (count, *self.image))
        return np.clip(coarse[:, rows][:, :, columns] + noise, 0, 255).astype(np.uint8)

    def values(self, pixels: Any) -> Any:
        """Return float32 inputs of the model for pixels."""
        return (pixels.astype(np.float32) / 255.0 * (self.high - self.low) + self.low).astype(np.float32)


def layers_of_maps() -> dict[str, Callable[[Any], Any]]:
    """Layers that take (batch, height, width, channels)."""
    names = [
        "relu", "relu6", "elu", "selu", "gelu", "silu", "swish", "mish", "sigmoid", "tanh", "softplus", "softsign",
        "softmax", "exponential", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu", "celu",
        "log_sigmoid", "log_softmax", "soft_shrink", "hard_shrink", "tanh_shrink", "squareplus", "sparse_plus",
        "sparse_sigmoid", "linear",
    ]  # fmt: skip
    found: dict[str, Callable[[Any], Any]] = {}
    for name in names:
        found[f"Activation({name})"] = lambda x, name=name: L.Activation(name)(x)
    for name in ("mish", "leaky_relu", "celu", "hard_swish", "hard_sigmoid", "gelu", "softmax", "silu"):
        found[f"Conv2D(activation={name})"] = lambda x, name=name: L.Conv2D(6, 3, activation=name)(x)
    for name in ("mish", "hard_silu", "elu"):
        found[f"DepthwiseConv2D(activation={name})"] = lambda x, name=name: L.DepthwiseConv2D(3, activation=name)(x)
    return found | {
        "Conv2D": lambda x: L.Conv2D(5, 3)(x),
        "Conv2D(strides, same)": lambda x: L.Conv2D(5, 3, strides=2, padding="same")(x),
        "Conv2D(dilation)": lambda x: L.Conv2D(5, 3, dilation_rate=2)(x),
        "Conv2D(groups)": lambda x: L.Conv2D(6, 3, groups=2)(x),
        "Conv2D(no bias)": lambda x: L.Conv2D(5, 1, use_bias=False)(x),
        "Conv2D(unequal kernel)": lambda x: L.Conv2D(5, (1, 5), padding="same")(x),
        "Conv2DTranspose": lambda x: L.Conv2DTranspose(3, 3, strides=2)(x),
        "Conv2DTranspose(same)": lambda x: L.Conv2DTranspose(3, 4, strides=2, padding="same")(x),
        "Conv2DTranspose(output_padding)": lambda x: L.Conv2DTranspose(3, 3, strides=2, output_padding=1)(x),
        "DepthwiseConv2D": lambda x: L.DepthwiseConv2D(3, padding="same")(x),
        "DepthwiseConv2D(multiplier)": lambda x: L.DepthwiseConv2D(3, depth_multiplier=2)(x),
        "SeparableConv2D": lambda x: L.SeparableConv2D(6, 3)(x),
        "BatchNormalization": lambda x: L.BatchNormalization()(x),
        "BatchNormalization(no scale)": lambda x: L.BatchNormalization(scale=False, center=False)(x),
        "LayerNormalization": lambda x: L.LayerNormalization()(x),
        "LayerNormalization(no scale)": lambda x: L.LayerNormalization(scale=False, center=False)(x),
        "LayerNormalization(axes)": lambda x: L.LayerNormalization(axis=(1, 2, 3))(x),
        "GroupNormalization": lambda x: L.GroupNormalization(2)(x),
        "GroupNormalization(instance)": lambda x: L.GroupNormalization(-1)(x),
        "RMSNormalization": lambda x: L.RMSNormalization()(x),
        "UnitNormalization": lambda x: L.UnitNormalization()(x),
        "Normalization": lambda x: L.Normalization(mean=[0.1] * 4, variance=[0.5] * 4)(x),
        "Normalization(invert)": lambda x: L.Normalization(mean=[0.1] * 4, variance=[0.5] * 4, invert=True)(x),
        "SpectralNormalization": lambda x: L.SpectralNormalization(L.Conv2D(5, 3))(x),
        "MaxPooling2D": lambda x: L.MaxPooling2D()(x),
        "MaxPooling2D(same)": lambda x: L.MaxPooling2D(3, 2, padding="same")(x),
        "AveragePooling2D": lambda x: L.AveragePooling2D(2)(x),
        "AveragePooling2D(same)": lambda x: L.AveragePooling2D(3, 2, padding="same")(x),
        "GlobalMaxPooling2D": lambda x: L.GlobalMaxPooling2D()(x),
        "GlobalAveragePooling2D(keepdims)": lambda x: L.GlobalAveragePooling2D(keepdims=True)(x),
        "AdaptiveAveragePooling2D": lambda x: L.AdaptiveAveragePooling2D(3)(x),
        "AdaptiveAveragePooling2D(uneven)": lambda x: L.AdaptiveAveragePooling2D(5)(x),
        "AdaptiveMaxPooling2D": lambda x: L.AdaptiveMaxPooling2D(4)(x),
        "UpSampling2D": lambda x: L.UpSampling2D()(x),
        "UpSampling2D(bilinear)": lambda x: L.UpSampling2D(2, interpolation="bilinear")(x),
        "UpSampling2D(bicubic)": lambda x: L.UpSampling2D(2, interpolation="bicubic")(x),
        "ZeroPadding2D": lambda x: L.ZeroPadding2D(((1, 0), (2, 1)))(x),
        "Cropping2D": lambda x: L.Cropping2D(((1, 2), (0, 3)))(x),
        "Resizing": lambda x: L.Resizing(8, 6)(x),
        "Resizing(nearest)": lambda x: L.Resizing(24, 24, interpolation="nearest")(x),
        "Resizing(bicubic)": lambda x: L.Resizing(7, 9, interpolation="bicubic")(x),
        "Resizing(antialias)": lambda x: L.Resizing(5, 5, antialias=True)(x),
        "Resizing(crop)": lambda x: L.Resizing(8, 6, crop_to_aspect_ratio=True)(x),
        "Resizing(pad)": lambda x: L.Resizing(8, 6, pad_to_aspect_ratio=True)(x),
        "CenterCrop": lambda x: L.CenterCrop(8, 6)(x),
        "Rescaling": lambda x: L.Rescaling(0.5, 0.1)(x),
        "Rescaling(channels)": lambda x: L.Rescaling([0.5, 1.0, 2.0, 4.0], [0.0, 0.1, 0.2, 0.3])(x),
        "ReLU(max_value)": lambda x: L.ReLU(1.0)(x),
        "ReLU(threshold)": lambda x: L.ReLU(threshold=0.2)(x),
        "ReLU(negative_slope)": lambda x: L.ReLU(negative_slope=0.1)(x),
        "LeakyReLU": lambda x: L.LeakyReLU(0.2)(x),
        "PReLU": lambda x: L.PReLU(shared_axes=[1, 2], alpha_initializer="random_uniform")(x),
        "ELU": lambda x: L.ELU(0.7)(x),
        "Softmax": lambda x: L.Softmax()(x),
        "Softmax(axis=1)": lambda x: L.Softmax(axis=1)(x),
        "Softmax(two axes)": lambda x: L.Softmax(axis=(1, 2))(x),
        "Dropout": lambda x: L.Dropout(0.5)(x),
        "SpatialDropout2D": lambda x: L.SpatialDropout2D(0.5)(x),
        "AlphaDropout": lambda x: L.AlphaDropout(0.5)(x),
        "GaussianNoise": lambda x: L.GaussianNoise(0.5)(x),
        "GaussianDropout": lambda x: L.GaussianDropout(0.5)(x),
        "ActivityRegularization": lambda x: L.ActivityRegularization(0.1)(x),
        "Identity": lambda x: L.Conv2D(3, 1)(L.Identity()(x)),
        "Add": lambda x: L.Add()([x, L.Conv2D(4, 1)(x)]),
        "Add(broadcast)": lambda x: L.Add()([x, L.GlobalAveragePooling2D(keepdims=True)(x)]),
        "Subtract": lambda x: L.Subtract()([x, L.Conv2D(4, 1)(x)]),
        "Multiply": lambda x: L.Multiply()([x, L.Conv2D(4, 1)(x)]),
        "Average": lambda x: L.Average()([x, L.Conv2D(4, 1)(x)]),
        "Maximum": lambda x: L.Maximum()([x, L.Conv2D(4, 1)(x)]),
        "Minimum": lambda x: L.Minimum()([x, L.Conv2D(4, 1)(x)]),
        "Concatenate": lambda x: L.Concatenate()([x, L.Conv2D(4, 1)(x)]),
        "Concatenate(axis=1)": lambda x: L.Concatenate(axis=1)([x, L.Conv2D(4, 1)(x)]),
        "Dot": lambda x: L.Dot(axes=1)([L.Flatten()(x), L.Flatten()(L.Conv2D(4, 1)(x))]),
        "Dot(normalize)": lambda x: L.Dot(1, normalize=True)([L.Flatten()(x), L.Flatten()(L.Conv2D(4, 1)(x))]),
        "Permute": lambda x: L.Permute((2, 3, 1))(x),
        "Reshape": lambda x: L.Reshape((-1, 8))(x),
        "Flatten": lambda x: L.Dense(3)(L.Flatten()(x)),
        "Dense(map)": lambda x: L.Dense(7, activation="relu")(x),
        "EinsumDense": lambda x: L.EinsumDense("abcd,de->abce", output_shape=(12, 12, 5), bias_axes="e")(x),
        "TimeDistributed": lambda x: L.TimeDistributed(L.Conv1D(5, 3))(x),
        "ConvLSTM2D": lambda x: L.ConvLSTM2D(3, 3)(L.Reshape((2, 6, 12, 4))(x)),
        "ConvLSTM1D": lambda x: L.ConvLSTM1D(3, 3)(x),
    }


def augmenting() -> dict[str, Callable[[Any], Any]]:
    """Layers that change images in training alone."""
    return {
        "RandomFlip": lambda x: L.RandomFlip()(x),
        "RandomRotation": lambda x: L.RandomRotation(0.1)(x),
        "RandomZoom": lambda x: L.RandomZoom(0.1)(x),
        "RandomTranslation": lambda x: L.RandomTranslation(0.1, 0.1)(x),
        "RandomBrightness": lambda x: L.RandomBrightness(0.1)(x),
        "RandomContrast": lambda x: L.RandomContrast(0.1)(x),
        "RandomCrop": lambda x: L.RandomCrop(12, 12)(x),
        "RandomErasing": lambda x: L.RandomErasing()(x),
        "RandomGaussianBlur": lambda x: L.RandomGaussianBlur()(x),
        "RandomPerspective": lambda x: L.RandomPerspective()(x),
        "RandomSharpness": lambda x: L.RandomSharpness(0.1)(x),
        "RandomInvert": lambda x: L.RandomInvert()(x),
        "RandomPosterization": lambda x: L.RandomPosterization(4)(x),
        "RandomElasticTransform": lambda x: L.RandomElasticTransform()(x),
    }


COLOURED: dict[str, Callable[[Any], Any]] = {
    "RandomHue": lambda x: L.RandomHue(0.1)(x),
    "RandomSaturation": lambda x: L.RandomSaturation(0.1)(x),
    "RandomGrayscale": lambda x: L.RandomGrayscale()(x),
    "RandomColorJitter": lambda x: L.RandomColorJitter()(x),
    "RandomColorDegeneration": lambda x: L.RandomColorDegeneration(0.1)(x),
    "AugMix": lambda x: L.AugMix()(x),
    "RandAugment": lambda x: L.RandAugment()(x),
    "ops.image.rgb_to_grayscale": lambda x: ops.image.rgb_to_grayscale(x),
    "ops.image.rgb_to_hsv": lambda x: ops.image.rgb_to_hsv(x),
    "preprocess_input(caffe)": lambda x: L.Conv2D(3, 3)(keras.applications.resnet.preprocess_input(x)),
    "preprocess_input(tf)": lambda x: L.Conv2D(3, 3)(keras.applications.mobilenet_v2.preprocess_input(x)),
    "preprocess_input(torch)": lambda x: L.Conv2D(3, 3)(keras.applications.densenet.preprocess_input(x)),
    "pixels / 127.5 - 1": lambda x: L.Conv2D(3, 3)(x / 127.5 - 1.0),
    "pixels - mean[::-1]": lambda x: L.Conv2D(3, 3)(x[..., ::-1] - np.float32([103.9, 116.8, 123.7])),
}


def functions() -> dict[str, Callable[[Any], Any]]:
    """Functions of `keras.ops`."""
    rng = np.random.default_rng(3)
    plane = rng.normal(0, 1, (12, 12, 1)).astype(np.float32)
    whole = rng.normal(0, 1, (12, 12, 4)).astype(np.float32)
    kernel = rng.normal(0, 0.3, (3, 3, 4, 5)).astype(np.float32)
    depth = rng.normal(0, 0.3, (3, 3, 4, 1)).astype(np.float32)
    blur = np.repeat(np.outer([1, 2, 1], [1, 2, 1])[:, :, None, None] / 16, 4, 2).astype(np.float32)
    matrix = rng.normal(0, 0.5, (4, 7)).astype(np.float32)
    positive = lambda x: ops.relu(x) + 0.3  # noqa: E731
    return {
        "x[:, 2:9, ::2]": lambda x: x[:, 2:9, ::2],
        "x[..., :2]": lambda x: x[..., :2],
        "x[..., -1:]": lambda x: x[..., -1:],
        "x[:, 3]": lambda x: x[:, 3],
        "x[..., ::-1]": lambda x: x[..., ::-1],
        "x[:, None]": lambda x: x[:, None],
        "x[:, 0:1, 0:1] * x": lambda x: x[:, 0:1, 0:1] * x,
        "focus": lambda x: ops.concatenate([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], -1),
        "split": lambda x: L.Add()(ops.split(x, 2, axis=-1)),
        "split(indices)": lambda x: ops.concatenate(ops.split(x, [1, 3], axis=-1)[::-1], -1),
        "array_split": lambda x: ops.array_split(x, 3, axis=-1)[1],
        "unstack": lambda x: ops.unstack(x, axis=3)[2],
        "concatenate": lambda x: ops.concatenate([x, ops.relu(x)], -1),
        "stack": lambda x: ops.stack([x, ops.relu(x)], 1),
        "squeeze": lambda x: ops.squeeze(ops.mean(x, (1, 2), keepdims=True), (1, 2)),
        "expand_dims": lambda x: ops.expand_dims(x, 1),
        "tile": lambda x: ops.tile(x, (1, 2, 1, 3)),
        "repeat": lambda x: ops.repeat(x, 2, axis=1),
        "roll": lambda x: ops.roll(x, 3, axis=2),
        "roll(two axes)": lambda x: ops.roll(x, (-3, -3), axis=(1, 2)),
        "flip": lambda x: ops.flip(x, axis=2),
        "rot90": lambda x: ops.rot90(x, 1, (1, 2)),
        "swapaxes": lambda x: ops.swapaxes(x, 1, 3),
        "moveaxis": lambda x: ops.moveaxis(x, 3, 1),
        "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
        "reshape": lambda x: ops.reshape(x, (-1, 36, 16)),
        "reshape(batch of windows)": lambda x: ops.reshape(
            ops.transpose(ops.reshape(x, (-1, 3, 4, 3, 4, 4)), (0, 1, 3, 2, 4, 5)), (-1, 16, 4)
        ),
        "broadcast_to": lambda x: x * ops.broadcast_to(np.float32([[0.5, 1, 2, 3]]), (12, 4)),
        "take": lambda x: ops.take(x, [3, 1, 0], axis=-1),
        "take_along_axis": lambda x: ops.take_along_axis(x, ops.argsort(x, -1), -1),
        "pad": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))),
        "pad(channels)": lambda x: ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, 4))),
        "pad(value)": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)), constant_values=0.5),
        "pad(reflect)": lambda x: ops.pad(x, ((0, 0), (1, 2), (2, 1), (0, 0)), mode="reflect"),
        "pad(symmetric)": lambda x: ops.pad(x, ((0, 0), (1, 2), (2, 1), (0, 0)), mode="symmetric"),
        "clip": lambda x: ops.clip(x, -0.3, 0.4),
        "clip(0, 6)": lambda x: ops.clip(x * 8, 0, 6),
        "minimum(constant)": lambda x: ops.minimum(x, 0.2),
        "maximum(constant)": lambda x: ops.maximum(x, -0.2),
        "maximum(0)": lambda x: ops.maximum(0.0, x),
        "maximum": lambda x: ops.maximum(x, x[..., ::-1]),
        "where": lambda x: ops.where(x > 0, x, 0.1 * x),
        "where(tensors)": lambda x: ops.where(x > 0.1, x, ops.square(x)),
        "cast": lambda x: x * ops.cast(x > 0, "float32"),
        "abs": lambda x: ops.abs(x),
        "negative": lambda x: -x,
        "sign": lambda x: ops.sign(x) * x,
        "square": lambda x: ops.square(x),
        "x ** 2": lambda x: x**2,
        "power(3)": lambda x: ops.power(x, 3.0),
        "sqrt": lambda x: ops.sqrt(positive(x)),
        "rsqrt": lambda x: ops.rsqrt(positive(x)),
        "exp": lambda x: ops.exp(x),
        "log": lambda x: ops.log(positive(x)),
        "log1p": lambda x: ops.log1p(positive(x)),
        "reciprocal": lambda x: ops.reciprocal(positive(x)),
        "sin, cos": lambda x: ops.sin(x) * ops.cos(x),
        "erf": lambda x: ops.erf(x),
        "floor": lambda x: x - ops.floor(x),
        "round": lambda x: ops.round(x * 4),
        "floor_divide": lambda x: ops.floor_divide(positive(x), 0.25),
        "mod": lambda x: ops.mod(positive(x), 0.25),
        "x + plane": lambda x: x + plane,
        "x * whole": lambda x: x * whole,
        "whole - x": lambda x: ops.subtract(whole, x),
        "1 / x": lambda x: 1.0 / positive(x),
        "x / y": lambda x: x / positive(x[..., ::-1]),
        "x + vector of lower rank": lambda x: x + ops.mean(x, (1, 2))[:, None, None],
        "x * row": lambda x: x * np.arange(12, dtype=np.float32)[:, None],
        "mean(H, W)": lambda x: ops.mean(x, (1, 2)),
        "mean(channels)": lambda x: ops.mean(x, -1, keepdims=True),
        "mean(all)": lambda x: ops.mean(x, (1, 2, 3)),
        "max(channels)": lambda x: ops.max(x, -1, keepdims=True),
        "max(H, W)": lambda x: ops.max(x, (1, 2)),
        "min": lambda x: ops.min(x, 1),
        "sum": lambda x: ops.sum(x, (1, 2)),
        "prod": lambda x: ops.prod(positive(x), -1),
        "var": lambda x: ops.var(x, (1, 2)),
        "std": lambda x: ops.std(x, (1, 2)),
        "logsumexp": lambda x: ops.logsumexp(x, -1),
        "argmax": lambda x: ops.argmax(x, -1),
        "top_k": lambda x: ops.top_k(L.Flatten()(x), 5)[0],
        "sort": lambda x: ops.sort(x, -1),
        "cumsum": lambda x: ops.cumsum(x, 1),
        "one_hot": lambda x: ops.one_hot(ops.argmax(x, -1), 4),
        "matmul(constant)": lambda x: ops.matmul(x, matrix),
        "matmul": lambda x: ops.matmul(ops.reshape(x, (-1, 36, 16)), ops.reshape(x, (-1, 16, 36))),
        "x @ transposed": lambda x: x @ ops.swapaxes(x, -1, -2),
        "einsum(constant)": lambda x: ops.einsum("bhwc,cd->bhwd", x, matrix),
        "einsum": lambda x: ops.einsum("bhwc,bhvc->bhwv", x, x),
        "tensordot": lambda x: ops.tensordot(x, matrix, axes=1),
        "normalize": lambda x: ops.normalize(x, axis=-1),
        "norm": lambda x: ops.norm(x, axis=-1, keepdims=True),
        "softmax(axis=1)": lambda x: ops.softmax(x, 1),
        "log_softmax": lambda x: ops.log_softmax(x),
        "moments": lambda x: ops.moments(x, (1, 2))[1],
        "layer_normalization": lambda x: ops.layer_normalization(x, axis=-1),
        "image.resize": lambda x: ops.image.resize(x, (7, 9)),
        "image.resize(x2)": lambda x: ops.image.resize(x, (24, 24)),
        "image.resize(nearest)": lambda x: ops.image.resize(x, (24, 24), interpolation="nearest"),
        "image.resize(bicubic)": lambda x: ops.image.resize(x, (18, 18), interpolation="bicubic"),
        "image.resize(antialias)": lambda x: ops.image.resize(x, (5, 5), antialias=True),
        "image.crop_images": lambda x: ops.image.crop_images(x, 1, 2, target_height=8, target_width=6),
        "image.pad_images": lambda x: ops.image.pad_images(x, 1, 2, target_height=16, target_width=16),
        "image.extract_patches": lambda x: ops.image.extract_patches(x, (3, 3)),
        "depth_to_space": lambda x: ops.depth_to_space(x, 2),
        "space_to_depth": lambda x: ops.space_to_depth(x, 2),
        "max_pool": lambda x: ops.max_pool(x, 2, 2),
        "average_pool": lambda x: ops.average_pool(x, 3, 1, "same"),
        "conv": lambda x: ops.conv(x, kernel, padding="same"),
        "depthwise_conv": lambda x: ops.depthwise_conv(x, depth, padding="same"),
        "BlurPool": lambda x: ops.depthwise_conv(x, blur, strides=2, padding="same"),
        "leaky_relu": lambda x: ops.leaky_relu(x, 0.1),
        "gelu(tanh)": lambda x: ops.gelu(x, approximate=True),
        "hard_tanh": lambda x: ops.hard_tanh(x * 3),
        "threshold": lambda x: ops.threshold(x, 0.1, 0.0),
        "logical": lambda x: ops.where(ops.logical_and(x > -0.2, x < 0.2), x, 0.0),
        "dot_product_attention": lambda x: ops.dot_product_attention(*[ops.reshape(x, (-1, 36, 2, 8))] * 3),
        "stop_gradient": lambda x: ops.stop_gradient(x) * 2,
        "cross": lambda x: ops.cross(x[..., :3], x[..., 1:]),
        "meshgrid constants": lambda x: x + np.stack(np.meshgrid(*[np.linspace(-1, 1, 12)] * 2), -1)[..., [0, 1, 0, 1]],
    }


SERIAL: dict[str, Callable[[Any], Any]] = {
    "Conv1D": lambda x: L.Conv1D(5, 3)(x),
    "Conv1D(causal)": lambda x: L.Conv1D(5, 3, padding="causal")(x),
    "Conv1DTranspose": lambda x: L.Conv1DTranspose(5, 3, strides=2)(x),
    "SeparableConv1D": lambda x: L.SeparableConv1D(5, 3)(x),
    "DepthwiseConv1D": lambda x: L.DepthwiseConv1D(3)(x),
    "MaxPooling1D": lambda x: L.MaxPooling1D()(x),
    "AveragePooling1D": lambda x: L.AveragePooling1D(2)(x),
    "GlobalAveragePooling1D": lambda x: L.GlobalAveragePooling1D()(x),
    "GlobalMaxPooling1D": lambda x: L.GlobalMaxPooling1D()(x),
    "ZeroPadding1D": lambda x: L.ZeroPadding1D(2)(x),
    "Cropping1D": lambda x: L.Cropping1D(2)(x),
    "UpSampling1D": lambda x: L.UpSampling1D(2)(x),
    "LSTM": lambda x: L.LSTM(5)(x),
    "LSTM(sequences)": lambda x: L.LSTM(5, return_sequences=True)(x),
    "LSTM(mish)": lambda x: L.LSTM(5, activation="mish")(x),
    "LSTM(unroll)": lambda x: L.LSTM(5, unroll=True)(x),
    "GRU": lambda x: L.GRU(5)(x),
    "GRU(unroll, reset before)": lambda x: L.GRU(5, unroll=True, reset_after=False)(x),
    "SimpleRNN": lambda x: L.SimpleRNN(5)(x),
    "Bidirectional(LSTM)": lambda x: L.Bidirectional(L.LSTM(5, return_sequences=True))(x),
    "Bidirectional(GRU, sum)": lambda x: L.Bidirectional(L.GRU(5), merge_mode="sum")(x),
    "TimeDistributed(Dense)": lambda x: L.TimeDistributed(L.Dense(5, activation="relu"))(x),
    "MultiHeadAttention": lambda x: L.MultiHeadAttention(2, 3)(x, x),
    "MultiHeadAttention(cross)": lambda x: L.MultiHeadAttention(2, 3)(x[:, :4], x, x),
    "GroupQueryAttention": lambda x: L.GroupQueryAttention(4, 4, 2)(x, x),
    "Attention": lambda x: L.Attention()([x, x]),
    "Attention(scale, concat)": lambda x: L.Attention(use_scale=True, score_mode="concat")([x, x]),
    "AdditiveAttention": lambda x: L.AdditiveAttention()([x, x]),
    "LayerNormalization(tokens)": lambda x: L.LayerNormalization(epsilon=1e-6)(x),
    "Dense(tokens)": lambda x: L.Dense(8, activation="gelu")(x),
    "EinsumDense(heads)": lambda x: L.EinsumDense("abc,cde->abde", output_shape=(10, 2, 4), bias_axes="de")(x),
    "class token": lambda x: ops.concatenate([ops.zeros_like(x[:, :1]) + 0.5, x], 1),
    "position embedding": lambda x: x + L.Embedding(10, 6)(np.arange(10)[None]),
}
FLAT: dict[str, Callable[[Any], Any]] = {
    "Dense": lambda x: L.Dense(5)(x),
    "Dense(mish)": lambda x: L.Dense(5, activation="mish")(x),
    "Dense(leaky_relu)": lambda x: L.Dense(5, activation="leaky_relu")(x),
    "Dense(hard_tanh)": lambda x: L.Dense(5, activation="hard_tanh")(x),
    "BatchNormalization(vector)": lambda x: L.BatchNormalization()(L.Dense(5)(x)),
    "RepeatVector": lambda x: L.RepeatVector(4)(x),
    "Dense, l2 normalised": lambda x: ops.normalize(L.Dense(5)(x), order=2, axis=-1),
    "distance": lambda x: ops.sqrt(ops.sum(ops.square(L.Dense(5)(x) - L.Dense(5)(x)), -1, keepdims=True) + 1e-6),
    "cosine": lambda x: ops.sum(ops.normalize(L.Dense(5)(x)) * ops.normalize(L.Dense(5)(x)), -1),
    "split heads": lambda x: L.Concatenate()([L.Dense(2, activation="softmax")(x[:, :8]), L.Dense(2)(x[:, 8:])]),
}
SOLID: dict[str, Callable[[Any], Any]] = {
    "Conv3D": lambda x: L.Conv3D(3, 3)(x),
    "MaxPooling3D": lambda x: L.MaxPooling3D()(x),
    "AveragePooling3D": lambda x: L.AveragePooling3D(2)(x),
    "GlobalAveragePooling3D": lambda x: L.GlobalAveragePooling3D()(x),
    "UpSampling3D": lambda x: L.UpSampling3D()(x),
    "ZeroPadding3D": lambda x: L.ZeroPadding3D(1)(x),
    "Cropping3D": lambda x: L.Cropping3D(1)(x),
}


def blocks() -> dict[str, Callable[[Any], Any]]:
    """Parts of networks as people write them in Keras 3."""

    def conv(x: Any, filters: int, size: int = 3, strides: int = 1, act: str = "silu") -> Any:
        x = L.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
        return L.Activation(act)(L.BatchNormalization()(x))

    def squeeze_excite(x: Any) -> Any:
        gate = L.Dense(4, activation="sigmoid")(L.Dense(2, activation="relu")(L.GlobalAveragePooling2D()(x)))
        return x * gate[:, None, None, :]

    def cbam(x: Any) -> Any:
        hidden, out = L.Dense(2, activation="relu"), L.Dense(4)
        gate = ops.sigmoid(out(hidden(ops.mean(x, (1, 2)))) + out(hidden(ops.max(x, (1, 2)))))
        x = x * ops.reshape(gate, (-1, 1, 1, 4))
        both = ops.concatenate([ops.mean(x, -1, keepdims=True), ops.max(x, -1, keepdims=True)], -1)
        return x * L.Conv2D(1, 7, padding="same", activation="sigmoid")(both)

    def fpn(x: Any) -> Any:
        c3, c4 = conv(x, 4), conv(x, 8, strides=2)
        c5 = conv(c4, 8, strides=2)
        p5 = L.Conv2D(4, 1)(c5)
        p4 = L.Conv2D(4, 1)(c4) + ops.image.resize(p5, (6, 6), interpolation="nearest")
        p3 = L.Conv2D(4, 1)(c3) + L.UpSampling2D()(p4)
        return L.Conv2D(4, 3, padding="same")(p3)

    def espcn(x: Any) -> Any:
        x = L.Conv2D(8, 5, padding="same", activation="tanh")(x)
        return ops.sigmoid(ops.depth_to_space(L.Conv2D(12, 3, padding="same")(x), 2))

    def pixel_shuffle(x: Any) -> Any:
        x = ops.reshape(L.Conv2D(8, 3, padding="same")(x), (-1, 12, 12, 2, 2, 2))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 24, 24, 2))

    def yolo_head(x: Any) -> Any:
        raw = ops.reshape(L.Conv2D(3 * 7, 1)(x), (-1, 12, 12, 3, 7))
        xy, wh, rest = ops.split(raw, [2, 4], axis=-1)
        grid = np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0)), -1).astype(np.float32)[:, :, None]
        anchors = np.float32([[1, 2], [2, 2], [3, 1]])
        boxes = [(ops.sigmoid(xy) + grid) / 12.0, ops.exp(ops.clip(wh, -4, 4)) * anchors / 12.0, ops.sigmoid(rest)]
        return ops.reshape(ops.concatenate(boxes, -1), (-1, 12 * 12 * 3, 7))

    def dfl(x: Any) -> Any:
        x = ops.reshape(L.Conv2D(4 * 8, 1)(x), (-1, 144, 4, 8))
        return ops.sum(ops.softmax(x, -1) * np.arange(8, dtype=np.float32), -1)

    def c2f(x: Any) -> Any:
        parts = ops.split(conv(x, 8, 1), 2, axis=-1)
        for _ in range(2):
            parts.append(parts[-1] + conv(conv(parts[-1], 4), 4))
        return conv(ops.concatenate(parts, -1), 4, 1)

    def shuffle(x: Any) -> Any:
        left, right = x[..., :2], x[..., 2:]
        right = conv(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same")(conv(right, 2, 1))), 2, 1, act="relu")
        x = ops.reshape(ops.concatenate([left, right], -1), (-1, 12, 12, 2, 2))
        return ops.reshape(ops.transpose(x, (0, 1, 2, 4, 3)), (-1, 12, 12, 4))

    def gem(x: Any) -> Any:
        return ops.power(ops.mean(ops.power(ops.maximum(x, 1e-3), 3.0), (1, 2)), 1 / 3.0)

    def vit(x: Any) -> Any:
        x = ops.reshape(L.Conv2D(8, 4, strides=4)(x), (-1, 9, 8))
        x = x + L.Embedding(9, 8)(np.arange(9))
        x = x + L.MultiHeadAttention(2, 4)(*[L.LayerNormalization()(x)] * 2)
        x = x + L.Dense(8)(L.Dense(16, activation="gelu")(L.LayerNormalization()(x)))
        return L.Dense(3)(ops.mean(L.LayerNormalization()(x), 1))

    def swin(x: Any) -> Any:
        x = ops.roll(x, (-2, -2), axis=(1, 2))
        windows = ops.transpose(ops.reshape(x, (-1, 3, 4, 3, 4, 4)), (0, 1, 3, 2, 4, 5))
        windows = ops.reshape(windows, (-1, 16, 4))
        windows = L.MultiHeadAttention(2, 2)(windows, windows)
        x = ops.transpose(ops.reshape(windows, (-1, 3, 3, 4, 4, 4)), (0, 1, 3, 2, 4, 5))
        return ops.roll(ops.reshape(x, (-1, 12, 12, 4)), (2, 2), axis=(1, 2))

    def non_local(x: Any) -> Any:
        query, key, value = (ops.reshape(L.Conv2D(2, 1)(x), (-1, 144, 2)) for _ in range(3))
        weights = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 2, 1))), -1)
        return x + L.Conv2D(4, 1)(ops.reshape(ops.matmul(weights, value), (-1, 12, 12, 2)))

    def soft_argmax(x: Any) -> Any:
        heat = ops.reshape(ops.softmax(ops.reshape(x, (-1, 144, 4)), 1), (-1, 12, 12, 4))
        line = np.linspace(0, 1, 12, dtype=np.float32)
        return ops.stack([ops.sum(heat * line[None, :, None], (1, 2)), ops.sum(heat * line[:, None, None], (1, 2))], -1)

    def crnn(x: Any) -> Any:
        x = L.MaxPooling2D((12, 1))(L.Conv2D(8, 3, padding="same", activation="relu")(x))
        x = L.Bidirectional(L.LSTM(4, return_sequences=True, unroll=True))(ops.squeeze(x, 1))
        return L.Dense(6, activation="softmax")(x)

    def ghost(x: Any) -> Any:
        first = conv(x, 4, 1)
        return ops.concatenate([first, L.DepthwiseConv2D(3, padding="same", activation="relu")(first)], -1)

    def aspp(x: Any) -> Any:
        pooled = ops.image.resize(L.Conv2D(4, 1)(ops.mean(x, (1, 2), keepdims=True)), (12, 12))
        return L.Concatenate()([pooled, L.Conv2D(4, 3, dilation_rate=3, padding="same")(x), L.Conv2D(4, 1)(x)])

    def convnext(x: Any) -> Any:
        y = L.LayerNormalization(epsilon=1e-6)(L.DepthwiseConv2D(7, padding="same")(x))
        return x + L.Dense(4)(L.Dense(16, activation="gelu")(y))

    def grn(x: Any) -> Any:
        norm = ops.sqrt(ops.sum(ops.square(x), (1, 2), keepdims=True) + 1e-6)
        return x * norm / (ops.mean(norm, -1, keepdims=True) + 1e-6) + x

    def eca(x: Any) -> Any:
        gate = L.Conv1D(1, 3, padding="same", use_bias=False)(ops.expand_dims(ops.mean(x, (1, 2)), -1))
        return x * ops.reshape(ops.sigmoid(gate), (-1, 1, 1, 4))

    def coordinate(x: Any) -> Any:
        down = ops.transpose(ops.mean(x, 1, keepdims=True), (0, 2, 1, 3))
        y = conv(ops.concatenate([ops.mean(x, 2, keepdims=True), down], 1), 4, 1, act="hard_swish")
        rows, columns = ops.split(y, 2, axis=1)
        rows, columns = L.Conv2D(4, 1)(rows), L.Conv2D(4, 1)(ops.transpose(columns, (0, 2, 1, 3)))
        return x * ops.sigmoid(rows) * ops.sigmoid(columns)

    def style(x: Any) -> Any:
        y = L.Conv2D(4, 3)(ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect"))
        mean, variance = ops.moments(y, (1, 2), keepdims=True)
        return x + (y - mean) / ops.sqrt(variance + 1e-5)

    def gram(x: Any) -> Any:
        flat = ops.reshape(x, (-1, 144, 4))
        return ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) / 144.0

    def unet(x: Any) -> Any:
        down = conv(x, 4, act="relu")
        up = L.UpSampling2D(interpolation="bilinear")(conv(L.MaxPooling2D()(down), 8, act="relu"))
        return L.Conv2D(3, 1, activation="softmax")(conv(L.Concatenate()([down, up]), 4, act="relu"))

    def maxout(x: Any) -> Any:
        return ops.max(ops.reshape(L.Conv2D(8, 3)(x), (-1, 10, 10, 4, 2)), -1)

    made = (squeeze_excite, cbam, fpn, espcn, pixel_shuffle, yolo_head, dfl, c2f, shuffle, gem, vit, swin, non_local,
            soft_argmax, crnn, ghost, aspp, convnext, grn, eca, coordinate, style, gram, unet, maxout)  # fmt: skip
    return {f"block: {block.__name__}": block for block in made}


def _cases() -> dict[str, Case]:
    found = {name: Case(make) for name, make in (layers_of_maps() | blocks()).items()}
    found |= {f"ops: {name}": Case(make) for name, make in functions().items()}
    first = {name: lambda x, make=make: L.Conv2D(3, 3)(make(x)) for name, make in augmenting().items()}
    found |= {name: Case(make, (SIDE, SIDE, 3), lead=False) for name, make in first.items()}
    found |= {name: Case(make, (SIDE, SIDE, 3), low=0.0, high=255.0, lead=False) for name, make in COLOURED.items()}
    found |= {name: Case(make, (10, 6), (10, 6, 1), lead=False) for name, make in SERIAL.items()}
    found |= {name: Case(make, (16,), (4, 4, 1), lead=False) for name, make in FLAT.items()}
    return found | {name: Case(make, (6, 6, 6, 2), (12, 12, 3), lead=False) for name, make in SOLID.items()}


CASES: Mapping[str, Case] = _cases()
