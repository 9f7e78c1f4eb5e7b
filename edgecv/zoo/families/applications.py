"""Networks that Keras brings, under the catalogue's interface: with its weights, a file's, or none."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

from edgecv.core.errors import ConfigError
from edgecv.modelio import env
from edgecv.values.specs import Preprocessing
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import efficientnet_lite, inputs, labels, pretrained
from edgecv.zoo.families import notes as remarks

MOMENTUM = 0.99
"""Of batch normalisations, at most: what Keras gives a layer of which nothing else is said."""
BACKBONE_MOMENTUM = 0.97
"""Of those in backbones of detectors. Source: TensorFlow's object detection API, its SSD MobileNets."""
DENSE = "most weights sit in the first dense layer: bound by memory; use a global average pool instead"
DEPTHWISE = "depthwise layers lose most under int8: per-channel weights, and quantisation-aware training if needed"
PREACTIVATION = "batch normalisation before a convolution does not fold: edgecv makes one 1x1 depthwise operator of it"
GATES = "swish and squeeze-and-excitation collapse under plain int8: train with quantisation"


def application(constructor: str, request: Build, **options: Any) -> Any:
    """Return `tf_keras.applications.<constructor>` for what is asked for; `options` are its further arguments.

    Its batch normalisations follow a training of some hundred steps: see `following`.

    Raises:
        ConfigError: It does not take the input shape or the weights, or the weights cannot be had.
    """
    make = getattr(env.keras().applications, constructor)
    try:
        # Keras tells of downloads on stdout, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            return following(make(weights=pretrained.source(request), **options), MOMENTUM)
    except ValueError as error:
        raise ConfigError(
            f"{constructor} cannot be built for {request.input_shape} and {request.labels} labels: "
            f"{str(error).splitlines()[0]}",
            hint="see edgecv zoo show for its input size; ImageNet weights need its 1000 classes",
        ) from error
    except Exception as error:
        # Keras raises a plain Exception when a download fails, and whatever its parts raise over a weights file.
        own = request.weights not in (None, "imagenet")
        if not own and not isinstance(error, OSError) and "URL fetch failure" not in str(error):
            raise
        raise ConfigError(
            f"the weights of {constructor} cannot be had: {error}",
            hint="the file is damaged, or of another network"
            if own
            else "without a network, download the file elsewhere and pass its path as weights",
        ) from error


def backbone(constructor: str, request: Build, *, image: Any, **options: Any) -> Any:
    """Return an application without its classifier, on an input: what is often trained for a few hundred steps."""
    found = application(constructor, request, input_tensor=image, include_top=False, **options)
    return following(found, BACKBONE_MOMENTUM)


def following(model: Any, momentum: float) -> Any:
    """Return a model whose batch normalisations keep at most a share of their statistics at each step.

    Keras' MobileNets keep 0.999: after a training of some hundred steps, inference would still see the statistics that
    the network was built with.
    """
    for layer in model.layers:
        if getattr(layer, "momentum", 0.0) > momentum:
            layer.momentum = momentum
    return model


def builder(constructor: str, *, scalable: bool = False) -> Callable[[Build], Any]:
    """Return what builds `tf_keras.applications.<constructor>` with its softmax classifier."""

    def build(request: Build) -> Any:
        options: dict[str, Any] = {"alpha": request.width} if scalable else {}
        options |= {"input_shape": request.input_shape, "classes": request.labels, "include_top": True}
        return application(constructor, request, **options)

    return build


def _entry(
    name: str,
    constructor: str,
    preprocessing: Preprocessing,
    source: str,
    *,
    size: int = 224,
    small: int = 64,
    notes: dict[str, str] | None = None,
    scalable: bool = False,
    title: str = "",
    variants: dict[str, Variant] | None = None,
) -> ZooEntry:
    variant = Variant(
        title=f"tf_keras.applications.{constructor}",
        build=builder(constructor, scalable=scalable),
        preprocessing=preprocessing,
    )
    return ZooEntry(
        name=name,
        title=title or constructor,
        input_shape=(size, size, 3),
        small_shape=(small, small, 3),
        heads=labels.classifier_head(labels.IMAGENET),
        variants={"canonical": variant, **(variants or {})},
        source=source,
        notes=notes or {},
        scalable=scalable,
        pretrained=True,
    )


