"""What MediaPipe says of an image beside what edgecv's runtime says of it: one comparison for each of its tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.runtime.resizing import resize
from edgecv.tasks import boxes
from edgecv.tasks.mediapipe import MediapipeHead
from edgecv.tasks.prediction import softmax
from edgecv.values.specs import ModelSpec

Array = np.ndarray[Any, Any]
Answer = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far one box may lie apart in two answers.

    Attributes:
        pixels: Between corners: MediaPipe cuts places and sides down to whole pixels.
        share: Between corners, of the box's longer side; the larger of the two counts.
        score: Between scores.
        border: A box that one of the two alone tells does not count with a score so little above the least one.
    """

    pixels: float = 2.5
    share: float = 0.0
    score: float = 0.02
    border: float = 0.0


EXACT = Tolerance()
ROUNDED = Tolerance(share=0.05, score=0.15, border=0.15)
"""Of files of integers: kernels round otherwise from one version to the next, and a detector is deep. Of a trained SSD,
LiteRT's own reference kernels are up to 0.05 of a score and a third of a raw box's unit away from XNNPACK's, and those
in MediaPipe 1.2.3 up to 0.11 of a score."""

WHAT = {
    "image_classifier": ("largest difference of a score", "the best label is the same on"),
    "image_embedder": ("largest distance of vectors, as a share of their length", ""),
    "image_segmenter": ("largest difference of a confidence", "the category is the same of"),
    "object_detector": ("largest difference of a score of one box", "box and label are the same of"),
}
"""Of each task: what the figure is, and what the share is of."""
UNITS = {"image_classifier": "images", "image_segmenter": "pixels", "object_detector": "detections"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is needed to compare answers.

    Attributes:
        kind: The task of MediaPipe.
        heads: How it reads each head.
        places: Of each head, the places of its outputs in the file.
        spec: The contract.
        tolerance: Of boxes.
        least: Of a detector, the score from which boxes are told.
    """

    kind: str
    heads: tuple[MediapipeHead, ...]
    places: tuple[tuple[int, ...], ...]
    spec: ModelSpec
    tolerance: Tolerance = EXACT
    least: float = 0.0


@dataclass(frozen=True, slots=True)
class Apart:
    """How far two answers to one image are apart.

    Attributes:
        value: The figure of `WHAT`.
        same: How many things are the same of `count`; both 0 where nothing is counted.
        count: Images, pixels or detections.
    """

    value: float
    same: int = 0
    count: int = 0


def compared(asked: Asked, prediction: Any, answer: Answer, size: tuple[int, int]) -> Apart:
    """Return how far two answers are apart.

    Args:
        asked: What was asked.
        prediction: Of edgecv's runtime.
        answer: Of `edgecv.runtime.mediapipe_task.MediapipeTask.answer`.
        size: (height, width) of the image.
    """
    return _COMPARISONS[asked.kind](asked, prediction, answer, size)


def _classified(asked: Asked, prediction: Any, answer: Answer, size: tuple[int, int]) -> Apart:
    worst, same = 0.0, 0
    for head, places in zip(asked.spec.heads, asked.places, strict=True):
        own, theirs = prediction.heads[head.name].scores, answer[f"scores_{places[0]}"]
        own = own[1:] if len(theirs) == 1 else own
        worst = max(worst, _largest(own, theirs))
        same += int(len(theirs) == len(own) and own[int(np.nanargmax(theirs))] == own.max())
    return Apart(worst, same, len(asked.spec.heads))


def _embedded(asked: Asked, prediction: Any, answer: Answer, size: tuple[int, int]) -> Apart:
    own, theirs = np.asarray(prediction.heads[asked.spec.head.name].vector, np.float64), answer["vector"]
    if own.shape != theirs.shape:
        return Apart(float("inf"))
    return Apart(float(np.linalg.norm(own - theirs) / max(float(np.linalg.norm(own)), 1e-12)))


def _segmented(asked: Asked, prediction: Any, answer: Answer, size: tuple[int, int]) -> Apart:
    read = asked.heads[0]
    values: Array = np.asarray(prediction.outputs[asked.places[0][0]], np.float32)
    if read.activation == "softmax":
        values = softmax(values)
    elif read.activation == "sigmoid":
        values = 1 / (1 + np.exp(-values))
    own = resize(values[None], size[0], size[1], "bilinear")[0]
    mask = prediction.heads[asked.spec.head.name].mask
    # Of one channel, MediaPipe tells 0 where it sees the object and 255 elsewhere.
    theirs = (answer["categories"] == 0).astype(np.uint8) if values.shape[2] == 1 else answer["categories"]
    same = int((mask == theirs).sum()) if mask.shape == theirs.shape else 0
    return Apart(_largest(own, answer["confidences"]), same, mask.size)


def _detected(asked: Asked, prediction: Any, answer: Answer, size: tuple[int, int]) -> Apart:
    own, within = prediction.heads[asked.spec.head.name], asked.tolerance
    labels, said = asked.spec.head.labels, answer["names"] if asked.spec.head.labels else answer["classes"]
    theirs = boxes.clip(answer["boxes"], size)
    free = list(range(len(theirs)))
    worst, alone = 0.0, []
    for box, score, class_id in zip(own.xyxy, own.confidence, own.class_id, strict=True):
        label = labels[class_id] if labels else int(class_id)
        differences = {index: abs(float(answer["scores"][index]) - float(score)) for index in free
                       if said[index] == label and _is_same_box(box, theirs[index], within)}  # fmt: skip
        best = min(differences, key=lambda index: differences[index], default=None)
        if best is not None and differences[best] <= within.score:
            worst = max(worst, differences[best])
            free.remove(best)
        else:
            alone.append(float(score))
    same = len(theirs) - len(free)
    others = (alone, [float(answer["scores"][index]) for index in free])
    return Apart(worst, same, same + max(_counted(scores, asked) for scores in others))


def _counted(scores: list[float], asked: Asked) -> int:
    """Return how many boxes of one side alone count."""
    border = asked.tolerance.border
    return sum(not border or score >= asked.least + border for score in scores)


def _is_same_box(own: Array, theirs: Array, within: Tolerance = EXACT) -> bool:
    """Say whether two boxes are one; of one that begins at the border, MediaPipe's far corner may lie too far out."""
    difference = np.asarray(theirs, np.float64) - own
    moved = own[:2] <= 0
    far = np.where(moved, np.minimum(difference[2:], 0.0), difference[2:])
    allowed = max(within.pixels, within.share * float(np.max(own[2:] - own[:2])))
    return bool(np.abs(np.concatenate([difference[:2], far])).max() <= allowed)


def _largest(own: Array, theirs: Array) -> float:
    """Return the largest difference of numbers; infinite where there are others, or some were not told."""
    if own.shape != theirs.shape:
        return float("inf")
    difference = np.abs(np.asarray(own, np.float64) - theirs)
    return float(np.where(np.isnan(difference), np.inf, difference).max(initial=0.0))


_COMPARISONS: Mapping[str, Callable[[Asked, Any, Answer, tuple[int, int]], Apart]] = {
    "image_classifier": _classified,
    "image_embedder": _embedded,
    "image_segmenter": _segmented,
    "object_detector": _detected,
}
