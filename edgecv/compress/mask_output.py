"""What may follow the scores of a segmentation network in its file: a resize to the input's size, the best class.

The runtime does both for a file that ends in scores: it interpolates them at the image's pixels, and takes the best
class of each. Within the file they serve a program that reads it without edgecv, or a link that should carry indices in
place of scores. Accelerators refuse some of them: see docs/answers.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio import env
from edgecv.values.specs import Head, ModelSpec

RESIZED, CLASSES = "mask_resized", "mask_classes"


def mask_output(model: Any, spec: ModelSpec, *, resized: bool = False, argmax: bool = False) -> tuple[Any, ModelSpec]:
    """Return a model that goes on behind the scores of a segmentation network, and its contract. They share weights.

    Args:
        model: A functional tf_keras model of one output (batch, h, w, K), scores of K > 1 classes.
        spec: Its contract, of one head.
        resized: Whether scores are interpolated bilinearly to the input's height and width.
        argmax: Whether it ends in the index of the largest score, the first of equals: int32 (batch, height, width).
            Such a model cannot be trained: train it before.

    Raises:
        ConfigError: Neither is asked for, or the network is no segmentation network of one output.
        UnsupportedModelError: The input is no whole multiple of the output, or the output is about a part of it only.
    """
    if not (resized or argmax):
        raise ConfigError("nothing is to follow the scores", hint="ask for resized, argmax or both")
    head, scores = _scores(model, spec)
    factors = _factors(scores, spec, head) if resized else (1, 1)
    if factors != (1, 1):
        scores = env.keras().layers.UpSampling2D(factors, interpolation="bilinear", name=RESIZED)(scores)
    if argmax:
        scores, head = _best(scores), replace(head, activation="linear", outputs=(CLASSES,))
    elif factors != (1, 1):
        head = replace(head, outputs=(RESIZED,))
    made = env.keras().Model(model.inputs, scores, name=model.name)
    return made, replace(spec, heads=(head,))


def _scores(model: Any, spec: ModelSpec) -> tuple[Head, Any]:
    head = spec.heads[0]
    single = len(spec.heads) == len(model.outputs) == 1
    if not single or head.task != "segmentation" or head.activation not in ("probabilities", "logits"):
        raise ConfigError(
            f"'{spec.name}' does not end in the scores of one segmentation head, but in "
            f"{', '.join(f'{head.name} ({head.task}, {head.activation})' for head in spec.heads)}",
            hint="it takes a network with one output (batch, h, w, classes) of probabilities or logits",
        )
    scores = model.outputs[0]
    if len(scores.shape) != 4 or scores.shape[-1] < 2:
        raise ConfigError(
            f"'{spec.name}' ends in an output of shape {tuple(scores.shape)}, where (batch, h, w, classes) is expected",
            hint="a mask of one channel has no argmax: compare it with its threshold in the program that reads it",
        )
    return head, scores


def _factors(scores: Any, spec: ModelSpec, head: Head) -> tuple[int, int]:
    if head.settings.get("covers"):
        raise UnsupportedModelError(
            f"the output of '{spec.name}' is about the box {list(head.settings['covers'])} of its input",
            hint="it has no place for the rest: leave resizing to the runtime",
        )
    size, wanted = tuple(scores.shape[1:3]), spec.input_shape[:2]
    if any(whole % part for whole, part in zip(wanted, size, strict=True)):
        raise UnsupportedModelError(
            f"the input of '{spec.name}' is {wanted[0]}x{wanted[1]}, its output {size[0]}x{size[1]}: no whole multiple",
            hint="leave resizing to the runtime, or choose an input size that is a multiple of the network's stride",
        )
    return wanted[0] // size[0], wanted[1] // size[1]


def _best(scores: Any) -> Any:
    from tf_keras.src.layers.core.tf_op_layer import TFOpLambda

    tf = env.tensorflow()
    return TFOpLambda(tf.argmax, name=CLASSES)(scores, axis=-1, output_type=tf.int32)
