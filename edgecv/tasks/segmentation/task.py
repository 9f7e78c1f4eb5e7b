"""Semantic segmentation by the protocol of tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Literal, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DataError, UnsupportedModelError
from edgecv.tasks import sampling
from edgecv.tasks.base import BaseTask, paired
from edgecv.tasks.bootstrap import bootstrap_drop
from edgecv.tasks.description import Description
from edgecv.tasks.frame import Frame, Piece
from edgecv.tasks.learning import TrainingTask
from edgecv.tasks.mediapipe import MediapipeHead, ReadOutput, unread
from edgecv.tasks.protocol import Form
from edgecv.tasks.recognised import CERTAIN, Recognised
from edgecv.tasks.segmentation import boundaries, metrics, pictures, synthetic
from edgecv.tasks.segmentation.prediction import Segmentation
from edgecv.values.scores import Drop, Metric, Scores
from edgecv.values.specs import Head

Array = NDArray[Any]

PIXELS = 3  # rows of counts of pixels in an image's evidence; those of boundaries follow
VOID = 255  # what data sets mostly call pixels that are not judged; used only where no head says


@dataclass(frozen=True)
class SegmentationSettings:
    """What the task knows of a head.

    Attributes:
        ignore_index: Truth of pixels that are not judged and not learned; None when every pixel counts.
        resize: How the output comes to the image's size: "bilinear" interpolates scores and then takes the best class;
            "nearest" takes the best class of the nearest place of the output. Outputs of class indices are always
            "nearest".
        dice_weight: Share of the soft Dice loss in training, 0..1; the rest is the cross-entropy.
        class_weights: Of the cross-entropy, one per label; empty weighs all alike. A recipe's weights come first.
        covers: The box (x1, y1, x2, y2) of the model's input, in its pixels, that the output is about: narrower than
            the input where convolutions do not pad, or where each place answers for a window around it. Beyond it, the
            nearest place counts. Empty for the whole input.
    """

    ignore_index: Optional[int] = None
    resize: Literal["bilinear", "nearest"] = "bilinear"
    dice_weight: float = 0.0
    class_weights: Tuple[float, ...] = ()
    covers: Tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.covers and not _is_box(self.covers):
            raise ConfigError(
                f"covers is a box (x1, y1, x2, y2) with x2 > x1 and y2 > y1, got {list(self.covers)}",
                hint="give pixels of the model's input, or leave it out where the output is about all of it",
            )


def _is_box(box: Sequence[float]) -> bool:
    return len(box) == 4 and bool(np.isfinite(box).all()) and box[2] > box[0] and box[3] > box[1]


class SegmentationTask(BaseTask):
    """A class for every pixel, judged by the mean intersection over union.

    The output is (h, w, K): "probabilities" or "logits" of K classes. With K = 1 and two labels it is the sigmoid
    (or its logit) of the second label. With the activation "linear" it is (h, w) or (h, w, 1) of class indices, from
    an argmax in the graph. It may be smaller than the input by any factor.
    """

    name = "segmentation"
    form: Form = "mask"
    metric = Metric("miou")
    reads: Tuple[str, ...] = ("segmentation",)
    labelled = True
    truth_settings: Tuple[str, ...] = ("ignore_index",)
    joins = True
    call_settings: Tuple[str, ...] = ("resize",)
    Settings: type = SegmentationSettings

    def check(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> None:
        self.settings(head)
        shape = tuple(shapes[0]) if len(shapes) == 1 else ()
        maps = len(shape) == 4 or (len(shape) == 3 and head.activation == "linear")
        if head.activation not in ("probabilities", "logits", "linear") or not maps:
            raise _misfit(head, f"outputs of {', '.join(map(str, shapes)) or 'no shape'}, {head.activation}")
        if head.activation == "linear" and not (head.labels and shape[3:] in ((), (1,))):
            raise _misfit(head, f"class indices of shape {shape} for {len(head.labels)} labels")
        if head.activation != "linear" and head.labels and not _fits(shape[3], head):
            raise _misfit(head, f"{shape[3]} channels for {len(head.labels)} labels")

    def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Segmentation:
        values = np.asarray(outputs[0])
        settings = self.settings(head)
        grid = sampling.image_in_output(frame, (values.shape[0], values.shape[1]), settings.covers)
        mask = _mask(values, head, grid, settings.resize)
        classes = len(head.labels) or values.shape[2]
        labels = head.labels or tuple(str(index) for index in range(classes))
        return Segmentation(mask.astype(np.uint8 if classes <= 256 else np.int32), labels)

    def mediapipe(self, head: Head, shapes: Sequence[Tuple[int, ...]], size: Tuple[int, ...]) -> MediapipeHead:
        if head.activation == "linear":
            raise unread(
                head,
                "it takes the scores of every class, and this file gives the indices of the best",
                hint="convert it without the argmax in the graph",
            )
        if self.settings(head).covers:
            raise unread(head, "it takes a mask of the whole input, and this one covers a box of it")
        channels = shapes[0][3]
        labels, limits = head.labels, ["the category mask is interpolated from corner to corner"]
        if channels == 1:
            labels = head.labels[1:]
            limits.append(f"in the category mask, 0 is '{head.labels[1] if head.labels else 1}' and 255 the rest")
        logits = "sigmoid" if channels == 1 else "softmax"
        read = (ReadOutput(head.name, labels="axis" if labels else ""),)
        activation = logits if head.activation == "logits" else "none"
        return MediapipeHead("image_segmenter", read, labels, activation=activation, limits=tuple(limits))

    def recognise(self, shape: Tuple[int, ...], ends_in: str) -> Optional[Recognised]:
        if len(shape) != 3 or ends_in not in ("softmax", "sigmoid"):
            return None
        classes = f"{shape[-1]} classes" if shape[-1] > 1 else "one class"
        return Recognised("probabilities", f"is a mask of {classes}: {ends_in}", CERTAIN)

    def evidence(self, truth: Any, prediction: Segmentation, head: Head) -> Array:
        """Return the counts of `metrics.count_pixels` and those of `boundaries.count_boundaries`, int64 (3 + 4, K)."""
        ignored, classes = self.settings(head).ignore_index, len(prediction.labels)
        pixels = metrics.count_pixels(np.asarray(truth), prediction.mask, classes, ignored)
        return np.concatenate(
            [pixels, boundaries.count_boundaries(np.asarray(truth), prediction.mask, classes, ignored)]
        )

    def score(self, evidence: Sequence[Array], head: Head) -> Scores:
        images = np.stack(evidence) if evidence else np.zeros((0, PIXELS + boundaries.ROWS, 1), np.int64)
        counts, edges = images[:, :PIXELS].sum(axis=0), boundaries.f_scores(images[:, PIXELS:])
        value = float(metrics.mean_iou(counts))
        if not np.isfinite(value):
            raise DataError(
                f"head '{head.name}' has no pixel to judge in {len(evidence)} samples",
                hint="evaluate on label maps in which not every pixel is the ignore index",
            )
        figures = {
            "mean_dice": _known(metrics.mean_over_classes(metrics.dice(counts))),
            "mean_recall": _known(metrics.mean_over_classes(metrics.recall(counts))),
            "pixel_accuracy": _known(metrics.pixel_accuracy(counts)),
            # Of each image over its classes, and then over images, as its source has it.
            "boundary_f1": _known(metrics.mean_over_classes(metrics.mean_over_classes(edges))),
        }
        return Scores(value, figures, _per_label(counts, edges, head))

    def drop(self, base: Sequence[Array], candidate: Sequence[Array], head: Head) -> Drop:
        n = paired(base, candidate)
        first, second = (np.stack(one)[:, :PIXELS].astype(np.float64) for one in (base, candidate))
        return bootstrap_drop(
            lambda weights: metrics.mean_iou(np.tensordot(weights, first, axes=1)),
            lambda weights: metrics.mean_iou(np.tensordot(weights, second, axes=1)),
            n,
            self.metric,
        )

    def as_truth(self, prediction: Segmentation, head: Head) -> Array:
        return prediction.mask

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        labels = np.asarray(truth)
        if labels.ndim != 2 or labels.dtype.kind not in "iu" or not labels.size:
            raise DataError(
                f"{where}: a label map must be integers (height, width), got {labels.dtype} {labels.shape}",
                hint="store the index of each pixel's class, not its colour",
            )
        if not head.labels:
            return
        ignored = self.settings(head).ignore_index
        found = np.unique(labels)
        wrong = [int(i) for i in found if not 0 <= i < len(head.labels) and i != ignored]
        if wrong:
            raise DataError(
                f"{where}: a pixel is of class {wrong[0]}, head '{head.name}' has classes 0..{len(head.labels) - 1}",
                hint=f"set ignore_index = {wrong[0]} in the head's and the target's settings if such pixels are void",
            )

    def synthetic(self, rng: np.random.Generator, head: Head, size: Tuple[int, ...]) -> Array:
        """Return random ellipses of random classes on the first one, uint8 (H, W)."""
        return synthetic.blobs(rng, (size[0], size[1]), max(2, len(head.labels)), self.settings(head).ignore_index)

    def strata(self, truths: Sequence[Any]) -> Array:
        """Return the class of most pixels of each map beside 0, the background, and 255; 0 where there is no other."""
        return np.array([_foreground(np.asarray(truth)) for truth in truths], np.int64)

    def describe(self, truths: Sequence[Any], labels: Tuple[str, ...]) -> Description:
        """Return shares of pixels. What is no index of a label is ignored; without labels, 255 is."""
        found = np.zeros(256, np.int64)
        for truth in truths:
            found += np.bincount(np.asarray(truth, np.uint8).reshape(-1), minlength=256)
        known = found[: len(labels) or VOID]
        known = known if labels else known[: int(np.flatnonzero(known).max(initial=-1)) + 1]
        shares = known / max(1, known.sum())
        ignored = float(1 - known.sum() / max(1, found.sum()))
        return Description(shares=tuple(shares.tolist()), ignored=ignored if found.sum() else 0.0)

    def render(self, image: Array, prediction: Any, truth: Any, labels: Tuple[str, ...]) -> Any:
        said = None if prediction is None else prediction.mask
        return pictures.compared(image, said, None if truth is None else np.asarray(truth), labels)

    def check_size(self, head: Head, size: Tuple[int, int]) -> None:
        """Raise ConfigError for a head that covers a box of its input, in pixels of the one size."""
        if self.settings(head).covers:
            raise ConfigError(
                f"segmentation head '{head.name}' covers a box of its input, which is known for one size only",
                hint="train it on its own input size alone",
            )

    def joined(self, pieces: Sequence[Piece], size: Tuple[int, int]) -> Array:
        """Return the label map of an input, int32 (H, W); -1 where no image lies."""
        made = np.full(size, sampling.NOWHERE, np.int32)
        for piece in pieces:
            left, top, right, bottom = piece.window
            labels = np.asarray(piece.truth).astype(np.int32)
            seen = sampling.nearest(labels, sampling.input_in_image(piece.frame), outside=sampling.NOWHERE)
            made[top:bottom, left:right] = seen[top:bottom, left:right]
        return made

    def training(self, head: Head) -> TrainingTask:
        from edgecv.tasks.segmentation.training import SegmentationTraining

        return SegmentationTraining.of(head, self.settings(head))


def _mask(values: Array, head: Head, grid: sampling.Grid, resize: str) -> Array:
    """Classes (H, W) of the image."""
    if head.activation == "linear":
        return sampling.nearest(np.rint(values.reshape(values.shape[:2])).astype(np.int32), grid)
    if _is_binary(values.shape[2], head):
        # The first label stands at the threshold, so the second must be above it.
        threshold = 0.5 if head.activation == "probabilities" else 0.0
        values = np.concatenate([np.full_like(values, threshold), values], axis=2)
    if resize == "nearest":
        return sampling.nearest(values.argmax(axis=2), grid)
    return sampling.best_class(values, grid)


def _is_binary(channels: int, head: Head) -> bool:
    return channels == 1 and len(head.labels) == 2


def _fits(channels: int, head: Head) -> bool:
    return channels == len(head.labels) or _is_binary(channels, head)


def _misfit(head: Head, got: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"head '{head.name}' (segmentation) cannot read {got}",
        hint="it takes one output (n, h, w, labels) of probabilities or logits, or (n, h, w) of class indices, "
        'which is activation "linear"',
    )


def _per_label(counts: Array, edges: Array, head: Head) -> Dict[str, Dict[str, Optional[float]]]:
    figures = {
        "iou": metrics.jaccard(counts),
        "dice": metrics.dice(counts),
        "recall": metrics.recall(counts),
        "precision": metrics.precision(counts),
        "boundary_f1": metrics.mean_over_classes(edges.T),
    }
    names = head.labels or tuple(str(index) for index in range(counts.shape[-1]))
    return {label: {key: _known(of[i]) for key, of in figures.items()} for i, label in enumerate(names)}


def _known(value: Any) -> Optional[float]:
    return float(value) if np.isfinite(value) else None


def _foreground(labels: Array) -> int:
    found: List[int] = np.bincount(labels.ravel().astype(np.int64)).tolist()
    ranked = sorted((-count, index) for index, count in enumerate(found) if count and index not in (0, VOID))
    return ranked[0][1] if ranked else 0
