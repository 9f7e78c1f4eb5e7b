"""What the last sections of a cfg file say of the network's answer: [yolo], [region] and [detection]. numpy only.

Source: parse_yolo, parse_region and parse_detection of src/parser.c, and the get_…_detections functions beside them, in
github.com/pjreddie/darknet; scale_x_y is of github.com/AlexeyAB/darknet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio.darknet.cfg import Section
from edgecv.modelio.darknet.plan import Layer, Plan
from edgecv.tasks.detection.tree import read_tree
from edgecv.values.specs import Head

Array = np.ndarray[Any, Any]

KINDS = frozenset({"yolo", "region", "detection"})
COORDS = 4
MOST_CLASSES = 100_000
"""Ten times the largest tree of Darknet."""
NMS = 0.45
"""Overlap from which Darknet drops the less confident of two boxes. Source: test_detector of examples/detector.c."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A share of the outputs of the layer in front of a head: an output of the network.

    Attributes:
        name: Of the output.
        rows: Which of the layer's filters or units it has, in order, int64.
    """

    name: str
    rows: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """The answer of a network that ends in boxes.

    Attributes:
        head: Its contract.
        parts: Number of a layer to the outputs that it is divided into, in the head's order.
    """

    head: Head
    parts: Mapping[int, tuple[Part, ...]]


def detector(plan: Plan, labels: Sequence[str]) -> Detector | None:
    """Return how a network answers with boxes; None when it has no section for it.

    Args:
        plan: Its layers.
        labels: One per class; empty numbers them, or takes the names of a tree.

    Raises:
        ConfigError: There are more or fewer labels than classes, or a tree cannot be read.
        UnsupportedModelError: A section does not fit the layer in front of it, or means what cannot be imported.
    """
    ends = [layer for layer in plan.layers if layer.kind in KINDS]
    if not ends:
        return None
    first = ends[0]
    other = next((layer for layer in ends if layer.kind != first.kind or first.kind != "yolo"), first)
    if len(ends) > 1 and (first.kind != "yolo" or other is not first):
        raise first.section.refused(f"[{first.kind}] beside [{ends[1].kind}]", "several heads are all [yolo]")
    counts = {layer.section.size("classes", 20) for layer in ends}
    if len(counts) > 1:
        raise first.section.refused(f"heads of {' and '.join(map(str, sorted(counts)))} classes", "they have the same")
    (classes,) = counts
    if classes > MOST_CLASSES:
        raise first.section.refused(f"{classes:,} classes", f"at most {MOST_CLASSES:,} are taken")
    if first.kind == "detection":
        return _grid(plan, first, labels, classes)
    return _anchored(plan, ends, labels, classes)


def _anchored(plan: Plan, ends: Sequence[Layer], labels: Sequence[str], classes: int) -> Detector:
    """[yolo] and [region]: maps with anchors at every cell."""
    parts: dict[int, tuple[Part, ...]] = {}
    anchors, strides, reaches = [], [], []
    for place, layer in enumerate(ends):
        own = _yolo_anchors(layer.section) if layer.kind == "yolo" else _region_anchors(layer.section)
        stride = _stride(plan, layer)
        unit = 1.0 if layer.kind == "yolo" else stride
        anchors.append([[width * unit, height * unit] for width, height in own])
        strides.append(stride)
        reaches.append(layer.section.number("scale_x_y", 1.0))
        before = _before(plan, layer, "convolutional")
        parts[before.index] = _boxes_and_scores(layer, len(own), classes, place)
    section = ends[0].section
    settings: dict[str, Any] = {"anchors": anchors, "strides": strides, "iou": NMS}
    if any(reach != 1.0 for reach in reaches):
        settings["scale_xy"] = reaches
    names = tuple(labels)
    if section.kind == "yolo":
        settings |= {"decoder": "yolo_v3", "ignore_iou": section.number("ignore_thresh", 0.5)}
    else:
        settings |= _region(plan, section)
        names = names or settings.pop("names", ())
        settings.pop("names", None)
    head = Head(
        name="objects",
        task="detection",
        activation="logits",
        labels=_labels(section, names, classes),
        outputs=tuple(part.name for own in parts.values() for part in own),
        settings=settings,
    )
    return Detector(head=head, parts=parts)


def _region(plan: Plan, section: Section) -> dict[str, Any]:
    section.require("coords", COORDS)
    section.require("background", 0)
    settings: dict[str, Any] = {"ignore_iou": section.number("thresh", 0.5)}
    if "tree" in section.options:
        names, parents = _tree(plan.cfg.path, section)
        return settings | {"decoder": "yolo_tree", "parents": list(parents), "names": names}
    # Without a softmax each class has a logistic of its own, as in [yolo].
    return settings | {"decoder": "yolo_v2" if section.integer("softmax", 0) else "yolo_v3"}


def _tree(cfg: Path, section: Section) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Read the .tree file that a section names: beside the cfg file, above it, or from where the command runs."""
    name = section.options["tree"]
    folders = (cfg.parent, cfg.parent.parent, Path())
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if found is None:
        raise ConfigError(
            f"{section.where} [{section.kind}]: the tree {name} is neither beside {cfg} nor above it",
            hint=f"put the file of the classes' parents at {cfg.parent / name}",
        )
    return read_tree(found.read_text(encoding="utf-8", errors="replace"), str(found))


