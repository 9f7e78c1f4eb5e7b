"""How MediaPipe's object detector reads a detection head, where it does.

It knows two forms: the four outputs of `TFLite_Detection_PostProcess`, and boxes (N, 4) beside scores (N, classes) of
an SSD, which it decodes itself with anchors out of the metadata: y, x, height, width, the best class of each anchor.
"""

from __future__ import annotations

from dataclasses import replace
from typing import List, Optional, Sequence, Tuple

from edgecv.tasks.detection.settings import DetectionSettings
from edgecv.tasks.mediapipe import (
    CATEGORY,
    COUNT,
    LOCATION,
    OVERLAP,
    SCORE,
    Decoding,
    Joining,
    Kind,
    MediapipeHead,
    ReadOutput,
    unread,
)
from edgecv.values.specs import Head

KIND: Kind = "object_detector"
YXYX = (1, 0, 3, 2)
"""Places of x1, y1, x2, y2 among y1, x1, y2, x2."""


def read_by_mediapipe(
    head: Head, settings: DetectionSettings, shapes: Sequence[Tuple[int, ...]], size: Tuple[int, ...]
) -> MediapipeHead:
    """Return how MediaPipe reads a head.

    Args:
        head: Of the task.
        settings: Of the head.
        shapes: Of its outputs, with the batch.
        size: (height, width) of the input.

    Raises:
        UnsupportedModelError: It does not read it as edgecv does.
    """
    if settings.decoder == "postprocessed":
        return _postprocessed(head, settings, shapes)
    if settings.decoder == "ssd":
        return _raw(head, settings, shapes, size)
    raise unread(
        head,
        f"its object detector decodes an SSD, or takes boxes that the file suppressed, and '{settings.decoder}' is "
        "neither",
        hint="an app decodes such a file itself: edgecv inspect FILE --snippet kotlin shows how",
    )


def _postprocessed(head: Head, settings: DetectionSettings, shapes: Sequence[Tuple[int, ...]]) -> MediapipeHead:
    if len(shapes) != 4:
        raise unread(head, f"it takes four outputs, boxes, classes, scores and their count, and {len(shapes)} are here")
    if settings.unit != "share":
        raise unread(head, "it takes boxes as shares of the image, and these are counted in pixels")
    outputs = (
        ReadOutput(LOCATION, boxes=YXYX),
        ReadOutput(CATEGORY, labels="value"),
        ReadOutput(SCORE, threshold=settings.score),
        ReadOutput(COUNT),
    )
    # A label file begins with class 0. "???" is what TensorFlow's label maps call classes without a name.
    labels = ("???",) * settings.label_offset + head.labels[max(0, -settings.label_offset) :]
    return MediapipeHead(KIND, outputs, labels if head.labels else (), limits=_limits(settings))


def _raw(
    head: Head, settings: DetectionSettings, shapes: Sequence[Tuple[int, ...]], size: Tuple[int, ...]
) -> MediapipeHead:
    anchors = fixed_anchors(settings, size)
    ranks = [len(shape) for shape in shapes]
    fix = "edgecv convert MODEL.keras --metadata mediapipe makes a file that has it"
    if ranks != [3, 3] or shapes[0][1:] != (len(anchors), 4):
        told = ", ".join(str(tuple(shape)) for shape in shapes[:4]) + (", …" if len(shapes) > 4 else "")
        raise unread(head, f"it takes one output of boxes ({len(anchors)}, 4) and one of scores, got {told}", hint=fix)
    if settings.box != "cycxhw":
        raise unread(head, f"it takes raw boxes as y, x, height, width, and these are '{settings.box}'", hint=fix)
    if settings.background:
        raise unread(head, "it tells the best class of each anchor, and here that is mostly the background", hint=fix)
    sigmoid = head.activation == "logits" and settings.classes == "sigmoid"
    if head.activation != "probabilities" and not sigmoid:
        raise unread(head, "it computes no softmax of scores", hint=fix)
    centre, sides = (1.0 / variance for variance in settings.variances)
    decoding = Decoding(anchors, int(shapes[1][2]), (centre, centre, sides, sides), sigmoid)
    outputs = (ReadOutput(LOCATION, boxes=(0, 1, 2, 3)), ReadOutput(SCORE, labels="axis", threshold=settings.score))
    limits = (
        "each anchor tells its best class alone",
        f"it suppresses boxes of all classes together, above an overlap of {OVERLAP:g}: here that is {settings.iou:g}, "
        f"and nms '{settings.nms}'",
        *_limits(settings),
    )
    return MediapipeHead(KIND, outputs, head.labels, decoding=decoding, limits=limits)


def joining(head: Head, settings: DetectionSettings, shapes: Sequence[Tuple[int, ...]]) -> Optional[Joining]:
    """Return how the outputs of a network become what MediaPipe decodes; None where that is not a matter of order.

    Args:
        head: Of the task.
        settings: Of the head.
        shapes: Of the network's outputs of it, with the batch: maps of each scale, boxes before scores.
    """
    scales = len(settings.anchors)
    if settings.decoder != "ssd" or len(shapes) != 2 * scales or {len(shape) for shape in shapes} != {4}:
        return None
    softmax = head.activation == "logits" and settings.classes == "softmax"
    sigmoid = head.activation == "logits" and not softmax
    changed = {**head.settings, "box": "cycxhw", "background": False}
    return Joining(
        boxes=head.outputs[0::2],
        scores=head.outputs[1::2],
        values=int(shapes[1][3]) // len(settings.anchors[0]),
        swapped=settings.box != "cycxhw",
        softmax=softmax,
        skipped=int(settings.background),
        head=replace(
            head,
            activation="logits" if sigmoid else "probabilities",
            outputs=(LOCATION, SCORE),
            settings=changed,
        ),
    )


def fixed_anchors(settings: DetectionSettings, size: Tuple[int, ...]) -> Tuple[Tuple[float, float, float, float], ...]:
    """Return the anchors of all cells as (x, y, width, height), shares of an input of `size`, scale after scale."""
    height, width = size[0], size[1]
    found: List[Tuple[float, float, float, float]] = []
    for sides, stride in zip(settings.anchors, settings.strides):
        for row in range(round(height / stride)):
            for column in range(round(width / stride)):
                x, y = (column + 0.5) * stride / width, (row + 0.5) * stride / height
                found.extend((x, y, side[0] / width, side[1] / height) for side in sides)
    return tuple(found)


def _limits(settings: DetectionSettings) -> Tuple[str, ...]:
    own = ("scores of single labels are not told apart: one threshold holds for all",) if settings.label_scores else ()
    outside = "a box that begins outside the image is moved to its border, and keeps its size"
    return (*own, outside, f"an app asks for {settings.most} results at most itself")
