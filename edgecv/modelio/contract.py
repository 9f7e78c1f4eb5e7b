"""The contract of a model from elsewhere, as far as the model tells it.

What a model says: the shape of its input, whether it scales pixels itself, the network that it is made of, and what its
last layer makes of the outputs. What it does not say: how images are scaled otherwise, and what its outputs are called.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.modelio.boundary import input_names, output_names
from edgecv.modelio.functions import Role
from edgecv.tasks.recognised import CERTAIN
from edgecv.tasks.registry import TASKS
from edgecv.values.presets import PRESETS, preset
from edgecv.values.specs import Activation, Head, InputSpec, ModelSpec, Preprocessing

# A layer that a network of keras.applications has and no other, and the scale of the images that it was trained on.
# Source: the preprocess_input of each module of keras.applications.
NETWORKS: tuple[tuple[str, str, str], ...] = (
    ("MobileNetV2", r"block_1_expand_BN", "imagenet-tf"),
    ("MobileNet", r"conv_dw_1_bn", "imagenet-tf"),
    ("ResNet V2", r"conv2_block1_preact_bn", "imagenet-tf"),
    ("DenseNet", r"conv2_block1_concat", "imagenet-torch"),
    ("ResNet", r"conv2_block1_1_bn", "imagenet-caffe"),
    ("InceptionResNetV2", r"block35_1_conv", "imagenet-tf"),
    ("InceptionV3", r"mixed9_1", "imagenet-tf"),
    ("Xception", r"block2_sepconv1", "imagenet-tf"),
    ("VGG", r"block5_conv3", "imagenet-caffe"),
    ("NASNet", r"normal_left1_.*", "imagenet-tf"),
)
LABEL_FILES = (
    "class_names.json",
    "labels.json",
    "class_indices.json",
    "labels.txt",
    "class_names.txt",
    "label_map.pbtxt",
)
SANE = (0.4, 30.0)
"""Span of what a network's first layer takes in practice: -1..1, 0..1, or some standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """What could be found out.

    Attributes:
        spec: The contract; its preprocessing is the first of `candidates` where the model does not tell.
        known: What the model says, a sentence each, without a full stop.
        guessed: What it does not say and was assumed, likewise.
        candidates: Presets that the input may want; empty when the model says it.
    """

    spec: ModelSpec
    known: tuple[str, ...]
    guessed: tuple[str, ...]
    candidates: tuple[str, ...]


def infer(model: Any, path: Path) -> Inferred:
    """Return the contract that a model of layers has by itself.

    Args:
        model: A tf_keras model of static shape.
        path: Its file: labels are looked for beside it.

    Raises:
        ConfigError: An input is no image of 1 or 3 channels and no vector, or an output is of no task.
    """
    known: list[str] = []
    guessed: list[str] = []
    candidates: tuple[str, ...] = ()
    inputs = []
    names = input_names(model)
    for name, tensor in zip(names, model.inputs, strict=True):
        own = "image" if len(names) == 1 and len(tensor.shape) == 4 else "features" if len(names) == 1 else name
        settings, said, open_ = _preprocessing(model, tensor, name)
        (guessed if open_ else known).extend(said)
        candidates = candidates or open_
        inputs.append(InputSpec(own, tuple(int(size) for size in tensor.shape[1:]), settings))
    heads = []
    for name, tensor in zip(output_names(model), model.outputs, strict=True):
        head, sentence, sure = recognised_head(tensor, name)
        labels = labels_beside(path, int(tensor.shape[-1])) if len(model.outputs) == 1 else ()
        if labels:
            head = Head(head.name, head.task, head.activation, labels, head.outputs, head.settings)
            known.append(f"{len(labels)} labels from a file beside the model")
        (known if sure else guessed).append(sentence)
        heads.append(head)
    spec = ModelSpec(name=plain_name(path), inputs=tuple(inputs), heads=tuple(heads))
    return Inferred(spec=spec, known=tuple(known), guessed=tuple(guessed), candidates=candidates)


def with_preprocessing(spec: ModelSpec, settings: Preprocessing) -> ModelSpec:
    """Return a contract whose images are scaled otherwise."""
    inputs = tuple(
        InputSpec(one.name, one.shape, settings if one.preprocessing is not None else None) for one in spec.inputs
    )
    return ModelSpec(name=spec.name, inputs=inputs, heads=spec.heads, variant=spec.variant)


def plain_name(path: Path) -> str:
    """Return a file's stem as a model may be called."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", path.stem).strip("_") or "model"


# Inputs.


def _preprocessing(model: Any, tensor: Any, name: str) -> tuple[Preprocessing | None, tuple[str, ...], tuple[str, ...]]:
    """Return how an input is scaled, what says so, and the presets to choose from when nothing does."""
    shape = tuple(tensor.shape)[1:]
    if len(shape) == 1:
        return None, (f"input '{name}' takes {shape[0]} numbers",), ()
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise ConfigError(
            f"input '{name}' of shape {shape} is no image of 1 or 3 channels, and no vector",
            hint="describe it with --spec model.toml; docs/specs.md shows how",
        )
    channels = int(shape[-1])
    scaling = _own_scaling(model, tensor)
    if scaling is not None:
        layer, scale, offset = scaling
        if SANE[0] <= scale * 255 <= SANE[1] or (scale == 1.0 and offset > SANE[1]):
            return preset("raw", channels), (f"pixels 0..255: layer '{layer}' scales them itself",), ()
        if SANE[0] <= scale <= SANE[1]:
            return preset("unit", channels), (f"pixels 0..1: layer '{layer}' scales those further",), ()
    if channels == 3:
        layers = {layer.name.rpartition(".")[2].rpartition("/")[2] for layer in _all_layers(model)}
        for network, pattern, wanted in NETWORKS:
            if any(re.fullmatch(pattern, one) for one in layers):
                return preset(wanted), (f"pixels {PRESETS[wanted]}: it is made of Keras' {network}",), ()
    open_ = tuple(PRESETS) if channels == 3 else ("unit", "raw", "imagenet-tf")
    ordered = ("unit", *(one for one in open_ if one != "unit"))
    return (
        preset("unit", channels),
        (f"pixels {PRESETS['unit']}: nothing in the model says how they are scaled",),
        ordered,
    )