def _boxes_and_scores(layer: Layer, anchors: int, classes: int, place: int) -> tuple[Part, ...]:
    each = COORDS + 1 + classes
    if layer.shape[2] != anchors * each:
        raise _misfit(layer, f"{anchors} anchors and {classes} classes take {anchors * each} filters", layer.shape[2])
    rows = np.arange(anchors * each).reshape(anchors, each)
    return (
        Part(name=f"boxes_{place}", rows=rows[:, :COORDS].reshape(-1)),
        Part(name=f"scores_{place}", rows=rows[:, COORDS:].reshape(-1)),
    )


def _yolo_anchors(section: Section) -> list[tuple[float, float]]:
    section.require("new_coords", 0)
    if "embedding_layer" in section.options:
        raise section.refused("embedding_layer", "only boxes and classes are understood")
    pairs = _pairs(section, section.size("num", 1))
    mask = section.integers("mask") or tuple(range(len(pairs)))
    if not all(0 <= number < len(pairs) for number in mask):
        raise section.wrong("mask", f"numbers of the {len(pairs)} anchors, from 0")
    return [pairs[number] for number in mask]


def _region_anchors(section: Section) -> list[tuple[float, float]]:
    return _pairs(section, section.size("num", 1))


def _pairs(section: Section, count: int) -> list[tuple[float, float]]:
    values = section.numbers("anchors")
    if len(values) < 2 * count or min(values) <= 0:
        raise section.wrong("anchors", f"widths and heights of {count} anchors, above 0")
    return list(zip(values[: 2 * count : 2], values[1 : 2 * count : 2], strict=True))


def _stride(plan: Plan, layer: Layer) -> float:
    down, across = plan.image[0] / layer.shape[0], plan.image[1] / layer.shape[1]
    if down != across:
        raise layer.section.refused(f"cells of {across:g}x{down:g} pixels", "a height and width of multiples of 32")
    return down


def _grid(plan: Plan, layer: Layer, labels: Sequence[str], classes: int) -> Detector:
    """[detection]: the cells of a square, from a dense layer."""
    section = layer.section
    section.require("softmax", 0)
    section.require("reorg", 0)
    if section.integer("coords", 1) != COORDS:
        raise section.refused(f"coords = {section.text('coords', '1')}", f"a box has coords={COORDS}")
    side, boxes = section.size("side", 7), section.size("num", 1)
    cells = side**2
    sizes = {"classes": cells * classes, "confidences": cells * boxes, "boxes": cells * boxes * COORDS}
    before = _before(plan, layer, "connected")
    if before.shape[2] != sum(sizes.values()):
        told = f"{cells} cells of {classes} classes and {boxes} boxes take {sum(sizes.values())} outputs"
        raise _misfit(layer, told, before.shape[2])
    ends = np.cumsum([0, *sizes.values()])
    parts = tuple(
        Part(name=name, rows=np.arange(start, stop)) for name, start, stop in zip(sizes, ends, ends[1:], strict=False)
    )
    head = Head(
        name="objects",
        task="detection",
        activation="logits",
        labels=_labels(section, labels, classes),
        outputs=tuple(sizes),
        settings={
            "decoder": "yolo_v1",
            "cell_boxes": boxes,
            "sqrt": bool(section.integer("sqrt", 0)),
            "strides": [plan.image[0] / side],
            "iou": NMS,
        },
    )
    return Detector(head=head, parts={before.index: parts})


def _before(plan: Plan, layer: Layer, kind: str) -> Layer:
    """Return the layer whose filters are divided: linear, without normalisation, and of no use to other layers."""
    before = plan.layers[layer.index - 1] if layer.index else None
    used = [other for other in plan.layers if layer.index - 1 in other.inputs and other is not layer]
    taken = [other for other in plan.layers if layer.index in other.inputs and other.kind != "cost"]
    if taken:
        raise layer.section.refused(
            f"an answer that [{taken[0].kind}] goes on with", "layers take what is in front of it"
        )
    if before is None or before.kind != kind or used:
        raise _misfit(
            layer, f"expected a [{kind}] layer of its own in front of it", "" if before is None else before.kind
        )
    section = before.section
    linear = section.text("activation", "logistic") == "linear"
    if not linear or section.integer("batch_normalize", 0) or section.size("groups", 1) > 1:
        raise _misfit(
            layer, f"expected a linear [{kind}] layer without batch_normalize or groups in front of it", "another"
        )
    return before


def _labels(section: Section, given: Sequence[str], classes: int) -> tuple[str, ...]:
    if not given:
        return tuple(f"class_{index}" for index in range(classes))
    if len(given) != classes:
        raise ConfigError(
            f"{section.where} [{section.kind}]: {len(given)} labels for {classes} classes",
            hint="give the names of the classes that the network was trained on, one per line",
        )
    return tuple(given)


def _misfit(layer: Layer, expected: str, got: object) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{layer.section.where} [{layer.kind}]: {expected}, got {got or 'nothing'}",
        hint="the layer in front of a head has a filter for each value",
    )
