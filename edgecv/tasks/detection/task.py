"""Detection by the protocol of tasks: many objects an image, judged by the mean average precision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterable, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DataError
from edgecv.tasks import boxes, coarse
from edgecv.tasks.base import BaseTask, paired
from edgecv.tasks.bootstrap import bootstrap_drop
from edgecv.tasks.boxes import Detections, Objects
from edgecv.tasks.contradiction import Contradiction, contradiction
from edgecv.tasks.description import Description
from edgecv.tasks.detection import average_precision, decoders, figures, matching, recognising, regions
from edgecv.tasks.detection import outputs as outputs_of
from edgecv.tasks.detection.anchors import kmeans
from edgecv.tasks.detection.mediapipe import joining, read_by_mediapipe
from edgecv.tasks.detection.nms import suppress
from edgecv.tasks.detection.settings import (
    ANCHORED,
    MEASURED_MOST,
    MEASURED_SCORE,
    DetectionSettings,
    settings_of,
)
from edgecv.tasks.frame import Frame, Piece
from edgecv.tasks.learning import TrainingTask
from edgecv.tasks.mediapipe import Joining, MediapipeHead
from edgecv.tasks.protocol import Division, Form
from edgecv.tasks.recognised import RecognisedHead, Seen
from edgecv.values.scores import Drop, Metric, Scores
from edgecv.values.specs import Head

Array = NDArray[Any]

BEFORE_SUPPRESSION = 5000
"""Candidates of an image at most: the most confident. Thousands of boxes at a score of 0.001 say nothing more."""
TIE = 1e-6
"""Of what maps differ by in the difference of two answers."""
LEARNED = ("yolo_v1", "yolo_v2", "yolo_v3", "yolo_book", "ssd", "rpn")
"""Decoders whose loss is known."""

SAME_AS_TEACHER = (
    "decoder", "strides", "anchors", "box", "variances", "scale_xy", "classes", "background", "cell_boxes", "sqrt",
)  # fmt: skip
"""Settings by which the outputs of a teacher mean what a student's do."""


