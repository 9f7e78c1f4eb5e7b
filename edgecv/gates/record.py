"""Writing a gates file from the figures of a report, so that nobody types numbers."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator
from dataclasses import dataclass

from edgecv.values.latency import Latency
from edgecv.values.report import ArtifactResult, Report, explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """How far the figures of a recorded gates file may be off, in both directions.

    Attributes:
        metric: Of metrics that are shares, in 0..1.
        error: As a share of the metric, for others, whose unit can be anything.
        size: As a share of the size.
        mapped_ops: Number of operators.
        latency_ratio: As a share of the ratio.
    """

    metric: float = 0.006
    error: float = 0.02
    size: float = 0.02
    mapped_ops: float = 0.0
    latency_ratio: float = 0.25


def record(report: Report, *, report_path: str = "report.json", tolerances: Tolerances | None = None) -> str:
    """Return the text of a gates file that `report` passes.

    An unknown figure becomes a comment that says why. Latencies are recorded as ratios, measured ones only.

    Args:
        report: Whose figures become the references.
        report_path: Path of report.json relative to where the gates file will be.
        tolerances: None for the defaults.
    """
    allowed = tolerances or Tolerances()
    lines = [
        "# Recorded by edgecv check --record; tolerances are in each figure's own unit.",
        f"report = {_string(report_path)}",
    ]
    for artifact in report.artifacts:
        lines += ["", "[[gate]]", f"artifact = {_string(artifact.name)}", *_figures(report, artifact, allowed)]
    return "\n".join(lines) + "\n"


def _figures(report: Report, artifact: ArtifactResult, allowed: Tolerances) -> Iterator[str]:
    if artifact.value is None:
        yield _unknown(report, artifact, "metric")
    else:
        is_share = artifact.metric is None or artifact.metric.is_share
        off = allowed.metric if is_share else allowed.error * abs(artifact.value)
        yield f"metric = {_bound(artifact.value, off)}"
    yield f"size_bytes = {_bound(artifact.size_bytes, round(allowed.size * artifact.size_bytes))}"
    if artifact.mapping is None:
        yield _unknown(report, artifact, "mapping")
    for mapping in (artifact.mapping, *artifact.other_mappings):
        if mapping is not None:
            yield f"mapped_ops.{_string(mapping.target)} = {_bound(mapping.n_mapped, allowed.mapped_ops)}"
    yield from _ratios(report, artifact, allowed)


def _ratios(report: Report, artifact: ArtifactResult, allowed: Tolerances) -> Iterator[str]:
    known = [_ratio(latency, allowed) for latency in artifact.latency if latency.kind == "measured"]
    kept = [text for text in known if text]
    if not kept:
        yield _unknown(report, artifact, "ratio_to_baseline" if artifact.latency else "latency")
    else:
        yield "latency_ratio = [" + ", ".join(kept) + "]"


def _ratio(latency: Latency, allowed: Tolerances) -> str:
    if latency.ratio_to_baseline is None or latency.ratio_ci95 is None:
        return ""
    selectors = (
        f"device = {_string(glob.escape(latency.device))}, "
        f"accelerator = {_string(glob.escape(latency.accelerator))}, threads = {latency.threads}"
    )
    return _bound(latency.ratio_to_baseline, allowed.latency_ratio * latency.ratio_to_baseline, selectors)


def _bound(reference: float, tolerance: float, more: str = "") -> str:
    fields = f"reference = {reference!r}, tolerance_down = {_round(tolerance)}, tolerance_up = {_round(tolerance)}"
    return "{" + fields + (f", {more}" if more else "") + "}"


def _round(number: float) -> str:
    return f"{number:.3g}" if abs(number) < 1000 else f"{number:.0f}"


def _unknown(report: Report, artifact: ArtifactResult, figure: str) -> str:
    why = explanation(report.warnings, artifact.name, figure) or "the report does not say why"
    # A TOML comment holds one line without control characters.
    line = "".join(c if c.isprintable() else " " for c in why)
    return f"# {figure} is not recorded: {line}"


def _string(text: str) -> str:
    # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
