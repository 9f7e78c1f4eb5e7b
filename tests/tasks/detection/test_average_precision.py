"""Average precision: by hand, against COCO's toolkit, and as a function of what a bootstrap draws."""

from typing import Any, Dict, List, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import ConfigError
from edgecv.tasks.bootstrap import bootstrap_drop, draws
from edgecv.tasks.boxes import Detections, Objects
from edgecv.tasks.detection.average_precision import ap, statistic, summary
from edgecv.tasks.detection.matching import HIT, IGNORED, MISS, Evidence, evidence
from edgecv.values.scores import Metric
from tests.tasks.detection import coco

AVERAGES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "voc07_ap50", "voc10_ap50")
FALLING = np.array([0.9, 0.8, 0.7, 0.6, 0.5])


def _seen(seed: int, images: int = 12) -> List[Evidence]:
    return [evidence(truth, found, coco.CLASSES) for truth, found in coco.made(seed, images)]


def test_three_averages_of_one_class_by_hand() -> None:
    # Right, wrong, right, wrong, right of 4 objects: precision 1, 2/3 and 3/5 at recall 1/4, 1/2 and 3/4.
    outcome = np.array([HIT, MISS, HIT, MISS, HIT])
    # Recalls 0..0.25 are 26 of 101, ..0.50 and ..0.75 are 25 each; of 11 they are 3, 3 and 2.
    assert ap(FALLING, outcome, 4) == pytest.approx((26 * 1 + 25 * 2 / 3 + 25 * 3 / 5) / 101)
    assert ap(FALLING, outcome, 4, points="voc07") == pytest.approx((3 * 1 + 3 * 2 / 3 + 2 * 3 / 5) / 11)
    assert ap(FALLING, outcome, 4, points="voc10") == pytest.approx((1 + 2 / 3 + 3 / 5) / 4)


def test_the_envelope_lifts_earlier_precision() -> None:
    outcome = np.array([MISS, HIT, HIT, HIT, MISS])
    assert ap(FALLING, outcome, 3, points="voc10") == pytest.approx(3 / 4)
    assert ap(FALLING, outcome, 3) == pytest.approx(3 / 4)


def test_ignored_detections_count_for_nothing() -> None:
    outcome = np.array([IGNORED, HIT, IGNORED, IGNORED, HIT])
    for points in ("coco", "voc07", "voc10"):
        assert ap(FALLING, outcome, 2, points=points) == pytest.approx(1.0)


def test_order_is_by_confidence_and_equals_keep_theirs() -> None:
    outcome = np.array([MISS, HIT])
    assert ap(np.array([0.1, 0.9]), outcome, 1) == pytest.approx(1.0)
    assert ap(np.array([0.5, 0.5]), outcome, 1) == pytest.approx(0.5)


def test_recalls_that_are_read_at_are_reached_exactly() -> None:
    # 3 of 10 reaches 0.3 of VOC 2007, though 3 * 0.1 is more than 0.3 in float64.
    assert ap(FALLING[:3], np.full(3, HIT), 10, points="voc07") == pytest.approx(4 / 11)


def test_undefined_is_none_and_nothing_found_is_zero() -> None:
    assert ap(FALLING, np.full(5, MISS), 0) is None
    assert ap(FALLING, np.full(5, MISS), 3) == 0.0
    assert ap(np.zeros(0), np.zeros(0), 3) == 0.0
    empty = summary([], 2)
    assert set(empty.figures.values()) == {None}
    assert empty.per_class == ({"ap": None, "ap50": None, "ar100": None, "recall50": None},) * 2


def test_unknown_names_are_errors() -> None:
    with pytest.raises(ConfigError, match="unknown average precision 'voc7'"):
        ap(FALLING, np.full(5, HIT), 3, points="voc7")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="unknown average precision 'ar100'"):
        statistic([], 2, "ar100")


