"""Comparing the artifacts of a report with a gates file."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from edgecv.core.errors import ConfigError, nearest
from edgecv.core.files import PathLike
from edgecv.gates.format import Bound, FigureBound, Gate, RatioBound, figure_bounds, load
from edgecv.gates.places import entry_lines, figure_line
from edgecv.values.inspection import MappingSummary
from edgecv.values.latency import Latency
from edgecv.values.report import ArtifactResult, HeadResult, Report, explanation, read_report
from edgecv.values.scores import Metric

Status = Literal["pass", "explained", "regression", "gain", "missing", "unknown"]
PASSING: frozenset[str] = frozenset({"pass", "explained"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One figure of one artifact, checked.

    Attributes:
        artifact: Name in the report, or the gate's pattern when nothing matches it.
        figure: "metric", "size_bytes", "mapped_ops.edgetpu", "latency_ratio[0] on local", … or "artifact".
        where: Gates file and entry.
        line: Of the figure in the gates file, counted from 1; None where it cannot be told.
        status: "regression" is worse than the tolerance allows and "gain" better; "explained" is a gain whose gate
            says why; "missing" is an artifact, and "unknown" a figure, that the report lacks.
        message: What was expected and what was found, as one sentence.
        hint: What to do next; empty when it passes.
        low: Smallest figure that passes; None when there was nothing to compare.
        high: Largest figure that passes.
        value: The report's figure.
        interval: Its 95 % interval, for ratios.
        passed: Whether the gate is satisfied.
    """

    artifact: str
    figure: str
    where: str
    status: Status
    message: str
    hint: str = ""
    low: float | None = None
    high: float | None = None
    value: float | None = None
    interval: tuple[float, float] | None = None
    line: int | None = None
    passed: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "passed", self.status in PASSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """All checks of one gates file.

    Attributes:
        gates: Path of the gates file.
        ungated: Artifacts of the report that no gate speaks of.
        passed: Whether every check passed, and there was one.
    """

    gates: str
    results: tuple[GateResult, ...]
    ungated: tuple[str, ...] = ()
    passed: bool = field(init=False)

    def __post_init__(self) -> None:
        passed = bool(self.results) and all(result.passed for result in self.results)
        object.__setattr__(self, "passed", passed)

    @property
    def failures(self) -> tuple[GateResult, ...]:
        """The checks that did not pass."""
        return tuple(result for result in self.results if not result.passed)


@dataclass(frozen=True, slots=True)
class _Found:
    """A figure of the report: its value or interval, or why there is none."""

    value: float | None
    interval: tuple[float, float] | None = None
    why_unknown: str = ""

    @property
    def span(self) -> tuple[float, float] | None:
        if self.interval is not None:
            return self.interval
        return None if self.value is None else (self.value, self.value)


def check(path: PathLike, *, report: Report | None = None) -> GateReport:
    """Compare a report with a gates file.

    A figure with an interval (a latency ratio) fails only when the whole interval lies beyond the tolerance.

    Args:
        path: The gates file.
        report: The report to check; None reads the one that the gates file names.

    Raises:
        ConfigError: The gates file or the report is missing or wrong.
    """
    source = Path(path)
    gates = load(source)
    if report is None:
        report = named_report(source)
    text = source.read_text(encoding="utf-8")
    lines, entries = text.splitlines(), entry_lines(text, len(gates.gate))
    results: list[GateResult] = []
    gated: set[str] = set()
    for i, gate in enumerate(gates.gate):
        matched = _matching(gate.artifact, report)
        gated.update(artifact.name for artifact in matched)
        for result in _check_gate(gate, matched, report, f"{source}: gate[{i}]"):
            line = figure_line(lines, entries[i], result.figure) if entries else None
            results.append(replace(result, line=line))
    ungated = tuple(a.name for a in report.artifacts if a.name not in gated)
    return GateReport(gates=str(source), results=tuple(results), ungated=ungated)


