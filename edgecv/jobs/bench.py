"""Timing files: several on several devices, two against each other, and with several numbers of threads."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import edgecv.bench as bench
from edgecv.bench import BaselineEngine, BenchCase, BenchPlan, Comparison, Device, DeviceJob, DeviceResult, ResultsFile
from edgecv.core import errors
from edgecv.core.errors import ConfigError, EdgecvError
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs import delegates, meaning, starting
from edgecv.jobs.baselines import BaselineFile, contract, open_baseline
from edgecv.jobs.bench_report import LOCAL, Profiles, bench_report
from edgecv.jobs.report import distinct, file_name
from edgecv.modelio.model_file import model_file
from edgecv.targets import vulkan
from edgecv.values.latency import DeviceFailure
from edgecv.values.report import Report
from edgecv.values.spec_file import read_spec

EACH_CPU = "the baseline is the float model on each device's own CPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """Where and how to time files.

    Attributes:
        devices: Names as `open_device` takes them, of shipped devices or of those in `devices_file`.
        threads: Numbers of interpreter threads; several make a sweep.
        retries: How often in a row a launch in which a device fails is tried again.
        mode: "burst" or "sustained"; `seconds` is the length of a sustained run, `window` of its windows (None: a
            tenth of it).
        profile: Whether to time single operators too.
        precision: On a GPU, "float16" or "float32"; None leaves it to the accelerator.
        partial: On a GPU, run refused operators on the CPU instead of refusing the file.
        baseline_engine: Of the baseline on this host: "auto" or a name, see `choose_baseline_engine`.
        spec: TOML of the baseline's contract, for one that has none; None takes that of the files.
    """

    devices: tuple[str, ...] = (LOCAL,)
    devices_file: Path | None = None
    engine: str | None = None
    accelerator: str = "cpu"
    threads: tuple[int, ...] = (1,)
    plan: str = "default"
    seed: int = 0
    retries: int = 2
    mode: str = "burst"
    seconds: float | None = None
    window: float | None = None
    profile: bool = False
    precision: str | None = None
    partial: bool = False
    baseline_engine: str = "auto"
    spec: Path | None = None


def thread_counts(text: str) -> tuple[int, ...]:
    """Read "4" or "1,2,4". Raises ConfigError when it is something else."""
    return bench.parse_threads(text)


def bench_files(
    files: Sequence[Path],
    request: BenchRequest,
    *,
    baseline: Path | None = None,
    out: Path | None = None,
    reporter: Reporter = QUIET,
) -> Report:
    """Time files on every device, each interleaved with the baseline.

    Args:
        files: `.tflite` and `.onnx` files.
        request: Where and how.
        baseline: The float model; None gives absolute times only.
        out: File of raw results, saved after each launch; a killed run goes on from it.
        reporter: Takes progress, and a warning for each retry.

    Returns:
        A report without metrics: its warnings say so. What could not be measured is in `failures`.

    Raises:
        ConfigError, UnsupportedModelError: A file or option is wrong.
        EdgecvError: Nothing at all could be measured; the first failure.
    """
    if request.accelerator == "gpu":
        vulkan.activate_first()
    plan = _plan(request)
    devices = [bench.open_device(device, request.devices_file) for device in _different(request.devices)]
    cases = [_case(file, request) for file in distinct(files)]
    spec = read_spec(request.spec) if request.spec else None
    for file in files:
        delegates.warn_wrong(file, request.accelerator, reporter)
        opened = model_file(file)
        meaning.check_inputs(opened, opened.manifest.spec if opened.manifest else spec, reporter)
    with contextlib.ExitStack() as held:
        base = held.enter_context(_open_baseline(baseline, files, request, reporter)) if baseline else None
        jobs = _jobs(cases, base, devices, plan, request, out, reporter)
        found = starting.with_layers(bench.bench_devices(jobs), files)
        found = starting.with_startup(found, reporter)
        profiles = _profiles(cases, found, request, reporter)
    _require_something(found)
    return bench_report(files, base, found, profiles, request.threads)


def compare_files(
    a: Path, b: Path, request: BenchRequest, *, out: Path | None, reporter: Reporter = QUIET
) -> Comparison:
    """Time two files interleaved in one run, and judge the ratio.

    Raises:
        ConfigError, UnsupportedModelError: A file or option is wrong.
        DeviceError: The device failed, and so did the retries; finished launches are in `out`.
    """
    if request.accelerator == "gpu":
        vulkan.activate_first()
    names = (file_name(a), file_name(b)) if file_name(a) != file_name(b) else (f"A ({a})", f"B ({b})")
    for file in (a, b):
        delegates.warn_wrong(file, request.accelerator, reporter)
    case_a, case_b = (replace(_case(file, request), name=called) for file, called in zip((a, b), names, strict=True))
    store = ResultsFile(out) if out else None
    of_b, of_a = bench.bench(
        [case_a],
        baseline=case_b,
        device=bench.open_device(request.devices[0], request.devices_file),
        plan=_plan(request),
        save=store.save if store else None,
        earlier=store.read() if store else (),
        retries=request.retries,
        reporter=reporter,
    )
    return bench.compare(*names, of_a.latency, of_b.latency)


def require_measured(result: Report) -> None:
    """Raise the gravest of a report's failures: a device's before a file's."""
    if result.failures:
        raise _error(min(result.failures, key=lambda failure: failure.error != "DeviceError"), len(result.failures))


