"""Localisation: one object an image, whose class and box are two outputs of one head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Literal, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DataError, UnsupportedModelError
from edgecv.tasks import boxes
from edgecv.tasks.base import BaseTask, paired
from edgecv.tasks.bootstrap import bootstrap_drop
from edgecv.tasks.boxes import Detections, Objects
from edgecv.tasks.description import Description
from edgecv.tasks.frame import Frame
from edgecv.tasks.learning import TrainingTask
from edgecv.tasks.localisation import coding
from edgecv.tasks.prediction import scores
from edgecv.tasks.protocol import Division
from edgecv.values.scores import Drop, Metric, Scores
from edgecv.values.specs import Head

Array = NDArray[Any]

HIT = 0.5  # the IoU from which a box is right. Source: Russakovsky et al. 2015, "ImageNet", section 4.2.


@dataclass(frozen=True)
class LocalisationSettings:
    """What a localisation head has to know.

    Attributes:
        box: What the four numbers of the second output are, each 0..1 of the input's width or height: "cxcyhw" (centre,
            height, width) or "xyxy" (corners).
        sqrt: Whether the network says the square roots of height and width, which weighs small boxes up; "cxcyhw" only.
            Source: Redmon et al. 2016, "You Only Look Once", section 2.2.
        class_weight: Of the cross-entropy in the training loss, >= 0.
        box_weight: Of the box loss, >= 0.
        box_loss: Of the four numbers, mean over them: "mse", "mae" or "huber" (with delta 1).
    """

    box: Literal["cxcyhw", "xyxy"] = "cxcyhw"
    sqrt: bool = False
    class_weight: float = 0.8
    box_weight: float = 0.2
    box_loss: Literal["mse", "mae", "huber"] = "mse"

    def __post_init__(self) -> None:
        if self.sqrt and self.box != "cxcyhw":
            raise ConfigError(f"sqrt is of heights and widths, and a box '{self.box}' has none", hint="use cxcyhw")
        if self.class_weight < 0 or self.box_weight < 0:
            raise ConfigError(f"weights of a loss are >= 0, got {self.class_weight} and {self.box_weight}")


@dataclass(frozen=True)
class Found:
    """What scores need to know of one image.

    Attributes:
        iou: Of the predicted box with the true one, 0..1.
        right: Whether the class is right.
        class_id: The true class.
    """

    iou: float
    right: bool
    class_id: int


class Localisation(BaseTask):
    """One object an image. The outputs: class scores (K,), then a box (4,). See `edgecv.tasks.protocol.Task`."""

    name = "localisation"
    metric = Metric("mean_iou")
    reads = ("localisation", "detection")
    labelled = True
    divided_by: Division = "patterns"
    Settings = LocalisationSettings

    def check(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> None:
        """Raise UnsupportedModelError unless the outputs are class scores and four numbers."""
        self.settings(head)
        flat = [tuple(shape[1:]) for shape in shapes]
        units = len(head.labels)
        good = len(flat) == 2 and len(flat[0]) == 1 and flat[1] == (4,) and units in (0, flat[0][0])
        if not good:
            raise UnsupportedModelError(
                f"localisation head '{head.name}' needs class scores ({units or 'K'},) and a box (4,), "
                f"got outputs of {', '.join(map(str, flat))}",
                hint="name the outputs in the spec: the class first, then the box",
            )

    def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Detections:
        """Return one detection: the most probable class, and its box in image pixels, clipped to the image.

        Args:
            outputs: float32 (K,) as the head's activation says, and (4,) as its settings say.
            head: How they are read.
            frame: From image to input; None leaves the box in 0..1 of the input.
        """
        likely = scores(outputs[0].reshape(-1), head.activation)
        best = int(likely.argmax())
        box = coding.decoded(outputs[1].reshape(1, 4), self.settings(head), (frame,))
        return Detections(box, likely[best : best + 1], np.array([best]), head.labels)

    def evidence(self, truth: Any, prediction: Any, head: Head) -> Found:
        """Return overlap and whether the class is right, of one image."""
        true = int(truth.class_id[0])
        return Found(
            iou=float(boxes.iou_rows(truth.xyxy[0], prediction.xyxy[0])),
            right=true == int(prediction.class_id[0]),
            class_id=true,
        )

    def judge(
        self, truths: Sequence[Any], outputs: Sequence[Array], head: Head, frames: Sequence[Optional[Frame]]
    ) -> List[Found]:
        """Return the evidence of a batch: outputs (n, K) and (n, 4)."""
        count = len(truths)
        best = scores(outputs[0].reshape(count, -1), head.activation).argmax(axis=1)
        said = coding.decoded(outputs[1].reshape(count, 4), self.settings(head), frames)
        true = np.stack([truth.class_id[0] for truth in truths])
        overlap = boxes.iou_rows(np.stack([truth.xyxy[0] for truth in truths]), said)
        return [
            Found(float(iou), bool(a == b), int(b)) for iou, a, b in zip(overlap.tolist(), best.tolist(), true.tolist())
        ]

    def score(self, evidence: Sequence[Any], head: Head) -> Scores:
        """Return the mean IoU, with class accuracy, and shares of boxes with an IoU of 0.5 or more."""
        if not evidence:
            raise DataError("there are no samples to score", hint="evaluate a split with samples")
        overlap, right, classes = _columns(evidence)
        names = head.labels or tuple(str(index) for index in range(int(classes.max()) + 1))
        return Scores(
            value=float(overlap.mean()),
            figures={key: value for key, value in _figures(overlap, right).items() if key != "mean_iou"},
            per_label={
                name: _figures(overlap[classes == index], right[classes == index]) for index, name in enumerate(names)
            },
        )

    def drop(self, base: Sequence[Any], candidate: Sequence[Any], head: Head) -> Drop:
        """Return how much mean IoU the candidate loses, with a paired bootstrap over images."""
        count = paired(base, candidate)
        first, second = (np.array([found.iou for found in side]) for side in (base, candidate))
        return bootstrap_drop(lambda w: w @ first / count, lambda w: w @ second / count, count, self.metric)

    def as_truth(self, prediction: Detections, head: Head) -> Objects:
        return prediction.as_objects()

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        """Raise DataError unless a truth is exactly one object of a class of the head."""
        if not isinstance(truth, Objects) or len(truth) != 1:
            told = f"{len(truth)} objects" if isinstance(truth, Objects) else f"a {type(truth).__name__}"
            raise DataError(
                f"{where} has {told}: localisation takes exactly one object an image",
                hint="use a detection network for images of several objects, or crop images to one object each",
            )
        true, classes = int(truth.class_id[0]), len(head.labels)
        if classes and true >= classes:
            raise DataError(
                f"{where} is of class {true}, the model has classes 0..{classes - 1}",
                hint="use data with the model's classes",
            )

    def synthetic(self, rng: np.random.Generator, head: Head, size: Tuple[int, ...]) -> Objects:
        """Return one object of a random class, whose sides are a quarter to all of the image's."""
        height, width = size[:2]
        sides = rng.uniform(0.25, 1.0, 2) * (width, height)
        corner = rng.uniform(0.0, 1.0, 2) * ((width, height) - sides)
        return Objects(
            np.concatenate([corner, corner + sides])[None], np.array([rng.integers(max(1, len(head.labels)))])
        )

    def strata(self, truths: Sequence[Any]) -> Array:
        """Return the number of the set of classes that each image shows, int64 (n,)."""
        return boxes.patterns(truths)

    def describe(self, truths: Sequence[Any], labels: Tuple[str, ...]) -> Description:
        """Return how many objects there are of each class, and how many and how large they are, in pixels."""
        return boxes.described(truths, labels)

    def render(self, image: Array, prediction: Any, truth: Any, labels: Tuple[str, ...]) -> Any:
        """Return a Pillow image with the true box in white, and the predicted one in the colour of its class."""
        from edgecv.tasks import drawing

        picture, scale = drawing.canvas(image)
        lines = []
        if truth is not None:
            drawing.box(picture, truth.xyxy[0], drawing.TRUTH, scale=scale)
            lines.append(f"truth: {boxes.class_name(labels, int(truth.class_id[0]))}")
        if prediction is not None:
            text = f"{prediction.names[0]} {prediction.confidence[0]:.2f}"
            color = drawing.palette(int(prediction.class_id[0]))
            drawing.box(picture, prediction.xyxy[0], color, scale=scale, text=text)
        if truth is not None and prediction is not None:
            lines.append(f"IoU {float(boxes.iou_rows(truth.xyxy[0], prediction.xyxy[0])):.2f}")
        return drawing.caption(picture, lines) if lines else picture

    def training(self, head: Head) -> TrainingTask:
        """Return what training needs. Raises ConfigError when the class scores have no cross-entropy."""
        from edgecv.tasks.localisation.training import LocalisationTraining

        if head.activation not in ("probabilities", "logits"):
            raise ConfigError(
                f"localisation head '{head.name}' has '{head.activation}' class scores, which have no cross-entropy",
                hint="known: probabilities, logits",
            )
        return LocalisationTraining(self.settings(head), logits=head.activation == "logits", classes=len(head.labels))


def _columns(evidence: Sequence[Any]) -> Tuple[Array, Array, Array]:
    return (
        np.array([found.iou for found in evidence], np.float64),
        np.array([found.right for found in evidence], bool),
        np.array([found.class_id for found in evidence], np.int64),
    )


def _figures(overlap: Array, right: Array) -> Mapping[str, Optional[float]]:
    """Means over images; None where there are none."""
    columns = {"mean_iou": overlap, "class_accuracy": right, "iou50": overlap >= HIT, "both": right & (overlap >= HIT)}
    return {name: float(values.mean()) if len(overlap) else None for name, values in columns.items()}
