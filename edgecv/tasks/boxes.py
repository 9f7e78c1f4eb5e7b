"""Boxes: what lies where in an image, as truth and as a prediction; formats, overlap, and boxes that move with images.

Everywhere a box is (x1, y1, x2, y2), float32, in half-open pixels of the image: its width is x2 - x1. Another format
is named, and converted at the border.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, Literal, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError, unknown_name
from edgecv.tasks.description import Description, counted, measured
from edgecv.tasks.frame import Frame, Piece, Window

Array = NDArray[Any]
BoxFormat = Literal["xyxy", "xywh", "cxcywh", "yxyx", "cxcyhw", "cycxhw"]

# What the four numbers of each format are in terms of (x1, y1, x2, y2), a row for each.
_FORMATS: Dict[str, Tuple[Tuple[float, ...], ...]] = {
    "xyxy": ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
    "xywh": ((1, 0, 0, 0), (0, 1, 0, 0), (-1, 0, 1, 0), (0, -1, 0, 1)),
    "cxcywh": ((0.5, 0, 0.5, 0), (0, 0.5, 0, 0.5), (-1, 0, 1, 0), (0, -1, 0, 1)),
    "yxyx": ((0, 1, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 0)),
    "cxcyhw": ((0.5, 0, 0.5, 0), (0, 0.5, 0, 0.5), (0, -1, 0, 1), (-1, 0, 1, 0)),
    "cycxhw": ((0, 0.5, 0, 0.5), (0.5, 0, 0.5, 0), (0, -1, 0, 1), (-1, 0, 1, 0)),
}


@dataclass(frozen=True, eq=False)
class Objects:
    """The truth of one image: n objects.

    Attributes:
        xyxy: float32 (n, 4), image pixels, x2 > x1 and y2 > y1.
        class_id: int64 (n,), >= 0.
        crowd: bool (n,): a box around many objects, which is neither to be found nor a mistake; None for none.

    Raises:
        DataError: The arrays differ in length, or a box is not finite or has no area.
    """

    xyxy: Array
    class_id: Array
    crowd: Optional[Array] = None

    def __post_init__(self) -> None:
        boxes, ids = _rows(self.xyxy, "objects"), np.asarray(self.class_id, np.int64).reshape(-1)
        crowd = np.zeros(len(ids), bool) if self.crowd is None else np.asarray(self.crowd, bool).reshape(-1)
        _check_lengths("objects", {"boxes": len(boxes), "class_id": len(ids), "crowd": len(crowd)})
        _check_boxes(boxes)
        if ids.size and ids.min() < 0:
            raise DataError(f"a class_id is >= 0, got {int(ids.min())}", hint="background has no class of its own")
        for name, value in (("xyxy", boxes), ("class_id", ids), ("crowd", crowd)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, index: Any) -> Objects:
        """Return the objects of a boolean mask, an integer, a slice or an array of integers."""
        chosen, crowd = _chosen(index, len(self)), np.asarray(self.crowd)
        return Objects(self.xyxy[chosen], self.class_id[chosen], crowd[chosen])


@dataclass(frozen=True, eq=False)
class Detections:
    """What a model finds in one image: n objects. Names are those of `supervision.Detections`.

    Attributes:
        xyxy: float32 (n, 4), image pixels, inside the image.
        confidence: float32 (n,), 0..1.
        class_id: int64 (n,).
        labels: Names of all classes, by class_id; empty when unknown.
        masks: bool (n, H, W), of the image's size; None without.
        outputs: Every output of the model, float32 in real units, without the batch.
        heads: Name of each head to its prediction.

    Raises:
        DataError: The arrays differ in length.
    """

    xyxy: Array
    confidence: Array
    class_id: Array
    labels: Tuple[str, ...] = ()
    masks: Optional[Array] = None
    outputs: Tuple[Array, ...] = ()
    heads: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "xyxy", _rows(self.xyxy, "detections"))
        object.__setattr__(self, "confidence", np.asarray(self.confidence, np.float32).reshape(-1))
        object.__setattr__(self, "class_id", np.asarray(self.class_id, np.int64).reshape(-1))
        lengths = {"xyxy": len(self), "confidence": len(self.confidence), "class_id": len(self.class_id)}
        _check_lengths("detections", lengths if self.masks is None else {**lengths, "masks": len(self.masks)})

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, index: Any) -> Detections:
        """Return the detections of a boolean mask, an integer, a slice or an array of integers."""
        chosen = _chosen(index, len(self))
        return replace(
            self,
            xyxy=self.xyxy[chosen],
            confidence=self.confidence[chosen],
            class_id=self.class_id[chosen],
            masks=None if self.masks is None else self.masks[chosen],
        )

    def as_objects(self) -> Objects:
        """Return what was found as a truth; boxes without an area are left out."""
        solid = (self.xyxy[:, 2] > self.xyxy[:, 0]) & (self.xyxy[:, 3] > self.xyxy[:, 1])
        return Objects(self.xyxy[solid], self.class_id[solid])

    @property
    def names(self) -> Tuple[str, ...]:
        """The class of each detection by name."""
        return tuple(class_name(self.labels, index) for index in self.class_id)

    def to_dict(self) -> Mapping[str, Any]:
        """Return the detections as JSON data, most confident first as they came; masks are left out."""
        rows = zip(self.xyxy.tolist(), self.confidence.tolist(), self.class_id.tolist(), self.names)
        return {
            "detections": [
                {"label": name, "class_id": index, "confidence": confidence, "xyxy": corners}
                for corners, confidence, index, name in rows
            ]
        }

    def draw(self, image: Array) -> Any:
        """Return a Pillow image with the boxes, and the masks where there are some, on an image uint8 (H, W[, 3])."""
        from edgecv.tasks import drawing

        return self.drawn_on(*drawing.canvas(image))

    def drawn_on(self, picture: Any, scale: float) -> Any:
        """Return a Pillow image with the boxes added, `scale` times the size of the image that they lie in."""
        from edgecv.tasks import drawing

        for index in range(len(self)) if self.masks is not None else ():
            drawing.overlay_mask(picture, np.asarray(self.masks)[index], drawing.palette(int(self.class_id[index])))
        # The most confident last, so that it is on top.
        order = np.argsort(self.confidence, kind="stable")
        texts = [f"{self.names[index]} {self.confidence[index]:.2f}" for index in order]
        colors = [drawing.palette(int(self.class_id[index])) for index in order]
        drawing.boxes(picture, self.xyxy[order], colors, scale=scale, texts=texts)
        return picture


def class_name(labels: Tuple[str, ...], index: int) -> str:
    """Return the name of a class, or its number where it has none."""
    return labels[index] if 0 <= index < len(labels) else str(int(index))


def described(truths: Sequence[Objects], labels: Tuple[str, ...]) -> Description:
    """Return how many objects there are of each class, and how many an image has and how large they are, in pixels."""
    corners = np.concatenate([np.zeros((0, 4), np.float32), *(found.xyxy for found in truths)])
    measures = {
        "objects per image": np.array([len(found) for found in truths]),
        "box width": corners[:, 2] - corners[:, 0],
        "box height": corners[:, 3] - corners[:, 1],
    }
    return measured(measures, counted(np.concatenate([[], *(found.class_id for found in truths)]), labels))


def presence(truths: Sequence[Objects]) -> Array:
    """Return which classes each image shows: uint8 (n, highest class + 1) of 0 and 1."""
    highest = max((int(found.class_id.max()) for found in truths if len(found)), default=0)
    made = np.zeros((len(truths), highest + 1), np.uint8)
    for row, found in zip(made, truths):
        row[found.class_id] = 1
    return made


def patterns(truths: Sequence[Objects]) -> Array:
    """Return the number of the set of classes that each image shows, int64 (n,)."""
    return np.unique(presence(truths), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def convert(boxes: Array, source: BoxFormat, target: BoxFormat) -> Array:
    """Return boxes (..., 4) of one format in another: float32, or float64 where they came so.

    The formats: "xyxy" corners; "xywh" upper left corner, width, height (COCO); "cxcywh" centre, width, height (YOLO);
    "yxyx" corners (TensorFlow); "cxcyhw" centre, height, width; "cycxhw" the same with y first (TensorFlow's anchors).

    Raises:
        ConfigError: Unknown format.
    """
    values = np.asarray(boxes)
    kept = np.float64 if values.dtype == np.float64 else np.float32
    through = _matrix(target) @ np.linalg.inv(_matrix(source))
    return np.asarray(values.astype(np.float64) @ through.T, kept)


def area(boxes: Array) -> Array:
    """Return the areas of boxes (..., 4) xyxy, float64 (...,); 0 for boxes that are inside out."""
    values = np.asarray(boxes, np.float64)
    sides = np.maximum(values[..., 2:] - values[..., :2], 0.0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def intersection(a: Array, b: Array) -> Array:
    """Return the area that each box of `a` (n, 4) shares with each of `b` (m, 4): float64 (n, m)."""
    return _shared(np.asarray(a, np.float64)[:, None], np.asarray(b, np.float64)[None])


def iou(a: Array, b: Array) -> Array:
    """Return intersection over union of every box of `a` (n, 4) with every one of `b` (m, 4), xyxy: float64 (n, m).

    0 where both have no area. Source: Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge",
    section 4.2.
    """
    return _over_union(np.asarray(a, np.float64).reshape(-1, 1, 4), np.asarray(b, np.float64).reshape(1, -1, 4))


def iou_rows(a: Array, b: Array) -> Array:
    """Return intersection over union of boxes (..., 4) row by row, xyxy: float64 (...,). See `iou`."""
    return _over_union(np.asarray(a, np.float64), np.asarray(b, np.float64))


def clip(boxes: Array, size: Tuple[int, int]) -> Array:
    """Return boxes (..., 4) xyxy cut off at the border of an image of `size` (height, width)."""
    height, width = size
    return np.clip(boxes, 0.0, np.asarray([width, height, width, height], np.float32))


def to_input(boxes: Array, frame: Frame) -> Array:
    """Return the upright boxes around image boxes (..., 4) as they lie in the input: float64, not clipped."""
    return _hull(frame.to_input(_corners(boxes)))


def to_image(boxes: Array, frame: Frame) -> Array:
    """Return the upright boxes around boxes of the input (..., 4) as they lie in the image: float64, not clipped."""
    return _hull(frame.to_image(_corners(boxes)))


def warp(objects: Objects, frame: Frame, *, most_lost: float = 0.75, window: Optional[Window] = None) -> Objects:
    """Return the objects of an image in input coordinates, clipped to the input.

    Args:
        objects: In image pixels.
        frame: From image to input.
        most_lost: Share of its area that an object may lose at the border, 0..1; one that loses more is dropped.
        window: The part of the input in which objects are seen; None for the whole input.
    """
    moved = to_input(objects.xyxy, frame)
    left, top, right, bottom = window or (0, 0, frame.input_size[1], frame.input_size[0])
    inside = np.clip(moved, [left, top, left, top], [right, bottom, right, bottom]).astype(np.float32)
    # Clipped boxes in float32 may have no width left where float64 has a hair.
    solid = (inside[:, 2:] > inside[:, :2]).all(axis=1)
    chosen = solid & (area(inside) >= (1.0 - most_lost) * area(moved) * (1 - 1e-6))
    return Objects(inside[chosen], objects.class_id[chosen], np.asarray(objects.crowd)[chosen])


def joined(pieces: Sequence[Piece]) -> Objects:
    """Return the objects of images that share an input, in its coordinates, each cut off at its image's window."""
    parts = [warp(piece.truth, piece.frame, window=piece.window) for piece in pieces]
    return Objects(
        np.concatenate([part.xyxy for part in parts]),
        np.concatenate([part.class_id for part in parts]),
        np.concatenate([np.asarray(part.crowd) for part in parts]),
    )


def _matrix(name: str) -> Array:
    if name not in _FORMATS:
        raise unknown_name("box format", name, _FORMATS)
    return np.asarray(_FORMATS[name], np.float64)


def _shared(a: Array, b: Array) -> Array:
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    sides = np.maximum(sides, 0.0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def _over_union(a: Array, b: Array) -> Array:
    shared = _shared(a, b)
    union = area(a) + area(b) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0.0))


