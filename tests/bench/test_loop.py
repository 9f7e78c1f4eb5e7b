from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgecv.bench import BenchCase, BenchPlan, ResultsFile, bench, plan
from edgecv.bench.devices.fake import FakeDevice, FakeModel
from edgecv.bench.records import Measurement
from edgecv.core.errors import ConfigError, DeviceError, UnsupportedModelError

SHORT = BenchPlan(min_launches=3, max_launches=8, launch_seconds=0.01, min_rounds=6, max_rounds=12, max_seconds=100)
STEADY = {"a": FakeModel(median_ms=2.0), "b": FakeModel(median_ms=1.0, load_ms=7.0, peak_rss_bytes=9)}


def run(device: FakeDevice, cases, baseline, chosen: BenchPlan = SHORT, **options):
    return bench(cases, baseline=baseline, device=device, plan=chosen, clock=device.clock, **options)


def test_a_steady_device_gives_exact_figures(case_of):
    base, case = run(FakeDevice(STEADY), [case_of("a", engine="litert")], case_of("b"))
    assert case.case.name == "a"
    assert case.latency.ratio_to_baseline == pytest.approx(2.0)
    assert case.latency.ratio_ci95 == pytest.approx((2.0, 2.0))
    assert case.latency.p50 == case.latency.p99 == pytest.approx(2.0)
    assert case.latency.engine == "litert"
    assert (base.latency.p50, base.latency.load_ms, base.latency.first_ms) == pytest.approx((1.0, 7.0, 3.0))
    assert base.latency.ratio_to_baseline is None
    assert base.latency.peak_rss_bytes == 9
    assert case.latency.kind == "simulated", "a fake device measures nothing"
    assert case.latency.warnings == ()
    assert len(case.latency.samples) == len(base.latency.samples) == 3 * SHORT.min_rounds


def test_results_come_in_order_with_the_baseline_first(case_of):
    names = [r.case.name for r in run(FakeDevice(STEADY), [case_of("b"), case_of("a")], case_of("b"))]
    assert names == ["b", "b", "a"]


def test_without_a_baseline_there_is_no_ratio(case_of):
    (only,) = run(FakeDevice(STEADY), [case_of("a")], None)
    assert only.latency.ratio_to_baseline is None
    assert only.latency.ratio_ci95 is None


def test_a_baseline_alone_is_measured(case_of):
    device = FakeDevice(STEADY)
    (only,) = run(device, [], case_of("b"))
    assert only.latency.p50 == pytest.approx(1.0)
    assert device.launches == SHORT.min_launches


def test_each_launch_starts_fresh_processes(case_of):
    device = FakeDevice(STEADY)
    run(device, [case_of("a")], case_of("b"))
    assert device.launches == 2 * SHORT.min_launches


def test_rounds_alternate_in_random_order(case_of, monkeypatch):
    seen: list[str] = []
    from edgecv.bench.link import AgentLink

    plain = AgentLink.run
    monkeypatch.setattr(AgentLink, "run", lambda self, *a: (seen.append(self._label), plain(self, *a))[1])
    run(FakeDevice(STEADY), [case_of("a")], case_of("b"))
    rounds = ["".join(seen[i : i + 2]) for i in range(0, len(seen), 2)]
    assert set(rounds) == {"ab", "ba"}


def test_blocks_are_equally_long(case_of):
    saved: list[Measurement] = []
    models = {"a": FakeModel(median_ms=0.05), "b": FakeModel(median_ms=0.01)}
    run(FakeDevice(models), [case_of("a")], case_of("b"), save=saved.append)
    launch = saved[-1].launches[0]
    assert launch.baseline is not None
    assert (launch.case.iterations, launch.baseline.iterations) == (10, 50)


def test_noise_is_answered_with_more_launches_until_the_interval_is_narrow(case_of):
    saved: list[Measurement] = []
    models = {name: FakeModel(median_ms=0.1, launch_sigma=0.02, block_sigma=0.01) for name in "ab"}
    chosen = replace(SHORT, max_launches=60, target_width=0.04)
    _, case = run(FakeDevice(models), [case_of("a")], case_of("b"), chosen, save=saved.append)
    low, high = case.latency.ratio_ci95
    assert SHORT.min_launches < len(saved[-1].launches) < 60
    assert high - low <= 0.04 * case.latency.ratio_to_baseline


def test_a_spent_budget_gives_a_wide_interval_and_says_so(case_of):
    models = {name: FakeModel(median_ms=0.1, launch_sigma=0.2) for name in "ab"}
    _, case = run(FakeDevice(models), [case_of("a")], case_of("b"), replace(SHORT, max_seconds=2.0, target_width=0.01))
    assert any("aimed at 1.0%" in text for text in case.latency.warnings)


def test_slow_models_get_few_rounds_but_every_launch(case_of):
    saved: list[Measurement] = []
    models = {name: FakeModel(median_ms=1000.0) for name in "ab"}
    run(FakeDevice(models), [case_of("a")], case_of("b"), replace(SHORT, max_seconds=10.0), save=saved.append)
    assert [len(launch.case.wall_ms) for launch in saved[-1].launches] == [3, 3, 3]


def test_pinning_is_for_single_threaded_cpu_pairs(case_of):
    def cpus(threads: int, pin: bool = True) -> list[int | None]:
        saved: list[Measurement] = []
        case = case_of("a", threads=threads)
        run(FakeDevice(STEADY), [case], case_of("b"), replace(SHORT, pin=pin), save=saved.append)
        return [saved[-1].launches[0].case.cpu, saved[-1].launches[0].baseline.cpu]

    assert cpus(1) == [0, 0]
    assert cpus(2) == [None, None]
    assert cpus(1, pin=False) == [None, None]


