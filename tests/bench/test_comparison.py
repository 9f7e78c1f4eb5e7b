from __future__ import annotations

import pytest

from edgecv.bench import bench, compare, judge
from edgecv.bench.devices.fake import FakeDevice, FakeModel

from .test_loop import SHORT


def compared(case_of, models, **options):
    device = FakeDevice(models, **options)
    b, a = bench([case_of("a")], baseline=case_of("b"), device=device, plan=SHORT, clock=device.clock)
    return compare("a", "b", a.latency, b.latency)


@pytest.mark.parametrize(
    ("ci95", "verdict"),
    [
        ((0.8, 0.99), "faster"),
        ((1.01, 1.2), "slower"),
        ((0.99, 1.01), "no difference shown"),
        ((1.0, 1.2), "no difference shown"),
        (None, "not comparable"),
    ],
)
def test_a_difference_is_shown_when_one_lies_outside(ci95, verdict):
    assert judge(ci95) == verdict


def test_twice_as_slow(case_of):
    found = compared(case_of, {"a": FakeModel(median_ms=2.0), "b": FakeModel(median_ms=1.0)})
    assert found.verdict == "slower"
    assert found.ratio == pytest.approx(2.0)
    assert found.sentence.startswith("a is slower than b")
    assert "2.000 of b's time" in found.sentence
    assert "simulated" in found.sentence, "a fake device measures nothing"
    assert (found.latency_a.p50, found.latency_b.p50) == pytest.approx((2.0, 1.0))


def test_half_as_slow(case_of):
    found = compared(case_of, {"a": FakeModel(median_ms=0.5), "b": FakeModel(median_ms=1.0)}, kind="measured")
    assert found.sentence == "a is faster than b: it takes 0.500 of b's time, 95 % interval [0.500, 0.500]"


def test_the_same_with_noise_says_what_would_not_show(case_of):
    models = {name: FakeModel(launch_sigma=0.02, block_sigma=0.02) for name in "ab"}
    found = compared(case_of, models, kind="measured")
    low, high = found.ci95
    assert found.verdict == "no difference shown"
    assert found.sentence.startswith("no difference shown between a and b")
    assert f"below about {(high - low) / 2:.1%} would not show" in found.sentence


def test_figures_of_two_kinds_are_not_compared(case_of):
    found = compared(case_of, {"a": FakeModel(kind="simulated"), "b": FakeModel()}, kind="measured")
    assert found.verdict == "not comparable"
    assert found.ratio is None
    assert "only figures of one kind compare" in found.sentence
    assert any(text.startswith("a: ") for text in found.warnings)
