"""Matching detections with objects: COCO's and VOC's rules by hand, and the agreement of two models."""

from typing import Any, List

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import DataError
from edgecv.tasks import boxes
from edgecv.tasks.boxes import Detections, Objects
from edgecv.tasks.detection.matching import HIT, IGNORED, IOUS, MISS, MOST, agreement, evidence
from tests.tasks.detection import coco

NONE = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
NOTHING = Objects(np.zeros((0, 4)), np.zeros(0, int))


def _truth(*corners: Any, crowd: Any = None, classes: Any = None) -> Objects:
    return Objects(np.array(corners), np.zeros(len(corners), int) if classes is None else np.array(classes), crowd)


def _found(*corners: Any, confidence: Any = None, classes: Any = None) -> Detections:
    count = len(corners)
    falling = np.linspace(0.9, 0.1, count) if confidence is None else np.array(confidence)
    return Detections(np.array(corners), falling, np.zeros(count, int) if classes is None else np.array(classes))


def test_the_more_confident_of_two_is_right() -> None:
    seen = evidence(_truth([0, 0, 10, 10]), _found([0, 0, 10, 8], [0, 0, 10, 10], confidence=[0.4, 0.8]), 1)
    assert seen.confidence.tolist() == pytest.approx([0.8, 0.4])
    assert seen.outcome[0].tolist() == [[HIT, MISS]] * 10
    assert seen.voc.tolist() == [HIT, MISS]
    assert seen.truths.tolist() == [[1], [1], [0], [0]]


def test_the_less_confident_one_is_not_right_where_the_other_one_overlaps_too_little() -> None:
    # IoU 0.8 and 1: the first one takes the object up to 0.80, the second one from 0.85 on.
    seen = evidence(_truth([0, 0, 10, 10]), _found([0, 0, 10, 8], [0, 0, 10, 10]), 1)
    assert seen.outcome[0, :, 0].tolist() == [HIT] * 7 + [MISS] * 3
    assert seen.outcome[0, :, 1].tolist() == [MISS] * 7 + [HIT] * 3


def test_coco_gives_a_second_detection_another_object_and_voc_does_not() -> None:
    # Both detections overlap the first object most. The second one still overlaps the other object by 0.6.
    truth = _truth([0, 0, 10, 10], [0, 0, 10, 6])
    seen = evidence(truth, _found([0, 0, 10, 10], [0, 0, 10, 10]), 1)
    assert seen.outcome[0, 0].tolist() == [HIT, HIT]
    assert seen.voc.tolist() == [HIT, MISS]


def test_of_equal_overlaps_coco_takes_the_last_and_voc_the_first() -> None:
    # A box between two objects that overlap it alike. The second detection fits only the second object.
    truth = _truth([0, 0, 10, 10], [4, 0, 14, 10])
    seen = evidence(truth, _found([2, 0, 12, 10], [4, 0, 14, 10]), 1)
    assert seen.outcome[0, 0].tolist() == [HIT, MISS]
    assert seen.voc.tolist() == [HIT, HIT]


def test_crowds_are_ignored_as_often_as_they_are_found() -> None:
    # 0.6 of the detections lies in the crowd, though the IoU is 0.015.
    truth = _truth([0, 0, 20, 20], [100, 100, 200, 200], crowd=[False, True])
    found = _found([0, 0, 20, 20], [190, 100, 206.25, 120], [110, 110, 120, 120])
    seen = evidence(truth, found, 1)
    assert seen.outcome[0, 0].tolist() == [HIT, IGNORED, IGNORED]
    assert seen.outcome[0, 3].tolist() == [HIT, MISS, IGNORED]
    assert seen.truths[:, 0].tolist() == [1, 1, 0, 0]
    assert seen.voc.tolist() == [HIT, MISS, MISS]
    whole = evidence(truth, _found([100, 100, 200, 190], [100, 100, 200, 180]), 1)
    assert whole.voc.tolist() == [IGNORED, IGNORED]


def test_an_object_goes_before_a_crowd_that_overlaps_more() -> None:
    truth = _truth([0, 0, 100, 100], [0, 0, 100, 60], crowd=[True, False])
    seen = evidence(truth, _found([0, 0, 100, 100], [0, 0, 100, 100]), 1)
    assert seen.outcome[0, 0].tolist() == [HIT, IGNORED]
    assert seen.outcome[0, 3].tolist() == [IGNORED, IGNORED]


def test_areas_hold_both_ends() -> None:
    truth = _truth([0, 0, 32, 32], [100, 0, 196, 96], [300, 0, 400, 100])
    seen = evidence(truth, _found([0, 0, 32, 32], [300, 0, 400, 100], [500, 0, 510, 10]), 1)
    assert seen.truths[:, 0].tolist() == [3, 1, 2, 2]
    assert seen.outcome[:, 0].tolist() == [
        [HIT, HIT, MISS],
        [HIT, IGNORED, MISS],
        [HIT, IGNORED, IGNORED],
        [IGNORED, HIT, IGNORED],
    ]