def test_a_simulated_time_has_no_ratio_to_a_measured_one(case_of):
    device = FakeDevice({"a": FakeModel(kind="simulated"), "b": FakeModel()}, kind="measured")
    base, case = run(device, [case_of("a")], case_of("b"))
    assert (base.latency.kind, case.latency.kind) == ("measured", "simulated")
    assert case.latency.ratio_to_baseline is None
    assert any("no ratio to the baseline" in text for text in case.latency.warnings)


def test_the_same_seed_gives_the_same_result(case_of):
    models = {name: FakeModel(launch_sigma=0.02, block_sigma=0.05) for name in "ab"}
    first = run(FakeDevice(models, seed=3), [case_of("a")], case_of("b"))
    again = run(FakeDevice(models, seed=3), [case_of("a")], case_of("b"))
    assert first == again
    assert first != run(FakeDevice(models, seed=4), [case_of("a")], case_of("b"))


def test_interrupted_blocks_do_not_move_the_ratio(case_of):
    quiet = FakeModel(median_ms=0.1)
    models = {"a": replace(quiet, interruption_share=0.3), "b": quiet}
    _, case = run(FakeDevice(models), [case_of("a")], case_of("b"), replace(SHORT, max_rounds=60, min_rounds=60))
    assert case.latency.ratio_to_baseline == pytest.approx(1.0)
    assert case.latency.p99 > 0.5, "but percentiles tell of them"
    assert any("interrupted by other processes" in text for text in case.latency.warnings)


def test_slow_models_on_a_busy_machine_are_compared_by_cpu_time(case_of):
    models = {
        n: FakeModel(median_ms=m, interruption_share=0.9, interruption_ms=9.0) for n, m in (("a", 6.0), ("b", 4.0))
    }
    _, case = run(FakeDevice(models), [case_of("a")], case_of("b"))
    assert case.latency.ratio_to_baseline == pytest.approx(1.5)
    assert any("the ratio is of CPU times" in text for text in case.latency.warnings)


def test_a_device_that_drops_out_leaves_what_is_finished(case_of, tmp_path: Path):
    store = ResultsFile(tmp_path / "bench.json")
    cases, base = [case_of("a"), case_of("c")], case_of("b")
    models = {**STEADY, "c": FakeModel(median_ms=4.0)}
    whole = FakeDevice(models)
    expected = run(whole, cases, base)

    dropping = FakeDevice(models, fail_after=whole.answers * 3 // 4)
    with pytest.raises(DeviceError, match=r"(b|c): while measuring: the agent process ended"):
        run(dropping, cases, base, save=store.save)
    kept = ResultsFile(store.path).read()
    assert [(m.name, m.complete) for m in kept] == [("a", True), ("c", False)]

    resumed = FakeDevice(models)
    assert run(resumed, cases, base, save=store.save, earlier=kept) == expected
    assert 0 < resumed.launches < whole.launches
    assert all(m.complete for m in ResultsFile(store.path).read())


def test_earlier_results_of_other_contents_or_plans_do_not_count(case_of):
    saved: list[Measurement] = []
    case, base = case_of("a"), case_of("b")
    run(FakeDevice(STEADY), [case], base, save=saved.append)
    same = FakeDevice(STEADY)
    run(same, [case], base, earlier=saved)
    assert same.launches == 0
    other_plan = FakeDevice(STEADY)
    run(other_plan, [case], base, replace(SHORT, seed=1), earlier=saved)
    assert other_plan.launches > 0
    Path(case.path).write_text("retrained")
    other_file = FakeDevice(STEADY)
    run(other_file, [case], base, earlier=saved)
    assert other_file.launches > 0


def test_processes_are_ended_whatever_happens(case_of, monkeypatch):
    opened = []
    plain = FakeDevice.start
    monkeypatch.setattr(FakeDevice, "start", lambda self: opened.append(plain(self)) or opened[-1])
    with pytest.raises(DeviceError):
        run(FakeDevice(STEADY, fail_after=5), [case_of("a")], case_of("b"))
    assert len(opened) == 2
    assert all(channel.closed for channel in opened)


def test_a_file_the_device_cannot_run_is_named(case_of):
    with pytest.raises(UnsupportedModelError, match="z: while loading: z is not a model"):
        run(FakeDevice(STEADY), [case_of("z")], case_of("b"))


def test_requests_that_make_no_sense(case_of):
    device = FakeDevice(STEADY)
    with pytest.raises(ConfigError, match="nothing to measure"):
        run(device, [], None)
    with pytest.raises(ConfigError, match="two bench cases are called 'a'"):
        run(device, [case_of("a"), case_of("a")], None)
    with pytest.raises(ConfigError, match="does not exist"):
        run(device, [BenchCase(name="x", path="/nowhere.tflite")], None)
    assert device.launches == 0


def test_plans():
    assert plan("quick", seed=4).seed == 4
    with pytest.raises(ConfigError, match="unknown bench plan 'quik'") as raised:
        plan("quik")
    assert "did you mean 'quick'" in raised.value.hint
    for wrong in ({"min_launches": 2}, {"max_launches": 3}, {"max_seconds": 0.0}, {"min_rounds": 2}, {"max_rounds": 4}):
        with pytest.raises(ConfigError, match="bench plan"):
            BenchPlan(**wrong)
    with pytest.raises(ConfigError, match="threads"):
        BenchCase(name="x", path="x", threads=0)