def _plan(request: BenchRequest) -> BenchPlan:
    chosen = bench.plan(request.plan, seed=request.seed)
    if request.mode not in ("burst", "sustained"):
        raise errors.unknown_name("mode", request.mode, ("burst", "sustained"))
    if request.mode == "burst":
        if request.seconds is not None or request.window is not None:
            raise ConfigError("--seconds and --window are for sustained runs", hint="pass --mode sustained as well")
        return chosen
    if len(request.threads) > 1:
        raise ConfigError("numbers of threads are compared in bursts", hint="leave --mode sustained out, or name one")
    seconds = request.seconds or 60.0
    return replace(chosen, sustained_s=seconds, window_s=request.window or seconds / 10)


def _different(devices: Sequence[str]) -> Sequence[str]:
    twice = next((device for device in devices if devices.count(device) > 1), None)
    if twice is not None:
        raise ConfigError(f"the device '{twice}' is named twice")
    return devices


def _case(file: Path, request: BenchRequest) -> BenchCase:
    return BenchCase(
        name=file_name(file),
        path=str(file),
        engine=request.engine,
        accelerator=request.accelerator,
        threads=request.threads[0],
        precision=request.precision,
        partial=request.partial,
    )


def _open_baseline(
    source: Path, files: Sequence[Path], request: BenchRequest, reporter: Reporter
) -> contextlib.AbstractContextManager[BaselineFile]:
    """Make the baseline ready: for this host's GPU only when nothing else is measured."""
    spec = contract(request.spec, files)
    if request.devices == (LOCAL,):
        return open_baseline(source, seed=request.seed, wanted=request.baseline_engine, spec=spec, reporter=reporter)
    if request.baseline_engine != "auto":
        raise ConfigError(
            f"--baseline-engine {request.baseline_engine} is for this host, and other devices are measured too",
            hint="leave it out: each device runs the baseline on its own CPU",
        )
    choice = BaselineEngine(
        engine="litert", accelerator="cpu", format="tflite", device="the device's CPU", sentence=EACH_CPU
    )
    return open_baseline(source, seed=request.seed, choice=choice, spec=spec, reporter=reporter)


def _baseline_case(base: BaselineFile, device: Device) -> BenchCase:
    # Another device has the interpreters that it has; the agent there takes one that fits.
    return base.case() if device.name == LOCAL else replace(base.case(), engine=None)


def _jobs(
    cases: Sequence[BenchCase],
    base: BaselineFile | None,
    devices: Sequence[Device],
    plan: BenchPlan,
    request: BenchRequest,
    out: Path | None,
    reporter: Reporter,
) -> list[DeviceJob]:
    store = ResultsFile(out) if out else None
    known = {measurement.key: measurement for measurement in (store.read() if store else ())}
    jobs = []
    for device in devices:
        setting = bench.Setting(
            device=device,
            plan=plan,
            save=store.save if store else None,
            known=known,
            retries=request.retries,
            reporter=reporter,
        )
        for group, against in _groups(cases, _baseline_case(base, device) if base else None, request.threads):
            jobs.append(DeviceJob(cases=group, baseline=against, setting=setting))
    return jobs


def _groups(
    cases: Sequence[BenchCase], base: BenchCase | None, counts: tuple[int, ...]
) -> list[tuple[tuple[BenchCase, ...], BenchCase | None]]:
    """Return what is measured against what; a sweep without a baseline is against its first number of threads."""
    if len(counts) == 1:
        return [(tuple(cases), base)]
    if base is not None:
        return [(tuple(one for case in cases for one in bench.sweep_cases(case, counts)), base)]
    swept = [bench.sweep_cases(case, counts) for case in cases]
    return [(several[1:], several[0]) for several in swept]


def _require_something(found: Sequence[DeviceResult]) -> None:
    failures = [failure for result in found for failure in result.failures]
    if failures and not any(result.results for result in found):
        raise _error(failures[0], len(failures))


def _error(failure: DeviceFailure, count: int) -> EdgecvError:
    kind = getattr(errors, failure.error, errors.DeviceError)
    tried = f" (tried {failure.attempts} times)" if failure.attempts > 1 else ""
    others = f"; {count - 1} more could not be measured" if count > 1 else ""
    error: EdgecvError = kind(f"{failure.device}: {failure.message}{tried}{others}", hint=failure.hint)
    return error


def _profiles(
    cases: Sequence[BenchCase], found: Sequence[DeviceResult], request: BenchRequest, reporter: Reporter
) -> Profiles:
    """Profile each file once per device on which it was measured, with the first number of threads."""
    if not request.profile:
        return {}
    made = {}
    for result in found:
        measured = {one.case.path for one in result.results}
        for case in cases:
            if case.path in measured and (result.device.name, case.name) not in made:
                reporter.info(f"{result.device.name}: profiling {case.name}")
                made[result.device.name, case.name] = bench.profile(case, result.device, seed=request.seed)
    return made
