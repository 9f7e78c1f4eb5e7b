"""How evaluations, reports and gates look in a terminal. Each function prints one result to stdout."""

from __future__ import annotations

from typing import Any

from edgecv.cli.console import emit, emit_table
from edgecv.cli.figures import baseline_line, interval, size_text
from edgecv.values.evaluation import Evaluation
from edgecv.values.report import Report


def evaluation(result: Evaluation) -> None:
    emit(f"{result.metric} {result.value:.4f} on {result.n} samples of {result.dataset} ({result.split})")
    top = ", ".join(f"{k}: {v:.4f}" for k, v in result.top_k.items())
    place = "" if result.device == "local" else f", on {result.device}"
    emit(f"  {f'top-k: {top}; ' if top else ''}{result.engine}, {_accelerator(result)}{place}")
    _head_figures(result)
    for head in result.others:
        emit(f"head {head.head}: {head.metric} {head.value:.4f}")
        _head_figures(head)


def _accelerator(result: Any) -> str:
    """Return "cpu", or for an accelerator its device, float type and share: "gpu (Mali-G78, float16)"."""
    parts = [part for part in (result.adapter, result.precision) if part]
    parts += [] if result.fully_accelerated else ["in part, the rest on the CPU"]
    detail = f" ({', '.join(parts)})" if parts else ""
    return f"{result.accelerator}{detail}{'' if result.kind == 'measured' else f': {result.kind}'}"


def _head_figures(result: Any) -> None:
    if result.figures:
        emit("  " + ", ".join(f"{name} {_figure(value)}" for name, value in result.figures.items()))
    if len(result.labels) > 20:
        return
    if result.per_label:
        names = list(next(iter(result.per_label.values())))
        lines = [(label, *(_figure(found[name]) for name in names)) for label, found in result.per_label.items()]
        emit_table("", ("label", *names), lines, right=tuple(range(1, len(names) + 1)))
    if not result.confusion:
        return
    rows = [(name, *(str(c) for c in row)) for name, row in zip(result.labels, result.confusion, strict=True)]
    columns = tuple(range(1, len(result.labels) + 1))
    emit_table("rows: true class, columns: predicted", ("", *result.labels), rows, right=columns)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def report(result: Report, paths: Any) -> None:
    emit(baseline_line(result))
    metrics = {a.metric for a in result.artifacts if a.metric} - {"top1"}
    header = (
        "artifact",
        "scheme",
        "size",
        ", ".join(sorted(metrics)) or "accuracy",
        "drop, 95 % interval",
        "p50 ms",
        "ratio",
        "mapped on",
        "latency is",
    )
    rows = [_artifact_row(a) for a in result.artifacts]
    emit_table("", header, rows, right=tuple(range(2, 8)))
    emit(f"report: {paths.html}")
    emit(f"        {paths.json}")
    emit(f"        {paths.markdown}")


def _artifact_row(a: Any) -> tuple[str, ...]:
    latency = a.latency[0] if a.latency else None
    drop = "unknown" if a.drop is None else f"{a.drop:+.4f} {interval(a.drop_ci95, 4)}"
    mapped = "unknown" if a.mapping is None else f"{a.mapping.n_mapped}/{a.mapping.n_ops} {a.target}"
    return (
        a.name,
        a.scheme if a.method == "none" else f"{a.scheme} {a.method}",
        size_text(a.size_bytes),
        "unknown" if a.value is None else f"{a.value:.4f}",
        drop,
        "not here" if latency is None else f"{latency.p50:.3f}",
        "" if latency is None or latency.ratio_to_baseline is None else f"{latency.ratio_to_baseline:.2f}",
        mapped,
        "" if latency is None else latency.kind,
    )


def gates(outcome: Any) -> None:
    rows = [("pass" if r.passed else "FAIL", r.artifact, r.figure, r.message) for r in outcome.results]
    emit_table("", ("", "artifact", "figure", "what"), rows)


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
    emit_table(f"{title}, {found.n} samples", columns, rows, right=(2, 3, 4))
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
    emit_table(f"{found.int8_file} against {found.float_file}, {found.samples} samples", columns, rows, right=(2, 3))
    worst = max((layer for layer in found.layers if layer.lost_db is not None), key=lambda x: x.lost_db, default=None)
    if worst is not None:
        emit(f"most is lost in {worst.layer}: {worst.lost_db:.1f} dB")
