"""Features of a frozen backbone, computed once per image: epochs on them take seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.core.progress import Reporter
from edgecv.modelio.env import keras, tensorflow
from edgecv.tasks.registry import features_head
from edgecv.train.augment import Augmentation
from edgecv.train.batches import Arrays, Batch, Floats, Indices, Source
from edgecv.values.specs import InputSpec, ModelSpec

BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A model cut in two at one tensor; both parts share the model's layers.

    Attributes:
        backbone: From the model's input to the tensor.
        head: From the tensor to the model's outputs.
    """

    backbone: Any
    head: Any


class CachedFeatures:
    """What a backbone says of each sample, with the samples' targets."""

    def __init__(self, features: Floats, targets: Arrays, truths: tuple[Sequence[Any], ...]) -> None:
        self._features = features
        self._targets = targets
        self.truths = truths

    def __len__(self) -> int:
        return len(self._features)

    def batch(self, indices: Indices) -> Batch:
        """Return the features at `indices`, and their targets."""
        return (self._features[indices],), tuple(array[indices] for array in self._targets)

    def moved(self, indices: Indices, how: Augmentation, rng: np.random.Generator) -> Batch:
        """Refuse: features have no place to move from. Raises ConfigError."""
        raise ConfigError("features cannot be moved or mirrored", hint="leave augmentation out of the stage")

    def at(self, size: tuple[int, int]) -> Source:
        """Refuse: features are of images of one size. Raises ConfigError."""
        raise ConfigError("features are of one input size", hint="leave sizes out of the stage")


def cut(model: Any) -> Parts:
    """Return the frozen front of a model and the rest, cut at the input of the first layer that trains.

    Raises:
        ConfigError: Nothing in front is frozen, or the rest needs more than one tensor of the front.
    """
    first = next((layer for layer in model.layers if layer.trainable_weights), None)
    if first is None:
        raise ConfigError("there is nothing to train", hint="freeze fewer layers")
    return split_at(model, first.name)


def split_at(model: Any, layer: str) -> Parts:
    """Return a model in two parts, cut at the input of a layer; run one after the other they are the model.

    Args:
        model: Functional or sequential.
        layer: The first layer of the second part.

    Raises:
        ConfigError: There is no such layer, it is the first one, or the second part needs more than its input.
    """
    names = [one.name for one in model.layers]
    if layer not in names:
        raise ConfigError(f"'{model.name}' has no layer '{layer}'", hint=f"layers: {', '.join(names)}")
    tensor = model.get_layer(layer).input
    if isinstance(tensor, (list, tuple)) or any(tensor is given for given in model.inputs):
        raise ConfigError(
            f"'{model.name}' cannot be cut at '{layer}'", hint="choose a layer behind the input, with a single input"
        )
    backbone = keras().Model(model.inputs, tensor, name=f"{model.name}_backbone")
    try:
        head = keras().Model(tensor, model.outputs, name=f"{model.name}_head")
    except ValueError as error:
        raise ConfigError(
            f"'{model.name}' cannot be cut at '{layer}': what follows needs other tensors from before it",
            hint="choose a layer that everything before passes through, such as a global pool",
        ) from error
    return Parts(backbone=backbone, head=head)


def split_specs(parts: Parts, spec: ModelSpec) -> tuple[ModelSpec, ModelSpec]:
    """Return the contracts of both parts: the backbone gives an embedding, the head takes it as it is."""
    shape = tuple(int(size) for size in parts.backbone.output_shape[1:])
    front = replace(spec, name=f"{spec.name}_backbone", heads=(features_head("features"),))
    back = replace(spec, name=f"{spec.name}_head", inputs=(InputSpec("features", shape),))
    return front, back


def cached(samples: Source, backbone: Any, *, title: str, reporter: Reporter) -> CachedFeatures:
    """Return the features of all samples, in one pass.

    Args:
        samples: Preprocessed inputs and targets.
        backbone: Run in inference mode.
        title: For the progress bar.
        reporter: Told of each batch.
    """
    tf = tensorflow()
    call = tf.function(lambda x: backbone(x, training=False), reduce_retracing=True)
    found, targets = [], []
    with reporter.bar(title, len(samples)) as advance:
        for start in range(0, len(samples), BATCH):
            chosen = np.arange(start, min(start + BATCH, len(samples)))
            inputs, own = samples.batch(chosen)
            found.append(call(inputs[0] if len(inputs) == 1 else list(inputs)).numpy())
            targets.append(own)
            advance(len(chosen))
    joined = tuple(np.concatenate(column) for column in zip(*targets, strict=True))
    return CachedFeatures(np.concatenate(found), joined, samples.truths)
