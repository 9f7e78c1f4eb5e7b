"""Which anchor answers for which object."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecv.tasks.boxes import Objects
from edgecv.tasks.detection.assignment import BACKGROUND, IGNORED, anchor_boxes, assigned
from edgecv.tasks.detection.settings import DetectionSettings

SIZE = (64, 96)


def settings(decoder: Any = "yolo_v3", **more: Any) -> DetectionSettings:
    anchors = (((10.0, 20.0), (40.0, 30.0)), ((60.0, 60.0),))
    return DetectionSettings(decoder=decoder, anchors=anchors, strides=(16.0, 32.0), **more)


def objects(*boxes: Any, classes: Any = None, crowd: Any = None) -> Objects:
    return Objects(np.array(boxes, np.float32), np.arange(len(boxes)) if classes is None else classes, crowd)


def held(made: np.ndarray) -> dict[int, int]:
    return {int(row): int(made[row, 4]) for row in np.flatnonzero(made[:, 4] >= 0)}


def test_anchors_stand_at_the_centres_of_their_cells() -> None:
    found = anchor_boxes(settings(), SIZE)
    assert found.shape == (4 * 6 * 2 + 2 * 3, 4)
    np.testing.assert_array_equal(found[:2], [[3, -2, 13, 18], [-12, -7, 28, 23]])
    np.testing.assert_array_equal(found[-1], [50, 18, 110, 78])


def test_an_object_is_its_best_anchors_in_the_cell_of_its_centre() -> None:
    made = assigned(objects([50, 30, 62, 52]), settings(), SIZE)
    # Centre (56, 41): cell (2, 3) of the first scale, whose first anchor is most like 12x22.
    assert held(made) == {(2 * 6 + 3) * 2: 0}
    np.testing.assert_array_equal(made[30, :4], [50, 30, 62, 52])
    assert set(np.unique(made[:, 4])) <= {0.0, BACKGROUND, IGNORED}


def test_other_anchors_answer_too_when_they_are_alike_enough() -> None:
    made = assigned(objects([20, 5, 70, 55]), settings(match_iou=0.4), SIZE)
    # 50x50 is like 40x30 by 0.48 and like 60x60 by 0.69.
    assert held(made) == {(1 * 6 + 2) * 2 + 1: 0, 48 + 1: 0}


def test_cells_beside_answer_where_a_centre_may_leave_its_cell() -> None:
    plain = held(assigned(objects([50, 30, 62, 52]), settings(), SIZE))
    wide = held(assigned(objects([50, 30, 62, 52]), settings(scale_xy=(2.0, 1.0)), SIZE))
    # (56, 41) is at (3.5, 2.56) cells: half a cell from either side, and nearer to the row below.
    assert set(plain) < set(wide)
    assert set(wide) == {(y * 6 + 3) * 2 for y in (2, 3)}


def test_of_two_objects_for_one_anchor_the_smaller_one_stays() -> None:
    large, small = [10, 10, 26, 36], [14, 14, 22, 32]
    for order in ((large, small), (small, large)):
        (found,) = {row: made for row, made in held(assigned(objects(*order), settings(), SIZE)).items()}.items()
        assert order[found[1]] == small


def test_what_overlaps_an_object_or_lies_in_a_crowd_is_ignored() -> None:
    crowd = assigned(objects([32, 0, 96, 64], crowd=[True]), settings(), SIZE)
    assert not held(crowd)
    centre = 48 + 1 * 3 + 2
    assert crowd[centre, 4] == IGNORED
    assert crowd[0, 4] == BACKGROUND
    near = assigned(objects([18, 18, 80, 76], [50, 30, 62, 52]), settings(ignore_iou=0.5), SIZE)
    assert near[48 + 1 * 3 + 1, 4] == 0


def test_ssd_takes_every_anchor_that_overlaps_enough_and_the_best_in_any_case() -> None:
    anchors = anchor_boxes(settings(), SIZE)
    exact, far = anchors[-2], [0.0, 60.0, 3.0, 63.0]
    made = assigned(objects(exact, far), settings("ssd", ignore_iou=1.0), SIZE)
    rows = held(made)
    assert rows[len(anchors) - 2] == 0
    assert sorted(rows.values()).count(1) == 1
    made = assigned(objects(exact), settings("ssd", match_iou=0.3, ignore_iou=1.0), SIZE)
    overlap = np.array([_iou(exact, one) for one in anchors])
    assert sorted(held(made)) == np.flatnonzero(overlap >= 0.3).tolist()


def test_without_objects_all_is_background() -> None:
    made = assigned(Objects(np.zeros((0, 4)), np.zeros(0)), settings(), SIZE)
    assert (made[:, 4] == BACKGROUND).all()


def _iou(a: Any, b: Any) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(one[2] - one[0]) * (one[3] - one[1]) for one in (a, b)]
    return float(shared / (sum(areas) - shared))


@pytest.mark.parametrize("x", [95.9, 96.0])
def test_a_centre_at_the_border_is_in_the_last_cell(x: float) -> None:
    assert held(assigned(objects([90, 10, 2 * x - 90, 30]), settings(), SIZE))
