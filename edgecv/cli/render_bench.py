"""How benchmark results look in a terminal. Each function takes one frozen result and prints it to stdout."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgecv.cli.console import emit, emit_table
from edgecv.cli.figures import baseline_line, interval

if TYPE_CHECKING:
    from edgecv.values.latency import DeviceState, Latency, OpProfile, Startup, ThreadSweep
    from edgecv.values.report import ArtifactResult, Report

MOST_OPS = 20
MOST_NAMES = 3
FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
IN_BROWSERS = ("wasm", "webgpu")
"""Accelerators of browsers, whose figures share no table with native ones."""
BROWSERS = "in browsers"
SPARE = ("load ms", "first ms", "p99 ms", "p90 ms", "engine", "kind", "95 % interval")
"""Columns that a narrow screen leaves out, the first one first."""


def report(result: Report) -> None:
    _baseline(result)
    several = bool(result.devices)
    pairs = list(_pairs(result))
    browsers = [pair for pair in pairs if pair[1].accelerator in IN_BROWSERS]
    native = [pair for pair in pairs if pair not in browsers]
    if native or not browsers:
        _table("", native, several)
    if browsers:
        _table(BROWSERS if native else "", browsers, several)
    for line in _clocks(result):
        emit(line)
    for artifact, latency in _pairs(result):
        where = f"{artifact.name} on {latency.device}" if several else artifact.name
        _details(where, latency)
    for line in warned(_warnings(result, several)):
        emit(line)
    for sweep in result.sweeps:
        _sweep(sweep)
    for failure in result.failures:
        tried = f" (tried {failure.attempts} times)" if failure.attempts > 1 else ""
        emit(f"{failure.artifact} on {failure.device}: NOT MEASURED{tried}: {failure.message}")


def _table(title: str, pairs: Sequence[tuple[ArtifactResult, Latency]], several: bool) -> None:
    rows = [(a.name, *_latency(latency, several)) for a, latency in pairs]
    header = (
        "file",
        *(("device",) if several else ()),
        *("engine", "load ms", "first ms", "p50 ms", "p90 ms", "p99 ms", "ratio", "95 % interval", "kind"),
    )
    emit_table(title, header, rows, right=tuple(range(2 + several, 9 + several)), spare=SPARE)


def _clocks(result: Report) -> Iterator[str]:
    """Say of each browser what its times were read from: a page's clock is coarser than any other one here."""
    for device, facts in result.devices.items():
        if isinstance(facts, Mapping) and "browser" in facts:
            isolated = "isolated" if facts.get("isolated") else "not isolated"
            clock = f"its clock steps {facts.get('clock_resolution_us')} us, which blocks of inferences average out"
            yield f"{device}: {facts['browser']} on {facts.get('os')}, {isolated}; {clock}"


def _baseline(result: Report) -> None:
    if result.baseline is None or not result.devices:
        emit(baseline_line(result))
        return
    for base in result.baselines or (result.baseline,):
        time = "unknown" if base.latency_ms is None else f"{base.latency_ms.p50:.3f} ms"
        emit(f"baseline: float model on {base.device} with {base.engine}, p50 {time} ({base.kind})")


def comparison(result: Any) -> None:
    rows = [(name, *_latency(latency, False)) for name, latency in _sides(result)]
    header = ("file", "engine", "load ms", "first ms", "p50 ms", "p90 ms", "p99 ms", "ratio", "95 % interval", "kind")
    emit_table("", header, rows, right=tuple(range(2, 9)), spare=SPARE)
    for line in warned([(name, warning) for name, latency in _sides(result) for warning in latency.warnings]):
        emit(line)
    emit(f"{result.verdict}: {result.sentence}")


def _sides(result: Any) -> tuple[tuple[str, Latency], ...]:
    return ((result.a, result.latency_a), (result.b, result.latency_b))


def _pairs(result: Report) -> Iterator[tuple[ArtifactResult, Latency]]:
    for artifact in result.artifacts:
        for latency in artifact.latency:
            yield artifact, latency


def _latency(found: Latency, several: bool) -> tuple[str, ...]:
    threads = f", {found.threads} threads" if found.threads > 1 else ""
    return (
        *((found.device,) if several else ()),
        f"{found.engine} {found.accelerator}{threads}",
        _ms(found.load_ms),
        _ms(found.first_ms),
        _ms(found.p50),
        _ms(found.p90),
        _ms(found.p99),
        "" if found.ratio_to_baseline is None else f"{found.ratio_to_baseline:.3f}",
        interval(found.ratio_ci95, 3),
        found.kind,
    )


def _details(where: str, latency: Latency) -> None:
    if latency.sustained is not None:
        _sustained(where, latency)
    if latency.startup is not None:
        _startup(where, latency, latency.startup)
    if latency.profile is not None:
        _profile(where, latency.profile, latency.kind)


