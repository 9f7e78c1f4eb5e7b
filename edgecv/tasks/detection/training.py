"""How detection is learned: losses of boxes, objectness and classes. Tensors are tensorflow's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DataError
from edgecv.core.optional import require
from edgecv.tasks import boxes
from edgecv.tasks.boxes import Objects
from edgecv.tasks.detection import progress, yolo_v1
from edgecv.tasks.detection.assignment import IGNORED, anchor_boxes, assigned, grids
from edgecv.tasks.frame import Frame
from edgecv.tasks.learning import LossOptions, TensorSpec
from edgecv.values.specs import Head

if TYPE_CHECKING:
    from edgecv.tasks.detection.task import DetectionTask

Array = NDArray[Any]

MOST = 300
"""Objects of an image at most: targets are tensors of one size."""
TOO_MANY = "cut images in parts; with mosaic, those of four images count together: a smaller share, or none, helps"
MINED = 3
"""Background anchors for each one with an object, the worst first. Source: Liu et al. 2016, "SSD", section 2.2."""


class DetectionTraining:
    """Learning boxes, objectness and classes of anchors, or of cells (YOLOv1).

    Args:
        task: Decodes what the network says for the validation value.
        head: With a decoder that has a loss.
    """

    def __init__(self, task: DetectionTask, head: Head) -> None:
        self.head, self.settings = head, task.settings(head)
        self._is_first = self.settings.decoder == "yolo_v1"
        self._task = task

    @property
    def targets(self) -> Tuple[TensorSpec, ...]:
        """What each anchor answers for, (N, 5), and the objects themselves, (300, 6): boxes, class, and crowd."""
        return TensorSpec((None, 5), "float32"), TensorSpec((MOST, 6), "float32")

    def encode(self, truth: Any, frame: Optional[Frame]) -> Tuple[Array, ...]:
        """Return the targets of one image, in input coordinates. Raises DataError above 300 objects.

        Without anchors, the first target is a row for each cell: its object's box and class.
        """
        if frame is None:
            raise DataError("detection learns from images, got a sample without one")
        moved = boxes.warp(truth, frame)
        if len(moved) > MOST:
            raise DataError(f"an image has {len(moved)} objects, training takes {MOST}", hint=TOO_MANY)
        listed = np.full((MOST, 6), -1.0, np.float32)
        listed[: len(moved)] = np.column_stack([moved.xyxy, moved.class_id, np.asarray(moved.crowd)])
        if self._is_first:
            return yolo_v1.assigned(moved, self.settings, frame.input_size), listed
        return assigned(moved, self.settings, frame.input_size), listed

    def class_weights(self, truths: Sequence[Objects]) -> Optional[Array]:
        """Return objects / (classes * objects of the class), float32 (classes,); 0 for a class without objects."""
        counts = np.bincount(
            np.concatenate([truth.class_id for truth in truths]), minlength=len(self.head.labels)
        ).astype(np.float64)
        weights = counts.sum() / (len(counts) * np.maximum(counts, 1))
        return np.where(counts > 0, weights, 0.0).astype(np.float32)

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return the loss of a batch: box, objectness and class losses, divided by the anchors with an object."""
        tf = _tensorflow()
        if self._is_first:
            return yolo_v1.loss(targets[0], outputs, self.settings, len(self.head.labels))
        raw, objectness, classes = self._raw(outputs)
        size = self._input_size(outputs)
        target = targets[0]
        code = target[..., 4]
        held = code >= 0
        count = tf.maximum(tf.reduce_sum(tf.cast(held, tf.float32)), 1.0)
        said = self._corners(raw, size)
        wanted = tf.boolean_mask(target[..., :4], held)
        overlap = _ciou(tf.boolean_mask(said, held), wanted)
        if self.settings.box_loss == "ciou":
            box = tf.reduce_sum(1.0 - overlap)
        else:
            box = self._offset_loss(raw, target, held, size)
        total = self.settings.box_weight * box
        if objectness is None:
            return (total + self._mined(classes, code, options)) / count
        aim = tf.cast(held, tf.float32)
        if self.settings.objectness_target == "iou":
            plain = tf.stop_gradient(tf.clip_by_value(_iou(tf.boolean_mask(said, held), wanted), 0.0, 1.0))
            aim = tf.scatter_nd(tf.where(held), plain, tf.shape(code, tf.int64))
        total += self._objectness_loss(objectness, aim, held, code)
        return (total + self._class_loss(classes, code, held, options)) / count

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return how many detections of each confidence are right, by class and overlap: float32, adds up."""
        tf = _tensorflow()
        classes, size = max(1, len(self.head.labels)), self._input_size(outputs)

        def counted(listed: Array, *arrays: Array) -> Array:
            return progress.counted(self._task, self.head, size, listed, arrays)

        found = tf.numpy_function(counted, [targets[1], *outputs], tf.float32)
        return tf.ensure_shape(found, (progress.length(classes),))

    def value(self, sums: Array) -> float:
        """Return the mean average precision in input coordinates, by confidences in steps; 0 without objects."""
        return progress.value(sums, max(1, len(self.head.labels)))

    def distil(self, teacher: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return the loss of following a teacher of the same anchors: its scores, and its boxes where it is sure.

        Source: Chen et al. 2017, "Learning Efficient Object Detection Models with Knowledge Distillation".
        """
        tf = _tensorflow()
        if self._is_first:
            return tf.add_n([tf.reduce_mean(tf.square(a - b)) for a, b in zip(teacher, outputs)])
        size = self._input_size(outputs)
        (raw, objectness, classes), (own, own_objectness, own_classes) = self._raw(teacher), self._raw(outputs)
        if objectness is None:
            soft = tf.nn.softmax(classes / options.temperature)
            sure = 1.0 - soft[..., 0] if self.settings.background else tf.reduce_max(soft, axis=-1)
            lost = -tf.reduce_sum(soft * tf.nn.log_softmax(own_classes / options.temperature), axis=-1)
        else:
            sure = tf.sigmoid(objectness)
            lost = tf.nn.sigmoid_cross_entropy_with_logits(sure, own_objectness)
            each = tf.nn.sigmoid_cross_entropy_with_logits(tf.sigmoid(classes), own_classes)
            weight = self._of_cells(sure) if self.settings.shared else sure
            lost = tf.reduce_sum(lost) + tf.reduce_sum(weight[..., None] * each)
        near = tf.reduce_sum(sure * (1.0 - _ciou(self._corners(own, size), self._corners(raw, size))))
        return (self.settings.box_weight * near + tf.reduce_sum(lost)) / tf.maximum(tf.reduce_sum(sure), 1.0)

    def order(self, truths: Sequence[Any], rng: np.random.Generator) -> Array:
        """Return a random order of the samples, int64 (n,)."""
        return rng.permutation(len(truths))

    def _input_size(self, outputs: Sequence[Any]) -> Tuple[int, int]:
        """(height, width) of the input, as the outputs tell it."""
        if self._is_first:
            values = sum(int(np.prod(output.shape[1:])) for output in outputs)
            side = yolo_v1.cells_a_side(values, len(self.head.labels), self.settings.cell_boxes)
            return round(side * self.settings.strides[0]), round(side * self.settings.strides[0])
        if len(outputs[0].shape) != 4:
            raise ConfigError(
                f"detection head '{self.head.name}' has rows for anchors, training needs maps of (H, W, values)",
                hint="end the network before its maps are reshaped and joined",
            )
        rows, columns = (int(side) for side in outputs[0].shape[1:3])
        return round(rows * self.settings.strides[0]), round(columns * self.settings.strides[0])

    def _raw(self, outputs: Sequence[Any]) -> Tuple[Any, Any, Any]:
        """Boxes (B, N, 4), objectness (B, N) or None, class scores (B, N, units), or (B, cells, units) if shared."""
        tf, settings = _tensorflow(), self.settings
        joint = len(outputs) == len(settings.anchors)
        numbers: List[Any] = []
        objectness: List[Any] = []
        classes: List[Any] = []
        own = settings.decoder.startswith("yolo")
        for place, anchors in enumerate(settings.anchors):
            count = len(anchors)
            whole = tf.cast(outputs[place if joint else 2 * place], tf.float32)
            rest = whole if joint else tf.cast(outputs[2 * place + 1], tf.float32)
            batch = tf.shape(whole)[0]
            cells = int(whole.shape[1]) * int(whole.shape[2])
            if settings.shared:
                start = 4 * count if joint else 0
                rest = tf.reshape(rest, [batch, cells, -1])[..., start:]
                numbers.append(tf.reshape(tf.reshape(whole, [batch, cells, -1])[..., : 4 * count], [batch, -1, 4]))
                objectness.append(tf.reshape(rest[..., :count], [batch, -1]))
                classes.append(rest[..., count:])
                continue
            whole = tf.reshape(whole, [batch, cells * count, int(whole.shape[3]) // count])
            rest = whole[..., 4:] if joint else tf.reshape(rest, [batch, cells * count, int(rest.shape[3]) // count])
            numbers.append(whole[..., :4])
            if own:
                objectness.append(rest[..., 0])
            classes.append(rest[..., 1:] if own else rest)
        joined = tf.concat(objectness, axis=1) if objectness else None
        return tf.concat(numbers, axis=1), joined, tf.concat(classes, axis=1)

    def _anchors(self, size: Tuple[int, int]) -> Tuple[Any, Any, Any]:
        """Upper left corners of cells, sides of anchors, and strides: float32 (N, 2), (N, 2), (N, 1)."""
        corners = anchor_boxes(self.settings, size)
        sides = corners[:, 2:] - corners[:, :2]
        cells = [r * c * len(own) for (r, c), own in zip(grids(self.settings, size), self.settings.anchors)]
        strides = np.repeat(np.asarray(self.settings.strides, np.float32), cells)[:, None]
        centres = (corners[:, 2:] + corners[:, :2]) / 2
        return centres - strides / 2, sides, strides

    def _reach(self, size: Tuple[int, int]) -> Array:
        cells = [r * c * len(own) for (r, c), own in zip(grids(self.settings, size), self.settings.anchors)]
        return np.repeat(np.asarray(self.settings.scale_xy or [1.0] * len(cells), np.float32), cells)[:, None]

    def _corners(self, raw: Any, input_size: Tuple[int, int]) -> Any:
        """As `decoders.corners`, of all anchors: (B, N, 4) in input pixels."""
        tf = _tensorflow()
        at, sides, strides = self._anchors(input_size)
        if self.settings.decoder in ("ssd", "rpn"):
            raw = tf.gather(raw, [1, 0, 3, 2], axis=-1) if self.settings.box == "cycxhw" else raw
            centre = at + strides / 2 + raw[..., :2] * self.settings.variances[0] * sides
            size = sides * tf.exp(tf.minimum(raw[..., 2:] * self.settings.variances[1], 10.0))
        else:
            reach = self._reach(input_size)
            centre = at + (tf.sigmoid(raw[..., :2]) * reach - (reach - 1.0) / 2.0) * strides
            size = sides * tf.exp(tf.minimum(raw[..., 2:], 10.0))
        return tf.concat([centre - size / 2, centre + size / 2], axis=-1)

    def _offset_loss(self, raw: Any, target: Any, held: Any, input_size: Tuple[int, int]) -> Any:
        """Errors of what the network says of anchors with an object, summed."""
        tf = _tensorflow()
        at, sides, strides = self._anchors(input_size)
        size = tf.maximum(target[..., 2:4] - target[..., :2], 1e-3)
        centre = (target[..., 2:4] + target[..., :2]) / 2
        if self.settings.decoder in ("ssd", "rpn"):
            raw = tf.gather(raw, [1, 0, 3, 2], axis=-1) if self.settings.box == "cycxhw" else raw
            first, second = self.settings.variances
            wanted = tf.concat([(centre - at - strides / 2) / sides / first, tf.math.log(size / sides) / second], -1)
            error = tf.abs(tf.boolean_mask(raw - wanted, held))
            return tf.reduce_sum(tf.where(error < 1.0, 0.5 * tf.square(error), error - 0.5))
        reach = self._reach(input_size)
        inside = tf.sigmoid(raw[..., :2]) * reach - (reach - 1.0) / 2.0 - (centre - at) / strides
        error = tf.concat([inside, raw[..., 2:] - tf.math.log(size / sides)], axis=-1)
        return tf.reduce_sum(tf.square(tf.boolean_mask(error, held)))

    def _objectness_loss(self, logits: Any, aim: Any, held: Any, code: Any) -> Any:
        tf = _tensorflow()
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels=aim, logits=logits)
        if self.settings.focal:
            # Its weight is a constant of the gradient's, so that only the cross-entropy is followed.
            likely = tf.stop_gradient(tf.sigmoid(logits))
            each = tf.where(held, each, each * tf.pow(likely, self.settings.focal))
        weight = tf.where(held, 1.0, tf.where(code == IGNORED, 0.0, self.settings.background_weight))
        return tf.reduce_sum(weight * each)

    def _class_loss(self, scores: Any, code: Any, held: Any, options: LossOptions) -> Any:
        tf = _tensorflow()
        if self.settings.shared:
            code, held = self._cell_codes(code)
        chosen = tf.cast(tf.boolean_mask(code, held), tf.int32)
        logits = tf.boolean_mask(scores, held)
        units, smooth = int(logits.shape[-1]), options.label_smoothing
        aim = tf.one_hot(chosen, units) * (1.0 - smooth) + smooth / units
        if self.settings.decoder == "yolo_v3":
            lost = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=aim, logits=logits), axis=-1)
        else:
            lost = tf.nn.softmax_cross_entropy_with_logits(labels=aim, logits=logits)
        if options.class_weights is not None:
            lost *= tf.gather(tf.constant(options.class_weights, tf.float32), chosen)
        return tf.reduce_sum(lost)

    def _cell_codes(self, code: Any) -> Tuple[Any, Any]:
        """The class of each cell whose anchors share classes: that of its first anchor with an object."""
        tf = _tensorflow()
        count = len(self.settings.anchors[0])
        own = tf.reshape(code, [tf.shape(code)[0], -1, count])
        best = tf.reduce_max(own, axis=-1)
        return best, best >= 0

    def _of_cells(self, values: Any) -> Any:
        tf = _tensorflow()
        return tf.reduce_max(tf.reshape(values, [tf.shape(values)[0], -1, len(self.settings.anchors[0])]), axis=-1)

    def _mined(self, scores: Any, code: Any, options: LossOptions) -> Any:
        """Cross-entropy of anchors with an object, and of three times as many without: those that err most."""
        tf = _tensorflow()
        shift = 1 if self.settings.background else 0
        held, free = code >= 0, code == -1.0
        # An "rpn" tells objects from the background; which class they have, the second stage says.
        name = tf.ones_like(code) if self.settings.decoder == "rpn" else code + shift
        aim = tf.cast(tf.where(held, name, tf.zeros_like(code)), tf.int32)
        units, smooth = int(scores.shape[-1]), options.label_smoothing
        if self.settings.classes == "sigmoid" or not self.settings.background:
            hot = tf.where(held[..., None], tf.one_hot(aim, units), tf.zeros_like(scores))
            lost = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=hot, logits=scores), axis=-1)
        else:
            hot = tf.one_hot(aim, units) * (1.0 - smooth) + smooth / units
            lost = tf.nn.softmax_cross_entropy_with_logits(labels=hot, logits=scores)
        if options.class_weights is not None and self.settings.decoder != "rpn":
            weights = tf.constant(options.class_weights, tf.float32)
            lost = tf.where(held, lost * tf.gather(weights, tf.maximum(tf.cast(code, tf.int32), 0)), lost)
        allowed = tf.maximum(MINED * tf.reduce_sum(tf.cast(held, tf.int32), axis=1), MINED)
        worst = tf.where(free, tf.stop_gradient(lost), -1.0)
        ranks = tf.argsort(tf.argsort(worst, axis=1, direction="DESCENDING"), axis=1)
        mined = free & (ranks < allowed[:, None])
        return tf.reduce_sum(tf.where(held | mined, lost, 0.0))


