"""Small networks with random weights, and batch normalisation that has seen something: one per kind of connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgecv import zoo
from edgecv.modelio import env
from edgecv.zoo import blocks


def randomised(model: Any, seed: int = 0) -> Any:
    """Give every weight a random value, and every statistic a plausible one."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        values = []
        for weight in layer.weights:
            name, shape = weight.name.split("/")[-1], tuple(weight.shape)
            positive = "variance" in name or "gamma" in name
            # By the number of inputs: a saturated softmax would hide every difference.
            spread = 1.0 / np.sqrt(max(1, np.prod(shape[:-1]))) if len(shape) > 1 else 0.2
            noise = rng.uniform(0.5, 1.5, shape) if positive else rng.normal(0, spread, shape)
            values.append(noise.astype(np.float32))
        layer.set_weights(values)
    return model


def from_zoo(name: str, width: float = 1.0) -> Callable[[], Any]:
    def build() -> Any:
        entry = zoo.get(name)
        return randomised(zoo.build(name, input_shape=entry.small_shape, width=width, seed=0)[0])

    return build


def _functional(body: Callable[[Any, Any], Any], shape: tuple[int, ...] = (8, 8, 3)) -> Callable[[], Any]:
    def build() -> Any:
        keras = env.keras()
        image = keras.Input(shape, name="image")
        return randomised(keras.Model(image, body(keras.layers, image), name=body.__name__.strip("_")))

    return build


def _conv_norm(layers: Any, x: Any, filters: int, name: str, kernel: int = 3, **more: Any) -> Any:
    x = layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=name, **more)(x)
    return layers.ReLU(name=f"{name}_act")(layers.BatchNormalization(name=f"{name}_bn")(x))


def _vgg(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(8, 3, activation="relu", padding="same", name="c1")(x)
    x = layers.MaxPooling2D(name="p1")(layers.Conv2D(12, 3, activation="sigmoid", padding="same", name="c2")(x))
    x = layers.Dense(20, activation="relu", name="fc1")(layers.Flatten(name="flatten")(x))
    x = layers.Dropout(0.5, name="drop")(x)
    return layers.Dense(4, activation="softmax", name="output")(layers.BatchNormalization(name="bn")(x))


def _unet(layers: Any, x: Any) -> Any:
    first = _conv_norm(layers, x, 8, "enc1")
    second = _conv_norm(layers, layers.MaxPooling2D(name="down1")(first), 12, "enc2")
    deep = _conv_norm(layers, layers.MaxPooling2D(name="down2")(second), 16, "mid")
    up = layers.Conv2DTranspose(10, 2, strides=2, activation="relu", name="up2")(deep)
    up = _conv_norm(layers, layers.Concatenate(name="skip2")([up, second]), 12, "dec2")
    up = layers.UpSampling2D(name="up1")(up)
    up = _conv_norm(layers, layers.Concatenate(name="skip1")([first, up]), 8, "dec1")
    return layers.Conv2D(3, 1, activation="softmax", name="mask")(up)


def _inception(layers: Any, x: Any) -> Any:
    x = _conv_norm(layers, x, 8, "stem")
    one = _conv_norm(layers, x, 4, "b1", kernel=1)
    two = _conv_norm(layers, _conv_norm(layers, x, 6, "b2r", kernel=1), 8, "b2")
    pooled = layers.AveragePooling2D(3, strides=1, padding="same", name="pool")(x)
    three = layers.PReLU(shared_axes=[1, 2], name="b3_act")(layers.Conv2D(5, 1, name="b3")(pooled))
    x = layers.Concatenate(name="join")([one, two, three])
    x = layers.Add(name="res")([x, layers.Conv2D(17, 1, name="project")(layers.Concatenate(name="raw")([x, two]))])
    return layers.Dense(5, activation="softmax", name="output")(layers.GlobalAveragePooling2D(name="gap")(x))


def _densenet(layers: Any, x: Any) -> Any:
    """Two dense blocks with normalisation before the convolution, and a transition between them."""
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(x)
    for block in (1, 2):
        for index in (1, 2, 3):
            name = f"dense{block}_{index}"
            grown = layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))
            grown = _conv_norm(layers, grown, 12, f"{name}_reduce", kernel=1)
            grown = layers.Conv2D(4, 3, padding="same", use_bias=False, name=f"{name}_grow")(grown)
            x = layers.Concatenate(name=f"{name}_concat")([x, grown])
        x = layers.AveragePooling2D(name=f"pool{block}")(_conv_norm(layers, x, 10, f"transition{block}", kernel=1))
    return layers.Dense(5, activation="softmax", name="output")(layers.GlobalAveragePooling2D(name="gap")(x))


