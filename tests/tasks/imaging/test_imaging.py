"""Pictures: likeness by hand, by properties and against tensorflow; decoding through frames; learning."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import ConfigError, DataError, UnsupportedModelError
from edgecv.tasks.frame import frame_of
from edgecv.tasks.imaging import ImagingTask, Picture
from edgecv.tasks.imaging.likeness import likeness, psnr, ssim
from edgecv.tasks.learning import LossOptions
from edgecv.values.specs import Head, Preprocessing

TASK = ImagingTask()
HEAD = Head("picture", "imaging", "linear")
RGB = Preprocessing("rgb", mean=(0.0,) * 3, std=(255.0,) * 3)


def noisy(seed, shape=(24, 30, 3), spread=20):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 256, shape)
    second = np.clip(first + rng.normal(0, spread, shape), 0, 255)
    return first.astype(np.uint8), second.astype(np.uint8)


def test_likeness_of_flat_pictures_by_hand():
    black, gray = (np.full((12, 13, 3), level, np.uint8) for level in (100, 110))
    # Nothing varies, so structure is 1 and only luminance counts: (2 * 100 * 110 + c1) / (100^2 + 110^2 + c1).
    c1 = (0.01 * 255) ** 2
    found = likeness(black, gray)
    assert found.ssim == pytest.approx((22000 + c1) / (22100 + c1))
    assert (found.mse, found.values) == (100, 468)
    assert psnr(100.0, 468) == pytest.approx(10 * math.log10(255**2 / 100))


def test_equal_pictures_count_as_a_level_in_one_value():
    first, _ = noisy(0)
    assert likeness(first, first).ssim == 1.0
    assert psnr(0.0, first.size) == pytest.approx(10 * math.log10(255**2 * first.size))


@pytest.mark.parametrize("shape", [(24, 30, 3), (11, 40, 3), (64, 64, 1)])
@pytest.mark.parametrize("spread", [2, 30])
def test_agrees_with_tensorflow(shape, spread):
    import tensorflow as tf

    first, second = noisy(3, shape, spread)
    expected = float(tf.image.ssim(tf.constant(first), tf.constant(second), max_val=255))
    assert ssim(first, second) == pytest.approx(expected, abs=2e-5)  # tensorflow computes in float32
    decibels = float(tf.image.psnr(tf.constant(first), tf.constant(second), max_val=255))
    found = likeness(first, second)
    assert psnr(found.mse, found.values) == pytest.approx(decibels, abs=1e-3)


@given(seed=st.integers(0, 2**32), height=st.integers(1, 20), width=st.integers(1, 20))
@settings(max_examples=25, deadline=None)
def test_likeness_is_symmetric_at_most_one_and_blind_to_turns(seed, height, width):
    first, second = noisy(seed, (height, width, 3))
    value = ssim(first, second)
    assert -1 <= value <= 1 + 1e-12
    assert value == pytest.approx(ssim(second, first), abs=1e-12)
    assert value == pytest.approx(ssim(first[::-1, ::-1], second[::-1, ::-1]), abs=1e-9)


def test_pictures_have_the_images_size():
    output = np.linspace(0, 1, 4 * 4 * 3, dtype=np.float32).reshape(4, 4, 3)
    found = TASK.decode([output], HEAD, frame_of(RGB, (8, 6), (4, 4)))
    assert (found.pixels.shape, found.pixels.dtype, found.size) == ((8, 6, 3), np.uint8, (8, 6))
    whole = TASK.decode([output], HEAD, frame_of(RGB, (4, 4), (4, 4)))
    np.testing.assert_array_equal(whole.pixels, np.rint(output * 255))
    assert found.pixels[0, 0, 0] == whole.pixels[0, 0, 0]


def test_letterboxes_are_undone():
    settings_ = Preprocessing("rgb", resize="letterbox", mean=(0.0,) * 3, std=(255.0,) * 3)
    output = np.zeros((8, 8, 3), np.float32)
    output[2:6] = 1.0  # where an image of 4x8 lies
    found = TASK.decode([output], HEAD, frame_of(settings_, (4, 8), (8, 8)))
    assert (found.pixels.shape, found.pixels.min()) == ((4, 8, 3), 255)


def test_larger_pictures_and_other_ranges():
    head = Head("picture", "imaging", "linear", settings={"scale": 2, "low": -1.0, "high": 1.0})
    output = np.array([[-1, 1, -1, 1], [-2, 2, 0, 0.5]], np.float32)[..., None]
    found = TASK.decode([output], head, frame_of(RGB, (1, 2), (1, 2)))
    np.testing.assert_array_equal(found.pixels[..., 0], [[0, 255, 0, 255], [0, 255, 128, 191]])
    assert TASK.decode([output], head, None).pixels.shape == (2, 4, 3)


def test_a_crop_gives_no_picture():
    cropped = Preprocessing("rgb", resize="center_crop", mean=(0.0,) * 3, std=(255.0,) * 3)
    with pytest.raises(UnsupportedModelError, match="part of the image"):
        TASK.decode([np.zeros((4, 4, 3), np.float32)], HEAD, frame_of(cropped, (4, 8), (4, 4)))


@pytest.mark.parametrize("shapes", [[(1, 4, 4, 3)], [(1, 4, 4, 1)]])
def test_check_takes(shapes):
    TASK.check(HEAD, shapes)


@pytest.mark.parametrize(
    ("head", "shapes"),
    [
        (HEAD, [(1, 4, 4, 2)]),
        (HEAD, [(1, 4)]),
        (HEAD, [(1, 4, 4, 3)] * 2),
        (Head("p", "imaging", "probabilities"), [(1, 4, 4, 3)]),
    ],
)
def test_check_refuses(head, shapes):
    with pytest.raises(UnsupportedModelError, match="cannot read outputs"):
        TASK.check(head, shapes)


@pytest.mark.parametrize("wrong", [{"low": 1.0}, {"scale": 0}, {"high": math.inf}, {"hihg": 1.0}])
def test_settings_are_strict(wrong):
    with pytest.raises(ConfigError):
        TASK.settings(Head("picture", "imaging", "linear", settings=wrong))


def test_truths_are_checked():
    TASK.check_truth(np.zeros((2, 3), np.uint8), HEAD, "x")
    TASK.check_truth(np.zeros((2, 3, 3), np.uint8), HEAD, "x")
    for wrong in (np.zeros((2, 3), np.float32), np.zeros((2, 3, 4), np.uint8), np.zeros((0, 3), np.uint8), 3):
        with pytest.raises(DataError, match="must be uint8"):
            TASK.check_truth(wrong, HEAD, "x")
    with pytest.raises(DataError, match="3x2 pixels, that of head 'picture' 3x3"):
        TASK.evidence(np.zeros((2, 3), np.uint8), Picture(np.zeros((3, 3, 3), np.uint8)), HEAD)


def test_scores_and_drops():
    pairs = [noisy(seed, spread=5 + 3 * seed) for seed in range(6)]
    evidence = [TASK.evidence(first, Picture(second), HEAD) for first, second in pairs]
    found = TASK.score(evidence, HEAD)
    assert found.value == pytest.approx(np.mean([each.ssim for each in evidence]))
    assert found.figures["least_ssim"] == min(each.ssim for each in evidence)
    assert found.figures["rmse"] == pytest.approx(math.sqrt(np.mean([each.mse for each in evidence])))
    perfect = [TASK.evidence(first, Picture(first), HEAD) for first, _ in pairs]
    drop = TASK.drop(perfect, evidence, HEAD)
    assert drop.value == pytest.approx(1 - found.value)
    assert 0 < drop.ci95[0] < drop.value < drop.ci95[1]
    with pytest.raises(DataError):
        TASK.score([], HEAD)


def test_gray_truths_are_compared_as_colours():
    gray, _ = noisy(1, (12, 12))
    assert TASK.evidence(gray, Picture(np.repeat(gray[..., None], 3, axis=2)), HEAD).mse == 0


def test_answers_far_beyond_white_speak_against_the_range():
    assert TASK.contradiction([np.array([[0.0, 1.3]])], HEAD) is None
    found = TASK.contradiction([np.array([[0.0, 250.0]])], HEAD)
    assert found is not None
    assert not found.certain
    assert "0 to 250" in found.text


def test_a_pictures_dictionary_and_drawing():
    pixels, _ = noisy(2, (300, 20, 3))
    picture = Picture(pixels)
    assert picture.to_dict()["size"] == [300, 20]
    np.testing.assert_array_equal(np.asarray(picture.draw(pixels)), pixels)
    assert len(picture) == 1


def test_targets_are_what_the_input_shows():
    from edgecv.runtime.image import preprocess

    truth, _ = noisy(5, (20, 14, 3))
    for resize in ("stretch", "letterbox"):
        own = Preprocessing("rgb", resize=resize, mean=(0.0,) * 3, std=(255.0,) * 3)
        (target,) = TASK.training(HEAD).encode(truth, frame_of(own, (20, 14), (16, 16)))
        from edgecv.values.specs import InputSpec

        seen = preprocess(truth, InputSpec("image", (16, 16, 3), own))[0] * 255
        counted = target[..., 3:] > 0
        assert counted.mean() == (1.0 if resize == "stretch" else pytest.approx(11 / 16))
        assert np.abs((target[..., :3] - seen) * counted).max() <= 0.5 + 1e-3


def test_losses_by_hand_leave_out_what_shows_no_image():
    import tensorflow as tf

    target = np.zeros((1, 1, 2, 4), np.uint8)
    target[0, 0, 0] = (255, 0, 0, 1)
    output = tf.constant([[[[0.5, 0.0, 0.0], [9.0, 9.0, 9.0]]]])
    training = TASK.training(HEAD)
    assert float(training.loss([target], [output], LossOptions())) == pytest.approx(0.25 / 3)
    assert float(training.loss([target], [output], LossOptions(regression="mae"))) == pytest.approx(0.5 / 3)
    gray = tf.constant([[[[0.299], [9.0]]]])
    assert float(training.loss([target], [gray], LossOptions())) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ConfigError, match="pictures of 1x1 pixels"):
        training.loss([target], [gray[:, :, :1]], LossOptions())
    with pytest.raises(ConfigError, match="no training loss"):
        TASK.training(Head("p", "imaging", "logits"))


def test_validation_value_is_the_metric():
    import tensorflow as tf

    first, second = noisy(8, (16, 16, 3))
    training = TASK.training(HEAD)
    (target,) = training.encode(first, None)
    sums = training.statistics([target[None]], [tf.constant(second[None] / np.float32(255))])
    assert training.value(sums.numpy()) == pytest.approx(ssim(first, second), abs=1e-4)
