"""Suppression: by hand, against greedy loops, and against TensorFlow's kernels."""

from typing import Any, List, Tuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import ConfigError, DataError
from edgecv.tasks import boxes
from edgecv.tasks.detection import nms
from edgecv.tasks.detection.nms import suppress

SQUARES = np.array([[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 6], [20, 20, 30, 30]], np.float32)
Case = Tuple[np.ndarray, np.ndarray, np.ndarray]


def _case(seed: int, count: int, classes: int = 3, *, ties: bool = False) -> Case:
    """Boxes in clusters, as detectors give them."""
    rng = np.random.default_rng(seed)
    centre, size = rng.uniform(0, 300, (8, 2)), rng.uniform(20, 120, (8, 2))
    chosen = rng.integers(0, 8, count)
    middle = centre[chosen] + rng.normal(0, 0.2, (count, 2)) * size[chosen]
    half = size[chosen] * np.exp(rng.normal(0, 0.2, (count, 2))) / 2
    confidence = rng.integers(1, 9, count) / 10 if ties else rng.uniform(0.01, 1.0, count)
    return (
        np.concatenate([middle - half, middle + half], axis=1).astype(np.float32),
        confidence.astype(np.float32),
        rng.integers(0, classes, count),
    )


def _greedy(case: Case, iou: float, most: int, *, by_class: bool) -> List[int]:
    """The definition, box by box."""
    corners, confidence, classes = case
    kept: List[int] = []
    for index in np.argsort(-confidence, kind="stable"):
        rivals = [other for other in kept if not by_class or classes[other] == classes[index]]
        if not rivals or boxes.iou(corners[[index]], corners[rivals]).max() <= iou:
            kept.append(int(index))
    return kept[:most]


def _softened(case: Case, sigma: float, score: float, most: int) -> List[Tuple[int, float]]:
    """The definition of Bodla et al., figure 2, for one class after the other."""
    corners, confidence, classes = case
    found = []
    for number in np.unique(classes):
        left = {int(i): float(confidence[i]) for i in np.flatnonzero(classes == number)}
        while left:
            best = min(left, key=lambda index: (-left[index], index))
            value = left.pop(best)
            if value >= score:
                found.append((best, value))
            for other in left:
                left[other] *= np.exp(-(float(boxes.iou_rows(corners[best], corners[other])) ** 2) / sigma)
    return sorted(found, key=lambda entry: (-entry[1], entry[0]))[:most]


def test_four_boxes_by_hand() -> None:
    # Of the first box the second covers 0.5, the third 0.6; the second covers 5/6 of the third.
    confidence, classes = np.array([0.9, 0.8, 0.7, 0.95]), np.zeros(4, int)
    kept, left = suppress(SQUARES, confidence, classes, iou=0.5, most=10)
    assert kept.tolist() == [3, 0, 1]
    assert left == pytest.approx([0.95, 0.9, 0.8])
    assert suppress(SQUARES, confidence, classes, iou=0.49, most=10)[0].tolist() == [3, 0]
    assert suppress(SQUARES, confidence, classes, iou=0.9, most=2)[0].tolist() == [3, 0]
    assert (kept.dtype, left.dtype) == (np.int64, np.float32)


def test_other_classes_do_not_suppress_unless_all_count() -> None:
    confidence, classes = np.array([0.9, 0.8, 0.7, 0.95]), np.array([0, 1, 0, 1])
    assert suppress(SQUARES, confidence, classes, iou=0.4, most=10)[0].tolist() == [3, 0, 1]
    assert suppress(SQUARES, confidence, classes, iou=0.4, most=10, how="agnostic")[0].tolist() == [3, 0]


def test_softened_confidence_by_hand() -> None:
    confidence, classes = np.array([0.9, 0.8, 0.7, 0.95]), np.zeros(4, int)
    kept, left = suppress(SQUARES, confidence, classes, iou=0.5, most=10, how="soft", sigma=0.5)
    second = 0.8 * np.exp(-(0.5**2) / 0.5)
    third = 0.7 * np.exp(-(0.6**2) / 0.5) * np.exp(-((5 / 6) ** 2) / 0.5)
    assert kept.tolist() == [3, 0, 1, 2]
    assert left == pytest.approx([0.95, 0.9, second, third])
    few = suppress(SQUARES, confidence, classes, iou=0.5, most=10, how="soft", sigma=0.5, score=0.2)
    assert few[0].tolist() == [3, 0, 1]


def test_a_box_that_kept_its_confidence_passes_many_that_did_not() -> None:
    # All nine copies come before the other box at first, and are softened to 0.14 of what they were.
    corners = SQUARES[[0] * 9 + [3]]
    confidence = np.append(np.linspace(0.9, 0.8, 9), 0.3)
    kept, left = suppress(corners, confidence, np.zeros(10, int), iou=0.5, most=2, how="soft", sigma=0.5)
    assert kept.tolist() == [0, 9]
    assert left == pytest.approx([0.9, 0.3])


def test_equals_come_by_index_and_the_first_one_stays() -> None:
    same = np.repeat(SQUARES[[0, 3]], 3, axis=0)[[0, 3, 1, 4, 2, 5]]
    kept, _ = suppress(same, np.full(6, 0.5), np.array([0, 0, 1, 1, 0, 0]), iou=0.5, most=9)
    assert kept.tolist() == [0, 1, 2, 3]
    assert suppress(same, np.full(6, 0.5), np.zeros(6), iou=0.5, most=9, how="soft")[0][:2].tolist() == [0, 1]