def test_a_summary_by_hand() -> None:
    # Class 0: its box is found with an IoU of 0.8, behind a wrong one. Class 1: one of two is found. Class 2 is absent.
    truth = Objects(np.array([[0, 0, 10, 10], [0, 0, 50, 50], [200, 0, 250, 50]]), np.array([0, 1, 1]))
    corners = np.array([[300, 0, 310, 10], [0, 0, 10, 8], [0, 0, 50, 50], [0, 0, 10, 10]])
    found = Detections(corners, np.array([0.9, 0.8, 0.7, 0.6]), np.array([0, 0, 1, 2]))
    told = summary([evidence(truth, found, 3)], 3)
    half = 51 / 101
    assert told.figures["ap50"] == pytest.approx((0.5 + half) / 2)
    assert told.figures["ap75"] == pytest.approx((0.5 + half) / 2)
    assert told.figures["ap"] == pytest.approx((0.5 * 7 / 10 + half) / 2)
    assert told.figures["ap_small"] == pytest.approx(0.5 * 7 / 10)
    assert told.figures["ap_medium"] == pytest.approx(half)
    assert told.figures["ap_large"] is None
    assert told.figures["ar1"] == pytest.approx((0.0 + 0.5) / 2)
    assert told.figures["ar10"] == told.figures["ar100"] == pytest.approx((0.7 + 0.5) / 2)
    assert told.figures["ar_large"] is None
    assert told.figures["voc07_ap50"] == pytest.approx((0.5 + 6 / 11) / 2)
    assert told.figures["voc10_ap50"] == pytest.approx((0.5 + 0.5) / 2)
    assert told.per_class[0] == pytest.approx({"ap": 0.35, "ap50": 0.5, "ar100": 0.7, "recall50": 1.0})
    assert told.per_class[2] == {"ap": None, "ap50": None, "ar100": None, "recall50": None}


def test_parity_with_what_the_toolkit_said() -> None:
    cases = coco.golden()
    assert len(cases) == 3
    for images, wanted in cases:
        # What makes the cases worth it: crowds, ties, more than 100 detections, and a class without objects.
        assert sum(int(np.asarray(truth.crowd).sum()) for truth, _ in images) > 2
        assert max(np.bincount(found.class_id, minlength=1).max() for _, found in images) > 100
        assert any(len(np.unique(found.confidence)) < len(found) for _, found in images)
        assert wanted["per_class"][-1]["ap"] is None
        told = summary([evidence(truth, found, coco.CLASSES) for truth, found in images], coco.CLASSES)
        assert not _different(told, wanted)


@pytest.mark.parametrize("package", ["faster_coco_eval", "pycocotools"])
def test_parity_with_the_toolkit(package: str) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    for seed in range(20):
        images = coco.made(seed)
        seen = [evidence(truth, found, coco.CLASSES) for truth, found in images]
        assert not _different(summary(seen, coco.CLASSES), coco.reference(package, images)), f"seed {seed}"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([HIT, MISS, IGNORED]), max_size=30), st.integers(1, 9), st.integers(0, 10**6))
def test_averages_are_their_definition(outcome: List[int], missed: int, seed: int) -> None:
    confidence = np.random.default_rng(seed).integers(0, 9, len(outcome)) / 8
    truths = outcome.count(HIT) + missed
    for points in ("coco", "voc07", "voc10"):
        assert ap(confidence, np.array(outcome), truths, points=points) == pytest.approx(
            _plain(confidence, outcome, truths, points)
        )


def test_weights_of_one_give_the_summary() -> None:
    seen = _seen(3, images=40)
    told = summary(seen, coco.CLASSES).figures
    for name in AVERAGES:
        assert statistic(seen, coco.CLASSES, name)(np.ones((1, len(seen))))[0] == told[name]


@pytest.mark.parametrize("name", AVERAGES)
def test_weights_are_how_often_an_image_is_drawn(name: str) -> None:
    # Equals of one image would be in another order where it is listed twice: a, b, a, b and not a, a, b, b.
    seen = [
        evidence(truth, _told_apart(found, index), coco.CLASSES) for index, (truth, found) in enumerate(coco.made(5))
    ]
    drawn = next(draws(len(seen), repeats=30, seed=1))
    values = statistic(seen, coco.CLASSES, name)(drawn)
    for row, value in zip(drawn, values):
        repeated = [seen[index] for index in np.repeat(np.arange(len(seen)), row.astype(int))]
        wanted = summary(repeated, coco.CLASSES).figures[name]
        assert value == pytest.approx(np.nan if wanted is None else wanted, abs=1e-12, nan_ok=True)


