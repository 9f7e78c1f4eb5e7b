"""How the tasks of MediaPipe read the outputs of a head: what each task of ours answers when it is asked.

MediaPipe has four vision tasks that take any .tflite: an image classifier, embedder, segmenter and object detector. A
head that none of them reads as edgecv does says so by an UnsupportedModelError, whose message is the reason.

Source: MediaPipe 1.2.3, mediapipe/tasks/cc/components/processors and mediapipe/tasks/cc/vision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional, Tuple

from edgecv.core.errors import UnsupportedModelError
from edgecv.values.specs import Head

Kind = Literal["image_classifier", "image_embedder", "image_segmenter", "object_detector"]
LabelsOn = Literal["", "axis", "value"]
"""Where labels belong: to the units of the last axis, or to the values of the tensor, which are indices."""

LOCATION, CATEGORY, SCORE, COUNT = "location", "category", "score", "number of detections"
"""Names of a detector's outputs, by which MediaPipe finds them."""
OVERLAP = 0.3
"""Above which the less confident of two raw boxes goes, whatever their classes, unless an app in C++ says otherwise.
Source: mediapipe/tasks/cc/vision/object_detector/proto/object_detector_options.proto."""


@dataclass(frozen=True)
class ReadOutput:
    """How one output is read.

    Attributes:
        name: What the metadata calls it.
        labels: Where the labels belong; "" for none.
        boxes: Whether it holds boxes as shares of the image: places of x1, y1, x2, y2 among its four numbers.
        sigmoid: Whether scores are logits of independent labels, whose sigmoid is a calibration of the score.
        threshold: Score below which MediaPipe tells nothing, unless the app says otherwise.
    """

    name: str
    labels: LabelsOn = ""
    boxes: Optional[Tuple[int, int, int, int]] = None
    sigmoid: bool = False
    threshold: Optional[float] = None


@dataclass(frozen=True)
class Decoding:
    """How raw boxes become boxes: `value / scale * side + centre`, sizes by the exponential.

    Attributes:
        anchors: (x, y, width, height) of each, shares of the input.
        classes: Scores of each anchor.
        scales: What x, y, width and height are divided by.
        sigmoid: Whether scores are logits.
    """

    anchors: Tuple[Tuple[float, float, float, float], ...]
    classes: int
    scales: Tuple[float, float, float, float]
    sigmoid: bool


@dataclass(frozen=True)
class MediapipeHead:
    """How MediaPipe reads a head.

    Attributes:
        kind: Which of its tasks does.
        outputs: In the order of `head.outputs`.
        labels: One a line of the label file; empty for none.
        activation: What a segmenter applies to the numbers of a mask: "none", "sigmoid" or "softmax"; "" for others.
        decoding: Of a detector whose outputs are raw; None where the file suppresses boxes itself.
        limits: What MediaPipe does otherwise than edgecv's runtime, a sentence each.
    """

    kind: Kind
    outputs: Tuple[ReadOutput, ...]
    labels: Tuple[str, ...] = ()
    activation: str = ""
    decoding: Optional[Decoding] = None
    limits: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Joining:
    """How the outputs of a network become the two that an object detector reads: boxes, and scores of classes.

    Attributes:
        boxes: Names of the maps (h, w, anchors x 4) of boxes, scale after scale.
        scores: Likewise of scores, (h, w, anchors x values).
        values: Scores of an anchor.
        swapped: Whether x comes before y, and width before height, and both change places.
        softmax: Whether scores become probabilities by the softmax.
        skipped: Scores of each anchor that are left out, from the first on: that of the background.
        head: How the two are read.
    """

    boxes: Tuple[str, ...]
    scores: Tuple[str, ...]
    values: int
    swapped: bool
    softmax: bool
    skipped: int
    head: Head


def unread(head: Head, why: str, *, hint: str = "") -> UnsupportedModelError:
    """Return the error that says why MediaPipe cannot read a head as edgecv does."""
    return UnsupportedModelError(f"MediaPipe cannot read head '{head.name}' ({head.task}): {why}", hint=hint)
