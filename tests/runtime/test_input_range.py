"""What an input tensor holds against what a contract feeds it: certain, likely, and nothing."""

from __future__ import annotations

import numpy as np
import pytest

from edgecv.runtime.input_range import Held, held_as, held_by, misfit, outside
from edgecv.values.manifest import TensorInfo
from edgecv.values.specs import InputSpec, Preprocessing


def only(mean: float, std: float) -> InputSpec:
    return InputSpec("image", (4, 4, 1), Preprocessing("gray", mean=(mean,), std=(std,)))


RAW, UNIT, CENTRED, SHIFTED = only(0, 1), only(0, 255), only(127.5, 127.5), only(128, 1)
"""0..255, 0..1, -1..1 and -128..127."""


@pytest.mark.parametrize(
    ("dtype", "scale", "zero", "low", "high"),
    [
        ("uint8", 1 / 255, 0, 0, 1), ("int8", 1 / 255, -128, 0, 1), ("uint8", 2 / 255, 128, -256 / 255, 254 / 255),
        ("int8", 1.0, -128, 0, 255), ("int16", 0.5, 0, -16384, 16383.5), ("uint8", None, None, 0, 255),
        ("int8", None, None, -128, 127),
    ],
)  # fmt: skip
def test_what_a_tensor_holds(dtype, scale, zero, low, high):
    found = held_by(TensorInfo("x", (1, 4), dtype, scale, zero))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.is_scaled == (scale is not None)


def test_floats_and_bools_hold_anything():
    for dtype in ("float32", "float16", "bool"):
        assert held_by(TensorInfo("x", (1,), dtype)) is None


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize(
    ("spec", "low", "high", "verdict"),
    [
        (RAW, 0, 255, None), (UNIT, 0, 1, None), (CENTRED, -1, 1, None), (SHIFTED, -128, 127, None),
        (RAW, 0, 1, "certain"), (RAW, -1, 1, "certain"), (UNIT, 0, 255, "certain"), (CENTRED, 0, 255, "certain"),
        (CENTRED, -128, 127, "certain"), (UNIT, -128, 127, "certain"), (SHIFTED, -1, 1, "certain"),
        (CENTRED, 0, 1, "likely"), (UNIT, 0, 0.4, "likely"), (RAW, 0, 120, "likely"), (RAW, -123, 255, None),
        (UNIT, 0, 0.9, None), (UNIT, 0, 2.0, "likely"), (RAW, -128, 127, "likely"), (SHIFTED, 0, 255, "likely"),
    ],
)  # fmt: skip
def test_ranges_of_one_scale_and_of_others(dtype, spec, low, high, verdict):
    scale = (high - low) / 255
    zero = round(np.iinfo(dtype).min - low / scale)
    # A zero point of 0 says symmetric for int8: this is about the others.
    zero = zero or 1
    found = misfit(spec, held_as(dtype, scale, zero))
    assert (found and ("certain" if found.certain else "likely")) == verdict
    if found:
        assert "by its quantisation, and the spec feeds" in found.text


def test_half_of_a_symmetric_range_may_be_empty():
    assert misfit(UNIT, held_as("int8", 1 / 127, 0)) is None
    assert misfit(UNIT, held_as("int16", 1 / 32767, 0)) is None
    assert misfit(RAW, held_as("int16", 255 / 32767, 0)) is None
    assert misfit(UNIT, held_as("int16", 255 / 32767, 0)).certain
    assert misfit(RAW, held_as("int16", 1 / 32767, 0)).certain


@pytest.mark.parametrize(
    ("dtype", "spec", "fits"),
    [
        ("uint8", RAW, True), ("uint8", UNIT, False), ("uint8", CENTRED, False), ("uint8", SHIFTED, False),
        ("int8", SHIFTED, True), ("int8", RAW, False), ("int8", UNIT, False), ("int32", RAW, True),
        ("int32", UNIT, False), ("int64", RAW, True), ("int16", RAW, True), ("uint16", SHIFTED, False),
    ],
)  # fmt: skip
def test_integers_without_a_scale_take_whole_numbers(dtype, spec, fits):
    found = misfit(spec, held_as(dtype, None, None))
    assert (found is None) == fits
    if found:
        assert found.certain
        assert f"{dtype} without a scale, so it takes whole numbers" in found.text


@pytest.mark.parametrize(
    ("held", "hint"),
    [
        (Held(0.0, 1.0, "uint8"), "mean 0 and std 255"), (Held(0, 255, "uint8"), "mean 0 and std 1 "),
        (Held(-1, 1, "uint8"), "mean 127.5 and std 127.5"), (Held(-128, 127, "int8", False), "mean 128 and std 1 "),
    ],
)  # fmt: skip
def test_the_hint_names_the_scaling_that_fits(held, hint):
    wrong = only(-5000, 0.001)
    assert hint in misfit(wrong, held).hint


def test_the_hint_of_wide_integers_is_to_leave_pixels_alone():
    assert "mean 0 and std 1 " in misfit(UNIT, held_as("int32", None, None)).hint


def test_feature_vectors_have_no_known_range():
    assert misfit(InputSpec("features", (4,)), held_as("int8", 1e-6, 0)) is None


def test_the_share_that_is_clipped():
    values = np.array([-0.5, 0.0, 0.5, 1.0, 1.001, 3.0, 4.0, 0.2], np.float32)
    assert outside(values, Held(0, 1, "uint8")) == pytest.approx(3 / 8)