def _iou(a: Any, b: Any) -> Any:
    """Intersection over union row by row, of boxes (..., 4)."""
    return _shared(a, b)[0]


def _shared(a: Any, b: Any) -> Tuple[Any, Any]:
    """Intersection over union, and the union, row by row."""
    tf = _tensorflow()
    sides = tf.maximum(tf.minimum(a[..., 2:], b[..., 2:]) - tf.maximum(a[..., :2], b[..., :2]), 0.0)
    inner = sides[..., 0] * sides[..., 1]
    areas = [tf.reduce_prod(tf.maximum(each[..., 2:] - each[..., :2], 0.0), axis=-1) for each in (a, b)]
    union = areas[0] + areas[1] - inner
    return tf.math.divide_no_nan(inner, union), union


def _ciou(a: Any, b: Any) -> Any:
    """Complete IoU row by row, of boxes (..., 4), -1.5..1. Source: Zheng et al. 2020, "Distance-IoU Loss"."""
    tf = _tensorflow()
    overlap = _iou(a, b)
    hull = tf.maximum(a[..., 2:], b[..., 2:]) - tf.minimum(a[..., :2], b[..., :2])
    diagonal = tf.reduce_sum(tf.square(hull), axis=-1)
    apart = tf.reduce_sum(tf.square((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2), axis=-1)
    (w1, h1), (w2, h2) = ((each[..., 2] - each[..., 0], each[..., 3] - each[..., 1]) for each in (a, b))
    angle = tf.atan(w2 / tf.maximum(h2, 1e-6)) - tf.atan(w1 / tf.maximum(h1, 1e-6))
    v = 4.0 / np.pi**2 * tf.square(angle)
    alpha = tf.stop_gradient(v / tf.maximum(1.0 - overlap + v, 1e-6))
    return overlap - tf.math.divide_no_nan(apart, diagonal) - alpha * v


def _tensorflow() -> Any:
    return require("tensorflow", why="to train")
