"""How evaluations, reports and gates look in a terminal. Each function prints one result to stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgecv.cli.console import emit, emit_table
from edgecv.cli.figures import baseline_line, interval, size_text

if TYPE_CHECKING:
    from edgecv.values.evaluation import Evaluation, HeadEvaluation
    from edgecv.values.report import ArtifactResult, Report
    from edgecv.values.scores import Table

LARGEST_LABELS = 30
LARGEST_TABLE = 20
"""Rows and columns of what a terminal still shows well; --json has the rest."""


def evaluation(result: Evaluation) -> None:
    where = f"{result.n} samples of {result.dataset} ({result.split})"
    emit(f"{_judged(result.first)} on {where}")
    place = "" if result.device == "local" else f", on {result.device}"
    emit(f"  {result.engine}, {_accelerator(result)}{place}")
    if result.settings:
        emit(f"  with {', '.join(f'{name} = {value}' for name, value in result.settings.items())}")
    _head_figures(result.first)
    for head in result.heads[1:]:
        emit(f"head {head.head.name}: {_judged(head)}")
        _head_figures(head)


def _judged(head: HeadEvaluation) -> str:
    unit = "" if head.metric.is_share else f" (unit: {head.metric.unit})"
    return f"{head.metric.name} {head.value:.4f}{unit}"


def _accelerator(result: Evaluation) -> str:
    """Return "cpu", or for an accelerator its device, float type and share: "gpu (Mali-G78, float16)"."""
    parts = [part for part in (result.adapter, result.precision) if part]
    parts += [] if result.fully_accelerated else ["in part, the rest on the CPU"]
    detail = f" ({', '.join(parts)})" if parts else ""
    return f"{result.accelerator}{detail}{'' if result.kind == 'measured' else f': {result.kind}'}"


def _head_figures(head: HeadEvaluation) -> None:
    further = {name: value for name, value in head.figures.items() if name != head.metric.name}
    known = {name: value for name, value in further.items() if value is not None}
    if known:
        emit("  " + ", ".join(f"{name} {_figure(value)}" for name, value in known.items()))
    if len(known) < len(further):
        emit(f"  unknown: {', '.join(name for name in further if name not in known)}")
    if 0 < len(head.per_label) <= LARGEST_LABELS:
        _labels(head.per_label)
    elif head.per_label:
        emit(f"  figures of {len(head.per_label)} labels: see --json")
    for table in head.tables:
        _table(table)


def _labels(found: Mapping[str, Mapping[str, float | None]]) -> None:
    names = list(dict.fromkeys(name for figures in found.values() for name in figures))
    are_shares = {name: _are_shares([figures.get(name) for figures in found.values()]) for name in names}
    lines = [
        (label, *(_cell(figures[name], are_shares[name]) if name in figures else "" for name in names))
        for label, figures in found.items()
    ]
    emit_table("", ("label", *names), lines, right=tuple(range(1, len(names) + 1)))


def _are_shares(values: Sequence[float | None]) -> bool:
    """Say whether a column's figures lie in 0..1, and not all at its ends: four decimals show them one like another."""
    known = [value for value in values if value is not None]
    return all(0 <= value <= 1 for value in known) and any(0 < value < 1 for value in known)


def _cell(value: float | None, is_share: bool) -> str:
    return f"{value:.4f}" if is_share and value is not None and (value == 0 or value >= 1e-3) else _figure(value)


def _table(table: Table) -> None:
    if max(len(table.rows), len(table.columns)) > LARGEST_TABLE:
        emit(f"  {table.title}, {len(table.rows)} by {len(table.columns)}: see --json")
        return
    are_shares = _are_shares([value for row in table.cells for value in row])
    rows = [
        (name, *(_cell(value, are_shares) for value in row)) for name, row in zip(table.rows, table.cells, strict=True)
    ]
    emit_table(table.title, (table.corner, *table.columns), rows, right=tuple(range(1, len(table.columns) + 1)))


