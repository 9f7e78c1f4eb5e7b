"""Putting what a benchmark measured on devices into a report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import edgecv.bench as bench
import edgecv.report as reports
from edgecv.bench import DeviceResult
from edgecv.core.files import sha256
from edgecv.jobs.baselines import BaselineFile
from edgecv.jobs.report import file_name, latency_summary, now
from edgecv.modelio.model_file import model_file
from edgecv.values.latency import DeviceFailure, Latency, ThreadSweep
from edgecv.values.report import UNKNOWN, ArtifactResult, Baseline, Report

LOCAL = "local"
Profiles = Mapping[tuple[str, str], bench.Profiled]
"""Device and file name to its operator profile."""


def bench_report(
    files: Sequence[Path],
    base: BaselineFile | None,
    found: Sequence[DeviceResult],
    profiles: Profiles,
    threads: tuple[int, ...],
) -> Report:
    """Return a report without metrics; every unknown figure has a warning.

    Args:
        files: In order.
        base: The float model, when there was one.
        found: What was measured; several of one device where it measured several groups.
        profiles: Of operators.
        threads: Numbers of threads; several make sweeps.
    """
    failures = tuple(failure for result in found for failure in result.failures)
    artifacts = tuple(_artifact(file, _latencies(file, base, found, profiles, threads)) for file in files)
    baselines = _baselines(base, found) if base else ()
    several = len({result.device.name for result in found}) > 1 or found[0].device.name != LOCAL
    made = Report(
        created=now(),
        host=reports.host_facts(),
        dataset=None,
        baseline=baselines[0] if baselines else None,
        artifacts=artifacts,
        warnings=(*_unevaluated(artifacts), *_unmeasured(failures), *_unprofiled(profiles), *_unseen(artifacts)),
        baselines=baselines if len(baselines) > 1 else (),
        devices=_facts(found) if several else {},
        failures=failures,
        sweeps=_sweeps(files, base, found, threads) if len(threads) > 1 else (),
    )
    return reports.completed(made)


def _latencies(
    file: Path,
    base: BaselineFile | None,
    found: Sequence[DeviceResult],
    profiles: Profiles,
    threads: tuple[int, ...],
) -> tuple[Latency, ...]:
    """Return a file's latencies, per device and number of threads, without ratios to what is no baseline."""
    latencies = []
    for device, latency in _measured(file, found, threads):
        kept = latency if base else replace(latency, ratio_to_baseline=None, ratio_ci95=None)
        profiled = profiles.get((device, file_name(file))) if latency.threads == threads[0] else None
        found_ops = profiled.profile if profiled else None
        latencies.append(replace(kept, profile=bench.checked(found_ops, kept.p50) if found_ops else None))
    return tuple(latencies)


def _measured(file: Path, found: Sequence[DeviceResult], threads: tuple[int, ...]) -> list[tuple[str, Latency]]:
    names = {file_name(file)} if len(threads) == 1 else {bench.sweep_name(file_name(file), count) for count in threads}
    return [(r.device.name, one.latency) for r in found for one in r.results if one.case.name in names]


def _sweeps(
    files: Sequence[Path], base: BaselineFile | None, found: Sequence[DeviceResult], threads: tuple[int, ...]
) -> tuple[ThreadSweep, ...]:
    reference = base.case().name if base else f"{threads[0]} thread{'s' if threads[0] > 1 else ''}"
    sweeps = []
    for file in files:
        for device in dict.fromkeys(result.device.name for result in found):
            latencies = [latency for on, latency in _measured(file, found, threads) if on == device]
            if len(latencies) > 1:
                sweeps.append(bench.sweep(file_name(file), reference, latencies))
    return tuple(sweeps)


def _baselines(base: BaselineFile, found: Sequence[DeviceResult]) -> tuple[Baseline, ...]:
    made = []
    alone = {result.device.name for result in found} == {LOCAL}
    for result in found:
        latency = next((one.latency for one in result.results if one.case.name == base.case().name), None)
        facts = result.device.facts() if latency and not alone else {}
        hardware = f"{result.device.name}: {facts.get('cpu_model') or 'CPU'}" if facts else base.engine.device
        made.append(
            Baseline(
                engine=latency.engine if latency else base.engine.engine,
                accelerator=base.engine.accelerator,
                device=hardware,
                metric=None,
                value=None,
                latency_ms=latency_summary(latency) if latency else None,
                kind=latency.kind if latency else result.device.kind,
            )
        )
    return tuple(made)


def _facts(found: Sequence[DeviceResult]) -> dict[str, object]:
    return {result.device.name: dict(result.device.facts()) for result in found if result.results}


def _artifact(file: Path, latencies: tuple[Latency, ...]) -> ArtifactResult:
    opened = model_file(file)
    if opened.manifest is not None:
        return reports.artifact_result(
            file, opened.manifest, folder=Path.cwd(), name=file_name(file), latency=latencies
        )
    return ArtifactResult(
        name=file_name(file),
        path=Path(os.path.relpath(file)).as_posix(),
        format=opened.format,
        scheme=UNKNOWN,
        method=UNKNOWN,
        sparsity=None,
        target=UNKNOWN,
        size_bytes=file.stat().st_size,
        sha256=sha256(file),
        latency=latencies,
    )


def _unprofiled(profiles: Profiles) -> tuple[str, ...]:
    return tuple(
        f"{file} on {device}: profile unknown: {p.reason}" for (device, file), p in profiles.items() if p.reason
    )


def _unevaluated(artifacts: Sequence[ArtifactResult]) -> tuple[str, ...]:
    return tuple(f"{a.name}: metric, drop and mapping unknown: bench measures latency only" for a in artifacts)


def _unmeasured(failures: Sequence[DeviceFailure]) -> tuple[str, ...]:
    return tuple(f"{f.artifact}: latency on {f.device} unknown: {f.message}" for f in failures)


def _unseen(artifacts: Sequence[ArtifactResult]) -> tuple[str, ...]:
    """Say once per device what it does not tell of its state."""
    states = {x.device: x.conditions.after for a in artifacts for x in a.latency if x.conditions is not None}
    return tuple(
        f"{device}: {figure} unknown: {reason}"
        for device, state in states.items()
        for figure, reason in state.missing.items()
    )
