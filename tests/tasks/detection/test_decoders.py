"""From outputs to boxes, by hand; and every form in which the same answer may come."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.tasks.detection import DetectionTask, decoders
from edgecv.tasks.detection.settings import settings_of
from edgecv.tasks.frame import frame_of
from edgecv.values.specs import Head, Preprocessing

TASK = DetectionTask()
AB = ("a", "b")
ANCHORS = [[[10.0, 20.0], [40.0, 30.0]], [[60.0, 60.0]]]
STRIDES = [16.0, 32.0]
LOW = -20.0


def head(decoder: str = "yolo_v3", *, outputs: int = 4, activation: Any = "logits", **settings: Any) -> Head:
    names = tuple(f"out_{i}" for i in range(outputs))
    given = {"decoder": decoder, "anchors": ANCHORS, "strides": STRIDES, **settings}
    return Head("objects", "detection", activation, AB, names, given)


def found(outputs: list[Any], of: Head, size: tuple[int, int] = (64, 96), least: float = 0.3) -> decoders.Candidates:
    return decoders.candidates(outputs, of, settings_of(of), size, least)


def empty(units: int = 3) -> list[np.ndarray]:
    """Maps of a 64x96 input, boxes and scores of both scales, in which nothing is found."""
    return [
        np.zeros((4, 6, 8), np.float32),
        np.full((4, 6, 2 * units), LOW, np.float32),
        np.zeros((2, 3, 4), np.float32),
        np.full((2, 3, units), LOW, np.float32),
    ]


def test_a_box_of_yolo_v3_by_hand() -> None:
    outputs = empty()
    outputs[0][2, 3, 4:] = [0.0, math.log(3.0), math.log(2.0), math.log(0.5)]
    outputs[1][2, 3, 3:] = [math.log(4.0), math.log(9.0), LOW]
    said = found(outputs, head())
    # The centre lies at (3 + 1/2, 2 + 3/4) cells of 16 pixels, the size is (80, 15).
    np.testing.assert_allclose(said.xyxy, [[56 - 40, 44 - 7.5, 56 + 40, 44 + 7.5]], rtol=1e-6)
    np.testing.assert_allclose(said.confidence, [0.8 * 0.9], rtol=1e-6)
    assert said.class_id.tolist() == [0]


def test_one_anchor_may_tell_two_classes_of_yolo_v3_and_one_of_yolo_v2() -> None:
    outputs = empty()
    outputs[3][1, 2] = [20.0, 3.0, 3.0]
    both, one = found(outputs, head()), found(outputs, head("yolo_v2"), least=0.45)
    assert both.class_id.tolist() == [0, 1]
    np.testing.assert_allclose(both.confidence, 1 / (1 + math.exp(-3)), rtol=1e-5)
    np.testing.assert_allclose(one.confidence, [0.5, 0.5], rtol=1e-5)


def test_a_centre_may_lie_beyond_its_cell() -> None:
    outputs = empty()
    outputs[2][0, 0, :2] = [20.0, -20.0]
    outputs[3][0, 0] = [20.0, 20.0, LOW]
    (box,) = found(outputs, head(scale_xy=[1.0, 2.0])).xyxy
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, [1.5 * 32, -0.5 * 32], atol=1e-4)


def test_one_map_a_scale_and_two_say_the_same() -> None:
    rng = np.random.default_rng(0)
    apart = [rng.normal(0, 2, one.shape).astype(np.float32) for one in empty()]
    joint = []
    for place, anchors in enumerate((2, 1)):
        boxes, scores = apart[2 * place], apart[2 * place + 1]
        shape = (*boxes.shape[:2], anchors, -1)
        both = np.concatenate([boxes.reshape(shape), scores.reshape(shape)], axis=-1)
        joint.append(both.reshape(*boxes.shape[:2], -1))
    flat = [np.concatenate([one.reshape(-1, 7) for one in joint])]
    expected = found(apart, head())
    assert len(expected.confidence) > 10
    for outputs in (joint, flat, [flat[0][:, :4], flat[0][:, 4:]]):
        got = found(outputs, head(outputs=len(outputs)))
        for name in ("xyxy", "confidence", "class_id"):
            np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))


def test_every_least_score_is_kept_and_nothing_below() -> None:
    rng = np.random.default_rng(1)
    outputs = [rng.normal(0, 3, one.shape).astype(np.float32) for one in empty()]
    whole = found(outputs, head(), least=0.0)
    assert len(whole.confidence) == 2 * (4 * 6 * 2 + 2 * 3)
    for least in (0.001, 0.25, 0.9):
        some = found(outputs, head(), least=least)
        assert len(some.confidence) == int((whole.confidence >= least).sum())


def test_ssd_by_hand() -> None:
    outputs = [np.zeros((4, 6, 8), np.float32), np.zeros((4, 6, 6), np.float32), np.zeros((2, 3, 4), np.float32)]
    outputs.append(np.zeros((2, 3, 3), np.float32))
    for scores in outputs[1::2]:
        scores[..., ::3] = 20.0  # the background
    outputs[2][1, 1] = [1.0, -2.0, math.log(2.0) / 0.2, 0.0]
    outputs[3][1, 1] = [0.0, 0.0, math.log(3.0)]
    said = found(outputs, head("ssd"), least=0.5)
    centre = np.array([48 + 0.1 * 60, 48 - 0.2 * 60])
    np.testing.assert_allclose(said.xyxy, [[*(centre - [60, 30]), *(centre + [60, 30])]], rtol=1e-5)
    np.testing.assert_allclose(said.confidence, [3 / 5], rtol=1e-6)
    assert said.class_id.tolist() == [1]
    # TensorFlow's order of the same four numbers.
    outputs[2][1, 1] = outputs[2][1, 1][[1, 0, 3, 2]]
    np.testing.assert_allclose(found(outputs, head("ssd", box="cycxhw"), least=0.5).xyxy, said.xyxy, rtol=1e-6)


def test_the_boxes_of_a_cell_share_its_classes_in_the_books_form() -> None:
    of = head("yolo_book", outputs=2, anchors=ANCHORS[:1], strides=STRIDES[:1])
    boxes, scores = np.zeros((4, 6, 8), np.float32), np.full((4, 6, 4), LOW, np.float32)
    scores[1, 1] = [20.0, 0.0, 0.0, math.log(3.0)]
    said = found([boxes, scores], of)
    np.testing.assert_allclose(said.confidence, [3 / 4, 3 / 8], rtol=1e-5)
    joint = found([np.concatenate([boxes, scores], axis=-1)], head("yolo_book", outputs=1, **{
        "anchors": ANCHORS[:1], "strides": STRIDES[:1]}))  # fmt: skip
    np.testing.assert_array_equal(joint.xyxy, said.xyxy)


def test_yolo_v1_by_hand() -> None:
    of = Head("objects", "detection", "probabilities", AB, ("c", "p", "b"), {"decoder": "yolo_v1", "strides": [32.0]})
    classes, confidence, boxes = np.zeros((9, 2)), np.zeros((9, 2)), np.zeros((9, 2, 4))
    classes[5], confidence[5] = [0.1, 0.9], [0.2, 0.8]
    boxes[5, 1] = [0.5, 0.25, math.sqrt(0.5), math.sqrt(0.25)]
    said = found([classes.reshape(-1), confidence.reshape(-1), boxes.reshape(-1)], of, (96, 96))
    # Cell 5 of 3x3 is column 2, row 1.
    centre = np.array([2.5, 1.25]) * 32
    np.testing.assert_allclose(said.xyxy, [[*(centre - [24, 12]), *(centre + [24, 12])]], rtol=1e-5)
    np.testing.assert_allclose(said.confidence, [0.72], rtol=1e-6)


def test_rows_of_another_tools_file() -> None:
    of = Head("objects", "detection", "probabilities", AB, ("rows",), {"decoder": "rows", "columns": True})
    columns = np.array([[48.0], [32.0], [20.0], [10.0], [0.2], [0.7]], np.float32)
    said = found([columns], of)
    np.testing.assert_allclose(said.xyxy, [[38, 27, 58, 37]])
    shares = Head("objects", "detection", "probabilities", AB, ("rows",), {"decoder": "rows", "unit": "share"})
    rows = columns.T / np.array([96, 64, 96, 64, 1, 1], np.float32)
    np.testing.assert_allclose(found([rows], shares).xyxy, said.xyxy, rtol=1e-5)


def test_a_file_that_suppresses_itself() -> None:
    settings = {"decoder": "postprocessed", "unit": "share", "nms": "none", "label_offset": 1}
    of = Head("objects", "detection", "probabilities", AB, ("b", "c", "s", "n"), settings)
    outputs = [np.array([[0.25, 0.5, 0.75, 1.0], [0, 0, 1, 1], [0, 0, 1, 1]]), np.array([2.0, 1.0, 1.0]),
               np.array([0.9, 0.8, 0.7]), np.array([2.0])]  # fmt: skip
    said = found(outputs, of)
    np.testing.assert_allclose(said.xyxy, [[48, 16, 96, 48], [0, 0, 96, 64]])
    assert said.class_id.tolist() == [1, 0]


def test_letterbox_is_undone() -> None:
    outputs = empty()
    outputs[2][0, 1, 2:] = [math.log(8 / 60), math.log(8 / 60)]
    outputs[3][0, 1] = [20.0, 20.0, LOW]
    frame = frame_of(Preprocessing("rgb", "letterbox", mean=(0,) * 3, std=(255,) * 3), (320, 320), (64, 96))
    said = TASK.decode(outputs, head(), frame)
    # 320 pixels become 64, in columns 16 to 80: the centre (48, 16) of the input is (160, 80) of the image.
    np.testing.assert_allclose(said.xyxy, [[140, 60, 180, 100]], rtol=1e-5)
    assert said.labels == AB
    unframed = TASK.decode(outputs, head())
    np.testing.assert_allclose(unframed.xyxy, [[44 / 96, 12 / 64, 52 / 96, 20 / 64]], rtol=1e-5)


def test_each_class_has_its_own_least_score() -> None:
    outputs = empty()
    outputs[3][1, 2], outputs[3][0, 0] = [20.0, 1.0, LOW], [20.0, LOW, 1.0]
    both = TASK.decode(outputs, head())
    assert sorted(both.names) == ["a", "b"]
    assert TASK.decode(outputs, head(label_scores={"b": 0.9})).names == ("a",)
    with pytest.raises(ConfigError, match="'c', which is none of its labels"):
        TASK.decode(outputs, head(label_scores={"c": 0.9}))


def test_at_most_as_many_as_asked_for() -> None:
    outputs = [np.full(one.shape, 1.0, np.float32) for one in empty()]
    assert len(TASK.decode(outputs, head(nms="none", most=7))) == 7


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"anchors": [[[float("nan"), 3.0]], [[1.0, 1.0]]]}, "finite and > 0"),
        ({"anchors": ANCHORS[:1]}, "1 lists of anchors and 2 strides"),
        ({"score": 1.5}, "score is in 0..1"),
        ({"iuo": 0.5}, "unknown key 'iuo'"),
        ({"decoder": "yolo_tree", "parents": [-1, 1]}, "class 1 has the parent 1"),
        ({"scale_xy": [1.0]}, "1 values for 2 scales"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TASK.settings(head(**settings))


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 4, 6, 8), (1, 4, 6, 6), (1, 2, 3, 4)],
        [(1, 4, 6, 8), (1, 4, 6, 8), (1, 2, 3, 4), (1, 2, 3, 4)],
        [(1, 4, 6, 6), (1, 4, 6, 8), (1, 2, 3, 3), (1, 2, 3, 4)],
        [(1, 7)],
    ],
)
def test_outputs_that_do_not_fit(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(UnsupportedModelError, match="expects"):
        TASK.check(head(outputs=len(shapes)), shapes)


def test_outputs_that_fit() -> None:
    TASK.check(head(), [(1, *one.shape) for one in empty()])
    TASK.check(head(outputs=2), [(1, 4, 6, 14), (1, 2, 3, 7)])
    TASK.check(head("ssd", outputs=2), [(1, 54, 4), (1, 54, 3)])


@pytest.mark.parametrize("least", [0.0, 0.001, 0.3, 0.9, 1.0])
def test_only_what_may_be_confident_is_computed_and_nothing_else_is_left_out(least: float) -> None:
    """Against every sigmoid of every class, as the definition has it."""
    rng = np.random.default_rng(2)
    outputs = [rng.normal(0, 4, one.shape).astype(np.float32) for one in empty()]
    said = found(outputs, head(), least=least)
    confidences = []
    for scores, anchors in ((outputs[1], 2), (outputs[3], 1)):
        likely = 1 / (1 + np.exp(-scores.reshape(-1, anchors, 3).astype(np.float64)))
        confidences.append((likely[..., :1] * likely[..., 1:]).reshape(-1))
    exact = np.concatenate(confidences)
    np.testing.assert_allclose(said.confidence, exact[exact >= least], rtol=1e-5)


@pytest.mark.parametrize("decoder", ["yolo_v3", "yolo_v2", "ssd"])
def test_the_most_confident_are_kept_in_their_order(decoder: str) -> None:
    rng = np.random.default_rng(3)
    of = head(decoder)
    outputs = [rng.normal(0, 2, one.shape).astype(np.float32) for one in empty()]
    outputs[1][:2] = outputs[1][2:]  # equal confidences
    settings = settings_of(of)
    every = decoders.candidates(outputs, of, settings, (64, 96), 0.01)
    for most in (1, 7, len(every.confidence) - 1, len(every.confidence)):
        kept = decoders.candidates(outputs, of, settings, (64, 96), 0.01, most=most)
        best = np.sort(np.lexsort((np.arange(len(every.confidence)), -every.confidence))[:most])
        np.testing.assert_array_equal(kept.confidence, every.confidence[best])
        np.testing.assert_array_equal(kept.xyxy, every.xyxy[best])
        np.testing.assert_array_equal(kept.class_id, every.class_id[best])


def test_a_sigmoid_far_out_is_finite_and_right() -> None:
    values = np.array([-1e9, -100, -87, -20, -1, 0, 1, 20, 100, 1e9], np.float32)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        said = decoders.sigmoid(values)
    exact = 1 / (1 + np.exp(-np.clip(values.astype(np.float64), -87, 87)))
    np.testing.assert_allclose(said, exact, rtol=1e-6)