def _warnings(result: Report, several: bool) -> list[tuple[str, str]]:
    return [
        (f"{artifact.name} on {latency.device}" if several else artifact.name, warning)
        for artifact, latency in _pairs(result)
        for warning in latency.warnings
    ]


def warned(told: Sequence[tuple[str, str]]) -> list[str]:
    """Return each warning once, with how many files it is about; those that differ in figures alone are one.

    Args:
        told: (what it is about, the warning), in the order of the files.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for where, warning in told:
        groups.setdefault(FIGURE.sub("#", warning), []).append((where, warning))
    lines = []
    for alike in groups.values():
        where, warning = alike[0]
        others = list(dict.fromkeys(name for name, _ in alike))
        if len(others) > 1:
            same = len({text for _, text in alike}) == 1
            where = (
                f"{len(others)} files ({_names(others)})"
                if same
                else f"{where}, and {len(others) - 1} other{'' if len(others) == 2 else 's'} alike"
            )
        lines.append(f"warning: {where}: {warning}")
    return lines


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown}, …"


def _startup(where: str, latency: Latency, found: Startup) -> None:
    ways = {"without a program cache": found.cold, "filling one": found.storing, "with one": found.warm}
    rows = [(way, _ms(start.load_ms), _ms(start.compile_ms), _ms(start.first_ms)) for way, start in ways.items()]
    title = f"{where}: start-up, apart from latency: {found.kind}, medians of {found.launches} fresh processes"
    emit_table(title, ("start", "load ms", "of it compile ms", "first ms"), rows, right=(1, 2, 3))
    precision = latency.precision or "a precision that could not be found out"
    emit(f"{where}: in {precision} on {latency.adapter}; its programs take {found.cache_bytes:,} bytes in the cache")
    if not found.from_cache:
        emit(f"{where}: the accelerator read no programs from the cache, so that no start was warm")


def _sustained(where: str, latency: Latency) -> None:
    found = latency.sustained
    assert found is not None
    rows = [
        (f"{w.start_s:.1f}", f"{w.inferences:,}", f"{w.throughput_per_s:,.1f}", _ms(w.p50), _ms(w.p90))
        for w in found.windows
    ]
    title = f"{where}: {found.seconds:.0f} s without a pause, {found.throughput_per_s:,.1f} inferences/s"
    emit_table(title, ("from s", "inferences", "per s", "p50 ms", "p90 ms"), rows, right=(0, 1, 2, 3, 4))
    drift = "unknown" if found.drift is None else f"{found.drift:.3f} {interval(found.drift_ci95, 3)}"
    emit(f"last window over first: {drift}; computing {found.busy_share:.0%} of the time")
    for energy in found.energy:
        emit(f"energy, {energy.source}: {energy.per_inference_mj:.4g} mJ an inference, {energy.joules:.4g} J in all")
    if latency.conditions is not None:
        _state("before", latency.conditions.before)
        _state("after", latency.conditions.after)


def _state(moment: str, state: DeviceState) -> None:
    parts = [f"{name} {value:.1f} °C" for name, value in state.temperatures_c.items()]
    parts += [f"{cpu} {mhz:.0f} MHz" for cpu, mhz in state.frequency_mhz.items()]
    parts += [f"governor {state.governor}"] if state.governor else []
    parts += ["throttled" if state.throttled else "not throttled"] if state.throttled is not None else []
    emit(f"{moment}: {', '.join(parts) or 'the device tells nothing of its temperature and clock'}")


def _profile(where: str, found: OpProfile, kind: str) -> None:
    slowest = sorted(found.ops, key=lambda op: -op.ms)[:MOST_OPS]
    rows = [
        (
            "" if op.index is None else str(op.index),
            op.op or "?",
            op.layer + ("" if op.certain or op.index is None else " ?"),
            op.name,
            f"{op.ms:.4f}",
            f"{op.share:.1%}",
        )
        for op in slowest
    ]
    title = f"{where}: slowest {len(rows)} of {len(found.ops)} operators, {kind}"
    emit_table(
        title,
        ("#", "op", "layer", "as the profiler calls it", "ms", "share"),
        rows,
        right=(0, 4, 5),
        spare=("as the profiler calls it",),
    )
    whole = f"operators {_ms(found.sum_ms)} ms, whole profiled inference {_ms(found.inference_ms)} ms"
    emit(f"{whole}; {found.runs} runs of {found.source}")
    if found.note:
        emit(f"note: {found.note}")


def _sweep(found: ThreadSweep) -> None:
    rows = [
        (
            str(p.threads),
            _ms(p.p50),
            "" if p.ratio is None else f"{p.ratio:.3f}",
            interval(p.ci95, 3),
            "best" if p.threads == found.best else "not told from the best" if p.threads in found.tied else "",
        )
        for p in found.points
    ]
    title = f"{found.artifact} on {found.device}: time over {found.reference}"
    emit_table(title, ("threads", "p50 ms", "ratio", "95 % interval", ""), rows, right=(0, 1, 2))


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
