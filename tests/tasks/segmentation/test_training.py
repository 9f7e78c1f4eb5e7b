"""Losses and statistics of masks: by hand, against Keras and against the figures that judge."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.tasks.frame import Frame, frame_of
from edgecv.tasks.learning import LossOptions
from edgecv.tasks.segmentation import SegmentationTask, metrics
from edgecv.values.specs import Head, Preprocessing

tf = pytest.importorskip("tensorflow", reason="training needs tensorflow")

TASK = SegmentationTask()
PLAIN = LossOptions()


def training(activation="logits", labels=("a", "b", "c"), **settings):
    return TASK.training(Head("mask", "segmentation", activation, labels, settings=settings))


def batch(seed=0, ignored=0.2):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (2, 4, 5)).astype(np.int32)
    labels[rng.random(labels.shape) < ignored] = -1
    return labels, rng.normal(size=(2, 4, 5, 3)).astype(np.float32)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_encode_follows_the_frame_and_marks_what_is_void():
    truth = np.array([[0, 1], [2, 9]], np.uint8)
    frame = frame_of(Preprocessing(color="gray", resize="letterbox"), (2, 2), (4, 6))
    (target,) = training(ignore_index=9).encode(truth, frame)
    inside = np.repeat(np.repeat([[0, 1], [2, -1]], 2, axis=0), 2, axis=1)
    np.testing.assert_array_equal(target, np.pad(inside, ((0, 0), (1, 1)), constant_values=-1))
    assert target.dtype == np.int32
    assert truth[1, 1] == 9


def test_encode_then_decode_gives_the_truth_back_under_a_turn():
    truth = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    turned = Frame((3, 4), (4, 3), ((0.0, -1.0, 3.0), (1.0, 0.0, 0.0)))
    (target,) = training().encode(truth, turned)
    np.testing.assert_array_equal(target, np.rot90(truth, -1))


def test_cross_entropy_agrees_with_keras_on_the_pixels_that_count():
    labels, logits = batch()
    expected = tf.keras.losses.sparse_categorical_crossentropy(
        labels[labels >= 0], logits[labels >= 0], from_logits=True
    )
    assert float(training().loss([labels], [logits], PLAIN)) == pytest.approx(float(np.mean(expected)), rel=1e-5)
    by_probabilities = training("probabilities").loss([labels], [softmax(logits)], PLAIN)
    assert float(by_probabilities) == pytest.approx(float(np.mean(expected)), rel=1e-4)


def test_class_weights_and_smoothing_by_hand():
    labels, logits = np.array([[[0, 1, -1]]], np.int32), np.zeros((1, 1, 3, 3), np.float32)
    logits[..., 0] = np.log(2.0)  # probabilities 1/2, 1/4, 1/4
    weighted = training(class_weights=[1.0, 3.0, 1.0]).loss([labels], [logits], PLAIN)
    assert float(weighted) == pytest.approx((np.log(2) + 3 * np.log(4)) / 2, rel=1e-5)
    own = dataclasses.replace(PLAIN, class_weights=np.array([1, 1, 1], np.float32))
    plain = training(class_weights=[1.0, 3.0, 1.0]).loss([labels], [logits], own)
    assert float(plain) == pytest.approx((np.log(2) + np.log(4)) / 2, rel=1e-5)
    smooth = training().loss([labels[..., :1]], [logits[..., :1, :]], LossOptions(label_smoothing=0.3))
    assert float(smooth) == pytest.approx(0.8 * np.log(2) + 0.2 * np.log(4), rel=1e-5)


def test_soft_dice_of_hard_masks_is_one_minus_dice():
    labels, logits = batch(ignored=0.3)
    mask = logits.argmax(axis=-1)
    counts = sum(metrics.count_pixels(labels[i], mask[i], 3, -1) for i in range(2))
    hard = np.eye(3, dtype=np.float32)[mask]
    found = training("probabilities", dice_weight=1.0).loss([labels], [hard], PLAIN)
    assert float(found) == pytest.approx(1.0 - metrics.dice(counts).mean(), abs=1e-5)


def test_dice_weight_is_a_share():
    labels, logits = batch()
    entropy, dice, both = (
        float(training(dice_weight=share).loss([labels], [logits], PLAIN)) for share in (0.0, 1.0, 0.25)
    )
    assert both == pytest.approx(0.75 * entropy + 0.25 * dice, rel=1e-5)


def test_statistics_are_the_counts_and_give_the_mean_iou():
    labels, logits = batch()
    counts = sum(metrics.count_pixels(labels[i], logits[i].argmax(axis=-1), 3, -1) for i in range(2))
    sums = training().statistics([labels], [logits])
    np.testing.assert_array_equal(np.asarray(sums).reshape(3, 3), counts)
    assert training().value(np.asarray(sums)) == pytest.approx(float(metrics.mean_iou(counts)))
    assert training().value(np.zeros(9)) == 0.0


def test_outputs_may_be_smaller_than_the_input():
    labels = np.repeat(np.repeat(np.array([[[0, 1], [2, 0]]], np.int32), 4, axis=1), 4, axis=2)
    right, nearest = np.eye(3, dtype=np.float32)[labels[:, ::4, ::4]], training("probabilities", resize="nearest")
    assert nearest.value(nearest.statistics([labels], [right])) == 1.0
    assert float(nearest.loss([labels], [right], PLAIN)) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("activation", ["logits", "probabilities"])
def test_smaller_outputs_are_judged_as_the_runtime_enlarges_them(activation):
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 3, (1, 16, 24)).astype(np.int32), rng.random((1, 4, 6, 3)).astype(np.float32)
    frame = frame_of(Preprocessing(color="gray", resize="stretch"), (16, 24), (16, 24))
    said = TASK.decode([scores[0]], Head("mask", "segmentation", activation, ("a", "b", "c")), frame).mask
    expected = metrics.count_pixels(labels[0], said, 3, -1)
    np.testing.assert_array_equal(np.reshape(training(activation).statistics([labels], [scores]), (3, 3)), expected)


def test_one_channel_stands_for_two_labels():
    labels, logits = np.array([[[0, 1, 1]]], np.int32), np.array([-1.0, 2.0, -3.0], np.float32).reshape(1, 1, 3, 1)
    own = training(labels=("no", "yes"))
    expected = np.mean([np.log1p(np.exp(-1)), np.log1p(np.exp(-2)), np.log1p(np.exp(3))])
    assert float(own.loss([labels], [logits], PLAIN)) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(own.statistics([labels], [logits]), [1, 1, 2, 1, 1, 2])


def test_a_surely_wrong_pixel_still_has_a_gradient():
    outputs = tf.constant([[[[1.0, 0.0, 0.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = training("probabilities").loss([np.array([[[1]]], np.int32)], [outputs], PLAIN)
    assert float(tape.gradient(loss, outputs)[0, 0, 0, 1]) < -1.0


def test_distillation_is_least_where_both_agree():
    _, logits = batch()
    options = LossOptions(temperature=2.0)
    soft = softmax(logits / 2)
    entropy = 4 * -np.mean(np.sum(soft * np.log(soft), axis=-1))
    same = float(training().distil([logits], [logits], options))
    assert same == pytest.approx(entropy, rel=1e-5)
    assert float(training().distil([logits], [-logits], options)) > same
    probable = training("probabilities").distil([softmax(logits)], [softmax(logits)], options)
    assert float(probable) == pytest.approx(same, rel=1e-4)


def test_a_tiny_network_learns_blobs():
    rng, own = np.random.default_rng(0), training(dice_weight=0.5)
    head = Head("mask", "segmentation", "logits", ("a", "b", "c"))
    labels = np.stack([own.encode(TASK.synthetic(rng, head, (16, 16)), None)[0] for _ in range(8)])
    images = (np.eye(3)[labels] + rng.normal(0, 0.3, labels.shape + (3,))).astype(np.float32)
    kernel = tf.Variable(tf.zeros((1, 1, 3, 3)))
    for _ in range(40):
        with tf.GradientTape() as tape:
            loss = own.loss([labels], [tf.nn.conv2d(images, kernel, 1, "SAME")], PLAIN)
        kernel.assign_sub(5.0 * tape.gradient(loss, kernel))
    assert own.value(np.asarray(own.statistics([labels], [tf.nn.conv2d(images, kernel, 1, "SAME")]))) > 0.9


def test_refuses_heads_that_cannot_learn():
    with pytest.raises(ConfigError, match="no training loss"):
        training("linear")
    with pytest.raises(ConfigError, match="dice_weight"):
        training(dice_weight=1.5)
    with pytest.raises(ConfigError, match="3 labels and 2 class_weights"):
        training(class_weights=[1.0, 2.0])


def test_an_epoch_holds_every_sample_once():
    order = training().order(list(range(7)), np.random.default_rng(0))
    assert sorted(order) == list(range(7))


def test_outputs_that_cover_the_middle_learn_the_labels_that_lie_there():
    labels = np.arange(20, dtype=np.int32).reshape(1, 4, 5) % 3
    logits = batch()[1][:1, :2, :2]
    middle = training(covers=[1.0, 1.0, 5.0, 3.0])  # columns 2 and 4, rows 1 and 2 are in the middle of the places
    expected = training().loss([labels[:, 1:3, [2, 4]]], [logits], PLAIN)
    assert float(middle.loss([labels], [logits], PLAIN)) == pytest.approx(float(expected))
    with pytest.raises(ConfigError, match="covers is a box"):
        training(covers=[1.0, 1.0, 1.0, 3.0])
