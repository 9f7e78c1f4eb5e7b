"""Precision and recall of what a detector tells, how unlike two detectors answer, and the names of figures."""

from __future__ import annotations

import numpy as np
import pytest

from edgecv.tasks.boxes import Detections, Objects
from edgecv.tasks.detection import figures, matching
from edgecv.tasks.registry import task
from edgecv.values.specs import Head

LABELS = ("cat", "dog")
SQUARES = np.array([[0, 0, 10, 10], [20, 20, 30, 30], [40, 0, 50, 10], [0, 40, 10, 50]], np.float32)


def head(**settings: object) -> Head:
    return Head("objects", "detection", "probabilities", LABELS, settings={"decoder": "rows", **settings})


def found(rows: list[tuple[int, float, int]]) -> Detections:
    """Detections of (square, confidence, class)."""
    places, confidence, class_id = zip(*rows) if rows else ((), (), ())
    return Detections(SQUARES[list(places)], np.array(confidence), np.array(class_id), LABELS)


def judged(rows: list[tuple[int, float, int]], truth: Objects | None = None) -> matching.Evidence:
    truth = truth or Objects(SQUARES[:3], np.array([0, 0, 1]))
    return matching.evidence(truth, found(rows), len(LABELS))


#: Of two cats and a dog: a cat and the dog are found, one box is wrong, and an unsure one finds the other cat.
SIZE = (64, 64)
IMAGE = [(0, 0.9, 0), (3, 0.6, 0), (2, 0.5, 1), (1, 0.2, 0)]


def test_precision_and_recall_by_hand() -> None:
    whole, (cat, dog) = figures.Told.of([judged(IMAGE)], 100).at(np.array([0.25, 0.25]))
    assert whole == {"precision": 2 / 3, "recall": 2 / 3}
    assert cat == {"precision": 1 / 2, "recall": 1 / 2}
    assert dog == {"precision": 1.0, "recall": 1.0}


def test_a_class_has_a_score_of_its_own_and_an_image_so_many_boxes() -> None:
    _, (cat, dog) = figures.Told.of([judged(IMAGE)], 100).at(np.array([0.7, 0.55]))
    assert cat == {"precision": 1.0, "recall": 1 / 2}
    assert dog == {"precision": None, "recall": 0.0}
    whole, _ = figures.Told.of([judged(IMAGE)], 1).at(np.array([0.0, 0.0]))
    assert whole == {"precision": 1.0, "recall": 1 / 3}


def test_crowds_are_neither_right_nor_wrong_and_what_is_not_there_is_unknown() -> None:
    crowd = Objects(SQUARES[:1], np.array([0]), np.array([True]))
    whole, (_, dog) = figures.Told.of([judged([(0, 0.9, 0)], crowd)], 100).at(np.zeros(2))
    assert whole == dog == {"precision": None, "recall": None}


def test_scores_have_them_in_order_and_each_is_explained() -> None:
    own = task("detection")
    scores = own.score([judged(IMAGE), judged([])], head(score=0.55, label_scores={"dog": 0.1}))
    assert tuple(scores.figures) == figures.ORDER
    assert scores.figures["precision"] == pytest.approx(2 / 3)
    assert scores.figures["recall"] == pytest.approx(2 / 6)
    assert [tuple(row) for row in scores.per_label.values()] == [figures.PER_LABEL] * 2
    assert scores.per_label["dog"]["recall"] == pytest.approx(1 / 2)
    assert {own.metric.name, *figures.ORDER, *figures.PER_LABEL} == set(own.figure_help)


def test_a_table_says_what_each_score_would_tell() -> None:
    (table,) = task("detection").score([judged(IMAGE)], head(score=0.9)).tables
    assert (table.rows[0], table.rows[-1], table.columns) == ("0.1", "0.9", ("precision", "recall"))
    assert table.cells[0] == (3 / 4, 1.0)
    assert table.cells[5] == (1 / 2, 1 / 3)  # 0.6
    assert table.cells[8] == (1.0, 1 / 3)  # of 0.9 is told what is 0.9 sure
    assert table.cells[2:5] == ((2 / 3, 2 / 3),) * 3


def test_pairs_are_of_one_class_and_each_once() -> None:
    a, b = found([(0, 0.9, 0), (1, 0.8, 0), (2, 0.7, 1)]), found([(1, 0.6, 0), (0, 0.5, 1), (0, 0.4, 0), (0, 0.3, 0)])
    first, second, overlap = matching.pairs(a, b)
    assert sorted(zip(first.tolist(), second.tolist())) == [(0, 2), (1, 0)]
    assert overlap.tolist() == [1.0, 1.0]
    assert matching.agreement(a, b) == pytest.approx(4 / 7)


def test_what_one_alone_finds_counts_its_confidence_and_a_pair_what_moved() -> None:
    a = found([(0, 0.9, 0), (2, 0.7, 1)])
    assert matching.unlike(a, a) == 0.0
    assert matching.unlike(a, found([(0, 0.6, 0), (3, 0.5, 0)])) == pytest.approx(0.3 + 0.7 + 0.5)
    moved = Detections(SQUARES[:1] + [0, 0, 0, -2], [0.9], [0])
    assert matching.unlike(a[:1], moved) == pytest.approx(0.2)
    assert matching.unlike(found([]), a) == pytest.approx(1.6)


def test_the_difference_of_two_answers_tells_which_boxes_both_find() -> None:
    def rows(*cats: float) -> tuple[np.ndarray]:
        return (np.array([[5, 5, 10, 10, cats[0], 0.0], [25, 25, 10, 10, cats[1], 0.1]], np.float32),)

    own = task("detection")
    alone, told = own.difference(rows(0.9, 0.5), rows(0.9, 0.2), head(), SIZE)
    assert alone == pytest.approx(0.5, abs=1e-5)
    assert told == "Boxes found by both: 1; by the float model alone: 1; by this file alone: 0."
    # Where the boxes are the same, the maps decide; where these are too, there is no difference.
    unsure, _ = own.difference(rows(0.1, 0.1), rows(0.1, 0.2), head(), SIZE)
    assert 0 < unsure < 1e-6
    assert own.difference(rows(0.9, 0.5), rows(0.9, 0.5), head(), SIZE)[0] == 0.0