def test_nothing_gives_nothing() -> None:
    for how in nms.HOWS:
        kept, left = suppress(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), iou=0.5, most=5, how=how)
        assert kept.shape == left.shape == (0,)
    low = suppress(SQUARES, np.full(4, 1e-4), np.zeros(4, int), iou=0.5, most=5, how="soft")
    assert low[0].shape == (0,)


def test_boxes_without_area_suppress_nothing() -> None:
    points = np.array([[5, 5, 5, 5], [5, 5, 5, 5], [7, 7, 3, 3], [0, 0, 10, 10]], np.float32)
    assert suppress(points, np.array([0.9, 0.8, 0.7, 0.6]), np.zeros(4), iou=0.0, most=9)[0].tolist() == [0, 1, 2, 3]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 90), st.sampled_from([0.0, 0.3, 0.5, 0.7]), st.booleans())
def test_greedy_suppression_is_its_definition(seed: int, count: int, iou: float, ties: bool) -> None:
    case = _case(seed, count, ties=ties)
    for most in (1, 3, 200):
        kept, left = suppress(*case, iou=iou, most=most)
        assert kept.tolist() == _greedy(case, iou, most, by_class=True)
        assert left.tolist() == case[1][kept].tolist()
        kept, _ = suppress(*case, iou=iou, most=most, how="agnostic")
        assert kept.tolist() == _greedy(case, iou, most, by_class=False)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 60), st.booleans())
def test_soft_suppression_is_its_definition(seed: int, count: int, ties: bool) -> None:
    case = _case(seed, count, ties=ties)
    for most in (1, 3, 200):
        kept, left = suppress(*case, iou=0.5, most=most, how="soft", sigma=0.4, score=0.02)
        wanted = _softened(case, 0.4, 0.02, most)
        assert kept.tolist() == [index for index, _ in wanted]
        assert left == pytest.approx([value for _, value in wanted], rel=1e-5)


def test_classes_are_held_apart_exactly_far_from_the_origin() -> None:
    # float32 coordinates that are moved by class times 8003 come in steps of 64 pixels. The IoU is 2/3.
    corners = np.array([[8000, 8000, 8003, 8003], [8000, 8000, 8003, 8002.0]], np.float32)
    for number in (0, 100_000):
        classes = np.full(2, number)
        assert len(suppress(corners, np.array([0.9, 0.8]), classes, iou=0.667, most=5)[0]) == 2
        assert len(suppress(corners, np.array([0.9, 0.8]), classes, iou=0.666, most=5)[0]) == 1


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("most", [5, 40, 400])
def test_parity_with_tensorflow(seed: int, most: int) -> None:
    tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    corners, confidence, classes = _case(seed, 400)
    wanted = tf.image.non_max_suppression(corners, confidence, most, iou_threshold=0.45).numpy()
    kept, _ = suppress(corners, confidence, classes, iou=0.45, most=most, how="agnostic")
    assert kept.tolist() == wanted.tolist()
    kept, left = suppress(corners, confidence, classes, iou=0.45, most=most)
    wanted, values = _tensorflow_by_class(tf, corners, confidence, classes, most)
    assert corners[kept] == pytest.approx(wanted)
    assert left == pytest.approx(values)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("most", [5, 40, 400])
def test_soft_parity_with_tensorflow(seed: int, most: int) -> None:
    tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    corners, confidence, _ = _case(seed, 300)
    # TensorFlow's exponent is -o ** 2 / (2 sigma), and its threshold on the IoU is off at 1.
    wanted, values = tf.image.non_max_suppression_with_scores(
        corners, confidence, most, iou_threshold=1.0, score_threshold=0.001, soft_nms_sigma=0.25
    )
    kept, left = suppress(corners, confidence, np.zeros(300, int), iou=0.5, most=most, how="soft", sigma=0.5)
    assert left == pytest.approx(values.numpy(), rel=1e-4)
    assert kept.tolist() == wanted.numpy().tolist()


def test_memory_does_not_grow_with_the_square() -> None:
    import tracemalloc

    case = _case(0, 20_000, 1)
    tracemalloc.start()
    kept, _ = suppress(*case, iou=0.9, most=50)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 50
    assert peak < 20_000 * 8 * 60  # a square of bools alone is 400 MB


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"how": "hard"}, ConfigError, "way of suppression"),
        ({"iou": 1.5}, ConfigError, "0..1"),
        ({"iou": float("nan")}, ConfigError, "0..1"),
        ({"most": 0}, ConfigError, "at least one"),
        ({"sigma": 0.0}, ConfigError, "sigma"),
        ({"xyxy": SQUARES[:3]}, DataError, "one entry per box"),
        ({"xyxy": SQUARES * np.nan}, DataError, "box 0"),
        ({"confidence": np.array([0.5, np.inf, 0.5, 0.5])}, DataError, "box 1"),
    ],
)
def test_what_cannot_be_suppressed_is_an_error(change: Any, error: Any, told: str) -> None:
    given = {"xyxy": SQUARES, "confidence": np.ones(4), "class_id": np.zeros(4, int), "iou": 0.5, "most": 5}
    with pytest.raises(error, match=told):
        suppress(**{**given, **change})


def _tensorflow_by_class(tf: Any, corners: Any, confidence: Any, classes: Any, most: int) -> Tuple[Any, Any]:
    scores = np.zeros((1, len(corners), 3), np.float32)
    scores[0, np.arange(len(corners)), classes] = confidence
    found = tf.image.combined_non_max_suppression(
        corners[None, :, None], scores, most, most, iou_threshold=0.45, score_threshold=0.001, clip_boxes=False
    )
    count = int(found.valid_detections[0])
    return found.nmsed_boxes[0, :count].numpy(), found.nmsed_scores[0, :count].numpy()