def _all_layers(model: Any) -> list[Any]:
    found = []
    for layer in model.layers:
        found.append(layer)
        if hasattr(layer, "layers"):
            found += _all_layers(layer)
    return found


def _own_scaling(model: Any, tensor: Any) -> tuple[str, float, float] | None:
    """Return name, largest scale and largest offset of the scaling that a model's input meets first."""
    for _ in range(len(_all_layers(model)) + 1):
        takers = [(layer, node) for layer in model.layers for node in layer._inbound_nodes if _takes(node, tensor)]
        if len(takers) != 1:
            return None
        layer, node = takers[0]
        kind = type(layer).__name__
        if kind == "Rescaling":
            scale = float(np.max(np.abs(np.asarray(layer.scale, np.float64))))
            return str(layer.name), scale, float(np.max(np.abs(np.asarray(layer.offset, np.float64))))
        if kind == "Normalization":
            deviation = np.sqrt(np.asarray(layer.variance, np.float64))
            mean = np.asarray(layer.mean, np.float64)
            return str(layer.name), float(np.max(1 / np.maximum(deviation, 1e-7))), float(np.max(np.abs(mean)))
        if hasattr(layer, "layers"):
            inner = _own_scaling(layer, layer.inputs[0])
            return inner
        if not _moves(layer, kind):
            return None
        tensor = node.outputs
    return None


def _moves(layer: Any, kind: str) -> bool:
    """Say whether a layer leaves pixels as they are: it moves them, or does nothing in inference."""
    if kind == "TensorFunction":
        return bool(layer.role is Role.MOVE)
    linear = kind == "Activation" and getattr(layer.activation, "__name__", "") == "linear"
    return (
        linear
        or kind in ("Cropping2D", "GaussianNoise", "Identity", "Resizing", "ZeroPadding2D")
        or kind.startswith("Random")
    )


def _takes(node: Any, tensor: Any) -> bool:
    return any(given is tensor for given in (node.keras_inputs or ()))


# Outputs.


def recognised_head(tensor: Any, name: str) -> tuple[Head, str, bool]:
    """Return the head of an output without a contract, the sentence for it, and whether the model says it itself."""
    return recognised_output(tuple(tensor.shape)[1:], _activation(tensor), name)


def recognised_output(shape: tuple[int, ...], ends_in: str, name: str) -> tuple[Head, str, bool]:
    """Return the head of an output by its shape, without the batch, and by what gives it; see `recognised_head`."""
    found = [(task, one) for _, task in TASKS if (one := task.recognise(shape, ends_in)) is not None]
    task, best = max(found, key=lambda pair: pair[1].certainty)
    head = Head(name, task.name, cast(Activation, best.activation))
    return head, f"output '{name}' {best.said}", best.certainty == CERTAIN


def _activation(tensor: Any) -> str:
    """Return the activation that an output comes from, looking through what only names or reshapes it."""
    for _ in range(20):
        layer = tensor._keras_history.layer
        kind = type(layer).__name__
        if hasattr(layer, "layers") and layer.outputs:
            tensor = layer.outputs[tensor._keras_history.tensor_index]
            continue
        if kind == "Softmax":
            return "softmax"
        told = getattr(layer, "ends_in", ())
        if told:
            return str(told[tensor._keras_history.tensor_index])
        name = str(getattr(getattr(layer, "activation", None), "__name__", "linear"))
        node = layer._inbound_nodes[tensor._keras_history.node_index]
        looks_through = kind in ("Activation", "Dropout", "Flatten", "Reshape", "Identity")
        if (
            name != "linear"
            or not looks_through
            or not isinstance(node.keras_inputs, list)
            or len(node.keras_inputs) != 1
        ):
            return name
        tensor = node.keras_inputs[0]
    return "linear"


# Labels.


def labels_beside(path: Path, width: int | None = None) -> tuple[str, ...]:
    """Return the labels of the first file beside a model that has `width` of them; nothing when there is none."""
    names = (*(f"{path.stem}_{name}" for name in LABEL_FILES), *LABEL_FILES)
    for name in names:
        file = path.parent / name
        if file.is_file():
            labels = read_labels(file)
            if width in (None, len(labels)):
                return labels
    return ()


def read_labels(file: Path) -> tuple[str, ...]:
    """Return the labels of a file: a JSON list or mapping, one per line, or TensorFlow's label map.

    Raises:
        ConfigError: The file is unreadable or of another form.
    """
    if not file.exists():
        raise ConfigError(f"the file of labels {file} does not exist", hint="check the path")
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".json":
            return _json_labels(json.loads(text))
        if file.suffix == ".pbtxt":
            return tuple(re.findall(r"(?:display_name|name)\s*:\s*['\"]([^'\"]+)['\"]", text))
    except (OSError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{file} holds no labels: {error}", hint="one label per line, in the order of the outputs"
        ) from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _json_labels(found: Any) -> tuple[str, ...]:
    if isinstance(found, list):
        return tuple(str(one) for one in found)
    if all(isinstance(value, int) for value in found.values()):
        return tuple(str(key) for key, _ in sorted(found.items(), key=lambda pair: pair[1]))
    return tuple(str(value) for _, value in sorted(found.items(), key=lambda pair: int(pair[0])))
