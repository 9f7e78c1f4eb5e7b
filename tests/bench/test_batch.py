"""Several devices: failures of one cost nobody else's results, and nothing finished is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import edgecv
from edgecv.bench import BenchPlan, DeviceJob, ResultsFile, Setting, bench, bench_devices
from edgecv.bench.batch import GONE, lane
from edgecv.bench.cases import BenchCase
from edgecv.bench.devices import open_device
from edgecv.bench.devices.fake import FakeDevice, FakeModel
from edgecv.core.errors import ConfigError, DeviceError
from edgecv.core.progress import Quiet

from .test_local import TINY
from .test_loop import SHORT, STEADY

MODELS = {**STEADY, "c": FakeModel(median_ms=4.0)}


class Listener(Quiet):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def job(device: FakeDevice, cases, baseline, **options) -> DeviceJob:
    options = {"plan": SHORT, "clock": device.clock, "sleep": lambda seconds: None, **options}
    return DeviceJob(cases=tuple(cases), baseline=baseline, setting=Setting(device=device, **options))


class Flaky(FakeDevice):
    """Fails at the answers numbered so, and works again."""

    def __init__(self, *failing: int, **options) -> None:
        super().__init__(MODELS, **options)
        self.failing = set(failing)

    def answer(self) -> None:
        self.answers += 1
        if self.answers in self.failing:
            raise DeviceError("the agent process ended by signal 9", hint="")


def test_every_file_on_every_device(case_of):
    devices = [FakeDevice(MODELS, name=name) for name in ("one", "two", "three")]
    found = bench_devices([job(device, [case_of("a"), case_of("c")], case_of("b")) for device in devices])
    assert [result.device.name for result in found] == ["one", "two", "three"]
    for result in found:
        assert [one.case.name for one in result.results] == ["b", "a", "c"]
        assert {one.latency.device for one in result.results} == {result.device.name}
        assert [one.latency.ratio_to_baseline for one in result.results[1:]] == pytest.approx([2.0, 4.0])
        assert result.failures == ()


def test_several_devices_give_what_each_gives_alone(case_of):
    noisy = {name: FakeModel(launch_sigma=0.02, block_sigma=0.05) for name in "ab"}
    devices = [FakeDevice(noisy, name=name, seed=3) for name in ("one", "two")]
    found = bench_devices([job(device, [case_of("a")], case_of("b")) for device in devices])
    alone = FakeDevice(noisy, name="two", seed=3)
    assert found[1].results == bench([case_of("a")], baseline=case_of("b"), device=alone, plan=SHORT, clock=alone.clock)


def test_devices_work_at_the_same_time(case_of):
    together = threading.Barrier(2, timeout=20)

    class Meeting(FakeDevice):
        met = False

        def answer(self) -> None:
            super().answer()
            if not self.met:
                self.met = True
                together.wait()

    devices = [Meeting(MODELS, name=name) for name in ("one", "two")]
    found = bench_devices([job(device, [case_of("a")], None) for device in devices])
    assert all(result.results for result in found), "neither could go on without the other"


def test_devices_of_one_machine_take_turns(case_of):
    class Sharing(FakeDevice):
        @property
        def lane(self) -> str:
            return "one machine"

    busy: list[str] = []

    class Jealous(Sharing):
        def start(self):
            busy.append(self.name)
            return super().start()

    devices = [Jealous(MODELS, name=name) for name in ("one", "two")]
    assert {lane(device) for device in devices} == {"one machine"}
    bench_devices([job(device, [case_of("a")], None) for device in devices])
    assert busy == ["one"] * 3 + ["two"] * 3


def test_who_shares_this_host():
    @dataclass
    class Board:
        name: str
        kind: str

    assert lane(open_device("local")) == lane(Board("arm64", "simulated")) == "this host", "it is emulated here"
    assert lane(Board("pi", "measured")) == "pi"


def test_a_dropped_device_is_tried_again_with_fresh_processes(case_of):
    listener, waited = Listener(), []
    device = Flaky(30, name="board")
    (found,) = bench_devices(
        [job(device, [case_of("a")], case_of("b"), retries=2, reporter=listener, sleep=waited.append)]
    )
    assert found.failures == ()
    assert found.results[1].latency.ratio_to_baseline == pytest.approx(2.0)
    assert device.launches == 2 * (SHORT.min_launches + 1), "one pair of processes more"
    assert len(listener.warnings) == 1
    assert "board: " in listener.warnings[0]
    assert "ended by signal 9; trying again with fresh processes (1 of 2)" in listener.warnings[0]
    assert waited == [1.0]


def test_a_retried_result_is_the_undisturbed_one(case_of):
    calm, shaken = FakeDevice(MODELS), Flaky(30)
    plain = bench([case_of("a")], baseline=case_of("b"), device=calm, plan=SHORT, clock=calm.clock)
    (found,) = bench_devices([job(shaken, [case_of("a")], case_of("b"), retries=1)])
    assert found.results == plain


def test_a_device_that_is_gone_costs_nobody_elses_results(case_of, tmp_path: Path):
    store, listener = ResultsFile(tmp_path / "raw.json"), Listener()
    whole = FakeDevice(MODELS)
    base, cases = case_of("b"), [case_of("a"), case_of("c"), case_of("b")]
    bench(cases, baseline=base, device=whole, plan=SHORT, clock=whole.clock)
    gone = FakeDevice(MODELS, name="gone", fail_after=whole.answers // 2)
    fine = FakeDevice(MODELS, name="fine")
    shared = {"save": store.save, "retries": 2, "reporter": listener}
    lost, kept = bench_devices([job(device, cases, base, **shared) for device in (gone, fine)])
    assert [one.case.name for one in kept.results] == ["b", "a", "c", "b"]
    assert kept.failures == ()
    assert [one.case.name for one in lost.results] == ["b", "a"], "what was finished before is kept"
    assert [(f.device, f.artifact, f.attempts) for f in lost.failures] == [("gone", "c", 3), ("gone", "b", 0)]
    assert lost.failures[0].error == "DeviceError"
    assert lost.failures[1].message == GONE
    assert sum("trying again" in text for text in listener.warnings) == 2

    back = FakeDevice(MODELS, name="gone")
    known = {m.key: m for m in store.read()}
    (again,) = bench_devices([job(back, cases, base, known=known)])
    assert [one.case.name for one in again.results] == ["b", "a", "c", "b"]
    assert 0 < back.launches < whole.launches, "only what was missing was measured"


def test_a_device_that_is_gone_still_has_the_facts_that_it_told(case_of):
    class Silent(FakeDevice):
        def facts(self):
            if self.fail_after is not None and self.answers >= self.fail_after:
                raise DeviceError("no route to the board")
            return super().facts()

    whole = FakeDevice(MODELS)
    bench([case_of("a")], baseline=case_of("b"), device=whole, plan=SHORT, clock=whole.clock)
    device = Silent(MODELS, fail_after=whole.answers)
    (found,) = bench_devices([job(device, [case_of("a"), case_of("c")], case_of("b"))])
    assert [one.case.name for one in found.results] == ["b", "a"]
    assert found.device.facts()["cpu_model"] == "fake"
    (never,) = bench_devices([job(Silent(MODELS, fail_after=0), [case_of("a")], None, retries=1)])
    assert [(f.message, f.attempts) for f in never.failures] == [("no route to the board", 2)]


def test_a_file_that_one_device_cannot_run_does_not_stop_the_others(case_of):
    poor, rich = FakeDevice(STEADY, name="poor"), FakeDevice(MODELS, name="rich")
    cases = [case_of("c"), case_of("a")]
    first, second = bench_devices([job(device, cases, case_of("b"), retries=2) for device in (poor, rich)])
    assert [(f.artifact, f.error, f.attempts) for f in first.failures] == [("c", "UnsupportedModelError", 1)]
    assert [one.case.name for one in first.results] == ["b", "a"]
    assert second.failures == ()


def test_one_bad_file_on_a_device_that_still_answers_leaves_its_other_files(case_of):
    class Choking(FakeDevice):
        """Dies whenever it loads c."""

        def start(self):
            channel = super().start()
            plain = channel._load

            def load(request):
                if request["path"] == "c":
                    raise DeviceError("the agent process ended by signal 11", hint="")
                return plain(request)

            channel._load = load
            return channel

    cases = [case_of("c"), case_of("a")]
    (found,) = bench_devices([job(Choking(MODELS), cases, case_of("b"), retries=1)])
    assert [(f.artifact, f.attempts) for f in found.failures] == [("c", 2)]
    assert [one.case.name for one in found.results] == ["b", "a"]


def test_a_sustained_baseline_that_fails_leaves_the_cases(case_of):
    plan = BenchPlan(sustained_s=4.0, window_s=1.0)
    device = FakeDevice({"a": FakeModel(median_ms=2.0)})
    (found,) = bench_devices([job(device, [case_of("a")], case_of("b"), plan=plan)])
    assert [f.artifact for f in found.failures] == ["b"]
    assert [one.case.name for one in found.results] == ["a"]


def test_an_error_of_ours_ends_all_threads(case_of):
    class Broken(FakeDevice):
        def facts(self):
            raise RuntimeError("a defect")

    devices = [Broken(MODELS, name="broken"), FakeDevice(MODELS, name="fine")]
    with pytest.raises(RuntimeError, match="a defect"):
        bench_devices([job(device, [case_of("a")], None) for device in devices])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bench")]


def test_an_interruption_ends_a_long_run_at_once(case_of, monkeypatch):
    """Ctrl-C reaches the main thread; the others hear of it between two blocks, not after their run."""
    started = threading.Event()

    class Endless(FakeDevice):
        def answer(self) -> None:
            super().answer()
            self.clock.now = 0.0
            started.set()

    def interrupted(*arguments: object, **options: object) -> None:
        assert started.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr("edgecv.bench.batch.wait", interrupted)
    plan = BenchPlan(sustained_s=1e6, window_s=1.0)
    devices = [Endless(MODELS, name=name) for name in ("one", "two")]
    with pytest.raises(KeyboardInterrupt):
        bench_devices([job(device, [case_of("a")], None, plan=plan) for device in devices])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bench")]


def test_requests_are_checked_before_anything_starts(case_of):
    device = FakeDevice(MODELS)
    with pytest.raises(ConfigError, match="does not exist"):
        bench_devices([job(device, [BenchCase(name="x", path="/nowhere")], None)])
    assert device.launches == 0


def test_a_real_agent_killed_in_mid_run_is_replaced(onnx_file):
    """SIGKILL to a real agent process, as the kernel's out-of-memory killer sends it."""
    local = open_device("local")
    killed: list[int] = []

    class Killing:
        name, kind = local.name, local.kind
        facts, put = local.facts, local.put

        def start(self):
            channel = local.start()
            if not killed:
                plain, count = channel.send, [0]

                def send(line: str) -> None:
                    count[0] += '"run"' in line
                    if count[0] == 3:
                        os.kill(channel.pid, signal.SIGKILL)
                        killed.append(channel.pid)
                        count[0] += 1
                    plain(line)

                channel.send = send
            return channel

    case, listener = BenchCase(name="gemm", path=str(onnx_file)), Listener()
    setting = Setting(device=Killing(), plan=TINY, retries=1, reporter=listener, sleep=lambda seconds: None)
    (found,) = bench_devices([DeviceJob(cases=(case,), baseline=replace(case, name="base"), setting=setting)])
    assert len(killed) == 1
    assert "signal 9" in listener.warnings[0]
    assert found.failures == ()
    assert found.results[1].latency.ratio_ci95 is not None


