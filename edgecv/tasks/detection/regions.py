"""Detection in two stages: where something may be, and what it is there. What lies between the networks; pure numpy.

The first network gives features of the whole image, and a region proposal network on them where there is one. Regions
are cut out of the features, or out of the image, to one size, and the second network tells their classes and boxes.

Sources: Girshick et al. 2014, "Rich Feature Hierarchies" (R-CNN); Girshick 2015, "Fast R-CNN"; Ren et al. 2015,
"Faster R-CNN".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import UnsupportedModelError
from edgecv.tasks import boxes
from edgecv.tasks.boxes import Objects
from edgecv.tasks.detection import decoders, roi
from edgecv.tasks.detection.nms import suppress
from edgecv.tasks.detection.selective_search import selective_search
from edgecv.tasks.detection.settings import DetectionSettings, settings_of
from edgecv.values.specs import Head, ModelSpec, Preprocessing

Array = NDArray[Any]

BEFORE_SUPPRESSION = 6000
"""Regions of an image at most before those that overlap are dropped. Source: Ren et al. 2015, its code."""
SHOWN = 0.5
"""Overlap from which a region shows an object."""
CANVAS = (500, 500)
"""Height and width to which an image is brought where its regions are cut out of its pixels."""
OUTPUTS = ("boxes", "classes", "scores")
"""Of a whole bundle: yxyx (n, 4) in input pixels, classes (n,), probabilities (n,)."""


@dataclass(frozen=True)
class Stage:
    """What a head with the decoder "regions" reads, by the shapes of its outputs without the batch.

    Attributes:
        features: Shape of the features (H, W, C); None in the second network.
        count: Regions that the second network takes at once; 0 in the first.
        specific: Whether each class has a box of its own, the background's first.
    """

    features: Optional[Tuple[int, ...]]
    count: int
    specific: bool


@dataclass(frozen=True, eq=False)
class RegionTruth:
    """What regions of one image show: what the second stage learns of.

    Attributes:
        regions: float32 (n, 4), xyxy in input pixels.
        code: int64 (n,): 0 is background, a class is one more than its id, -1 counts nowhere.
        offsets: float32 (n, 4), to the box of the object that it shows; 0 where there is none.
    """

    regions: Array
    code: Array
    offsets: Array


def truth_of(regions: Array, objects: Objects, settings: DetectionSettings) -> RegionTruth:
    """Return what regions show of some objects, padded to `settings.regions` rows that count nowhere.

    A region shows the object that it overlaps most, by half or more; one that mostly lies in a crowd counts nowhere.
    Source: Girshick 2015, section 2.3.

    Args:
        regions: (n, 4) in input pixels.
        objects: In input pixels too.
        settings: Of the "regions" head.
    """
    kept = np.asarray(regions[: settings.regions], np.float32)
    crowd = np.asarray(objects.crowd)
    single, many = objects[~crowd], objects[crowd]
    padded = np.zeros((settings.regions, 4), np.float32)
    padded[: len(kept)] = kept
    code, offsets = np.full(settings.regions, -1, np.int64), np.zeros((settings.regions, 4), np.float32)
    code[: len(kept)] = 0
    if len(many) and len(kept):
        code[: len(kept)][boxes.iou(kept, many.xyxy).max(axis=1) >= SHOWN] = -1
    if len(single) and len(kept):
        overlap = boxes.iou(kept, single.xyxy)
        best = overlap.argmax(axis=1)
        shows = np.flatnonzero(overlap[np.arange(len(kept)), best] >= SHOWN)
        code[shows] = 1 + single.class_id[best[shows]]
        offsets[shows] = offsets_to(kept[shows], single.xyxy[best[shows]], settings)
    return RegionTruth(padded, code, offsets)


def stage_of(head: Head, shapes: Sequence[Tuple[int, ...]]) -> Stage:
    """Return what the outputs of a head hold: the features, or boxes and scores of regions, or both.

    Raises:
        UnsupportedModelError: They do not fit the head.
    """
    own = list(shapes)
    features = own.pop(0) if len(own) in (1, 3) else None
    if features is not None and len(features) != 3:
        raise _misfit(head, shapes)
    if not own:
        return Stage(features, 0, False)
    units = 1 + len(head.labels)
    if len(own) != 2 or any(len(shape) not in (1, 3) for shape in own):
        raise _misfit(head, shapes)
    counts = {int(np.prod(shape[:-1], dtype=np.int64)) for shape in own}
    if len(counts) != 1 or own[1][-1] != units or own[0][-1] not in (4, 4 * units):
        raise _misfit(head, shapes)
    return Stage(features, counts.pop(), own[0][-1] == 4 * units)


def proposals(outputs: Sequence[Array], head: Head, input_size: Tuple[int, int]) -> Array:
    """Return where a region proposal network sees something: float32 (n, 4) in input pixels, the surest first.

    Args:
        outputs: Of its head, float32, without the batch.
        head: Its head. Score, overlap and number of regions are those of its settings.
        input_size: (height, width).
    """
    settings = settings_of(head)
    found = decoders.candidates(outputs, head, settings, input_size, settings.score)
    best = np.argsort(-found.confidence, kind="stable")[:BEFORE_SUPPRESSION]
    inside = np.asarray(boxes.clip(found.xyxy[best], input_size), np.float32)
    solid = (inside[:, 2:] - inside[:, :2] >= 1.0).all(axis=1)
    inside, confidence = inside[solid], found.confidence[best][solid]
    one = np.zeros(len(inside), np.int64)
    kept, _ = suppress(inside, confidence, one, iou=settings.iou, how="agnostic", most=settings.most)
    return inside[kept]


def searched(image: Array, preprocessing: Optional[Preprocessing], settings: DetectionSettings) -> Array:
    """Return where selective search sees something in a network's input: float32 (n, 4) in input pixels.

    Args:
        image: float32 (H, W, C), normalised.
        preprocessing: How it was normalised, which is undone.
        settings: Of the "regions" head.
    """
    return selective_search(pixels_of(image, preprocessing), most=settings.regions)


def pixels_of(image: Array, preprocessing: Optional[Preprocessing]) -> Array:
    """Return the pixels of a network's input, uint8 (H, W, 3) or (H, W, 1), RGB where there are colours."""
    if preprocessing is None:
        raise UnsupportedModelError("regions are searched in images, and the input of the first network is none")
    values = image * np.asarray(preprocessing.std, np.float32) + np.asarray(preprocessing.mean, np.float32)
    pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.asarray(pixels[..., ::-1] if preprocessing.color == "bgr" else pixels)


