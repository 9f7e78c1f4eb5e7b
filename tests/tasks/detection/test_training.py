"""What detectors learn: exact answers cost nothing, are found again, and count as right; losses by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, DataError
from edgecv.tasks.boxes import Objects
from edgecv.tasks.detection import DetectionTask, decoders
from edgecv.tasks.detection.assignment import IGNORED, anchor_boxes
from edgecv.tasks.detection.settings import settings_of
from edgecv.tasks.frame import frame_of
from edgecv.tasks.learning import LossOptions
from edgecv.values.specs import Head, Preprocessing

tf = pytest.importorskip("tensorflow")

TASK = DetectionTask()
SIZE = (64, 96)
FRAME = frame_of(Preprocessing("gray"), SIZE, SIZE)
TRUTH = Objects(np.array([[50, 30, 62, 52], [4, 2, 60, 58]], np.float32), np.array([1, 0]))
SURE = 12.0


def head(decoder: str, **settings: Any) -> Head:
    anchors = [[[10.0, 20.0], [40.0, 30.0]], [[60.0, 60.0]]]
    given = {"decoder": decoder, "anchors": anchors, "strides": [16.0, 32.0], **settings}
    outputs = ("b0", "s0", "b1", "s1")
    return Head("objects", "detection", "logits", ("a", "b"), outputs, given)


def shapes(of: Head) -> list[tuple[int, ...]]:
    units = 3
    return [(4, 6, 8), (4, 6, 2 * units), (2, 3, 4), (2, 3, units)]


def maps(of: Head, rows: np.ndarray, scores: np.ndarray) -> list[Any]:
    """Values of every anchor as the outputs of the network, of a batch of one."""
    cut = 4 * 6 * 2
    pieces = [rows[:cut], scores[:cut], rows[cut:], scores[cut:]]
    return [tf.constant(piece.reshape(1, *shape), tf.float32) for piece, shape in zip(pieces, shapes(of), strict=True)]


def exact(of: Head, target: np.ndarray) -> list[Any]:
    """Outputs that say of each anchor what its target is."""
    settings = settings_of(of)
    anchors = anchor_boxes(settings, SIZE).astype(np.float64)
    held = target[:, 4] >= 0
    box = np.where(held[:, None], target[:, :4], anchors)
    centre, size = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
    own, sides = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    if settings.decoder == "ssd":
        rows = np.concatenate([(centre - own) / sides / 0.1, np.log(size / sides) / 0.2], axis=1)
        scores = SURE * np.eye(3)[np.where(held, target[:, 4] + 1, 0).astype(int)]
        return maps(of, rows, scores)
    strides = np.repeat([16.0, 32.0], [48, 6])[:, None]
    inside = np.clip((centre - own) / strides + 0.5, 1e-6, 1 - 1e-6)
    rows = np.concatenate([np.log(inside / (1 - inside)), np.log(size / sides)], axis=1)
    named = np.where(held[:, None], 2 * np.eye(2)[np.maximum(target[:, 4], 0).astype(int)] - 1, 0) * SURE
    return maps(of, rows, np.concatenate([np.where(held, SURE, -SURE)[:, None], named], axis=1))


@pytest.mark.parametrize("decoder", ["yolo_v2", "yolo_v3", "ssd"])
@pytest.mark.parametrize("box_loss", ["ciou", "offsets"])
def test_exact_answers_cost_nothing_and_are_all_found(decoder: str, box_loss: str) -> None:
    of = head(decoder, box_loss=box_loss)
    training = TASK.training(of)
    target, listed = training.encode(TRUTH, FRAME)
    outputs = exact(of, target)
    assert float(training.loss([target[None], listed[None]], outputs, LossOptions())) < 1e-3
    sums = training.statistics([target[None], listed[None]], outputs).numpy()
    assert training.value(sums) == pytest.approx(1.0, abs=1e-3)
    found = TASK.decode([output[0].numpy() for output in outputs], of, FRAME)
    order = np.argsort(found.class_id)
    np.testing.assert_allclose(found.xyxy[order], TRUTH.xyxy[::-1], atol=1e-3)


@pytest.mark.parametrize("decoder", ["yolo_v2", "yolo_v3", "ssd"])
def test_every_part_of_an_answer_is_learned(decoder: str) -> None:
    """Boxes and classes of the anchors that answer for an object, and whether there is one of them all."""
    of = head(decoder)
    training = TASK.training(of)
    target, listed = training.encode(TRUTH, FRAME)
    # Off, since exact and sure answers have no gradient.
    outputs = [tf.Variable(0.25 * output + 0.3) for output in exact(of, target)]
    with tf.GradientTape() as tape:
        loss = training.loss([target[None], listed[None]], outputs, LossOptions())
    found = [gradient.numpy() for gradient in tape.gradient(loss, outputs)]
    rows = np.concatenate([found[0].reshape(-1, 4), found[2].reshape(-1, 4)])
    scores = np.concatenate([found[1].reshape(-1, 3), found[3].reshape(-1, 3)])
    held, ignored = target[:, 4] >= 0, target[:, 4] == IGNORED
    assert held.sum() == 2
    np.testing.assert_array_equal((rows != 0).all(axis=1), held)
    np.testing.assert_array_equal((rows != 0).any(axis=1), held)
    if decoder == "ssd":
        learned = (scores != 0).all(axis=1)
        assert learned[held].all()
        assert (learned & ~held).sum() == 3 * held.sum()
        return
    np.testing.assert_array_equal(scores[:, 0] != 0, ~ignored)
    np.testing.assert_array_equal((scores[:, 1:] != 0).all(axis=1), held)


def test_tensorflow_and_the_device_read_the_same_boxes() -> None:
    rng = np.random.default_rng(0)
    for of in (head("yolo_v3", scale_xy=[2.0, 1.2]), head("ssd"), head("ssd", box="cycxhw")):
        settings, training = settings_of(of), TASK.training(of)
        raw = rng.normal(0, 1, (54, 4)).astype(np.float32)
        tensor = training._corners(tf.constant(raw[None]), SIZE)[0].numpy()
        cell, anchor = np.divmod(np.arange(48), 2)
        first = decoders.corners(raw[:48], cell, anchor, (4, 6), 0, settings)
        second = decoders.corners(raw[48:], np.arange(6), np.zeros(6, int), (2, 3), 1, settings)
        np.testing.assert_allclose(tensor, np.concatenate([first, second]), rtol=1e-5, atol=1e-4)


def test_the_value_of_training_is_average_precision() -> None:
    """By steps of confidence, so nearly that of the evaluation of the same answers."""
    rng = np.random.default_rng(3)
    of = head("yolo_v3")
    training = TASK.training(of)
    sums, evidence = 0.0, []
    for _ in range(40):
        truth = TASK.synthetic(rng, of, SIZE)
        target, listed = training.encode(truth, FRAME)
        noise = [0.4, 5.0, 0.4, 5.0]
        outputs = [
            output + tf.constant(rng.normal(0, scale, output.shape), tf.float32)
            for scale, output in zip(noise, exact(of, target), strict=True)
        ]
        sums = sums + training.statistics([target[None], listed[None]], outputs).numpy()
        evidence += TASK.judge([truth], [output.numpy() for output in outputs], of, [FRAME])
    value = TASK.score(evidence, of).value
    assert 0.05 < value < 0.95
    assert training.value(sums) == pytest.approx(value, abs=0.02)


def test_following_a_teacher_is_free_for_its_equal() -> None:
    for of in (head("yolo_v3"), head("ssd")):
        training = TASK.training(of)
        target, _ = training.encode(TRUTH, FRAME)
        outputs = exact(of, target)
        same = float(training.distil(outputs, outputs, LossOptions()))
        other = float(training.distil(outputs, [output + 1.0 for output in outputs], LossOptions()))
        assert same < other


def test_classes_count_alike_by_their_weights() -> None:
    training = TASK.training(head("yolo_v3"))
    truths = [Objects(np.tile([[0, 0, 9, 9]], (3, 1)), np.array([0, 0, 1]))]
    np.testing.assert_allclose(training.class_weights(truths), [0.75, 1.5])


def test_what_cannot_be_learned() -> None:
    of = Head("objects", "detection", "probabilities", ("a",), ("rows",), {"decoder": "rows"})
    with pytest.raises(ConfigError, match="'rows', which has no loss"):
        TASK.training(of)
    with pytest.raises(ConfigError, match="training needs logits"):
        TASK.training(Head("objects", "detection", "probabilities", ("a",), ("b", "s"), head("ssd").settings))
    many = Objects(np.tile([[0, 0, 9, 9]], (301, 1)), np.zeros(301))
    with pytest.raises(DataError, match="301 objects, training takes 300"):
        TASK.training(head("ssd")).encode(many, FRAME)


def test_anchors_of_the_data() -> None:
    of = head("yolo_v3", fit_anchors=True)
    rng = np.random.default_rng(0)
    corners = np.zeros((60, 2))
    sizes = np.repeat([[8.0, 12.0], [20.0, 16.0], [50.0, 40.0]], 20, axis=0) * rng.uniform(0.95, 1.05, (60, 2))
    truths = [Objects(np.hstack([corners, sizes])[i::6], np.zeros(10)) for i in range(6)]
    fitted = TASK.settings(TASK.fitted(of, truths, [FRAME] * 6)).anchors
    np.testing.assert_allclose(fitted[0], [[8, 12], [20, 16]], rtol=0.05)
    np.testing.assert_allclose(fitted[1], [[50, 40]], rtol=0.05)
    assert TASK.fitted(head("yolo_v3"), truths, [FRAME] * 6) == head("yolo_v3")


class TestFirstYolo:
    """Equation 3 of its paper, by hand: 2x2 cells, one box, two classes."""

    HEAD = Head(
        "objects", "detection", "probabilities", ("a", "b"), ("c", "p", "b"),
        {"decoder": "yolo_v1", "strides": [32.0], "cell_boxes": 2},
    )  # fmt: skip
    FRAME = frame_of(Preprocessing("gray"), (64, 64), (64, 64))
    TRUTH = Objects(np.array([[32, 0, 64, 16]], np.float32), np.array([1]))

    def outputs(self, **changes: float) -> list[Any]:
        classes, confidence, boxes = np.zeros((4, 2)), np.zeros((4, 2)), np.zeros((4, 2, 4))
        # Cell 1 is column 1, row 0: the box's centre (48, 8) is (1.5, 0.25) cells, its size half and a quarter.
        classes[1], confidence[1], boxes[1, 0] = [0, 1], [1, 0], [0.5, 0.25, np.sqrt(0.5), np.sqrt(0.25)]
        classes[2, 0] += changes.get("class_without_object", 0)
        classes[1, 0] += changes.get("class", 0)
        confidence[1, 0] += changes.get("confidence", 0)
        confidence[3, 1] += changes.get("background", 0)
        boxes[1, 0, 0] += changes.get("x", 0)
        boxes[1, 0, 2] += changes.get("root_of_width", 0)
        return [tf.constant(part.reshape(1, -1), tf.float32) for part in (classes, confidence, boxes)]

    def loss(self, **changes: float) -> float:
        training = TASK.training(self.HEAD)
        target, listed = training.encode(self.TRUTH, self.FRAME)
        return float(training.loss([target[None], listed[None]], self.outputs(**changes), LossOptions()))

    def test_exact_answers_cost_nothing(self) -> None:
        assert self.loss() == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize(
        ("change", "by", "cost"),
        [
            ("class", 0.5, 0.25),
            ("class_without_object", 0.5, 0.0),
            ("confidence", -0.5, 0.25),
            ("background", 0.5, 0.5 * 0.25),
        ],
    )
    def test_each_term(self, change: str, by: float, cost: float) -> None:
        assert self.loss(**{change: by}) == pytest.approx(cost, abs=1e-6)

    def test_the_place(self) -> None:
        # Moved by a tenth of a cell, 3.2 pixels: overlap 28.8 / 35.2, which the confidence is to be.
        overlap = 28.8 / 35.2
        assert self.loss(x=0.1) == pytest.approx(5 * 0.01 + (1 - overlap) ** 2, abs=1e-5)

    def test_the_size(self) -> None:
        width = (np.sqrt(0.5) + 0.1) ** 2
        overlap = 0.5 / width
        assert self.loss(root_of_width=0.1) == pytest.approx(5 * 0.01 + (1 - overlap) ** 2, abs=1e-5)
