from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecv.bench import BenchCase, BenchPlan, ResultsFile, bench
from edgecv.bench.devices import open_device
from edgecv.bench.devices.fake import FakeDevice, FakeModel
from edgecv.bench.sustained import drift
from edgecv.core.errors import ConfigError, DeviceError

PLAN = BenchPlan(sustained_s=10.0, window_s=2.0)
MODELS = {"a": FakeModel(median_ms=2.0, block_sigma=0.01), "b": FakeModel(median_ms=1.0)}


def run(device: FakeDevice, cases, baseline=None, plan: BenchPlan = PLAN, **options):
    return bench(cases, baseline=baseline, device=device, plan=plan, clock=device.clock, **options)


class Warming(FakeDevice):
    """Its clock falls by a third after so many seconds; the state tells why."""

    def __init__(self, slow_after_s: float) -> None:
        super().__init__({"a": FakeModel(median_ms=2.0, block_sigma=0.01)})
        self.slow_after_s = slow_after_s
        self.state = {"temperatures_c": {"cpu": 50.0}, "throttled": False}

    def answer(self) -> None:
        super().answer()
        if self.clock.now > self.slow_after_s:
            self.models = {"a": FakeModel(median_ms=3.0, block_sigma=0.01)}
            self.state = {"temperatures_c": {"cpu": 85.0}, "throttled": True}

    def start(self):
        channel = super().start()
        plain = channel._run

        def follow(request):
            channel._model = self.models["a"]
            return plain(request)

        channel._run = follow
        return channel


def test_windows_cover_the_run(case_of):
    (only,) = run(FakeDevice(MODELS), [case_of("a")])
    found = only.latency.sustained
    assert only.latency.mode == "sustained"
    assert found.seconds == pytest.approx(10.0, abs=0.05)
    assert [window.start_s for window in found.windows] == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert sum(window.inferences for window in found.windows) == found.inferences
    assert found.inferences == pytest.approx(5000, rel=0.02)
    assert found.throughput_per_s == pytest.approx(500, rel=0.01)
    assert found.busy_share == pytest.approx(1.0, abs=0.01), "a fake device answers at once"
    assert all(window.p50 == pytest.approx(2.0, rel=0.01) for window in found.windows)
    assert only.latency.samples, "raw samples are kept"


def test_a_steady_device_does_not_drift(case_of):
    (only,) = run(FakeDevice(MODELS), [case_of("a")])
    low, high = only.latency.sustained.drift_ci95
    assert low < 1.0 < high
    assert high - low < 0.02
    assert not any("became" in text for text in only.latency.warnings)


def test_a_device_that_becomes_slower_is_told(case_of):
    (only,) = run(Warming(slow_after_s=6.0), [case_of("a")])
    found = only.latency.sustained
    assert found.drift == pytest.approx(1.5, rel=0.02)
    assert found.drift_ci95[0] > 1.4
    assert found.windows[-1].throughput_per_s == pytest.approx(333, rel=0.02)
    assert any("the device became slower" in text for text in only.latency.warnings)
    before, after = only.latency.conditions.before, only.latency.conditions.after
    assert (before.temperatures_c["cpu"], before.throttled) == (50.0, False)
    assert (after.temperatures_c["cpu"], after.throttled) == (85.0, True)


def test_energy_is_per_inference(case_of):
    class Metered(FakeDevice):
        def answer(self) -> None:
            super().answer()
            self.state = {"energy_uj": {"rapl package-0": round(self.clock.now * 5e6)}}

    (only,) = run(Metered(MODELS, kind="measured"), [case_of("a")])
    (energy,) = only.latency.sustained.energy
    assert energy.joules == pytest.approx(50.0, rel=0.01), "5 W for 10 s"
    assert energy.per_inference_mj == pytest.approx(10.0, rel=0.02)
    assert only.latency.sustained.energy_missing is None

    (simulated,) = run(Metered(MODELS), [case_of("a")])
    assert simulated.latency.sustained.energy == ()
    assert "simulated" in simulated.latency.sustained.energy_missing, "the host's energy is no device's"


def test_without_a_counter_energy_is_not_available(case_of):
    device = FakeDevice(MODELS, kind="measured", state={"missing": {"energy_uj": "no counter here"}})
    (only,) = run(device, [case_of("a")])
    assert only.latency.sustained.energy == ()
    assert only.latency.sustained.energy_missing == "not available: no counter here"
    assert any(text == "energy not available: no counter here" for text in only.latency.warnings)


def test_the_baseline_comes_first_and_there_is_no_ratio(case_of):
    device = FakeDevice(MODELS)
    base, case = run(device, [case_of("a")], case_of("b"))
    assert (base.case.name, case.case.name) == ("b", "a")
    assert (base.latency.p50, case.latency.p50) == pytest.approx((1.0, 2.0), rel=0.01)
    assert case.latency.ratio_to_baseline is None
    assert any("sustained runs come one after the other" in text for text in case.latency.warnings)
    assert not any("ratio" in text for text in base.latency.warnings)
    assert device.launches == 2


def test_a_finished_run_is_not_made_again_and_a_dropped_one_is(case_of, tmp_path: Path):
    store = ResultsFile(tmp_path / "raw.json")
    cases = [case_of("a"), case_of("b")]
    whole = FakeDevice(MODELS)
    expected = run(whole, cases)
    dropping = FakeDevice(MODELS, fail_after=whole.answers * 3 // 4)
    with pytest.raises(DeviceError, match="b: while measuring"):
        run(dropping, cases, save=store.save)
    resumed = FakeDevice(MODELS)
    again = run(resumed, cases, save=store.save, earlier=store.read())
    assert resumed.launches == 1
    assert again[0] == expected[0]


def test_bursts_and_sustained_runs_do_not_stand_in_for_each_other(case_of):
    saved = []
    run(FakeDevice(MODELS), [case_of("a")], save=saved.append)
    burst = FakeDevice(MODELS)
    run(burst, [case_of("a")], plan=BenchPlan(min_launches=3, max_launches=3), earlier=saved)
    assert burst.launches == 3


def test_lengths_that_make_no_sense():
    for seconds, window in ((10.0, 6.0), (10.0, 0.0), (-1.0, 1.0)):
        with pytest.raises(ConfigError, match="two windows at least"):
            BenchPlan(sustained_s=seconds, window_s=window)


def test_drift_by_hand():
    first, last = np.full(16, 2.0), np.full(16, 3.0)
    assert drift([first, last]).value == pytest.approx(1.5)
    assert drift([first, last]).low == pytest.approx(1.5)
    assert drift([first, last[:7]]) is None


def test_drift_intervals_hold_the_truth():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        first, last = (2.0 * np.exp(rng.normal(0, 0.1, 80)) for _ in range(2))
        found = drift([first, 1.1 * last])
        held += found.low <= 1.1 <= found.high
    assert 182 <= held <= 198, "95 % of 200, within three standard errors or so"


def test_a_real_agent(onnx_file):
    case = BenchCase(name="gemm", path=str(onnx_file))
    plan = replace(PLAN, sustained_s=1.2, window_s=0.4, warmup_ms=1.0)
    (only,) = bench([case], baseline=None, device=open_device("local"), plan=plan)
    found = only.latency.sustained
    assert len(found.windows) == 3
    assert found.inferences == sum(window.inferences for window in found.windows) > 0
    assert 0 < found.busy_share <= 1
    assert found.drift is None or found.drift > 0, "a busy machine may leave too few blocks in a window"
    assert only.latency.conditions is not None