def cut_out(source: Array, regions: Array, settings: DetectionSettings, shape: Tuple[int, ...]) -> Array:
    """Return regions as the second network takes them: float32 of `shape`, or (n, *shape) where it takes one at a time.

    Args:
        source: Features (H, W, C); the input of the network, (H, W, C), for "crop".
        regions: (n, 4) in input pixels.
        settings: Of the "regions" head.
        shape: Of the second network's input, without the batch: (regions * side, side, C), or (height, width, C).
    """
    if settings.pooling == "crop":
        return roi.align(source, regions, size=(shape[0], shape[1]), samples=1)
    side = shape[1]
    pool = roi.align if settings.pooling == "align" else roi.maxima
    kept = regions[: settings.regions]
    return roi.stacked(pool(source, kept, stride=settings.strides[0], size=(side, side)), shape[0] // side)


def answers(raw_boxes: Array, raw_scores: Array, regions: Array, head: Head) -> List[Array]:
    """Return what a bundle answers, in the order of `OUTPUTS`: a row for each region and class, float32.

    Args:
        raw_boxes: Offsets of the second network, (count, 1, 4) or (count, 1, 4 * (1 + classes)).
        raw_scores: Its scores, (count, 1, 1 + classes), the background first.
        regions: (n, 4) in input pixels, n <= count; what the network says of the others is left out, with a score of 0.
        head: With the decoder "regions".
    """
    settings, units = settings_of(head), raw_scores.shape[-1]
    count = raw_scores.reshape(-1, units).shape[0]
    padded = np.zeros((count, 4), np.float32)
    padded[: len(regions)] = regions
    raw = raw_scores.reshape(count, units)
    likely = decoders.softmax(raw) if head.activation == "logits" else np.clip(raw, 0.0, 1.0)
    likely = np.where(np.arange(count)[:, None] < len(regions), likely, 0.0)[:, 1:]
    offsets = raw_boxes.reshape(count, -1, 4)[:, 1:] if raw_boxes.shape[-1] > 4 else raw_boxes.reshape(count, 1, 4)
    xyxy = np.broadcast_to(moved(padded[:, None], offsets, settings), (count, units - 1, 4))
    classes = np.broadcast_to(np.arange(units - 1, dtype=np.float32), (count, units - 1))
    return [
        np.asarray(boxes.convert(xyxy.reshape(-1, 4), "xyxy", "yxyx"), np.float32),
        np.ascontiguousarray(classes).reshape(-1),
        np.ascontiguousarray(likely, np.float32).reshape(-1),
    ]


def moved(regions: Array, offsets: Array, settings: DetectionSettings) -> Array:
    """Return regions (..., 4) xyxy moved by offsets (..., 4) of centre and size: float32. Inverse of `offsets_to`."""
    centre, size = (regions[..., :2] + regions[..., 2:]) / 2, regions[..., 2:] - regions[..., :2]
    middle = centre + offsets[..., :2] * settings.variances[0] * size
    grown = np.minimum(offsets[..., 2:] * settings.variances[1], decoders.LARGEST_EXPONENT)
    half = size * np.exp(grown) / 2
    return np.asarray(np.concatenate([middle - half, middle + half], axis=-1), np.float32)


def offsets_to(regions: Array, targets: Array, settings: DetectionSettings) -> Array:
    """Return the offsets (..., 4) that move regions (..., 4) xyxy to targets: float32. Both have an area."""
    size, wanted = regions[..., 2:] - regions[..., :2], targets[..., 2:] - targets[..., :2]
    way = (targets[..., :2] + targets[..., 2:]) / 2 - (regions[..., :2] + regions[..., 2:]) / 2
    first = way / size / settings.variances[0]
    second = np.log(wanted / size) / settings.variances[1]
    return np.asarray(np.concatenate([first, second], axis=-1), np.float32)


def second_stage(spec: ModelSpec) -> Optional[Head]:
    """Return the head of a model that looks at regions; None where there is none."""
    return next((head for head in spec.heads if head.settings.get("decoder") == "regions"), None)


def proposing(heads: Sequence[Head]) -> Tuple[Head, ...]:
    """Return the heads that propose regions to another one of theirs: they know one class, whatever the data says."""
    if not any(head.settings.get("decoder") == "regions" for head in heads):
        return ()
    return tuple(head for head in heads if head.settings.get("decoder") == "rpn")


def whole(spec: ModelSpec) -> ModelSpec:
    """Return the contract of a bundle as one model, of the networks' common contract: from an image to objects.

    Raises:
        UnsupportedModelError: No head looks at regions.
    """
    head = second_stage(spec)
    if head is None:
        raise UnsupportedModelError(
            f"'{spec.name}' has no head with the decoder 'regions'", hint="only detectors of two stages make a bundle"
        )
    told = ("score", "label_scores", "iou", "nms", "most")
    kept = {key: value for key, value in head.settings.items() if key in told}
    settings = {**kept, "decoder": "postprocessed", "unit": "pixels"}
    answered = replace(head, outputs=OUTPUTS, activation="probabilities", settings=settings)
    image = spec.input
    if settings_of(head).pooling == "crop":
        image = replace(image, shape=(*CANVAS, image.shape[2]))
    return replace(spec, inputs=(image,), heads=(answered,))


def _misfit(head: Head, shapes: Sequence[Tuple[int, ...]]) -> UnsupportedModelError:
    units = 1 + len(head.labels)
    return UnsupportedModelError(
        f"head '{head.name}' (regions) reads features (H, W, C), or boxes (n, 1, 4 or {4 * units}) and scores "
        f"(n, 1, {units}), or all three; got outputs of {', '.join(map(str, shapes))}",
        hint="scores have one unit for the background, before the classes",
    )
