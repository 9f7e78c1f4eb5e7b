"""The networks whose features say what a picture shows and how it is painted: VGG19, and a small one that ships.

Both have five blocks of 3x3 convolutions under VGG's names, block1_conv1 to block5_conv2 or further, so that the same
names of layers work on both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgecv.core.errors import ConfigError, unknown_name
from edgecv.modelio import env
from edgecv.zoo.entry import Build
from edgecv.zoo.families.applications import application

Pooling = Literal["max", "average"]

EMBEDDED = "embedded"
IMAGENET = "imagenet"
SHIPPED = Path(__file__).resolve().parent / "texture_net.npz"
"""Weights of the small network, made by benchmarks/style_backbone.py."""
FILTERS = ((16, 2), (24, 2), (32, 2), (48, 2), (64, 2))
"""Of the small network: filters and convolutions of each block."""
MIRRORED = 8
"""Pixels beyond the border that it sees."""
MEANS = (103.939, 116.779, 123.68)
"""Of ImageNet's channels, BGR, which VGG19 is fed without. Source: keras_applications, mode "caffe"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """A frozen network that gives maps of any picture of 16 pixels a side or more.

    Attributes:
        name: "embedded" or "vgg19".
        model: From float32 (n, h, w, 3) as `prepared` gives it to one map per layer.
        layers: Of the maps, in order.
        digest: SHA-256 over the weights, as hex: what a resumed run has to have too.
    """

    name: str
    model: Any
    layers: tuple[str, ...]
    digest: str

    def prepared(self, pictures: Any) -> Any:
        """Return pictures, a tensor (n, h, w, 3) RGB of 0..1, as the network takes them.

        The small network sees them mirrored for some pixels beyond their border, since the zeros that convolutions put
        there are gray to it: pictures would get a frame that makes up for it.
        """
        if self.name == EMBEDDED:
            beyond = [[0, 0], [MIRRORED, MIRRORED], [MIRRORED, MIRRORED], [0, 0]]
            return 2.0 * env.tensorflow().pad(pictures, beyond, mode="REFLECT") - 1.0
        return 255.0 * pictures[..., ::-1] - np.asarray(MEANS, np.float32)

    def features(self, pictures: Any) -> dict[str, Any]:
        """Return the maps (n, h', w', c) of pictures, a tensor (n, h, w, 3) RGB of 0..1, by layer."""
        found = self.model(self.prepared(pictures), training=False)
        # Keras gives the only output of a model as it is.
        return dict(zip(self.layers, found if len(self.layers) > 1 else [found], strict=True))


def backbone(weights: str, layers: Sequence[str], *, pooling: Pooling = "max") -> Backbone:
    """Return a backbone that gives some of its layers.

    Args:
        weights: "embedded", the small network that ships; "imagenet", VGG19's of Keras, which are downloaded; or a file
            of VGG19's weights, with or without its dense layers.
        layers: Names of convolutions; each once.
        pooling: What halves maps: "max", as the networks were trained; or "average", which Gatys et al. found to look
            better, section 2.

    Raises:
        ConfigError: A layer is unknown, or the weights cannot be had or are another network's.
    """
    whole = texture_net() if weights == EMBEDDED else vgg19(weights)
    name = EMBEDDED if weights == EMBEDDED else "vgg19"
    if pooling == "average":
        whole = _averaging(whole)
    convolutions = [layer.name for layer in whole.layers if "_conv" in layer.name]
    for layer in layers:
        if layer not in convolutions:
            raise unknown_name(f"layer of {name}", layer, convolutions)
    names = tuple(dict.fromkeys(layers))
    model = env.keras().Model(whole.input, [whole.get_layer(layer).output for layer in names], name=name)
    model.trainable = False
    return Backbone(name=name, model=model, layers=names, digest=_digest(model, pooling))


def vgg19(weights: str | None) -> Any:
    """Return VGG19 without its dense layers, for pictures of any size; None leaves the weights random.

    Raises:
        ConfigError: The weights cannot be had or are another network's.
    """
    request = Build(input_shape=(None, None, 3), units=(1000,), weights=IMAGENET if weights == IMAGENET else None)  # type: ignore[arg-type]
    model = application("VGG19", request, include_top=False, input_shape=(None, None, 3))
    if weights in (None, IMAGENET):
        return model
    if not Path(str(weights)).is_file():
        raise ConfigError(
            f"weights file {weights} does not exist",
            hint="give Keras' file of VGG19's weights (.h5), imagenet to download it, or embedded",
        )
    return _loaded(model, Path(str(weights)))


def _loaded(model: Any, path: Path) -> Any:
    """Return VGG19 with the convolutions of a file, found by the names of layers."""
    before = model.get_weights()
    try:
        model.load_weights(str(path), by_name=True, skip_mismatch=False)
    # Keras and HDF5 raise whatever their parts raise; all of it means that these weights cannot be taken.
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"{path} holds no weights of VGG19: {reason}", hint="take Keras' .h5 file of VGG19"
        ) from error
    kept = [
        layer.name
        for layer in model.layers
        if layer.weights and all(any(np.array_equal(own, old) for old in before) for own in layer.get_weights()[:1])
    ]
    if kept:
        raise ConfigError(
            f"{path} lacks VGG19's {', '.join(kept[:3])}{' and more' if len(kept) > 3 else ''}",
            hint="take Keras' .h5 file of VGG19, with or without its dense layers",
        )
    return model


def texture_net(*, trained: bool = True) -> Any:
    """Return the small network, without an end: VGG's form with 16 to 64 filters, 126,944 weights."""
    layers = env.keras().layers
    image = x = env.keras().Input((None, None, 3), name="picture")
    for block, (filters, count) in enumerate(FILTERS, start=1):
        for index in range(1, count + 1):
            name = f"block{block}_conv{index}"
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
        if block < len(FILTERS):
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    model = env.keras().Model(image, x, name="texture_net")
    if trained:
        with np.load(SHIPPED, allow_pickle=False) as stored:
            model.set_weights([stored[weight.name.partition(":")[0]].astype(np.float32) for weight in model.weights])
    return model


def _averaging(model: Any) -> Any:
    """Return a model with average pools in the place of its max pools, of the same weights."""
    keras = env.keras()

    def cloned(layer: Any) -> Any:
        if isinstance(layer, keras.layers.MaxPooling2D):
            return keras.layers.AveragePooling2D(layer.pool_size, strides=layer.strides, name=layer.name)
        return type(layer).from_config(layer.get_config())

    made = keras.models.clone_model(model, clone_function=cloned)
    made.set_weights(model.get_weights())
    return made


def _digest(model: Any, pooling: str) -> str:
    found = hashlib.sha256(pooling.encode())
    for weight in model.get_weights():
        found.update(np.ascontiguousarray(weight, "<f4").tobytes())
    return found.hexdigest()