def _corners(boxes: Array) -> Array:
    """The four corners of boxes (..., 4): points (..., 4, 2)."""
    values = np.asarray(boxes, np.float64)
    return np.stack([values[..., [0, 1]], values[..., [2, 1]], values[..., [0, 3]], values[..., [2, 3]]], axis=-2)


def _hull(points: Array) -> Array:
    return np.concatenate([points.min(axis=-2), points.max(axis=-2)], axis=-1)


def _chosen(index: Any, length: int) -> Array:
    """An index of rows that keeps the axis: an integer chooses one row. Raises IndexError beyond the end."""
    return np.atleast_1d(np.arange(length)[index])


def _rows(boxes: Array, what: str) -> Array:
    values = np.asarray(boxes, np.float32)
    if values.size == 0:
        return np.zeros((0, 4), np.float32)
    if values.ndim != 2 or values.shape[1] != 4:
        raise DataError(f"boxes of {what} are (n, 4), got {values.shape}", hint="a box is x1, y1, x2, y2")
    return values


def _check_lengths(what: str, lengths: Mapping[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{count} {name}" for name, count in lengths.items())
        raise DataError(f"{what} need one entry per box in every array, got {told}")


def _check_boxes(boxes: Array) -> None:
    good = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if not good.all():
        first = int(np.flatnonzero(~good)[0])
        raise DataError(
            f"box {first} is {boxes[first].tolist()}: expected finite x1, y1, x2, y2 with x2 > x1 and y2 > y1",
            hint="if boxes are written as x, y, width, height, say so by their format",
        )