def report_path(path: PathLike) -> Path:
    """Return the report.json that a gates file names. Raises ConfigError when it names none, or is wrong."""
    source = Path(path)
    named = load(source).report
    if named is None:
        raise ConfigError(
            f"{source} names no report", hint='add report = "PATH/report.json", relative to the gates file'
        )
    return source.parent / named


def named_report(path: PathLike) -> Report:
    """Return the report that a gates file names. Raises ConfigError when the file or the report is missing or wrong."""
    return read_report(report_path(path))


def _matching(pattern: str, report: Report) -> list[ArtifactResult]:
    # A name first: "a[1]" is a legal name, and as a glob it would match "a1" only.
    exact = [a for a in report.artifacts if a.name == pattern]
    return exact or [a for a in report.artifacts if fnmatch.fnmatchcase(a.name, pattern)]


def _check_gate(gate: Gate, matched: list[ArtifactResult], report: Report, where: str) -> Iterator[GateResult]:
    if not matched:
        yield _missing_artifact(gate, report, where)
    for artifact in matched:
        if gate.metric is not None:
            found = _Found(artifact.value, None, _why(report, artifact, "metric"))
            yield _compare(artifact.name, "metric", found, gate.metric, _good_way(artifact.metric), where)
        for name, figure_bound in figure_bounds(gate):
            yield _check_figure(report, artifact, name, figure_bound, where)
        if gate.size_bytes is not None:
            found = _Found(float(artifact.size_bytes))
            yield _compare(artifact.name, "size_bytes", found, gate.size_bytes, "down", where)
        for target, bound in gate.mapped_ops.items():
            yield _compare(artifact.name, f"mapped_ops.{target}", _mapped(report, artifact, target), bound, "up", where)
        for i, ratio_bound in enumerate(gate.latency_ratio):
            yield from _check_ratio(report, artifact, i, ratio_bound, where)


def _good_way(metric: Metric | None) -> Literal["up", "down"]:
    return "down" if metric is not None and metric.better == "lower" else "up"


def _check_figure(
    report: Report, artifact: ArtifactResult, name: tuple[str, ...], bound: FigureBound, where: str
) -> GateResult:
    heads = [head for head in artifact.heads if not bound.head or head.head == bound.head]
    value = _figure(heads[0], name) if heads else None
    better = bound.better or (heads[0].metric.better if heads else "higher")
    why = _why(report, artifact, "metric") if not artifact.heads else _why_not(artifact, bound, heads, name)
    on = f" of head {bound.head}" if bound.head else ""
    found = _Found(value, None, why)
    way: Literal["up", "down"] = "up" if better == "higher" else "down"
    return _compare(artifact.name, ".".join(name) + on, found, bound, way, where)


def _figure(head: HeadResult, name: tuple[str, ...]) -> float | None:
    if name[0] == "figures":
        return head.value if name[1] == head.metric.name else head.figures.get(name[1])
    return head.per_label.get(name[1], {}).get(name[2])


def _why_not(artifact: ArtifactResult, bound: FigureBound, heads: Sequence[HeadResult], name: tuple[str, ...]) -> str:
    if not heads:
        return f"no head is called '{bound.head}'; known: {', '.join(head.head for head in artifact.heads)}"
    known: Mapping[str, object] = heads[0].figures if name[0] == "figures" else heads[0].per_label
    if name[0] == "per_label" and name[1] in heads[0].per_label:
        known = heads[0].per_label[name[1]]
    if name[-1] in known:
        return "it is undefined on these samples"
    return f"head '{heads[0].head}' has none of that name; it has {', '.join(known) or 'none'}"


def _missing_artifact(gate: Gate, report: Report, where: str) -> GateResult:
    names = [a.name for a in report.artifacts]
    match = nearest(gate.artifact, names)
    guess = f"did you mean '{match}'? " if match else ""
    return GateResult(
        artifact=gate.artifact,
        figure="artifact",
        where=where,
        status="missing",
        message=f"expected an artifact '{gate.artifact}' in the report, got none among {len(names)}",
        hint=f"{guess}the report has: {', '.join(names) or 'no artifacts'}",
    )


