"""What the outputs of a detector of another tool are, as far as its operators and its answers to noise tell it.

A detector's boxes cover its input whatever it looks at, since each is about a place of its own. So noise tells boxes
from other numbers, pixels from shares, and corners from centres. What nothing tells is left to ask.
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.contradiction import Contradiction
from edgecv.tasks.detection.settings import DetectionSettings
from edgecv.tasks.recognised import RecognisedHead, Seen
from edgecv.values.specs import Head

Array = NDArray[Any]

POSTPROCESS = "TFLite_Detection_PostProcess"
"""The operator of TensorFlow's object detection: boxes (y1, x1, y2, x2) in 0..1, classes, scores, count, in this order.
Source: tensorflow/lite/kernels/detection_postprocess.cc."""
COVERED = 0.6
"""Share of the input's sides that centres of boxes span at least."""
MOST_SHARE, LEAST_PIXELS = 1.5, 4.0
"""Boxes in shares of the input reach hardly beyond it; boxes in pixels reach further than a few."""
ALMOST_ALL = 0.99
NAME, TASK = "objects", "detection"
OBJECTNESS = "true or false: does an objectness stand before the classes, as YOLOv5 has it?"


def recognised(outputs: Sequence[Seen], size: Tuple[int, int], labels: int) -> Optional[RecognisedHead]:
    """Return the head of a detector; None where the outputs do not look like one's.

    Args:
        outputs: Of the whole file.
        size: (height, width) of its input.
        labels: How many classes there are; 0 where nothing tells.
    """
    return _postprocessed(outputs) or _rows(outputs, size, labels)


def misread(answers: Sequence[Array], head: Head, settings: DetectionSettings) -> Optional[Contradiction]:
    """Return what the boxes of a "rows" head say against the unit that its settings name, None when nothing.

    Args:
        answers: Of each output, float32 (samples, …).
        head: The contract.
        settings: Of it.
    """
    axis = -2 if settings.columns else -1
    largest = float(np.abs(np.take(answers[0], range(4), axis=axis)).max())
    right = "share" if largest <= MOST_SHARE else "pixels" if largest >= LEAST_PIXELS else settings.unit
    if right == settings.unit or not largest:
        return None
    return Contradiction(
        f"head '{head.name}' reads its boxes as {settings.unit}, and the largest number in them is {largest:.3g}",
        f'say unit = "{right}" in the settings, and look at the order of box, at columns and at mean and std',
        True,
    )


def _postprocessed(outputs: Sequence[Seen]) -> Optional[RecognisedHead]:
    own = {one.place: one.name for one in outputs if one.ends_in == POSTPROCESS}
    if set(own) < {0, 1, 2}:
        return None
    names = tuple(own[place] for place in sorted(own))
    return RecognisedHead(
        head=Head(NAME, TASK, "probabilities", (), names, {"decoder": "postprocessed", "unit": "share"}),
        known=(f"outputs {', '.join(names)} are boxes, classes, scores and count: {POSTPROCESS} gives them",),
        guessed=("class 0 is label 0: label_offset says otherwise, 1 where class 0 is the background",),
    )


def _rows(outputs: Sequence[Seen], size: Tuple[int, int], labels: int) -> Optional[RecognisedHead]:
    found = _divided(outputs)
    if found is None:
        return None
    names, boxes, scores, columns = found
    unit = _unit(boxes, size)
    if unit is None or scores.min() < 0 or scores.max() > 1 + 1e-6:
        return None
    order = _order(boxes)
    settings: Dict[str, Any] = {"decoder": "rows", "columns": columns, "box": order, "unit": unit}
    values = scores.shape[-1]
    known = [f"boxes are {'pixels of the input' if unit == 'pixels' else 'shares of the input'}: they cover it"]
    guessed = ["images are letterboxed on gray 114, as Ultralytics trains"]
    if order == "cxcywh":
        guessed.append("boxes are centres and sizes: they are no corners")
    ask: Dict[str, str] = {}
    if labels and values in (labels, labels + 1):
        settings["objectness"] = values > labels
        known.append(f"{values} scores for {labels} labels: {'an objectness' if values > labels else 'no objectness'}")
    else:
        ask["objectness"] = OBJECTNESS
        guessed.append(f"there are {values} classes, or {values - 1} and an objectness")
    return RecognisedHead(
        head=Head(NAME, TASK, "probabilities", (), names, settings),
        known=tuple(known),
        guessed=tuple(guessed),
        ask=ask,
        resize="letterbox",
        pad_value=114,
    )


def _divided(outputs: Sequence[Seen]) -> Optional[Tuple[Tuple[str, ...], Array, Array, bool]]:
    """Return names, boxes (samples, n, 4) and scores (samples, n, values) of one output or two, and if in columns."""
    if any(one.values.ndim != 3 for one in outputs) or len(outputs) not in (1, 2):
        return None
    shapes = [one.values.shape[1:] for one in outputs]
    columns = all(first < last for first, last in shapes)
    if not columns and not all(first > last for first, last in shapes):
        return None
    upright = [np.swapaxes(one.values, 1, 2) if columns else one.values for one in outputs]
    if len(outputs) == 1 and outputs[0].ends_in != "linear":
        return None  # all of it is probabilities
    if len(outputs) == 1:
        whole = upright[0]
        return ((outputs[0].name,), whole[..., :4], whole[..., 4:], columns) if whole.shape[-1] > 4 else None
    pairs = [(one.name, values) for one, values in zip(outputs, upright)]
    pairs.sort(key=lambda pair: pair[1].shape[-1] != 4)
    (first, boxes), (second, scores) = pairs
    if boxes.shape[-1] != 4 or scores.shape[-1] == 4 or boxes.shape[1] != scores.shape[1]:
        return None
    return (first, second), boxes, scores, columns


def _unit(boxes: Array, size: Tuple[int, int]) -> Optional[str]:
    """Return "pixels" or "share" where the middles of boxes cover an input of `size`, else None."""
    height, width = size
    centres = _centres(boxes)
    spans = [float(np.ptp(centres[..., axis])) for axis in (0, 1)]
    largest = float(np.abs(boxes).max())
    if largest <= MOST_SHARE:
        return "share" if min(spans) >= COVERED else None
    enough = spans[0] >= COVERED * width and spans[1] >= COVERED * height
    return "pixels" if largest >= LEAST_PIXELS and enough else None


def _centres(boxes: Array) -> Array:
    return (boxes[..., :2] + boxes[..., 2:]) / 2 if _order(boxes) == "xyxy" else boxes[..., :2]


def _order(boxes: Array) -> str:
    """Corners where the last two numbers are beyond the first two; centres and sizes otherwise."""
    beyond = (boxes[..., 2:] >= boxes[..., :2]).all(axis=-1)
    return "xyxy" if float(beyond.mean()) >= ALMOST_ALL else "cxcywh"
