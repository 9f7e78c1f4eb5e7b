"""Losses against values computed by hand; augmentation against the moves it claims to make."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from edgecv.core.errors import ConfigError
from edgecv.train import augment as augmentation
from edgecv.train.augment import Augmentation, augment
from edgecv.train.losses import loss_for
from edgecv.values.specs import Head


def head(activation: str, task: str = "classification") -> Head:
    return Head("output", task, activation)  # type: ignore[arg-type]


def value(activation: str, outputs: list[list[float]], labels: list[int], **options: float) -> float:
    loss = loss_for(head(activation, "regression" if activation == "linear" else "classification"), **options)
    return float(loss(np.array(labels), np.array(outputs, np.float32)))


def test_losses_by_hand() -> None:
    assert value("probabilities", [[0.25, 0.75]], [1]) == pytest.approx(-math.log(0.75), rel=1e-5)
    assert value("logits", [[0.0, math.log(3)]], [1]) == pytest.approx(-math.log(0.75), rel=1e-5)
    assert value("linear", [[1.0], [4.0]], [2, 2]) == pytest.approx((1 + 4) / 2)


def test_distances_are_lecuns_map_criterion() -> None:
    # E = d_right + log sum exp(-d), LeCun et al. 1998, eq. 9 without the rubbish class.
    distances, right = [1.0, 3.0, 0.5], 2
    expected = distances[right] + math.log(sum(math.exp(-d) for d in distances))
    assert value("distances", [distances], [right]) == pytest.approx(expected, rel=1e-5)


def test_smoothing_spreads_the_target() -> None:
    expected = -(0.95 * math.log(0.75) + 0.05 * math.log(0.25))
    assert value("probabilities", [[0.25, 0.75]], [1], label_smoothing=0.1) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("activation", "task"), [("linear", "classification"), ("logits", "segmentation")])
def test_a_head_without_a_loss_is_refused(activation: str, task: str) -> None:
    with pytest.raises(ConfigError, match="no training loss"):
        loss_for(head(activation, task))


def images(count: int = 2, side: int = 12) -> np.ndarray:
    return np.random.default_rng(1).random((count, side, side, 1)).astype(np.float32)


def test_no_augmentation_changes_nothing() -> None:
    given_images = images()
    assert augment(given_images, Augmentation(), np.random.default_rng(0)) is given_images


class Fixed:
    """A generator whose draws are all the same share of the bound."""

    def __init__(self, *shares: float) -> None:
        self.shares = shares

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
        draws = np.zeros(shape)
        for index, share in enumerate(self.shares):
            draws[index] = share
        return draws


def moved(**bounds: float) -> np.ndarray:
    return augment(images(), Augmentation(**bounds), Fixed(1.0, 1.0, 1.0, 1.0, 1.0))  # type: ignore[arg-type]


def test_a_whole_pixel_shift_is_a_roll_in_the_interior() -> None:
    result, source = moved(shift=1.0), images()
    rolls = [np.roll(source, (dy, dx), (1, 2)) for dy in (-1, 1) for dx in (-1, 1)]
    assert any(np.allclose(result[:, 2:-2, 2:-2], roll[:, 2:-2, 2:-2], atol=1e-5) for roll in rolls)


def test_a_rotation_agrees_with_scipy() -> None:
    result, source = moved(rotation=20.0), images()
    options = {"axes": (1, 2), "reshape": False, "order": 1, "mode": "nearest"}
    turns = [ndimage.rotate(source, angle, **options) for angle in (-20.0, 20.0)]
    assert any(np.allclose(result[:, 3:-3, 3:-3], turn[:, 3:-3, 3:-3], atol=1e-4) for turn in turns)


@settings(max_examples=25, deadline=None)
@given(
    st.builds(
        Augmentation,
        shift=st.floats(0, 4),
        rotation=st.floats(0, 90),
        zoom=st.floats(0, 0.5),
        shear=st.floats(0, 0.5),
    ),
    st.integers(0, 1000),
)
def test_values_stay_in_the_images_range_and_follow_the_seed(how: Augmentation, seed: int) -> None:
    source = images()
    result = augment(source, how, np.random.default_rng(seed))
    assert result.shape == source.shape
    assert source.min() - 1e-5 <= result.min()
    assert result.max() <= source.max() + 1e-5
    assert np.array_equal(result, augment(source, how, np.random.default_rng(seed)))


@pytest.mark.parametrize("bounds", [{"shift": -1.0}, {"rotation": 180.0}, {"zoom": 1.0}, {"shear": float("nan")}])
def test_bounds_out_of_range_are_refused(bounds: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        augmentation.Augmentation(**bounds)
