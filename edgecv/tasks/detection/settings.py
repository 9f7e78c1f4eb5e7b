"""What a detection head has to know beyond labels and activation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Dict, Literal, Mapping, Optional, Tuple

from edgecv.core import codec
from edgecv.core.errors import ConfigError
from edgecv.values.specs import Head

Decoder = Literal[
    "yolo_v1", "yolo_v2", "yolo_v3", "yolo_book", "yolo_tree", "ssd", "rpn", "rows", "postprocessed", "regions",
]  # fmt: skip
Raw = Literal["xyxy", "xywh", "cxcywh", "yxyx", "cycxhw"]
Anchors = Tuple[Tuple[Tuple[float, float], ...], ...]

ANCHORED = ("yolo_v2", "yolo_v3", "yolo_book", "yolo_tree", "ssd", "rpn")
"""Decoders whose outputs are maps with anchors at every cell."""

MEASURED_SCORE, MEASURED_MOST = 0.001, 100
"""Score and number of detections an image at which the average precision is measured. Source: COCO's evaluation."""


@dataclass(frozen=True)
class DetectionSettings:
    """How outputs become boxes, and which of them are told.

    Outputs with anchors are maps (H, W, anchors x values), one scale after the other: for each scale boxes (4 values)
    and then scores, which is what an int8 file needs; or one map a scale that holds both, as Darknet has them. The
    score map of a YOLO head holds the objectness of an anchor and then its classes. Flat outputs (N, values) of all
    scales together are read too.

    Attributes:
        decoder: "yolo_v1": flat, class probabilities of each cell, then confidences, then boxes; one output or three.
            "yolo_v2": softmax over classes, times objectness. "yolo_v3": sigmoid of each class, times objectness.
            "yolo_book": as v2, the boxes of a cell share its classes: one map of boxes, objectness, classes, or three.
            "yolo_tree": as v2, with a softmax over each set of siblings of `parents`. "ssd": offsets from anchors;
            class 0 is the background unless `background` says otherwise. "rpn": likewise, of one class, "object".
            "rows": an output of (N, 4 + classes), or two, with boxes and scores. "postprocessed": boxes, classes,
            scores and count, as `TFLite_Detection_PostProcess` gives them. "regions": the second stage of a bundle,
            whose inputs are cut out of what the first one gives: see `edgecv.tasks.detection.regions`.
        anchors: Of each scale, (width, height) in input pixels.
        fit_anchors: Whether training from random weights takes the anchors of its data in place of these. A network has
            them fitted where its weights do not depend on published ones.
        strides: Of each scale, input pixels between two cells. A cell's centre is half a stride into it.
        cell_boxes: Boxes of each cell, "yolo_v1".
        sqrt: Whether widths and heights are square roots, "yolo_v1".
        scale_xy: Of each scale, how much further than its cell a centre may lie; 1 keeps it inside. Empty is all 1.
            Source: Bochkovskiy et al. 2020, YOLOv4, section 3.4.
        box: Order of the four numbers, "ssd", "rpn" and "rows": for anchors, offsets of centre and size.
        variances: What offsets of centre and of size are multiplied with, "ssd", "rpn" and "regions".
        classes: How scores of "ssd" and "rows" become probabilities where the head's activation is "logits".
        background: Whether unit 0 of the classes is the background, "ssd" and "rpn"; in "regions" it always is.
        objectness: Whether an objectness stands before the classes, "rows".
        columns: Whether "rows" come as columns, (4 + classes, N).
        unit: What boxes of "rows" and "postprocessed" are counted in: "pixels" of the input, or "share" of its sides.
        label_offset: Class of label 0, "postprocessed".
        parents: Of each class, the class it is a kind of, -1 for none: the tree of "yolo_tree".
        tree_score: Probability from which a class of the tree is told instead of its parent.
        regions: Of an image at most, "regions".
        pooling: How a region is cut out, "regions": "align" samples the features between cells, "max" takes the maxima
            of their cells, "crop" resizes the image's pixels.
        score: Least confidence that is told, 0..1.
        label_scores: Likewise for classes by name; the others keep `score`.
        iou: Overlap from which the less confident of two boxes goes, 0..1.
        nms: "class": boxes of one class alone; "agnostic": of all; "soft": lowers their confidence; "none".
        most: Detections of an image at most, the most confident first.
        match_iou: Overlap from which an anchor answers for an object in training, beside the best one; None takes 0.5
            for "ssd", 0.7 for "rpn", and the best anchor alone for YOLO, which compares sizes.
        box_loss: "ciou", or "offsets": squared (YOLO) or Huber (others) errors of what the network says.
        objectness_target: Of an anchor with an object in training: "one", or the "iou" of its box with the object.
        focal: Power of the focal loss on the objectness of anchors without an object; 0 is the plain cross-entropy.
            Source: Lin et al. 2017, "Focal Loss for Dense Object Detection".
        box_weight: Of boxes in the training loss.
        background_weight: Of cells and anchors without an object in the training loss.
        ignore_iou: Overlap with an object from which an anchor without one is no mistake in training.
    """

    decoder: Decoder = "rows"
    anchors: Anchors = ()
    fit_anchors: bool = False
    strides: Tuple[float, ...] = ()
    cell_boxes: int = 2
    sqrt: bool = True
    scale_xy: Tuple[float, ...] = ()
    box: Raw = "cxcywh"
    variances: Tuple[float, float] = (0.1, 0.2)
    classes: Literal["softmax", "sigmoid"] = "softmax"
    background: bool = True
    objectness: bool = False
    columns: bool = False
    unit: Literal["pixels", "share"] = "pixels"
    label_offset: int = 0
    parents: Tuple[int, ...] = ()
    tree_score: float = 0.5
    regions: int = 300
    pooling: Literal["align", "max", "crop"] = "align"
    score: float = 0.25
    label_scores: Mapping[str, float] = field(default_factory=dict, hash=False)
    iou: float = 0.5
    nms: Literal["class", "agnostic", "soft", "none"] = "class"
    most: int = 100
    match_iou: Optional[float] = None
    box_loss: Literal["ciou", "offsets"] = "ciou"
    objectness_target: Literal["one", "iou"] = "one"
    focal: float = 0.0
    box_weight: float = 5.0
    background_weight: float = 0.5
    ignore_iou: float = 0.5

    def __post_init__(self) -> None:
        for name in ("score", "iou", "tree_score", "ignore_iou"):
            _check_share(name, getattr(self, name))
        if self.match_iou is not None:
            _check_share("match_iou", self.match_iou)
        for name, value in self.label_scores.items():
            _check_share(f"score of '{name}'", value)
        if min(self.focal, self.box_weight, self.background_weight) < 0:
            raise ConfigError("focal, box_weight and background_weight are >= 0")
        if min(self.most, self.cell_boxes, self.regions) < 1:
            counts = f"{self.most}, {self.cell_boxes} and {self.regions}"
            raise ConfigError(f"most, cell_boxes and regions are >= 1, got {counts}")
        if self.decoder in ANCHORED:
            self._check_anchors()
        if self.decoder == "yolo_tree":
            _check_tree(self.parents)
        if self.decoder == "regions" and self.pooling != "crop" and len(self.strides) != 1:
            raise ConfigError(
                f"decoder 'regions' pools features of one stride, got {len(self.strides)}",
                hint="strides = [16.0]: input pixels between two cells of the features",
            )

    def _check_anchors(self) -> None:
        if not self.anchors or len(self.anchors) != len(self.strides):
            raise ConfigError(
                f"decoder '{self.decoder}' needs anchors and a stride for each scale, got {len(self.anchors)} lists of "
                f"anchors and {len(self.strides)} strides",
                hint="anchors = [[[10, 14], [23, 27]], ...] in input pixels, strides = [16, ...]",
            )
        numbers = [side for scale in self.anchors for pair in scale for side in pair] + list(self.strides)
        if not all(math.isfinite(number) and number > 0 for number in numbers) or not all(self.anchors):
            raise ConfigError(
                f"anchors and strides are finite and > 0, got {self.anchors} and {self.strides}",
                hint="an anchor is (width, height) in input pixels",
            )
        if self.scale_xy and len(self.scale_xy) != len(self.strides):
            raise ConfigError(f"scale_xy has {len(self.scale_xy)} values for {len(self.strides)} scales")

    @property
    def least_match(self) -> float:
        """Overlap from which an anchor that is not the best one answers for an object."""
        if self.match_iou is not None:
            return self.match_iou
        return {"ssd": 0.5, "rpn": 0.7}.get(self.decoder, 1.0)

    @property
    def shared(self) -> bool:
        """Whether the anchors of a cell share its classes."""
        return self.decoder == "yolo_book"


_DECODED: Dict[int, Tuple[Head, DetectionSettings]] = {}
_KEPT = 64


def settings_of(head: Head) -> DetectionSettings:
    """Return a head's settings. Raises ConfigError for an unknown key or a wrong value.

    What was decoded is kept by the head itself, since heads that differ in their settings have one hash.
    """
    known = _DECODED.get(id(head))
    if known is None:
        decoded = codec.decode(DetectionSettings, head.settings, where=f"settings of head '{head.name}' ({head.task})")
        if len(_DECODED) >= _KEPT:
            _DECODED.clear()
        known = _DECODED[id(head)] = (head, decoded)
    return known[1]


def _check_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"{name} is in 0..1, got {value}")


def _check_tree(parents: Tuple[int, ...]) -> None:
    """Raise ConfigError unless each class comes after its parent, so that there is no cycle."""
    for place, parent in enumerate(parents):
        if not -1 <= parent < place:
            raise ConfigError(
                f"the tree's class {place} has the parent {parent}, expected -1 or a class before it",
                hint="a tree lists parents before their children, and has no cycle",
            )
    if not parents:
        raise ConfigError("decoder 'yolo_tree' needs the parents of its classes", hint="read them from a .tree file")
