"""How slimmed models and converted files look in a terminal. Each function prints one result to stdout."""

from __future__ import annotations

from typing import Any

from edgecv.cli import render_files
from edgecv.cli import render_traits as render_kept
from edgecv.cli.console import emit, emit_table
from edgecv.cli.figures import size_text
from edgecv.core import codec


def slimmed(made: Any) -> None:
    asked = "" if made.asked is None else f" {made.asked:g}"
    emit(f"{made.path}: {made.name}, {made.way}{asked}")
    rows = [
        (title, f"{one.macs:,}", f"{one.parameters:,}", size_text(one.weight_bytes), f"{one.value:.4f}")
        for title, one in (("before", made.before), ("after", made.after))
    ]
    columns = ("", "MACs", "parameters", "float32", f"{made.split} {made.metric}")
    emit_table("", columns, rows, right=(1, 2, 3, 4))
    table = [
        (entry.unit, f"{entry.value:.4f}", f"{entry.macs:,}", f"{entry.parameters:,}", "yes" if entry.dropped else "")
        for entry in made.ablation
    ]
    if table:
        columns = ("without unit", made.metric, "MACs", "parameters", "dropped")
        emit_table("before any training", columns, table, right=(1, 2, 3))
    for layer, rank in made.ranks.items():
        emit(f"layer {layer} is a product of rank {rank}")
    if made.plan is not None:
        emit(f"channels that were kept: {made.plan}")


def climb(done: Any) -> None:
    emit(f"float model: {done.metric} {done.baseline:.4f} on {done.n} samples of {done.split} ({done.kind})")
    rows = [
        (t.step, "-" if t.value is None else f"{t.value:.4f}", _signed(t.drop),
         "-" if t.drop_ci95 is None else f"[{t.drop_ci95[0]:+.2f}, {t.drop_ci95[1]:+.2f}]", _signed(t.gained),
         "-" if t.size_bytes is None else f"{t.size_bytes:,}", f"{t.seconds:.1f}",
         t.failure or " ".join((*t.keep_float, *t.int16)))
        for t in done.trials
    ]  # fmt: skip
    columns = ("step", done.metric, f"drop, {done.unit}", "95 %", "gained", "bytes", "seconds", "")
    emit_table("", columns, rows, right=(1, 2, 3, 4, 5, 6), spare=("seconds", "gained", "bytes", "95 %"))
    for by, why in dict.fromkeys((t.ranked_by, t.ranking) for t in done.trials if t.ranked_by):
        emit(f"layers of mixed files were chosen by {by}: {why}")
    if done.chosen:
        emit(f"{done.path}: {done.chosen}, {done.verdict} (allowed {done.max_drop:g} {done.unit})")
    _verdicts(done.verdicts)
    for t in done.trials:
        if t.step == done.chosen and t.value is not None and t.drop is not None and t.drop_ci95 is not None:
            where = f"{done.n} samples of {done.split}"
            _before_after(done.metric, done.baseline, t.value, (t.drop, t.drop_ci95), done.unit, where, done.verdict)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def compressed(done: Any) -> None:
    emit(f"{done.source}: {done.metric} {done.before:.4f} on {done.n} samples of {done.split} (measured)")
    rows = [
        (step.method, f"{step.value:.4f}", _signed(step.drop), f"[{step.drop_ci95[0]:+.2f}, {step.drop_ci95[1]:+.2f}]",
         f"{step.size_bytes:,}", f"{step.seconds:.1f}")
        for step in done.steps
    ]  # fmt: skip
    emit_table(
        "",
        ("step", done.metric, "drop", "95 %", "bytes", "seconds"),
        rows,
        right=(1, 2, 3, 4, 5),
        spare=("seconds", "bytes"),
    )
    emit(f"{done.path}: {done.title or 'done'}")
    from edgecv.values.inspection import TargetVerdict

    if done.verdict is not None:
        emit(f"the whole recipe: {done.verdict} (allowed {done.max_drop:g})")
    told = done.steps[-1].result.get("verdicts", ()) if done.steps else ()
    _verdicts(codec.decode(TargetVerdict, one, where=done.path) for one in told)


