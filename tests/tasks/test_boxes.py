"""Boxes: their records, formats and overlap, and how they move with images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgecv.core.errors import ConfigError, DataError
from edgecv.tasks import boxes
from edgecv.tasks.boxes import Detections, Objects
from edgecv.tasks.frame import Frame, frame_of
from edgecv.values.specs import Preprocessing

FORMATS = ("xyxy", "xywh", "cxcywh", "yxyx", "cxcyhw")
SAME = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def _boxes(count: int = 3) -> st.SearchStrategy[np.ndarray]:
    numbers = arrays.arrays(np.float64, (count, 4), elements=st.integers(0, 400).map(lambda value: value / 4))
    return numbers.map(lambda v: np.concatenate([v[:, :2], v[:, :2] + v[:, 2:]], axis=1))


def test_overlap_of_the_golden_pairs() -> None:
    first = np.array([[0, 0, 2, 2], [10, 10, 50, 50], [0, 0, 1, 1]], np.float32)
    second = np.array([[1, 1, 3, 3], [20, 20, 60, 60], [1, 0, 2, 1]], np.float32)
    assert boxes.iou_rows(first, second) == pytest.approx([1 / 7, 0.391304, 0.0], abs=5e-7)
    assert np.diag(boxes.iou(first, second)) == pytest.approx([1 / 7, 9 / 23, 0.0])


def test_boxes_without_area_overlap_nothing() -> None:
    point = np.array([[1.0, 1.0, 1.0, 1.0]])
    assert boxes.iou(point, point) == 0.0
    inside_out = np.array([[3.0, 3.0, 1.0, 1.0]])
    assert boxes.area(inside_out) == 0.0
    assert boxes.iou(inside_out, np.array([[0.0, 0.0, 4.0, 4.0]])) == 0.0


def test_overlap_with_no_boxes_is_an_empty_table() -> None:
    assert boxes.iou(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)


@settings(max_examples=40, deadline=None)
@given(_boxes(), _boxes(), st.integers(-50, 50))
def test_overlap_is_symmetric_in_range_and_moves_along(a: np.ndarray, b: np.ndarray, step: int) -> None:
    found = boxes.iou(a, b)
    assert found == pytest.approx(boxes.iou(b, a).T)
    assert (found >= 0).all()
    assert (found <= 1).all()
    assert found == pytest.approx(boxes.iou(a + step, b + step))
    assert found == pytest.approx(boxes.iou(a * 2, b * 2))
    assert np.diag(found) == pytest.approx(boxes.iou_rows(a, b))


@settings(max_examples=40, deadline=None)
@given(_boxes())
def test_overlap_with_itself_is_one_where_there_is_area(a: np.ndarray) -> None:
    assert boxes.iou_rows(a, a) == pytest.approx((boxes.area(a) > 0).astype(float))


def test_overlap_counts_pixels() -> None:
    """Boxes of whole pixels, against counting the pixels of masks."""
    rng = np.random.default_rng(0)
    low = rng.integers(0, 20, (30, 2, 2))
    corners = np.concatenate([low, low + rng.integers(1, 12, low.shape)], axis=-1)
    rows, columns = np.mgrid[:32, :32]
    for a, b in corners:
        inside = [(columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2) for x1, y1, x2, y2 in (a, b)]
        counted = (inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum()
        assert boxes.iou_rows(a, b) == pytest.approx(counted)
        assert boxes.intersection(a[None], b[None])[0, 0] == (inside[0] & inside[1]).sum()


def test_the_formats_of_one_box() -> None:
    corners = np.array([10, 20, 30, 60], np.float32)
    told = {name: boxes.convert(corners, "xyxy", name).tolist() for name in FORMATS}  # type: ignore[arg-type]
    assert told == {
        "xyxy": [10, 20, 30, 60],
        "xywh": [10, 20, 20, 40],
        "cxcywh": [20, 40, 20, 40],
        "yxyx": [20, 10, 60, 30],
        "cxcyhw": [20, 40, 40, 20],
    }


@settings(max_examples=40, deadline=None)
@given(_boxes(), st.sampled_from(FORMATS), st.sampled_from(FORMATS))
def test_formats_go_back_and_forth(a: np.ndarray, one: str, other: str) -> None:
    there = boxes.convert(boxes.convert(a, "xyxy", one), one, other)  # type: ignore[arg-type]
    assert boxes.convert(there, other, "xyxy") == pytest.approx(a)  # type: ignore[arg-type]


def test_conversion_keeps_float64_and_makes_all_else_float32() -> None:
    assert boxes.convert(np.zeros((2, 4), np.float64), "xyxy", "xywh").dtype == np.float64
    assert boxes.convert(np.zeros((2, 4), np.int64), "xyxy", "xywh").dtype == np.float32
    with pytest.raises(ConfigError, match="xyxz"):
        boxes.convert(np.zeros((2, 4)), "xyxz", "xywh")  # type: ignore[arg-type]


def test_objects_are_checked_at_the_door() -> None:
    fine = Objects(np.array([[0, 0, 2, 2.5]]), np.array([3]))
    assert (fine.xyxy.dtype, fine.class_id.dtype, fine.crowd.tolist()) == (np.float32, np.int64, [False])
    with pytest.raises(DataError, match="1 boxes, 2 class_id"):
        Objects(np.array([[0, 0, 2, 2]]), np.array([3, 4]))
    with pytest.raises(DataError, match="box 1 is"):
        Objects(np.array([[0, 0, 2, 2], [0, 0, 0, 2]]), np.array([3, 4]))
    with pytest.raises(DataError, match="box 0 is"):
        Objects(np.array([[0, 0, np.nan, 2]]), np.array([3]))
    with pytest.raises(DataError, match="class_id is >= 0"):
        Objects(np.array([[0, 0, 2, 2]]), np.array([-1]))
    with pytest.raises(DataError, match=r"\(n, 4\)"):
        Objects(np.array([[0, 0, 2]]), np.array([1]))


def test_no_objects_are_objects() -> None:
    none = Objects(np.zeros((0, 4)), np.zeros(0))
    assert (len(none), none.xyxy.shape) == (0, (0, 4))
    assert len(Objects([], [])) == 0  # type: ignore[arg-type]


def test_choosing_objects() -> None:
    three = Objects(np.array([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]]), np.array([5, 6, 7]), np.array([0, 1, 0]))
    assert three[1].class_id.tolist() == [6]
    assert three[three.class_id > 5].xyxy[:, 2].tolist() == [2, 3]
    assert three[np.array([2, 0])].class_id.tolist() == [7, 5]
    assert three[1:].crowd.tolist() == [True, False]


def _detections() -> Detections:
    return Detections(
        xyxy=np.array([[1, 2, 11, 12], [4, 4, 8, 8]]),
        confidence=np.array([0.9, 0.25]),
        class_id=np.array([1, 2]),
        labels=("cat", "dog"),
        masks=np.stack([np.eye(16, dtype=bool), np.zeros((16, 16), bool)]),
        outputs=(np.zeros(3),),
        heads={"object": "itself"},
    )


def test_choosing_detections_keeps_all_that_belongs_to_them() -> None:
    found = _detections()
    sure = found[found.confidence > 0.5]
    assert (len(sure), sure.names, sure.labels) == (1, ("dog",), ("cat", "dog"))
    assert sure.masks is not None
    assert sure.masks.shape == (1, 16, 16)
    assert len(sure.outputs) == 1
    assert sure.heads == {"object": "itself"}
    assert found[-1].confidence.tolist() == [0.25]
    assert len(found[:0]) == 0
    with pytest.raises(IndexError):
        found[2]


def test_detections_iterate_row_by_row() -> None:
    assert [one.names for one in _detections()] == [("dog",), ("2",)]


def test_detections_are_checked_at_the_door() -> None:
    with pytest.raises(DataError, match="1 xyxy, 2 confidence, 1 class_id"):
        Detections(np.zeros((1, 4)), np.zeros(2), np.zeros(1))


def test_detections_as_data() -> None:
    assert _detections().to_dict() == {
        "detections": [
            {"label": "dog", "class_id": 1, "confidence": pytest.approx(0.9), "xyxy": [1, 2, 11, 12]},
            {"label": "2", "class_id": 2, "confidence": pytest.approx(0.25), "xyxy": [4, 4, 8, 8]},
        ]
    }


def test_detections_draw_in_the_colours_of_their_classes() -> None:
    from edgecv.tasks import drawing

    picture = np.asarray(_detections().draw(np.zeros((64, 64), np.uint8)[:16, :16]))
    seen = {tuple(color) for color in picture.reshape(-1, 3).tolist()}
    assert {drawing.palette(1), drawing.palette(2)} <= seen


def test_a_box_goes_through_a_letterbox_and_back() -> None:
    frame = frame_of(Preprocessing(color="gray", resize="letterbox"), (50, 100), (64, 64))
    image = np.array([[10, 10, 30, 40]], np.float32)
    moved = boxes.to_input(image, frame)
    assert moved == pytest.approx(np.array([[6.4, 22.4, 19.2, 41.6]]))
    assert boxes.to_image(moved, frame) == pytest.approx(image)


def test_a_turned_box_becomes_the_upright_box_around_it() -> None:
    turned = frame_of(None, (40, 40), (40, 40)).then(np.array([[0.0, -1.0, 40.0], [1.0, 0.0, 0.0]]))
    assert boxes.to_input(np.array([5, 10, 15, 30]), turned) == pytest.approx([10, 5, 30, 15])


def test_objects_that_leave_the_input_are_dropped() -> None:
    truth = Objects(np.array([[0, 0, 10, 10], [5, 5, 15, 15], [20, 20, 30, 30]]), np.array([0, 1, 2]))
    frame = Frame((40, 40), (40, 40), ((1.0, 0.0, -8.0), (0.0, 1.0, 0.0)))
    moved = boxes.warp(truth, frame)
    assert moved.class_id.tolist() == [1, 2]  # the first keeps a fifth of its area
    assert moved.xyxy.tolist() == [[0, 5, 7, 15], [12, 20, 22, 30]]
    assert boxes.warp(truth, frame, most_lost=0.8).class_id.tolist() == [0, 1, 2]
    assert boxes.warp(truth, frame, most_lost=0.1).class_id.tolist() == [2]
    gone = Frame((40, 40), (40, 40), ((1.0, 0.0, -99.0), (0.0, 1.0, 0.0)))
    assert len(boxes.warp(truth, gone, most_lost=1.0)) == 0


@settings(max_examples=30, deadline=None)
@given(_boxes(), st.floats(-1.5, 1.5), st.floats(0.3, 2), st.floats(-30, 30))
def test_warped_objects_lie_in_the_input(a: np.ndarray, angle: float, zoom: float, step: float) -> None:
    a = a[boxes.area(a.astype(np.float32)) > 0]
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    frame = frame_of(None, (200, 200), (200, 150)).then(np.array([[cos, -sin, step], [sin, cos, step]]))
    moved = boxes.warp(Objects(a, np.arange(len(a))), frame, most_lost=0.5)
    assert (moved.xyxy >= 0).all()
    assert (moved.xyxy <= [150, 200, 150, 200]).all()
    # A hull holds the whole object, so its area is that of the box times the zoom, or more, unless it is cut.
    assert (boxes.area(moved.xyxy) >= 0.499 * zoom**2 * boxes.area(a)[moved.class_id]).all()
