"""The task: reading outputs, judging them, refusing what does not fit."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, DataError, UnsupportedModelError
from edgecv.tasks.frame import frame_of
from edgecv.tasks.segmentation import Segmentation, SegmentationTask
from edgecv.tasks.segmentation.prediction import decode_runs
from edgecv.values.specs import Head, Preprocessing

TASK = SegmentationTask()
LABELS = ("ground", "pet", "border")
GRAY = Preprocessing(color="gray")


def head(activation="probabilities", labels=LABELS, **settings):
    return Head("mask", "segmentation", activation, labels, settings=settings)


def one_hot(labels, classes=3):
    return np.eye(classes, dtype=np.float32)[labels]


def maps(count, size=(12, 16), seed=0, ignore_index=None):
    rng = np.random.default_rng(seed)
    return [TASK.synthetic(rng, head(ignore_index=ignore_index), size) for _ in range(count)]


def spoilt(labels, share, rng):
    return np.where(rng.random(labels.shape) < share, rng.integers(0, 3, labels.shape), labels)


def test_decodes_scores_at_the_images_size():
    labels = np.array([[0, 1], [2, 1]])
    found = TASK.decode([one_hot(labels)], head(), frame_of(GRAY, (4, 6), (8, 8)))
    np.testing.assert_array_equal(found.mask, np.repeat(np.repeat(labels, 2, axis=0), 3, axis=1))
    assert (found.mask.dtype, found.labels) == (np.uint8, LABELS)


def test_logits_and_probabilities_agree_at_the_outputs_own_size():
    logits = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    first, second = TASK.decode([logits], head("logits")), TASK.decode([softmax], head())
    np.testing.assert_array_equal(first.mask, second.mask)
    np.testing.assert_array_equal(first.mask, logits.argmax(axis=-1))


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 1)])
def test_decodes_class_indices(shape):
    values = np.array([[0, 2], [1, 0]], np.float32).reshape(shape)
    found = TASK.decode([values], head("linear"), frame_of(GRAY, (4, 4), (2, 2)))
    np.testing.assert_array_equal(found.mask, np.repeat(np.repeat(values.reshape(2, 2), 2, 0), 2, 1))


@pytest.mark.parametrize(("activation", "values"), [("probabilities", [0.2, 0.5, 0.6]), ("logits", [-1, 0, 1])])
def test_decodes_one_channel_for_two_labels(activation, values):
    found = TASK.decode([np.array(values, np.float32).reshape(1, 3, 1)], head(activation, ("no", "yes")))
    np.testing.assert_array_equal(found.mask, [[0, 0, 1]])


def test_resize_says_which_comes_first():
    scores = np.array([[[0.9, 0.0, 0.1], [0.0, 0.45, 0.55]]], np.float32)
    frame = frame_of(GRAY, (1, 8), (1, 2))
    near, smooth = (TASK.decode([scores], head(resize=how), frame).mask[0] for how in ("nearest", "bilinear"))
    np.testing.assert_array_equal(near, [0, 0, 0, 0, 2, 2, 2, 2])
    assert smooth[3] == 0
    assert smooth[5] == 2
    scores[0, 0] = (0.6, 0.5, 0.0)  # between the two, what is second in both is first
    assert 1 in TASK.decode([scores], head(resize="bilinear"), frame).mask
    assert 1 not in TASK.decode([scores], head(resize="nearest"), frame).mask


def test_more_than_256_labels_need_a_wider_mask():
    names = tuple(str(index) for index in range(300))
    found = TASK.decode([np.full((2, 2), 299, np.float32)], head("linear", names))
    assert found.mask.dtype == np.int32
    assert (found.mask == 299).all()


def test_prediction_as_json_data():
    mask = np.array([[0, 0, 1], [1, 1, 2]], np.uint8)
    found = Segmentation(mask, LABELS)
    document = json.loads(json.dumps(found.to_dict()))
    assert document["runs"] == [[0, 2], [1, 3], [2, 1]]
    assert list(document["shares"]) == ["pet", "ground", "border"]
    np.testing.assert_array_equal(decode_runs(document["runs"], tuple(document["size"])), mask)
    assert len(found) == 3


def test_perfect_masks_score_one_and_judge_agrees_with_decode():
    truths = maps(3, ignore_index=255)
    own = head(ignore_index=255)
    outputs = one_hot(np.where(np.stack(truths) == 255, 0, truths))
    evidence = TASK.judge(truths, [outputs], own, [None] * 3)
    scores = TASK.score(evidence, own)
    assert scores.value == 1.0
    assert scores.figures["pixel_accuracy"] == 1.0
    assert set(scores.per_label) == set(LABELS)
    np.testing.assert_array_equal(evidence[1], TASK.evidence(truths[1], TASK.decode([outputs[1]], own), own))


def test_score_sums_pixels_over_images():
    truths = [np.zeros((1, 4), np.uint8), np.ones((1, 4), np.uint8)]
    masks = [np.zeros((1, 4), np.uint8), np.array([[0, 1, 1, 1]], np.uint8)]
    own = head()
    evidence = [TASK.evidence(t, Segmentation(m, LABELS), own) for t, m in zip(truths, masks, strict=True)]
    scores = TASK.score(evidence, own)
    assert scores.value == pytest.approx((4 / 5 + 3 / 4) / 2)
    assert scores.per_label["border"]["iou"] is None


def test_nothing_to_judge_is_an_error():
    own = head(ignore_index=255)
    void = TASK.evidence(np.full((2, 2), 255), Segmentation(np.zeros((2, 2), np.uint8), LABELS), own)
    for evidence in ([], [void]):
        with pytest.raises(DataError, match="no pixel to judge"):
            TASK.score(evidence, own)


def test_drop_of_a_worse_model_is_above_zero():
    rng, truths, own = np.random.default_rng(0), maps(30), head()
    good, bad = ([spoilt(one, share, rng) for one in truths] for share in (0.05, 0.2))
    first, second = (
        [TASK.evidence(t, Segmentation(m, LABELS), own) for t, m in zip(truths, masks, strict=True)]
        for masks in (good, bad)
    )
    drop = TASK.drop(first, second, own)
    assert drop.value == pytest.approx(TASK.score(first, own).value - TASK.score(second, own).value)
    assert 0 < drop.ci95[0] < drop.value < drop.ci95[1]
    assert TASK.drop(first, first, own).ci95 == (0.0, 0.0)
    with pytest.raises(DataError, match="equal length"):
        TASK.drop(first, second[1:], own)


@pytest.mark.parametrize(
    ("own", "shapes"),
    [
        (head(), [(1, 8, 8, 3)]),
        (head("logits", ("no", "yes")), [(1, 8, 8, 1)]),
        (head("linear"), [(1, 8, 8)]),
        (head("linear"), [(1, 8, 8, 1)]),
        (head(labels=()), [(1, 8, 8, 21)]),
    ],
)
def test_check_takes(own, shapes):
    TASK.check(own, shapes)


@pytest.mark.parametrize(
    ("own", "shapes"),
    [
        (head(), [(1, 8, 8, 4)]),
        (head(), [(1, 8, 8)]),
        (head(), [(1, 3)]),
        (head(), [(1, 8, 8, 3), (1, 8, 8, 3)]),
        (head(), []),
        (head("linear"), [(1, 8, 8, 3)]),
        (head("linear", ()), [(1, 8, 8)]),
        (head("distances"), [(1, 8, 8, 3)]),
    ],
)
def test_check_refuses(own, shapes):
    with pytest.raises(UnsupportedModelError, match="head 'mask'"):
        TASK.check(own, shapes)


def test_settings_are_strict():
    with pytest.raises(ConfigError, match="ignore_indx"):
        TASK.settings(head(ignore_indx=1))
    with pytest.raises(ConfigError, match="cubic"):
        TASK.settings(head(resize="cubic"))


def test_check_truth_names_the_class_and_the_way_out():
    truth = np.array([[0, 1], [2, 11]], np.uint8)
    TASK.check_truth(truth, head(ignore_index=11), "sample 4")
    with pytest.raises(DataError, match="sample 4: a pixel is of class 11") as caught:
        TASK.check_truth(truth, head(), "sample 4")
    assert "ignore_index = 11" in caught.value.hint
    with pytest.raises(DataError, match="integers"):
        TASK.check_truth(np.zeros((4, 4, 3), np.uint8), head(), "sample 0")


def test_synthetic_truths_fit_their_head():
    for truth in maps(10, ignore_index=255):
        TASK.check_truth(truth, head(ignore_index=255), "synthetic")
        assert (truth.dtype, truth.shape) == (np.uint8, (12, 16))
    assert {0, 1, 2} <= set(np.unique(maps(10)))


def test_strata_are_the_largest_foreground_class():
    truths = [np.array([[0, 0, 1, 2, 2]]), np.array([[0, 0, 255, 255, 1]]), np.array([[0, 0]])]
    np.testing.assert_array_equal(TASK.strata(truths), [2, 1, 0])


def test_describes_shares_of_pixels():
    found = TASK.describe([np.array([[0, 0, 1, 255]]), np.array([[0, 0, 0, 0]])], LABELS)
    assert (found.ignored, found.shares, found.counts) == (1 / 8, (6 / 7, 1 / 7, 0.0), None)
    assert TASK.describe([np.array([[0, 0, 1, 255]])], ()).shares == (2 / 3, 1 / 3)
    assert TASK.describe([], LABELS).shares == (0.0, 0.0, 0.0)


def test_interval_of_a_drop_of_miou_holds_the_truth_in_95_percent_of_repetitions():
    from benchmarks.interval_coverage import miou_coverage

    row = miou_coverage(images=40, runs=300, repeats=300)
    # Of 300 repetitions, the share itself varies by 1.3 points.
    assert 0.915 <= row["hold_truth"] / row["runs"] <= 0.985


def test_draws_masks_in_colour_and_leaves_void_pixels_alone():
    image = np.full((20, 30, 3), 128, np.uint8)
    truth = np.zeros((20, 30), np.uint8)
    truth[:, 25:] = 255
    picture = np.asarray(Segmentation(np.zeros((20, 30), np.uint8), LABELS).draw(image))
    assert (picture[-1] != 128).any(axis=-1).all()
    void = np.asarray(TASK.render(image, None, truth, LABELS))
    whole = np.asarray(TASK.render(image, Segmentation(truth % 255, LABELS), truth, LABELS))
    assert whole.shape[1] > void.shape[1]
    # The lower right corner of the truth lies within the picture's margin of white.
    inside = void[: void.shape[0] - 20, : void.shape[1] - 20]
    assert (inside[-1, -1] == 128).all()