def test_a_draw_without_objects_has_no_value() -> None:
    truth = Objects(np.array([[0, 0, 10, 10]]), np.array([0]))
    nothing = Objects(np.zeros((0, 4)), np.zeros(0, int))
    found = Detections(np.array([[0, 0, 10, 10]]), np.array([0.9]), np.array([0]))
    values = statistic([evidence(truth, found, 1), evidence(nothing, found, 1)], 1)(np.array([[0.0, 2.0], [2.0, 0.0]]))
    assert values.tolist() == pytest.approx([np.nan, 1.0], nan_ok=True)
    assert np.isnan(statistic([evidence(nothing, found, 1)], 1)(np.ones((3, 1)))).all()


def test_blocks_of_draws_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _seen(7)
    drawn = next(draws(len(seen), repeats=40, seed=2))
    whole = statistic(seen, coco.CLASSES)(drawn)
    monkeypatch.setattr("edgecv.tasks.detection.average_precision._CHUNK", 100)
    assert statistic(seen, coco.CLASSES)(drawn).tolist() == whole.tolist()


def test_a_drop_has_an_interval() -> None:
    images = coco.made(11, 40)
    base = [evidence(truth, found, coco.CLASSES) for truth, found in images]
    # Every fifth image loses what was found.
    candidate = [
        evidence(truth, found[:0] if index % 5 == 0 else found, coco.CLASSES)
        for index, (truth, found) in enumerate(images)
    ]
    first, second = (statistic(side, coco.CLASSES) for side in (base, candidate))
    drop = bootstrap_drop(first, second, len(images), Metric("map"), repeats=200)
    told = [summary(side, coco.CLASSES).figures["ap"] for side in (base, candidate)]
    assert drop.value == pytest.approx(told[0] - told[1])
    assert 0 < drop.value < 0.5
    assert drop.ci95[0] < drop.value < drop.ci95[1]
    assert bootstrap_drop(first, first, len(images), Metric("map"), repeats=50).ci95 == (0.0, 0.0)


def _told_apart(found: Detections, image: int) -> Detections:
    """The detections with confidences of which no two are equal, in any image."""
    changed = found.confidence + 1e-3 * np.random.default_rng(image).random(len(found))
    return Detections(found.xyxy, changed, found.class_id)


def _different(told: Any, wanted: Dict[str, Any]) -> List[str]:
    """Return the figures, of all classes and of each, that are not the same to nine digits."""
    assert len(told.per_class) == len(wanted["per_class"])
    rows = [(told.figures, wanted["figures"]), *zip(told.per_class, wanted["per_class"])]
    assert all(theirs for _, theirs in rows)
    return [
        f"{name}: {mine[name]}, wanted {value}"
        for mine, theirs in rows
        for name, value in theirs.items()
        if (value is None) != (mine[name] is None) or (value is not None and abs(mine[name] - value) > 1e-9)
    ]


def _plain(confidence: Any, outcome: Sequence[int], truths: int, points: str) -> float:
    """The definition: the best precision at a recall or beyond, for one recall after the other."""
    curve = []
    right = wrong = 0
    for index in np.argsort(-confidence, kind="stable"):
        right, wrong = right + (outcome[index] == HIT), wrong + (outcome[index] == MISS)
        if right + wrong:
            curve.append((right / truths, right / (right + wrong)))

    def best(recall: float) -> float:
        return max([0.0, *(precision for reached, precision in curve if reached >= recall)])

    if points == "voc10":
        steps = [number / truths for number in range(1, right + 1)]
        return sum(best(recall) for recall in steps) / truths
    recalls = np.linspace(0, 1, 101) if points == "coco" else np.arange(11) / 10
    return sum(best(recall) for recall in recalls) / len(recalls)