RESUMED = """
import os, signal, sys
from edgecv.bench import BenchCase, DeviceJob, ResultsFile, Setting, bench_devices, open_device
from tests.bench.test_local import TINY

store, kill_after = ResultsFile(sys.argv[2]), int(sys.argv[3])
saved = []

def save(measurement):
    store.save(measurement)
    saved.append(measurement)
    if len(saved) == kill_after:
        os.kill(os.getpid(), signal.SIGKILL)

case = BenchCase(name="gemm", path=sys.argv[1])
known = {m.key: m for m in store.read()}
setting = Setting(device=open_device("local"), plan=TINY, save=save, known=known)
(result,) = bench_devices([DeviceJob(cases=(case,), baseline=None, setting=setting)])
print(len(saved), len(result.results))
"""


def test_a_killed_bench_goes_on_where_it_was(onnx_file, tmp_path: Path):
    raw = tmp_path / "raw.json"
    root = Path(edgecv.__file__).parents[1]

    def go(kill_after: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", RESUMED, str(onnx_file), str(raw), str(kill_after)]
        return subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=120)

    assert go(2).returncode == -signal.SIGKILL
    before = ResultsFile(raw).read()[0]
    assert len(before.launches) == 2
    done = go(0)
    assert done.stdout.split() == ["1", "1"], done.stderr
    after = ResultsFile(raw).read()[0]
    assert after.launches[:2] == before.launches
    assert after.complete