def artifact(made: Any) -> None:
    emit(f"{made.path}: {made.format} {made.scheme}, {size_text(made.size_bytes)}, target {made.target}")
    noise = "equal outputs" if made.sqnr_db is None else f"signal to noise {made.sqnr_db:.1f} dB"
    emit(f"  checked on {made.checked_images} images: largest difference {made.max_abs_diff:.3g}, {noise}")
    if made.exact:
        emit(f"  exact weights: every tap of {', '.join(made.exact)} is a whole number of steps")
    if made.stays_float is not None:
        stays_float(made.stays_float)
    if made.kernels is not None:
        emit(f"  LiteRT: XNNPACK computes {_kernels(made.kernels.delegated)}, own kernels {_kernels(made.kernels.own)}")
    if made.kept is not None:
        render_kept.kept(made.kept)
    if made.sparse is not None:
        render_kept.sparse(made.sparse)
    if made.mediapipe is not None:
        _mediapipe(made.mediapipe)
    _verdicts(made.verdicts)
    for head in made.loss.heads if made.loss else ():
        name = f"{head.head}: {head.metric}" if len(made.loss.heads) > 1 else head.metric
        where = f"{made.loss.n} samples of {made.loss.split}"
        _before_after(name, head.before, head.after, (head.drop, head.drop_ci95), head.unit, where, head.verdict)
        if head.ties:
            emit(f"  several labels have the best score on {head.ties} samples (in float: {head.ties_before})")


def rewritten(done: Any) -> None:
    emit(f"{done.path}: {size_text(done.size_bytes)}, {done.added_bytes:+,} bytes")
    if done.mediapipe is not None:
        _mediapipe(done.mediapipe)
    else:
        emit("  no TFLite Metadata")


def _mediapipe(found: Any) -> None:
    if not found.kind:
        emit(f"  no TFLite Metadata: {found.reason}")
        return
    labels = f", {found.labels} labels" if found.labels else ""
    emit(f"  TFLite Metadata: MediaPipe's {found.kind.replace('_', ' ')} reads it{labels}")
    for limit in found.limits:
        emit(f"    it differs: {limit}")


def _before_after(
    name: str, before: float, after: float, drop: tuple[float, tuple[float, float]], unit: str, where: str, verdict: str
) -> None:
    low, high = drop[1]
    emit(f"{name}: {before:.4f} in float, {after:.4f} in this file, on {where}")
    emit(f"  it loses {drop[0]:+.2f} {unit}, 95 % interval [{low:+.2f}, {high:+.2f}]: {verdict}")


MOST_UNMAPPED = 8
"""Operators that a verdict names; --json has all."""


MOST_LAYERS = 4
"""Layers that a line of operators in float names; --json has all."""


def _verdicts(found: Any) -> None:
    for one in found:
        runs = "run" if one.n_ops != 1 else "runs"
        emit(f"{one.target}: {one.n_mapped} of {one.n_ops} operators {runs} there ({one.kind})")
        for op in one.unmapped[:MOST_UNMAPPED]:
            emit(f"  not #{op.index} {op.op}{f', layer {op.layer}' if op.layer else ''}: {op.reason}")
        if len(one.unmapped) > MOST_UNMAPPED:
            emit(f"  and {len(one.unmapped) - MOST_UNMAPPED} more: edgecv inspect FILE --target {one.target}")
        for doubt in one.doubts:
            emit(f"  not known: {doubt}")
        for advice in one.advice:
            emit(f"  {render_files.advice_line(advice, one.n_mapped)}")


def stays_float(found: Any) -> None:
    layers: dict[tuple[str, bool], list[str]] = {}
    for one in found.operators:
        layers.setdefault((one.op, one.asked), []).append(one.layer or "no layer of its own")
    for (op, asked), names in layers.items():
        named = list(dict.fromkeys(names))
        more = f" and {len(named) - MOST_LAYERS} more" if len(named) > MOST_LAYERS else ""
        emit(f"  in float{' as asked' if asked else ''}: {op} ({', '.join(named[:MOST_LAYERS])}{more})")
    emit(f"  these are {found.cost}")


def _kernels(counts: Any) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "no layer with weights"