def _mobilenet(layers: Any, x: Any) -> Any:
    """Inverted residuals with and without a skip, by the zoo's own block."""
    x = blocks.conv_norm(x, 8, 3, name="stem", activation="relu6")
    for index, (filters, strides) in enumerate(((8, 1), (12, 2), (12, 1), (12, 1)), start=1):
        x = blocks.inverted_residual(x, 1 if index == 1 else 3, filters, strides=strides, name=f"block{index}")
    return layers.Dense(5, activation="softmax", name="output")(layers.GlobalAveragePooling2D(name="gap")(x))


def _gated(layers: Any, x: Any) -> Any:
    """Squeeze and excitation by dense layers, with a reshape back to a map, behind depthwise and separable layers."""
    x = _conv_norm(layers, x, 8, "stem")
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu", name="dw")(x)
    x = layers.SeparableConv2D(12, 3, depth_multiplier=2, activation="relu", name="sep")(x)
    gate = layers.GlobalMaxPooling2D(name="squeeze")(x)
    gate = layers.Dense(12, activation="sigmoid", name="expand")(
        layers.Dense(6, activation="relu", name="reduce")(gate)
    )
    x = layers.Multiply(name="scale")([x, layers.Reshape((1, 1, 12), name="to_map")(gate)])
    x = layers.Reshape((-1,), name="flat")(layers.ZeroPadding2D(1, name="pad")(x))
    return layers.Dense(3, name="output")(x)


def _shared(layers: Any, x: Any) -> Any:
    """One convolution and its norm called twice, on tensors whose channels that ties."""
    conv = layers.Conv2D(8, 3, padding="same", activation="relu", name="twice")
    norm = layers.BatchNormalization(name="norm")
    start = layers.Conv2D(8, 1, activation="relu", name="start")(x)
    other = layers.Conv2D(8, 1, activation="tanh", name="other")(x)
    x = layers.Concatenate(name="join")([norm(conv(start)), norm(conv(other))])
    return layers.Dense(3, name="output")(layers.Flatten(name="flatten")(x))


def _kept(layers: Any, x: Any) -> Any:
    """What cannot be cut: a grouped convolution, a softmax over channels, a broadcast map, an output inside."""
    x = layers.Conv2D(8, 3, activation="relu", name="before")(x)
    x = layers.Conv2D(8, 3, groups=2, activation="relu", name="grouped")(x)
    x = layers.Conv2D(6, 1, activation="relu", name="free")(x)
    x = layers.Conv2D(6, 1, activation="softmax", name="attention")(x)
    seen = layers.Conv2D(1, 1, activation="sigmoid", name="where")(x)
    x = layers.Multiply(name="focus")([layers.Conv2D(7, 1, name="what")(x), seen])
    return [layers.Dense(3, name="output")(layers.GlobalAveragePooling2D(name="gap")(x)), x]


NETWORKS: dict[str, Callable[[], Any]] = {
    "resnet8": from_zoo("resnet8"),
    "densenet": _functional(_densenet),
    "mobilenet_v2": _functional(_mobilenet),
    "se_resnet20": from_zoo("se_resnet20"),
    "xception": from_zoo("xception_small"),
    "vgg": _functional(_vgg),
    "unet": _functional(_unet),
    "inception": _functional(_inception),
    "gated": _functional(_gated),
    "shared": _functional(_shared),
    "kept": _functional(_kept),
}
