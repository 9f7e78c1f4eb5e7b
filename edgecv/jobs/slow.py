"""Asking the interpreter's profiler why a quantised file is slower than the float one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import edgecv.bench as bench
import edgecv.report as reports
from edgecv.bench import BenchCase
from edgecv.core.progress import QUIET, Reporter
from edgecv.values.latency import Latency, OpProfile
from edgecv.values.report import ArtifactResult, Report


def explained(
    report: Report, files: Mapping[str, Path], *, device: str = "local", reporter: Reporter = QUIET
) -> Report:
    """Profile the slowest quantised file of each format that is slower than its float file, and that float file.

    Args:
        report: With latencies.
        files: Artifact's name to its file.
        device: Where they were timed.
        reporter: Is told what is profiled.

    Returns:
        The report with the profiles in the latencies, and a warning where there could be none; unchanged where no
        quantised file is slower.
    """
    found: dict[str, OpProfile] = {}
    warnings: list[str] = []
    for pair in _worst(reports.slower(report)):
        reporter.info(f"{pair.file.name} is slower than {pair.reference.name}: profiling both")
        for artifact, latency in ((pair.file, pair.own), (pair.reference, pair.other)):
            if artifact.name in found:
                continue
            case = BenchCase(
                name=artifact.name,
                path=str(files[artifact.name]),
                accelerator=latency.accelerator,
                threads=latency.threads,
            )
            answer = bench.profile(case, bench.open_device(device))
            if answer.profile is None:
                warnings.append(f"{artifact.name}: profile unknown: {answer.reason}")
            else:
                found[artifact.name] = bench.checked(answer.profile, latency.p50)
    artifacts = tuple(_with(artifact, found.get(artifact.name)) for artifact in report.artifacts)
    return replace(report, artifacts=artifacts, warnings=(*report.warnings, *warnings))


def _worst(pairs: tuple[reports.Pair, ...]) -> tuple[reports.Pair, ...]:
    """Return the first, which is the slowest, of each format."""
    first = {pair.file.format: pair for pair in reversed(pairs)}
    return tuple(first.values())


def _with(artifact: ArtifactResult, profile: OpProfile | None) -> ArtifactResult:
    if profile is None or not artifact.latency:
        return artifact
    first: Latency = replace(artifact.latency[0], profile=profile)
    return replace(artifact, latency=(first, *artifact.latency[1:]))
