"""Heads on backbones that come with Keras: flowers, cats and dogs, tissue, CIFAR-10.

Which layers train when is the recipe's business (edgecv/train/shipped), so that one network serves every stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from edgecv.modelio import env
from edgecv.values.specs import Head, Preprocessing
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, labels, notes
from edgecv.zoo.families.applications import application

FLOWERS = ("dandelion", "daisy", "tulips", "sunflowers", "roses")
TISSUES = ("tumor", "stroma", "complex", "lympho", "debris", "mucosa", "adipose", "empty")
CATS_DOGS = ("cat", "dog")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What stands on which backbone.

    Attributes:
        constructor: In tf_keras.applications.
        collapse: How the last maps become a vector.
        hidden: Units of the dense layers before the classifier.
        rate: Of the dropout after each of them; None for none.
        padding: Zero rows and columns on each side of the input, in the graph.
        sigmoid: One output with a sigmoid in place of the softmax.
    """

    constructor: str
    collapse: Literal["average", "flatten"] = "average"
    hidden: tuple[int, ...] = ()
    rate: float | None = None
    padding: int = 0
    sigmoid: bool = False


def builder(plan: Plan, name: str) -> Callable[[Build], Any]:
    """Return what builds the network of a plan as one flat graph; the backbone's layers keep keras' names."""

    def build(request: Build) -> Any:
        x = image = blocks.image_input(request.input_shape)
        if plan.padding:
            x = env.keras().layers.ZeroPadding2D(plan.padding, name="pad")(x)
        x = application(plan.constructor, request, input_tensor=x, include_top=False).output
        x = blocks.global_average(x) if plan.collapse == "average" else blocks.flatten(x)
        for index, units in enumerate(plan.hidden, start=1):
            x = blocks.dense(x, units, name=f"fc{index}")
            x = x if plan.rate is None else blocks.dropout(x, plan.rate, name=f"drop{index}")
        activation = "sigmoid" if plan.sigmoid else "softmax"
        return blocks.model(image, blocks.dense(x, request.labels, activation=activation, name="output"), name=name)

    return build


def _entry(
    name: str,
    title: str,
    size: int,
    small: int,
    heads: tuple[Head, ...],
    variants: dict[str, tuple[str, Plan, Preprocessing]],
    source: str,
) -> ZooEntry:
    return ZooEntry(
        name=name,
        title=title,
        input_shape=(size, size, 3),
        small_shape=(small, small, 3),
        heads=heads,
        variants={
            key: Variant(title=text, build=builder(plan, name), preprocessing=how)
            for key, (text, plan, how) in variants.items()
        },
        source=source,
        notes={"": "a smaller backbone (mobilenet_v2) makes a better file for a device", "edgetpu": notes.BIG},
        pretrained=True,
    )


_PET = (Head(name="output", task="multilabel", activation="probabilities", labels=("dog",)),)
_TENSORFLOW_BOOK = "A. Géron, Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow, 2019, chapter 14"
_TISSUE = "Kather et al., Multi-class texture analysis in colorectal cancer histology, Scientific Reports 2016 (data)"
_VGG = "Simonyan, Zisserman, Very Deep Convolutional Networks, ICLR 2015 (backbone)"
_RESNET = "He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, CVPR 2016 (backbone)"

ENTRIES = (
    _entry(
        "tl_xception_flowers",
        "Xception backbone, five kinds of flowers",
        224,
        71,
        labels.classifier_head(FLOWERS),
        {"canonical": ("global average pool and classifier", Plan(constructor="Xception"), inputs.SYMMETRIC)},
        _TENSORFLOW_BOOK,
    ),
    _entry(
        "tl_vgg16_catdog_fused",
        "VGG16 backbone, cats and dogs",
        150,
        32,
        labels.classifier_head(CATS_DOGS),
        {"canonical": ("one hidden layer on the pool", Plan(constructor="VGG16", hidden=(1024,)), inputs.CAFFE)},
        _VGG,
    ),
    _entry(
        "tl_vgg16_catdog_cached",
        "VGG16 backbone, cats and dogs, two hidden layers on flattened maps",
        150,
        32,
        _PET,
        {
            "canonical": (
                "one sigmoid: the head trains on features computed once",
                Plan(constructor="VGG16", collapse="flatten", hidden=(512, 512), rate=0.3, sigmoid=True),
                inputs.CAFFE,
            )
        },
        _VGG,
    ),
    _entry(
        "tl_vgg16_histology",
        "VGG16 backbone, eight kinds of tissue",
        150,
        32,
        labels.classifier_head(TISSUES),
        {
            "canonical": (
                "one hidden layer on flattened maps",
                Plan(constructor="VGG16", collapse="flatten", hidden=(1024,), rate=0.5),
                inputs.CAFFE,
            ),
            "edge": (
                "one hidden layer on a global average pool",
                Plan(constructor="VGG16", hidden=(1024,), rate=0.5),
                inputs.CAFFE,
            ),
        },
        _TISSUE,
    ),
    _entry(
        "tl_resnet50_cifar",
        "ResNet-50 backbone, CIFAR-10",
        32,
        32,
        labels.classifier_head(labels.CIFAR10),
        {
            "canonical": (
                "images in the middle of 224x224 zeros, in the graph",
                Plan(constructor="ResNet50", padding=96),
                inputs.CAFFE,
            ),
            "resize": (
                "images as they are, or resized with --input-size: 50 times less work",
                Plan(constructor="ResNet50"),
                inputs.CAFFE,
            ),
        },
        _RESNET,
    ),
)