def _figure(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def report(result: Report, paths: Any) -> None:
    from edgecv.report.sentences import CERTAINTY

    emit(baseline_line(result))
    artifacts(result.artifacts)
    for verdict in result.verdicts:
        emit(f"{verdict.target}: ship {verdict.artifact or 'nothing'} ({CERTAINTY[verdict.certainty]})")
        emit(f"  {verdict.why[0]}")
    emit(f"report: {paths.html}")
    emit(f"        {paths.json}")
    emit(f"        {paths.markdown}")


def artifacts(made: Sequence[ArtifactResult]) -> None:
    """Print files with what they lose and how fast they are, a row each."""
    metrics = {a.metric.name for a in made if a.metric}
    header = (
        "artifact",
        "scheme",
        "size",
        ", ".join(sorted(metrics)) or "metric",
        "drop",
        "95 % interval",
        "p50 ms",
        "ratio",
        "mapped on",
        "latency is",
    )
    rows = [_artifact_row(a) for a in made]
    emit_table(
        "", header, rows, right=range(2, 8), spare=("latency is", "scheme", "mapped on", "95 % interval", "size")
    )
    if any(not a.latency for a in made):
        emit("-: not measured here; report.json says why")


def _artifact_row(a: Any) -> tuple[str, ...]:
    latency = a.latency[0] if a.latency else None
    mapped = "unknown" if a.mapping is None else f"{a.mapping.n_mapped}/{a.mapping.n_ops} {a.target}"
    return (
        a.name,
        a.scheme if a.method == "none" else f"{a.scheme} {a.method}",
        size_text(a.size_bytes),
        "unknown" if a.value is None else f"{a.value:.4f}",
        "unknown" if a.drop is None else f"{a.drop:+.4f}",
        interval(a.drop_ci95, 4),
        "-" if latency is None else f"{latency.p50:.3f}",
        "" if latency is None or latency.ratio_to_baseline is None else f"{latency.ratio_to_baseline:.2f}",
        mapped,
        "" if latency is None else latency.kind,
    )


def gates(outcome: Any, *, everything: bool = False) -> None:
    """Print the verdict, what failed with its next step, and, when asked, what passed."""
    failed = [r for r in outcome.results if not r.passed]
    n = len(outcome.results)
    emit(f"{n - len(failed)} of {n} pass" if failed or not n else f"{n} of {n} pass: {_artifacts(outcome.results)}")
    for result in failed:
        emit(f"FAIL {result.artifact}, {result.figure}: {result.message}")
        if result.hint:
            emit(f"  next: {result.hint}")
    passed = [(r.artifact, r.figure, r.message) for r in outcome.results if r.passed]
    if everything and passed:
        emit_table("passed", ("artifact", "figure", "what"), passed)


def _artifacts(results: Any) -> str:
    names = {result.artifact for result in results}
    return f"every figure of {len(names)} artifact{'' if len(names) == 1 else 's'} is within its bounds"


def recorded(path: Any) -> None:
    emit(f"{path}: written; look the tolerances over, and commit it")


def debugged(found: Any) -> None:
    _noise(found)
    if found.ranking is not None:
        _ranking(found.ranking)
    if found.html is not None:
        emit(f"wrote {found.html}")


def _ranking(found: Any) -> None:
    rows = [
        (
            cost.layer,
            cost.op,
            f"{cost.drop.value:.4g}",
            "" if cost.regained is None else f"{cost.regained.value:.4g}",
            "equal" if cost.answer_sqnr_db is None else f"{cost.answer_sqnr_db:.1f}",
            cost.action,
        )
        for cost in found.layers
    ]
    title = f"{found.metric}: float {found.value:.4g}, int8 {found.int8_value:.4g}, simulated {found.simulated:.4g}"
    columns = ("layer", "op", "lost alone", "won back in float", "answer dB", "action")
    emit_table(f"{title}, {found.n} samples", columns, rows, right=(2, 3, 4), spare=("op", "answer dB"))
    for cost in found.layers:
        if cost.action != "none":
            emit(f"{cost.layer}: {cost.reason}")
    if any(cost.action != "none" for cost in found.layers):
        emit(f"with these actions: {found.metric} {found.cured:.4g} (simulated)")
    for layer, reason in found.left_out.items():
        emit(f"{layer} is not ranked: {reason}")


def _noise(found: Any) -> None:
    rows = [
        (
            layer.layer,
            layer.op,
            "equal" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}",
            "" if layer.lost_db is None else f"{layer.lost_db:.1f}",
            f"{layer.seen[0]:.4g} … {layer.seen[1]:.4g}",
            f"{layer.range[0]:.4g} … {layer.range[1]:.4g}",
        )
        for layer in found.layers
    ]
    columns = ("layer", "op", "signal/noise dB", "lost here dB", "float values", "int8 range")
    emit_table(
        f"{found.int8_file} against {found.float_file}, {found.samples} samples",
        columns,
        rows,
        right=(2, 3, 4, 5),
        spare=("op", "float values", "int8 range"),
    )
    worst = max((layer for layer in found.layers if layer.lost_db is not None), key=lambda x: x.lost_db, default=None)
    if worst is not None:
        emit(f"most is lost in {worst.layer}: {worst.lost_db:.1f} dB")