def test_classes_are_apart_and_sorted() -> None:
    truth = _truth([0, 0, 10, 10], [0, 0, 10, 10], classes=[2, 0])
    found = _found([0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], classes=[2, 1, 2])
    seen = evidence(truth, found, 3)
    assert seen.class_id.tolist() == [1, 2, 2]
    assert seen.rank.tolist() == [0, 0, 1]
    assert seen.outcome[0, 0].tolist() == seen.voc.tolist() == [MISS, HIT, MISS]
    assert seen.truths[0].tolist() == [1, 0, 1]


def test_coco_looks_at_a_hundred_detections_of_a_class() -> None:
    stray = [[500, 500, 510, 510]] * MOST
    found = _found(*stray, [0, 0, 10, 10], *stray[:1], classes=[0] * (MOST + 1) + [1])
    seen = evidence(_truth([0, 0, 10, 10]), found, 2)
    assert seen.outcome[0, 0].max() == MISS
    assert seen.voc.tolist() == [MISS] * MOST + [HIT, MISS]
    assert seen.rank.tolist() == [*range(MOST + 1), 0]
    nearer = evidence(_truth([0, 0, 10, 10]), found[1:], 2)
    assert nearer.outcome[0, 0].tolist() == [MISS] * (MOST - 1) + [HIT, MISS]


def test_nothing_is_no_trouble() -> None:
    empty = evidence(NOTHING, NONE, 2)
    assert empty.outcome.shape == (4, 10, 0)
    assert empty.truths.sum() == 0
    assert evidence(NOTHING, _found([0, 0, 5, 5]), 2).voc.tolist() == [MISS]
    assert evidence(_truth([0, 0, 5, 5]), NONE, 2).truths[0].tolist() == [1, 0]
    flat = evidence(_truth([0, 0, 100, 100], crowd=[True]), _found([5, 5, 5, 5]), 1)
    assert flat.outcome[0, 0].tolist() == [MISS]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_rules_hold_whatever_is_found(seed: int) -> None:
    for truth, found in coco.made(seed, 6):
        seen = evidence(truth, found, coco.CLASSES)
        hits = np.stack([(seen.outcome[..., seen.class_id == c] == HIT).sum(axis=-1) for c in range(coco.CLASSES)], -1)
        assert (hits <= seen.truths[:, None]).all()
        assert (np.diff(hits[0].sum(axis=-1)) <= 0).all()
        # With all areas nothing but a crowd makes a detection ignored.
        if not np.asarray(truth.crowd).any():
            assert (seen.outcome[0] != IGNORED).all()
        assert seen.voc.tolist() == _voc(truth, found)


def _voc(truth: Objects, found: Detections) -> List[int]:
    """VOCevaldet.m, line by line, for each class after the other."""
    outcome = []
    for kind in range(coco.CLASSES):
        own = truth[truth.class_id == kind]
        those = found[found.class_id == kind]
        taken = [False] * len(own)
        for index in np.argsort(-those.confidence, kind="stable"):
            most, best = -1.0, -1
            for number in range(len(own)):
                overlap = float(boxes.iou_rows(those.xyxy[index], own.xyxy[number]))
                if overlap > most:
                    most, best = overlap, number
            if most < 0.5:
                outcome.append(MISS)
            elif np.asarray(own.crowd)[best]:
                outcome.append(IGNORED)
            else:
                outcome.append(MISS if taken[best] else HIT)
                taken[best] = True
    return outcome


def test_what_no_class_is_of_is_an_error() -> None:
    with pytest.raises(DataError, match=r"an object is of class 3, expected 0\.\.2"):
        evidence(_truth([0, 0, 5, 5], classes=[3]), NONE, 3)
    with pytest.raises(DataError, match="a detection is of class -1"):
        evidence(NOTHING, _found([0, 0, 5, 5], classes=[-1]), 3)
    with pytest.raises(DataError, match="not finite"):
        evidence(NOTHING, _found([0, 0, np.nan, 5]), 3)
    with pytest.raises(DataError, match="not finite"):
        evidence(NOTHING, _found([0, 0, 5, 5], confidence=[np.nan]), 3)


def test_thresholds_are_those_of_the_toolkit() -> None:
    assert IOUS.tolist() == np.linspace(0.5, 0.95, int(np.round((0.95 - 0.5) / 0.05)) + 1, endpoint=True).tolist()


def test_agreement_by_hand() -> None:
    a = _found([0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60], classes=[0, 1, 1])
    b = _found([0, 0, 10, 9], [20, 20, 30, 30], classes=[0, 0])
    assert agreement(a, b) == pytest.approx(2 * 1 / 5)
    assert agreement(b, a) == pytest.approx(2 * 1 / 5)
    assert agreement(a, b, iou=0.95) == 0.0
    assert agreement(a, a) == 1.0
    assert agreement(NONE, NONE) == 1.0
    assert agreement(NONE, a) == agreement(a, NONE) == 0.0


def test_agreement_uses_each_box_once_and_the_closest_first() -> None:
    a = _found([0, 0, 10, 10], [0, 0, 10, 8])
    assert agreement(a, _found([0, 0, 10, 9])) == pytest.approx(2 / 3)
    # [0, 0, 10, 10] is its own best match, which leaves the other two for each other.
    assert agreement(a, _found([0, 0, 10, 10], [0, 0, 10, 7])) == 1.0
