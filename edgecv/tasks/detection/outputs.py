"""What the outputs of a detection head must be, and where boxes and scores lie in them: pure numpy."""

from __future__ import annotations

from typing import Any, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import UnsupportedModelError
from edgecv.tasks.detection import decoders, regions, yolo_v1
from edgecv.tasks.detection.settings import ANCHORED, DetectionSettings
from edgecv.values.specs import Head

Array = NDArray[Any]
Shapes = Sequence[Tuple[int, ...]]
"""Of each output, with the batch."""


def check(head: Head, settings: DetectionSettings, shapes: Shapes) -> None:
    """Raise UnsupportedModelError unless outputs of `shapes` hold what the head's decoder reads."""
    own = [tuple(shape[1:]) for shape in shapes]
    if settings.decoder in ANCHORED:
        decoders.layout_of(head, settings, own)
    elif settings.decoder == "yolo_v1":
        values = sum(int(np.prod(shape)) for shape in own)
        yolo_v1.cells_a_side(values, len(head.labels), settings.cell_boxes)
    elif settings.decoder == "rows":
        _check_rows(head, settings, own)
    elif settings.decoder == "regions":
        regions.stage_of(head, own)
    elif len(own) not in (3, 4) or own[0][-1:] != (4,):
        raise UnsupportedModelError(
            f"detection head '{head.name}' (postprocessed) reads boxes (n, 4), classes (n,), scores (n,) and a "
            f"count, got outputs of {', '.join(map(str, own))}",
            hint="name the outputs in that order in the spec",
        )


def is_joint(head: Head, settings: DetectionSettings, shapes: Shapes) -> bool:
    """Say whether each output holds boxes beside scores."""
    if settings.decoder in ANCHORED:
        return decoders.layout_of(head, settings, [tuple(shape[1:]) for shape in shapes]).joint
    return settings.decoder == "rows" and len(shapes) == 1


def boxes_and_scores(settings: DetectionSettings, shapes: Shapes) -> Tuple[Tuple[slice, ...], ...]:
    """Return of each joint output the slices of its last axis that are boxes, and those that are scores."""
    flat = settings.decoder == "rows" or len(shapes[0]) == 3
    return tuple(_slices(shape[-1], place, settings, flat) for place, shape in enumerate(shapes))


def is_finite_to_count(outputs: Sequence[Array]) -> bool:
    """Say whether "postprocessed" outputs (n, …) are finite as far as their counts say that they are answers."""
    counts = np.asarray(outputs[3]).reshape(len(outputs[3]), -1)[:, 0]
    if not np.isfinite(counts).all():
        return False
    pairs = ((output[index], int(count)) for output in outputs[:3] for index, count in enumerate(counts))
    return all(bool(np.isfinite(answers[:count]).all()) for answers, count in pairs)


def _check_rows(head: Head, settings: DetectionSettings, shapes: Sequence[Tuple[int, ...]]) -> None:
    side = 0 if settings.columns else 1
    values = [shape[-2:][side] for shape in shapes if len(shape) >= 2]
    classes = len(head.labels) + int(settings.objectness)
    wanted = [4 + classes] if len(shapes) == 1 else [4, classes]
    if len(values) != len(shapes) or (head.labels and values != wanted):
        form = "(values, n)" if settings.columns else "(n, values)"
        raise UnsupportedModelError(
            f"detection head '{head.name}' (rows) reads {form} with {' and '.join(map(str, wanted))} values, got "
            f"outputs of {', '.join(map(str, shapes))}",
            hint="set columns, objectness and labels in the spec as the file has them",
        )


def _slices(values: int, place: int, settings: DetectionSettings, flat: bool) -> Tuple[slice, ...]:
    if flat or settings.shared:
        count = 4 if flat else 4 * len(settings.anchors[place])
        return slice(0, count), slice(count, values)
    anchors = len(settings.anchors[place])
    each = values // anchors
    numbers = [slice(each * a, each * a + 4) for a in range(anchors)]
    rest = [slice(each * a + 4, each * (a + 1)) for a in range(anchors)]
    return tuple(numbers + rest)
