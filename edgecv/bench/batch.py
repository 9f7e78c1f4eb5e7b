"""Several files on several devices at once: a thread per device, failures that cost nobody else's results.

Devices that share a machine measure in turn, since they would disturb one another: this host and all that it emulates,
and those with the same `lane` attribute.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecv.bench import loop, summary
from edgecv.bench.cases import BenchCase
from edgecv.bench.devices import LocalDevice
from edgecv.bench.devices.base import THIS_HOST, Channel, Device
from edgecv.bench.link import AgentLink
from edgecv.bench.loop import Pair, Setting
from edgecv.bench.records import CaseResult, Measurement
from edgecv.core.errors import DeviceError, EdgecvError
from edgecv.core.progress import Advance
from edgecv.values.latency import DeviceFailure

GONE = "not tried: the device does not answer any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceJob:
    """What to measure on one device.

    Attributes:
        baseline: As `bench` takes it.
        setting: Its device, plan, retries, …
    """

    cases: tuple[BenchCase, ...]
    baseline: BenchCase | None
    setting: Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceResult:
    """What came of a DeviceJob.

    Attributes:
        results: Of what was measured, the baseline first when there is one, as `bench` returns them.
        failures: Of what was not.
    """

    device: Device
    results: tuple[CaseResult, ...]
    failures: tuple[DeviceFailure, ...]


def bench_devices(jobs: Sequence[DeviceJob]) -> tuple[DeviceResult, ...]:
    """Measure on every device, on devices that share no machine at the same time.

    A launch in which a device fails is tried again as often as its setting says. A file that cannot be measured even
    so is a failure, and the next file's turn comes; a device that does not even start an agent is given up.

    Args:
        jobs: One per device. Savers and reporters are called from several threads.

    Returns:
        One per job, in order.

    Raises:
        ConfigError: There is nothing to measure, two cases share a name, or a file is missing.
    """
    for job in jobs:
        loop.check(job.cases, job.baseline)
    total = sum(len(_pairs(job)) for job in jobs)
    with jobs[0].setting.reporter.bar("bench", total) as plain:
        advance = _Shared(plain)
        lanes = _lanes(jobs)
        jobs = [replace(job, setting=replace(job.setting, device=_Remembering(job.setting.device))) for job in jobs]
        one = len(lanes) == 1
        found = dict(_in_turn(jobs, range(len(jobs)), advance)) if one else _at_once(jobs, lanes, advance)
    return tuple(found[index] for index in range(len(jobs)))


def lane(device: Device) -> str:
    """Return the name of what a device shares with others of that name: they measure in turn."""
    here = isinstance(device, LocalDevice) or device.kind == "simulated"
    return str(getattr(device, "lane", THIS_HOST if here else device.name))


class _Remembering:
    """A device that tells its facts even when it is gone, once it has told them."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._facts: Mapping[str, Any] | None = None
        self.name = device.name
        self.kind = device.kind

    def facts(self) -> Mapping[str, Any]:
        if self._facts is None:
            self._facts = self._device.facts()
        return self._facts

    def put(self, path: Path) -> str:
        return self._device.put(path)

    def start(self) -> Channel:
        return self._device.start()


class _Stopped(Exception):
    """The run was interrupted: a thread is to end."""


class _Shared:
    """Progress of several threads; ends them when told to."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def end_if_stopped(self) -> None:
        if self.stopped.is_set():
            raise _Stopped

    def __call__(self, steps: int = 1, note: str = "") -> None:
        self.end_if_stopped()
        with self._lock:
            self._advance(steps, note=note)


def _lanes(jobs: Sequence[DeviceJob]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, job in enumerate(jobs):
        found.setdefault(lane(job.setting.device), []).append(index)
    return found


def _at_once(jobs: Sequence[DeviceJob], lanes: dict[str, list[int]], advance: _Shared) -> dict[int, DeviceResult]:
    pool = ThreadPoolExecutor(len(lanes), thread_name_prefix="bench")
    try:
        stoppable = [_stoppable(job, advance) for job in jobs]
        work = [pool.submit(lambda rows: dict(_in_turn(stoppable, rows, advance)), rows) for rows in lanes.values()]
        # With a limit of time, so that Ctrl-C is heard at once.
        while (found := wait(work, timeout=0.5, return_when=FIRST_EXCEPTION)).not_done:
            if any(task.exception() for task in found.done):
                break
        done = [task.result() for task in found.done]
        return {index: result for one in done for index, result in one.items()}
    finally:
        advance.stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _stoppable(job: DeviceJob, advance: _Shared) -> DeviceJob:
    """Return the job with a clock, which is read between blocks, that ends the thread once it is to end."""
    plain = job.setting.clock

    def clock() -> float:
        advance.end_if_stopped()
        return plain()

    return replace(job, setting=replace(job.setting, clock=clock))


def _in_turn(
    jobs: Sequence[DeviceJob], rows: Sequence[int], advance: Callable[..., None]
) -> Iterator[tuple[int, DeviceResult]]:
    for index in rows:
        yield index, _on_device(jobs[index], advance)


def _pairs(job: DeviceJob) -> tuple[Pair, ...]:
    return loop.pairs(job.cases, job.baseline, job.setting.plan)


def _on_device(job: DeviceJob, advance: Callable[..., None]) -> DeviceResult:
    name, gone = job.setting.device.name, False
    done: dict[str, Measurement] = {}
    failures: list[DeviceFailure] = []
    for pair in _pairs(job):
        case = pair[0]
        if gone:
            failures.append(_failure(name, case, DeviceError(GONE, hint="see the failure before it"), 0))
            continue
        try:
            done[case.name] = loop.measure(pair, job.setting, advance)
        except EdgecvError as error:
            attempts = job.setting.retries + 1 if isinstance(error, DeviceError) else 1
            failures.append(_failure(name, case, error, attempts))
            job.setting.reporter.warn(f"{name}: {case.name} was not measured: {error.message}")
            gone = isinstance(error, DeviceError) and not _answers(job.setting.device)
        advance(1, note=f"{name}: {case.name}")
    return DeviceResult(device=job.setting.device, results=_results(job, done), failures=tuple(failures))


def _results(job: DeviceJob, done: dict[str, Measurement]) -> tuple[CaseResult, ...]:
    """Summarise what was measured; a sustained run's baseline that failed leaves the cases without it."""
    if not done:
        return ()
    cases = [case for case in job.cases if case.name in done]
    alone = job.setting.plan.sustained_s is not None or not job.cases
    baseline = job.baseline if job.baseline is not None and (not alone or job.baseline.name in done) else None
    return summary.results(cases, baseline, tuple(done.values()), job.setting.device, job.setting.plan)


def _answers(device: Device) -> bool:
    with suppress(EdgecvError), AgentLink(device.start(), device.name) as agent:
        agent.hello()
        return True
    return False


def _failure(device: str, case: BenchCase, error: EdgecvError, attempts: int) -> DeviceFailure:
    kind = type(error).__name__
    return DeviceFailure(
        device=device, artifact=case.name, error=kind, message=error.message, hint=error.hint, attempts=attempts
    )
