"""DeepLab on MobileNetV2: classes of an image's parts from maps at a sixteenth of its size.

The backbone keeps stride 16 to its end: its last stride is 1, and depthwise convolutions behind it are dilated by 2.
Its last map and the mean of it go through a 1x1 convolution each ("image pooling"), and through another one together.

The edge variant adds both in place of joining their channels. That is the same function: the mean is one value for the
whole map, so the convolution behind the joint is a sum of two, one of which is of a 1x1 map. It needs no resizing by
the size of the map, which accelerators refuse, and half of the multiply-accumulates behind the joint.

Sources: Chen et al. 2017, "Rethinking Atrous Convolution for Semantic Image Segmentation", section 3.3; Sandler et al.
2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", section 6.3, which leaves the dilated branches out.
"""

from __future__ import annotations

import functools
from typing import Any

from edgecv.modelio import env
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, labels
from edgecv.zoo.families.applications import application

STRIDE = 16
FEATURES = "block_16_project_BN"
STRIDED = ("block_13_pad", "block_13_depthwise")
DILATED = ("block_14_depthwise", "block_15_depthwise", "block_16_depthwise")
FILTERS = 256
"""Of the convolutions behind the backbone, at full width."""


def build(request: Build, *, joint: str = "concat", upsampled: bool = False) -> Any:
    """The network, from images to logits at a sixteenth of their size.

    Args:
        request: Of inputs whose sides are multiples of 16.
        joint: How the map and its mean meet: "concat" of channels, with the mean resized to the map; or "add".
        upsampled: Whether logits are resized to the input's size in the network.
    """
    height, width = request.input_shape[:2]
    if height % STRIDE or width % STRIDE:
        raise ValueError(f"height and width must be multiples of {STRIDE}, got {height}x{width}")
    image = blocks.image_input(request.input_shape)
    features = backbone(image, request)
    filters = blocks.scaled(FILTERS, request.width)
    pooled = env.keras().layers.GlobalAveragePooling2D(keepdims=True, name="image_pool")(features)
    x = _joined(features, pooled, filters) if joint == "concat" else _added(features, pooled, filters)
    x = blocks.dropout(x, 0.1, name="drop")
    x = blocks.conv(x, request.labels, 1, name="mask", activation="linear")
    if upsampled:
        x = env.keras().layers.UpSampling2D(STRIDE, interpolation="bilinear", name="mask_resized")(x)
    return blocks.model(image, x, name="deeplab_mnv2")


def backbone(image: Any, request: Build) -> Any:
    """Return the last map of MobileNetV2's blocks, at a sixteenth of the input: its layers have Keras' names."""
    keras = env.keras()
    strided = application("MobileNetV2", request, input_tensor=image, include_top=False, alpha=request.width)
    until = keras.Model(strided.input, strided.get_layer(FEATURES).output)
    atrous = keras.models.clone_model(until, input_tensors=image, clone_function=_without_stride)
    if request.weights is not None:
        atrous.set_weights(until.get_weights())
    return atrous.output


def _without_stride(layer: Any) -> Any:
    """Return a layer like the given one, for maps that are no longer halved."""
    config = layer.get_config()
    if layer.name == STRIDED[0]:
        return env.keras().layers.Activation("linear", name=layer.name)
    if layer.name == STRIDED[1]:
        config |= {"strides": (1, 1), "padding": "same"}
    if layer.name in DILATED:
        config |= {"dilation_rate": (2, 2)}
    return type(layer).from_config(config)


def _joined(features: Any, pooled: Any, filters: int) -> Any:
    """As published: the mean is enlarged to the map's size, and stands before it in the channels."""
    layers, size = env.keras().layers, tuple(features.shape[1:3])
    mean = blocks.conv_norm(pooled, filters, 1, name="pooled")
    mean = layers.UpSampling2D(size, interpolation="bilinear", name="pooled_resize")(mean)
    own = blocks.conv_norm(features, filters, 1, name="aspp")
    return blocks.conv_norm(blocks.concat([mean, own], name="joint"), filters, 1, name="project")


def _added(features: Any, pooled: Any, filters: int) -> Any:
    """The same function: each part has its own half of the weights of "project"."""
    layers = env.keras().layers
    mean = blocks.conv_norm(pooled, filters, 1, name="pooled")
    own = blocks.conv_norm(features, filters, 1, name="aspp")
    mean = layers.Conv2D(filters, 1, use_bias=False, name="project_pooled")(mean)
    own = blocks.conv_norm(own, filters, 1, name="project", activation=None)  # the norm folds into its convolution
    return blocks.activate(layers.Add(name="joint")([own, mean]), "relu", name="project_act")


def _variant(title: str, **options: Any) -> Variant:
    return Variant(title=title, build=functools.partial(build, **options), preprocessing=inputs.SYMMETRIC)


ENTRIES = (
    ZooEntry(
        name="deeplab_mnv2",
        title="DeepLabv3 on MobileNetV2, stride 16, image pooling",
        input_shape=(256, 256, 3),
        small_shape=(32, 32, 3),
        heads=labels.mask_head(labels.VOC_MASKS, void=labels.VOC_VOID),
        variants={
            "canonical": _variant("map and mean joined; logits at 1/16, which the runtime enlarges"),
            "edge": _variant("map and mean added, the same function; logits at 1/16", joint="add"),
            "upsampled": _variant("edge, with logits resized to the input's size", joint="add", upsampled=True),
        },
        source="Chen et al., DeepLabv3, 2017; Sandler et al., MobileNetV2, CVPR 2018, section 6.3",
        notes={
            "": "the runtime enlarges logits faster than an operator does: take edge, and upsampled only without it",
            "edgetpu": "resizing by 16 (upsampled) or to the map's size (canonical) may stay on the CPU: take edge",
        },
        scalable=True,
        pretrained=True,
    ),
)