def _mapped(report: Report, artifact: ArtifactResult, target: str) -> _Found:
    mappings: list[MappingSummary] = [m for m in (artifact.mapping, *artifact.other_mappings) if m is not None]
    for mapping in mappings:
        if mapping.target == target:
            return _Found(float(mapping.n_mapped))
    return _Found(None, None, _why(report, artifact, "mapping"))


def _check_ratio(
    report: Report, artifact: ArtifactResult, index: int, bound: RatioBound, where: str
) -> Iterator[GateResult]:
    figure = f"latency_ratio[{index}]"
    matched = [latency for latency in artifact.latency if _selects(bound, latency)]
    if not matched:
        why = _why(report, artifact, "latency")
        wanted = f"a {bound.kind} latency on device '{bound.device}', accelerator '{bound.accelerator}'"
        yield _compare(artifact.name, figure, _Found(None, None, f"{wanted} is not there; {why}"), bound, "down", where)
    for latency in matched:
        setting = f"{figure} on {latency.device}, {latency.accelerator}, {latency.threads} threads"
        yield _compare(artifact.name, setting, _ratio(report, artifact, latency), bound, "down", where)


def _selects(bound: RatioBound, latency: Latency) -> bool:
    return (
        latency.kind == bound.kind
        and _named(bound.device, latency.device)
        and _named(bound.accelerator, latency.accelerator)
        and bound.threads in (None, latency.threads)
    )


def _named(pattern: str, name: str) -> bool:
    return name == pattern or fnmatch.fnmatchcase(name, pattern)


def _ratio(report: Report, artifact: ArtifactResult, latency: Latency) -> _Found:
    if latency.ratio_to_baseline is None or latency.ratio_ci95 is None:
        return _Found(None, None, _why(report, artifact, "ratio_to_baseline"))
    return _Found(latency.ratio_to_baseline, latency.ratio_ci95)


def _why(report: Report, artifact: ArtifactResult, figure: str) -> str:
    return explanation(report.warnings, artifact.name, figure) or "the report does not say why"


def _compare(
    artifact: str, figure: str, found: _Found, bound: Bound, better: Literal["up", "down"], where: str
) -> GateResult:
    span = found.span
    status = "unknown" if span is None else _judge(span, bound, better)
    return GateResult(
        artifact=artifact,
        figure=figure,
        where=where,
        status=status,
        message=_message(found, bound, status),
        hint=_hint(status, figure),
        low=bound.low,
        high=bound.high,
        value=found.value,
        interval=found.interval,
    )


def _judge(span: tuple[float, float], bound: Bound, better: Literal["up", "down"]) -> Status:
    # 0.986 - 0.006 is not exactly 0.98: a figure on the edge of its tolerance passes.
    slack = 1e-9 * max(1.0, abs(bound.low), abs(bound.high))
    below, above = span[1] < bound.low - slack, span[0] > bound.high + slack
    if not below and not above:
        return "pass"
    if above == (better == "up"):
        return "explained" if bound.explained else "gain"
    return "regression"


def _message(found: _Found, bound: Bound, status: Status) -> str:
    expected = f"expected {_plain(bound.low)} to {_plain(bound.high)} (reference {_plain(bound.reference)})"
    if found.value is None:
        return f"{expected}, got no figure: {found.why_unknown}"
    interval = f", 95 % interval {_plain(found.interval[0])} to {_plain(found.interval[1])}" if found.interval else ""
    reason = f"; explained: {bound.explained}" if status == "explained" else ""
    return f"{expected}, got {_plain(found.value)}{interval}{reason}"


def _hint(status: Status, figure: str) -> str:
    name = figure.split(" on ")[0]
    return {
        "pass": "",
        "explained": f"set {name}'s reference to the new figure and drop 'explained'",
        "regression": f"find the change that made {name} worse; if it is wanted, record the gates again",
        "gain": f'find out why {name} got better, then add explained = "why" or record the gates again',
        "missing": "",
        "unknown": f"make the report again with {name}, or remove it from the gate",
    }[status]


def _plain(number: float) -> str:
    return f"{number:.6g}" if abs(number) < 1e6 else f"{number:.0f}"