_VGG = "Simonyan, Zisserman, Very Deep Convolutional Networks, ICLR 2015"
_RESNET = "He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, CVPR 2016"
_RESNET_V2 = "He, Zhang, Ren, Sun, Identity Mappings in Deep Residual Networks, ECCV 2016"
_DENSENET = "Huang, Liu, van der Maaten, Weinberger, Densely Connected Convolutional Networks, CVPR 2017"
_NASNET = "Zoph, Vasudevan, Shlens, Le, Learning Transferable Architectures, CVPR 2018"
_FC_NOTES = {"": DENSE, "edgetpu": remarks.BIG}
_V2_NOTES = {"": PREACTIVATION, "edgetpu": remarks.BIG}
_DENSE_NOTES = {"": f"{PREACTIVATION}; {remarks.CONCAT}"}

ENTRIES = (
    _entry("vgg16", "VGG16", inputs.CAFFE, _VGG, small=32, notes=_FC_NOTES),
    _entry("vgg19", "VGG19", inputs.CAFFE, _VGG, small=32, notes=_FC_NOTES),
    _entry("resnet50_v1", "ResNet50", inputs.CAFFE, _RESNET, notes={"edgetpu": remarks.BIG}),
    _entry("resnet50_v2", "ResNet50V2", inputs.SYMMETRIC, _RESNET_V2, notes=_V2_NOTES),
    _entry("resnet152", "ResNet152", inputs.CAFFE, _RESNET, notes={"edgetpu": remarks.BIG}),
    _entry("resnet152_v2", "ResNet152V2", inputs.SYMMETRIC, _RESNET_V2, notes=_V2_NOTES),
    _entry(
        "inception_v3",
        "InceptionV3",
        inputs.SYMMETRIC,
        "Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, Rethinking the Inception Architecture, CVPR 2016",
        size=299,
        small=75,
        notes={"": remarks.CONCAT, "edgetpu": remarks.BIG},
    ),
    _entry(
        "inception_resnet_v2",
        "InceptionResNetV2",
        inputs.SYMMETRIC,
        "Szegedy, Ioffe, Vanhoucke, Alemi, Inception-v4, Inception-ResNet, AAAI 2017",
        size=299,
        small=75,
        title="Inception-ResNet v2, of the paper that names Inception v4",
        notes={"": remarks.CONCAT, "edgetpu": remarks.BIG},
    ),
    _entry(
        "xception",
        "Xception",
        inputs.SYMMETRIC,
        "Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017",
        size=299,
        small=71,
        notes={"": DEPTHWISE, "edgetpu": remarks.BIG},
    ),
    _entry("densenet121", "DenseNet121", inputs.TORCH, _DENSENET, notes=_DENSE_NOTES),
    _entry("densenet169", "DenseNet169", inputs.TORCH, _DENSENET, notes=_DENSE_NOTES | {"edgetpu": remarks.BIG}),
    _entry("densenet201", "DenseNet201", inputs.TORCH, _DENSENET, notes=_DENSE_NOTES | {"edgetpu": remarks.BIG}),
    _entry(
        "mobilenet_v1",
        "MobileNet",
        inputs.SYMMETRIC,
        "Howard et al., MobileNets: Efficient Convolutional Neural Networks, 2017",
        scalable=True,
        notes={"": DEPTHWISE},
    ),
    _entry(
        "mobilenet_v2",
        "MobileNetV2",
        inputs.SYMMETRIC,
        "Sandler, Howard, Zhu, Zhmoginov, Chen, MobileNetV2, CVPR 2018",
        scalable=True,
        notes={"": DEPTHWISE},
    ),
    _entry("nasnet_mobile", "NASNetMobile", inputs.SYMMETRIC, _NASNET, notes={"": f"{DEPTHWISE}; {remarks.CONCAT}"}),
    _entry(
        "nasnet_large",
        "NASNetLarge",
        inputs.SYMMETRIC,
        _NASNET,
        size=331,
        small=64,
        notes={"": f"{DEPTHWISE}; {remarks.CONCAT}", "edgetpu": remarks.BIG},
    ),
    _entry(
        "efficientnet_b0",
        "EfficientNetB0",
        inputs.RAW,
        "Tan, Le, EfficientNet: Rethinking Model Scaling, ICML 2019",
        notes={"": GATES},
        variants={
            "lite": Variant(
                title="Lite0: no squeeze-and-excitation, ReLU6 in place of swish; no ImageNet weights",
                build=efficientnet_lite.build,
                preprocessing=inputs.SYMMETRIC,
            )
        },
    ),
)