class DetectionTask(BaseTask):
    """Objects of an image with box, class and confidence. See `edgecv.tasks.protocol.Task` and `DetectionSettings`."""

    name = "detection"
    form: Form = "boxes"
    metric = Metric("ap")
    reads = ("detection",)
    labelled = True
    exclusive = False
    joins = True
    divided_by: Division = "patterns"
    call_settings = ("score", "label_scores", "iou", "nms", "most", "tree_score")
    unjudged = ("score", "label_scores", "most")
    Settings = DetectionSettings
    figure_help = figures.MEANING

    def settings(self, head: Head) -> DetectionSettings:
        """Return the head's settings. Raises ConfigError for an unknown key, a wrong value, or an unknown label."""
        found = settings_of(head)
        unknown = sorted(set(found.label_scores) - set(head.labels)) if head.labels else []
        if unknown:
            raise ConfigError(
                f"head '{head.name}' has scores for '{unknown[0]}', which is none of its labels",
                hint=f"labels: {', '.join(head.labels)}",
            )
        return found

    def check(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> None:
        """Raise UnsupportedModelError unless the outputs hold what the head's decoder reads."""
        outputs_of.check(head, self.settings(head), shapes)

    def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Detections:
        """Return what is found in one image, the most confident first.

        Args:
            outputs: float32 in real units, without the batch, in the order of `head.outputs`.
            head: How they are read. Score, overlap and number of detections are those of its settings.
            frame: From image to input. Boxes are in image pixels, inside the image; without a frame they are in 0..1 of
                the input.
        """
        settings = self.settings(head)
        least, floors = _scores(settings, head.labels)
        return _above(self._found(outputs, head, frame, settings, least), floors)

    def _found(
        self, outputs: Sequence[Array], head: Head, frame: Optional[Frame], settings: DetectionSettings, least: float
    ) -> Detections:
        size = frame.input_size if frame is not None else _input_size(outputs, settings)
        found = self._suppressed(outputs, head, size, settings, least)
        if frame is None:
            placed = np.clip(found.xyxy / np.array([size[1], size[0]] * 2, np.float32), 0.0, 1.0)
        else:
            placed = boxes.clip(np.asarray(boxes.to_image(found.xyxy, frame), np.float32), frame.size)
        return Detections(placed, found.confidence, found.class_id, head.labels)

    def found_in_input(
        self, outputs: Sequence[Array], head: Head, input_size: Tuple[int, int], least: float
    ) -> Detections:
        """Return what is found with a confidence of `least` or more, in input pixels: what training is judged by."""
        settings = replace(self.settings(head), most=MEASURED_MOST)
        found = self._suppressed(outputs, head, input_size, settings, least)
        return Detections(boxes.clip(found.xyxy, input_size), found.confidence, found.class_id, head.labels)

    def _suppressed(
        self, outputs: Sequence[Array], head: Head, size: Tuple[int, int], settings: DetectionSettings, least: float
    ) -> decoders.Candidates:
        found = decoders.candidates(outputs, head, settings, size, least, most=BEFORE_SUPPRESSION)
        if settings.nms == "none":
            order = np.argsort(-found.confidence, kind="stable")[: settings.most]
            confidence = found.confidence[order]
        else:
            order, confidence = suppress(
                found.xyxy, found.confidence, found.class_id,
                iou=settings.iou, how=settings.nms, most=settings.most, score=least,
            )  # fmt: skip
        return decoders.Candidates(found.xyxy[order], confidence, found.class_id[order])

    def evidence(self, truth: Any, prediction: Any, head: Head) -> Any:
        """Return which detections of one image are right, as COCO and VOC count."""
        return matching.evidence(truth, prediction, _classes(head.labels, truth, prediction))

    def judge(
        self, truths: Sequence[Any], outputs: Sequence[Array], head: Head, frames: Sequence[Optional[Frame]]
    ) -> List[Any]:
        """Return the evidence of a batch at a score of 0.001 and 100 detections, whatever is told of an image."""
        settings = replace(
            self.settings(head),
            score=MEASURED_SCORE,
            label_scores={},
            most=max(MEASURED_MOST, self.settings(head).most),
        )
        found = []
        for index, (truth, frame) in enumerate(zip(truths, frames)):
            own = [output[index] for output in outputs]
            found.append(self.evidence(truth, self._found(own, head, frame, settings, MEASURED_SCORE), head))
        return found

    def score(self, evidence: Sequence[Any], head: Head) -> Scores:
        """Return the mean average precision at overlaps of 0.50 to 0.95, with figures of COCO and VOC.

        Precision and recall are those of what is told at the head's own scores. See `figures.MEANING` for the others.
        """
        if not evidence:
            raise DataError("there are no samples to score", hint="evaluate a split with samples")
        classes = _most_classes(evidence)
        evidence = _padded(evidence, classes)
        found = average_precision.summary(evidence, classes)
        value = found.figures[self.metric.name]
        if value is None:
            raise DataError(
                f"there is no object in {len(evidence)} samples, so nothing can be found",
                hint="evaluate a split with objects",
            )
        names = head.labels or tuple(str(index) for index in range(classes))
        settings = self.settings(head)
        _, floors = _scores(settings, head.labels)
        floors = np.full(classes, settings.score, np.float32) if floors is None else floors
        told = figures.Told.of(evidence, settings.most)
        whole, each = told.at(floors)
        rows = [figures.ordered({**row, **own}, figures.PER_LABEL) for row, own in zip(found.per_class, each)]
        return Scores(
            value=value,
            figures=figures.ordered({**found.figures, **whole}, figures.ORDER),
            per_label=dict(zip(names, rows)),
            tables=(told.by_score(),),
        )

    def drop(self, base: Sequence[Any], candidate: Sequence[Any], head: Head) -> Drop:
        """Return how much mean average precision the candidate loses, with a paired bootstrap over images."""
        count = paired(base, candidate)
        classes = max(_most_classes(base), _most_classes(candidate))
        first, second = (average_precision.statistic(_padded(side, classes), classes) for side in (base, candidate))
        return bootstrap_drop(first, second, count, self.metric)

    def difference(
        self, base: Sequence[Array], own: Sequence[Array], head: Head, size: Tuple[int, ...]
    ) -> Tuple[float, str]:
        """Return how unlike the detections of two models in one image are, with the boxes that both find.

        Where they are equally unlike, such as where neither finds anything, what the maps differ by decides.
        """
        first, second = (self._told_in_input(outputs, head, (size[0], size[1])) for outputs in (base, own))
        both = len(matching.pairs(first, second)[0])
        told = (
            f"Boxes found by both: {both}; by the float model alone: {len(first) - both}; by this file alone: "
            f"{len(second) - both}."
        )
        maps = super().difference(base, own, head, size)[0]
        return matching.unlike(first, second) + TIE * maps / (1.0 + maps), told

    def _told_in_input(self, outputs: Sequence[Array], head: Head, size: Tuple[int, int]) -> Detections:
        least, floors = _scores(self.settings(head), head.labels)
        return _above(self.found_in_input(outputs, head, size, least), floors)

    def contradiction(self, answers: Sequence[Array], head: Head, step: float = 0.0) -> Optional[Contradiction]:
        """Return what the scores say against the head's activation, and boxes against what they are counted in."""
        settings = self.settings(head)
        if settings.decoder == "rows":
            return recognising.misread(answers, head, settings)
        scores = answers[1::2] if settings.decoder in ANCHORED and len(answers) > 1 else ()
        found = (contradiction(own.reshape(len(own), -1), head, exclusive=False, step=step) for own in scores)
        return next((each for each in found if each is not None and each.certain), None)

    def too_coarse(self, head: Head, shapes: Sequence[Tuple[int, ...]], steps: Sequence[Optional[float]]) -> str:
        """Return how few steps the scores have of an output that holds boxes too."""
        if not outputs_of.is_joint(head, self.settings(head), shapes):
            return ""
        logits = head.activation == "logits"
        for name, step in zip(head.outputs, steps):
            if step is not None and coarse.is_coarse(step, logits=logits):
                return coarse.sentence(name, step, logits=logits)
        return ""

    def recognise_outputs(
        self, outputs: Sequence[Seen], size: Tuple[int, ...], labels: int
    ) -> Optional[RecognisedHead]:
        """Return the head of a detector of another tool; see `recognising`."""
        return recognising.recognised(outputs, (size[0], size[1]), labels)

    def is_finite(self, outputs: Sequence[Array], head: Head) -> bool:
        """Say whether all that is read is finite; behind the count of a "postprocessed" head there may be anything."""
        settings = self.settings(head)
        if settings.decoder != "postprocessed" or len(outputs) < 4:
            return super().is_finite(outputs, head)
        return outputs_of.is_finite_to_count(outputs)

    def groups(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> Tuple[Tuple[slice, ...], ...]:
        """Return the values of boxes and of scores apart, where one output holds both."""
        settings = self.settings(head)
        if settings.columns or not outputs_of.is_joint(head, settings, shapes):
            return super().groups(head, shapes)
        return outputs_of.boxes_and_scores(settings, shapes)

    def as_truth(self, prediction: Detections, head: Head) -> Objects:
        return prediction.as_objects()

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        """Raise DataError unless a truth is objects of the head's classes."""
        if isinstance(truth, regions.RegionTruth) and self.settings(head).decoder == "regions":
            return
        if not isinstance(truth, Objects):
            raise DataError(
                f"{where} has a {type(truth).__name__}, detection takes the boxes of an image",
                hint="use data of a VOC, COCO or YOLO folder",
            )
        classes = len(head.labels)
        if classes and len(truth) and int(truth.class_id.max()) >= classes:
            raise DataError(
                f"{where} has an object of class {int(truth.class_id.max())}, the model has classes 0..{classes - 1}",
                hint="use data with the model's classes",
            )

    def synthetic(self, rng: np.random.Generator, head: Head, size: Tuple[int, ...]) -> Objects:
        """Return one to three objects of random classes, whose sides are a fifth to half of the image's."""
        height, width = size[:2]
        count = int(rng.integers(1, 4))
        sides = rng.uniform(0.2, 0.5, (count, 2)) * (width, height)
        corner = rng.uniform(0.0, 1.0, (count, 2)) * ((width, height) - sides)
        return Objects(np.hstack([corner, corner + sides]), rng.integers(max(1, len(head.labels)), size=count))

    def strata(self, truths: Sequence[Any]) -> Array:
        """Return the number of the set of classes that each image shows, int64 (n,)."""
        return boxes.patterns(truths)

    def describe(self, truths: Sequence[Any], labels: Tuple[str, ...]) -> Description:
        """Return how many objects there are of each class, and how many and how large they are, in pixels."""
        return boxes.described(truths, labels)

    def render(self, image: Array, prediction: Any, truth: Any, labels: Tuple[str, ...]) -> Any:
        """Return a Pillow image with true boxes in white, and what is found in the colours of the classes.

        A prediction with a truth is told in numbers too: how many objects were found, and how many boxes are wrong.
        """
        from edgecv.tasks import drawing

        picture, scale = drawing.canvas(image)
        if truth is not None:
            texts = [boxes.class_name(labels, int(index)) for index in truth.class_id] if prediction is None else []
            drawing.boxes(picture, truth.xyxy, [drawing.TRUTH] * len(truth), scale=scale, texts=texts)
        if prediction is not None:
            picture = prediction.drawn_on(picture, scale)
        if truth is None or prediction is None:
            return picture
        hits = _hits(truth, prediction, labels)
        told = [f"{hits} of {len(truth)} found, {len(prediction) - hits} wrong"]
        return drawing.caption(picture, told)

    def check_size(self, head: Head, size: Tuple[int, int]) -> None:
        """Raise ConfigError unless each side is a whole number of every stride: anchors stand where cells are."""
        for stride in self.settings(head).strides:
            for side in size:
                if abs(round(side / stride) * stride - side) > 1e-3 * stride:
                    raise ConfigError(
                        f"detection head '{head.name}' has a cell every {stride:g} pixels, of which a side of {side} "
                        "is no whole number",
                        hint="train it on its own input size alone",
                    )

    def fitted(self, head: Head, truths: Sequence[Any], frames: Iterable[Optional[Frame]]) -> Head:
        """Return the head with anchors of the data's boxes, where its settings ask for it: as many as it has.

        The largest go to the scale of the largest stride. Boxes of fewer sizes than there are anchors change nothing.
        """
        settings = self.settings(head)
        if not settings.fit_anchors:
            return head
        moved = [boxes.warp(truth, frame).xyxy for truth, frame in zip(truths, frames) if frame is not None]
        sides = np.concatenate([np.zeros((0, 2), np.float32), *(found[:, 2:] - found[:, :2] for found in moved)])
        counts = [len(own) for own in settings.anchors]
        if len(np.unique(sides, axis=0)) < sum(counts):
            return head
        found = [[round(float(side), 1) for side in pair] for pair in kmeans(sides, sum(counts))[0]]
        fitted: List[Any] = [None] * len(counts)
        for place in np.argsort(settings.strides, kind="stable"):
            fitted[place], found = found[: counts[place]], found[counts[place] :]
        return replace(head, settings={**head.settings, "anchors": fitted})

    def joined(self, pieces: Sequence[Piece], size: Tuple[int, int]) -> Objects:
        """Return the objects of all images; one that its window shows less than a quarter of is dropped."""
        return boxes.joined(pieces)

    def check_teacher(self, head: Head, teacher: Head) -> None:
        """Raise ConfigError unless both read the same numbers off the same anchors."""
        own, other = self.settings(head), self.settings(teacher)
        for name in SAME_AS_TEACHER:
            mine, theirs = getattr(own, name), getattr(other, name)
            if mine == theirs:
                continue
            fitted = name == "anchors" and own.fit_anchors
            raise ConfigError(
                f"head '{head.name}' and the teacher's differ in their {name}: {mine}, and {theirs}",
                hint="train the teacher on the same data at the same input size: anchors are fitted to both"
                if fitted
                else "take a larger network of the same kind, such as the same architecture with a larger --width",
            )

    def mediapipe(self, head: Head, shapes: Sequence[Tuple[int, ...]], size: Tuple[int, ...]) -> MediapipeHead:
        """Return how MediaPipe's object detector reads the head. Raises UnsupportedModelError where it does not."""
        return read_by_mediapipe(head, self.settings(head), shapes, size)

    def joining(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> Optional[Joining]:
        """Return how the maps of an SSD become boxes and scores; None for other heads."""
        return joining(head, self.settings(head), shapes)

    def training(self, head: Head) -> TrainingTask:
        """Return what training needs. Raises ConfigError for a decoder or an activation without a loss."""
        from edgecv.tasks.detection.training import DetectionTraining

        settings = self.settings(head)
        if settings.decoder == "regions":
            from edgecv.tasks.detection.region_training import RegionTraining

            return RegionTraining(head, settings)
        if settings.decoder not in LEARNED:
            raise ConfigError(
                f"detection head '{head.name}' has the decoder '{settings.decoder}', which has no loss",
                hint=f"train a network with one of {', '.join(LEARNED)}",
            )
        if settings.decoder != "yolo_v1" and head.activation != "logits":
            raise ConfigError(
                f"detection head '{head.name}' gives '{head.activation}', training needs logits",
                hint='end the network without a sigmoid or softmax, and say activation = "logits"',
            )
        return DetectionTraining(self, head)


def _scores(settings: DetectionSettings, labels: Tuple[str, ...]) -> Tuple[float, Optional[Array]]:
    """The least score of all classes, and that of each, float64 (K,); None where all have the same."""
    if not settings.label_scores:
        return settings.score, None
    floors = np.array([settings.label_scores.get(label, settings.score) for label in labels], np.float64)
    return float(floors.min()), floors


def _above(found: Detections, floors: Optional[Array]) -> Detections:
    return found if floors is None else found[found.confidence >= floors[found.class_id]]


def _input_size(outputs: Sequence[Array], settings: DetectionSettings) -> Tuple[int, int]:
    """The input's size as the first map tells it; (1, 1) for outputs that are shares of it anyway."""
    if settings.decoder in ANCHORED and outputs[0].ndim == 3:
        rows, columns = outputs[0].shape[:2]
        return round(rows * settings.strides[0]), round(columns * settings.strides[0])
    return 1, 1


def _classes(labels: Tuple[str, ...], truth: Objects, prediction: Detections) -> int:
    """How many classes there are; without labels, as many as one image shows."""
    highest = max((int(each.class_id.max()) for each in (truth, prediction) if len(each)), default=0)
    return len(labels) or 1 + highest


def _hits(truth: Objects, prediction: Detections, labels: Tuple[str, ...]) -> int:
    """How many detections are right at an overlap of 0.5."""
    judged = matching.evidence(truth, prediction, _classes(labels, truth, prediction))
    return int((judged.outcome[0, 0] == matching.HIT).sum())


def _most_classes(evidence: Sequence[Any]) -> int:
    return max(int(each.truths.shape[1]) for each in evidence)


def _padded(evidence: Sequence[Any], classes: int) -> List[Any]:
    """Evidence of as many classes: images of a model without labels tell how many they show."""
    return [
        replace(each, truths=np.pad(each.truths, ((0, 0), (0, classes - each.truths.shape[1])))) for each in evidence
    ]
