"""One file for several devices, and one for each: by devices that play scripted timings."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecv.jobs import models
from edgecv.jobs import train as training_job
from edgecv.jobs.optimize import job
from edgecv.jobs.optimize.several import together
from edgecv.values.search import Cost

SPACE = """[quantize]
scheme = ["float32", "int8"]
"""
DEVICES = """[swift]
kind = "fake"
[swift.models."float32.tflite"]
median_ms = 4.0
[swift.models."shape.tflite"]
median_ms = 1.0
[swift.models."quantize.tflite"]
median_ms = 1.0

[slow]
kind = "fake"
[slow.models."float32.tflite"]
median_ms = 40.0
[slow.models."shape.tflite"]
median_ms = 32.0
[slow.models."quantize.tflite"]
median_ms = 32.0
"""


def cost(ratio: float | None, **more: object) -> Cost:
    within = None if ratio is None else (0.9 * ratio, 1.1 * ratio)
    return Cost(ratio=ratio, ratio_ci95=within, size_bytes=7, **more)  # type: ignore[arg-type]


def test_the_device_that_gains_least_decides() -> None:
    first = cost(0.25, latency_ms=9.0, seconds=1.0)
    second = cost(0.5, latency_ms=3.0, seconds=2.0, kind="simulated")
    found = together(("a", "b"), (first, second))
    assert (found.ratio, found.ratio_ci95) == (0.5, (0.45, 0.55))
    assert (found.latency_ms, found.seconds, found.kind, found.size_bytes) == (9.0, 3.0, "simulated", 7)
    assert [(one.device, one.ratio, one.latency_ms) for one in found.each] == [("a", 0.25, 9.0), ("b", 0.5, 3.0)]
    assert together(("a",), (first,)) == first


def test_a_file_that_one_device_does_not_run_is_none_for_all() -> None:
    broken = Cost(ratio=None, ratio_ci95=None, size_bytes=7, failure="no kernel")
    assert together(("a", "b"), (cost(0.25), broken)).failure == "on b: no kernel"
    assert together(("a", "b"), (cost(0.25), cost(None))).failure == "on b: its time is not known"


def test_a_limit_is_kept_only_where_every_time_is_known() -> None:
    assert together(("a", "b"), (cost(0.25, latency_ms=1.0), cost(0.5))).latency_ms is None


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    training_job.train(training_job.TrainPlan(name="lenet5", epochs=2), out=folder / "lenet5.keras")
    (folder / "space.toml").write_text(SPACE)
    (folder / "devices.toml").write_text(DEVICES)
    return folder


def plan(given: Path) -> job.OptimizePlan:
    return job.OptimizePlan(
        space=given / "space.toml", max_drop=20.0, device="swift", further_devices=("slow",),
        devices=given / "devices.toml",
    )  # fmt: skip


def test_one_file_for_all(given: Path) -> None:
    found = job.optimize(models.Source(path=given / "lenet5.keras"), plan(given), out=given / "all")
    assert found.device == "swift, slow"
    assert found.winner is not None
    assert found.winner.cost.ratio == pytest.approx(0.8, rel=0.1)
    assert {one.device: one.ratio for one in found.winner.cost.each} == {
        "swift": pytest.approx(0.25, rel=0.1), "slow": pytest.approx(0.8, rel=0.1),
    }  # fmt: skip


@pytest.mark.slow
def test_one_for_each_makes_what_they_share_once(given: Path) -> None:
    found = job.optimize_each(models.Source(path=given / "lenet5.keras"), plan(given), out=given / "each")
    assert list(found.outcomes) == ["swift", "slow"]
    for name, ratio in (("swift", 0.25), ("slow", 0.8)):
        assert (given / "each" / name / "winner.tflite").exists()
        winner = found.outcomes[name].winner
        assert winner is not None
        assert winner.cost.ratio == pytest.approx(ratio, rel=0.1)
    assert found.outcomes["swift"].made > 0
    assert found.outcomes["slow"].made == 0, "accuracies are no device's"
