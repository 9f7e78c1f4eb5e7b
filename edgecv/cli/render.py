"""How results look in a terminal. Each function takes one frozen result and prints it to stdout."""

from __future__ import annotations

from typing import Any

from edgecv.cli import render_kept
from edgecv.cli.console import emit, emit_table
from edgecv.errors import GateFailure
from edgecv.results import Advice, Compilation, Evaluation, Inspection, PredictedLatency, Report


def zoo_entries(entries: Any) -> None:
    rows = [
        (e["name"], e["task"], _shape(e["input_shape"]), _short(e["parameters"]), _short(e["macs"]),
         ", ".join(v for v in e["variants"] if v != "canonical"), e["title"])
        for e in entries
    ]  # fmt: skip
    columns = ("name", "task", "input", "weights", "MACs", "variants", "what it is")
    emit_table("", columns, rows, right=(3, 4))


def _short(count: int | None) -> str:
    """Three digits and a unit: 25.6M."""
    if count is None:
        return "?"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def zoo_entry(shown: Any) -> None:
    emit(f"{shown['name']} ({shown['variant']}): {shown['title']}")
    for key in ("parameters", "trainable", "macs", "weight_bytes", "peak_activation_bytes", "depth"):
        at = f"  at layer {shown['peak_layer']}" if key == "peak_activation_bytes" else ""
        emit(f"  {key.replace('_', ' '):<22}{shown[key]:>14,}{at}")
    emit(f"  input: {_shape(shown['input_shape'])}; source: {shown['source']}")
    for variant, title in shown["variants"].items():
        emit(f"  variant {variant}: {title}")
    layers = [(r["name"], r["kind"], _shape(r["output_shape"]), f"{r['parameters']:,}") for r in shown["layers"]]
    emit_table("layers", ("layer", "kind", "output", "parameters"), layers, right=(3,))
    _readiness(shown["readiness"])
    for target, note in shown["notes"].items():
        emit(f"{target or 'everywhere'}: {note}")


def _readiness(known: Any) -> None:
    rows = [
        (target, way, f"{r.n_mapped}/{r.n_ops}", r.kind, ", ".join(r.unmapped))
        for target, ways in known.items()
        for way, r in ways.items()
    ]
    if rows:
        emit_table("operators that each target takes", ("target", "file", "mapped", "kind", "not mapped"), rows)
    else:
        emit("targets: not known; edgecv zoo check tells")


def matrix(cells: Any) -> None:
    rows = [
        (f"{c.network}/{c.variant}", c.way, c.format, "ok" if not c.error else c.error.splitlines()[0],
         "" if c.size_bytes is None else _bytes(c.size_bytes),
         ", ".join(f"{t.target} {t.n_mapped}/{t.n_ops}" for t in c.targets))
        for c in cells
    ]  # fmt: skip
    emit_table("", ("network", "file", "format", "result", "size", "mapped"), rows, right=(4,))


def dataset(described: Any) -> None:
    sizes = ", ".join(f"{name} {n:,}" for name, n in described.sizes.items())
    small, large = _shape(described.smallest), _shape(described.largest)
    emit(f"{described.name}: {sizes}; samples {small if small == large else f'{small} to {large}'}")
    for target in described.targets:
        _target(target)
    for split, n in described.duplicates_within.items():
        if n:
            emit(f"{n:,} samples of {split} repeat another one of it, byte for byte")
    for pair, n in described.duplicates_across.items():
        if n:
            first, second = pair.split("/")
            emit(
                f"warning: {n:,} samples of {second} are in {first} too: figures of {second} look better than they are"
            )


def _target(target: Any) -> None:
    what = {"classification": "classes", "multilabel": "labels", "regression": "values"}[target.task]
    balance = "" if target.imbalance is None else f", largest over smallest {target.imbalance:.2f}"
    title = f"{target.name}: {len(target.labels)} {what}{balance}"
    if target.task == "regression":
        rows = [
            (split, label, *(f"{x:.6g}" for x in (s.min, s.mean, s.std, s.max)))
            for split, spreads in target.spread.items()
            for label, s in zip(target.labels, spreads, strict=True)
        ]
        emit_table(title, ("split", "value", "min", "mean", "std", "max"), rows, right=(2, 3, 4, 5))
        return
    per = "per class" if target.task == "classification" else "positive samples per label"
    lines = [
        (split, ", ".join(f"{label}: {n}" for label, n in zip(target.labels, counts, strict=True)))
        for split, counts in target.counts.items()
    ]
    emit_table(title, ("split", per), lines)


def targets(listed: Any) -> None:
    rows = [(t.name, t.accelerator, ", ".join(t.formats), ", ".join(t.schemes), t.title) for t in listed]
    emit_table("", ("target", "runs on", "formats", "schemes, best first", "what it is"), rows)


def saved_model(saved: Any) -> None:
    sparsity = "" if saved.sparsity is None else f", {saved.sparsity:.1%} of its prunable weights are zero"
    emit(f"{saved.path}: {saved.name}, {saved.parameters:,} parameters{sparsity}")
    emit(f"  {saved.split} {saved.metric} {saved.value:.4f}, best of {saved.epochs} epochs (epoch {saved.best_epoch})")
    if saved.gzip_weight_bytes is not None:
        values = "" if saved.clusters is None else f" of at most {saved.clusters} values in each kernel"
        emit(f"  weights{values}: {_bytes(saved.gzip_weight_bytes)} after gzip, of {_bytes(4 * saved.parameters)}")
    if saved.sparse_kernels is not None:
        render_kept.pruned(saved.sparse_kernels)


def slimmed(made: Any) -> None:
    asked = "" if made.asked is None else f" {made.asked:g}"
    emit(f"{made.path}: {made.name}, {made.way}{asked}")
    rows = [
        (title, f"{one.macs:,}", f"{one.parameters:,}", _bytes(one.weight_bytes), f"{one.value:.4f}")
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
         "-" if t.size_bytes is None else f"{t.size_bytes:,}", f"{t.seconds:.1f}", t.failure or " ".join(t.keep_float))
        for t in done.trials
    ]  # fmt: skip
    columns = ("step", done.metric, f"drop, {done.unit}", "95 %", "gained", "bytes", "seconds", "")
    emit_table("", columns, rows, right=(1, 2, 4, 5, 6))
    if done.chosen:
        emit(f"{done.path}: {done.chosen}, {'passed' if done.passed else 'not passed'} (allowed {done.max_drop:g})")


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def artifact(made: Any) -> None:
    emit(f"{made.path}: {made.format} {made.scheme}, {_bytes(made.size_bytes)}, target {made.target}")
    noise = "equal outputs" if made.sqnr_db is None else f"signal to noise {made.sqnr_db:.1f} dB"
    emit(f"  checked on {made.checked_images} images: largest difference {made.max_abs_diff:.3g}, {noise}")
    if made.kernels is not None:
        emit(f"  LiteRT: XNNPACK computes {_kernels(made.kernels.delegated)}, own kernels {_kernels(made.kernels.own)}")
    if made.kept is not None:
        render_kept.kept(made.kept)
    if made.sparse is not None:
        render_kept.sparse(made.sparse)


def _kernels(counts: Any) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "no layer with weights"


def inspection(found: Inspection) -> None:
    rows = [(str(v.index), v.op, v.layer, "yes" if v.mapped else "no", v.certainty, v.reason or v.status)
            for v in found.ops]  # fmt: skip
    how = f"as {found.compilation.tool} compiled it" if found.compilation is not None else found.kind
    emit_table(f"on {found.target}, {how}", ("#", "op", "layer", "mapped", "certainty", "why"), rows, right=(0,))
    emit(f"{found.n_mapped} of {found.n_ops} operators mapped; file {_bytes(found.size_bytes)}")
    if found.arena_bytes is not None:
        emit(f"activations need {_bytes(found.arena_bytes)}")
    if found.parameter_bytes.on_chip is not None:
        on_chip, streamed = found.parameter_bytes.on_chip, found.parameter_bytes.streamed
        emit(f"parameters: {_bytes(on_chip)} on chip, {_bytes(streamed)} streamed at each inference")
    if found.float16 is not None:
        audit = found.float16
        emit(f"float16 holds up to 65504: the largest activation is {audit.largest:.4g}, on {audit.samples} samples of "
             f"{audit.source}; {len(audit.near)} tensors come within a factor of {audit.margin:g} of it")  # fmt: skip
        for tensor in audit.near:
            emit(f"  {tensor.layer or tensor.op}: {tensor.largest:.4g}{' OVERFLOWS' if tensor.overflows else ''}")
    if found.latency is not None:
        emit(_predicted(found.latency))
    if found.compilation is not None:
        _compilation(found.compilation)
    for advice in found.advice:
        emit(_advice(advice, found.n_mapped))
    for note in found.notes:
        emit(f"note: {note}")


def _compilation(made: Compilation) -> None:
    emit(f"{made.path}: written, {_bytes(made.size_bytes)}; what the compiler said is in {made.log}")
    told = ", ".join(f"{name.replace('_', ' ')} {value:,.0f}" for name, value in made.figures.items())
    if told:
        emit(f"  {made.tool}: {told}")
    for line in made.disagreements:
        emit(f"  the prediction was wrong: {line}")
    if not made.disagreements:
        emit("  the prediction agrees on every operator")


def _advice(advice: Advice, mapped: int) -> str:
    which = f"{advice.op or 'operators'} {_indices(advice.ops)}"
    more = 0 if advice.would_map is None else advice.would_map - mapped
    return f"to map more: {which}: {advice.text}{f' (+{more} operators)' if more > 0 else ''}"


def _indices(ops: tuple[int, ...]) -> str:
    shown = ", ".join(f"#{index}" for index in ops[:4])
    return shown if len(ops) <= 4 else f"{shown} and {len(ops) - 4} more"


def _predicted(latency: PredictedLatency) -> str:
    band = "" if latency.low_ms is None else f", {latency.low_ms:.2f} to {latency.high_ms:.2f} ms likely"
    parts = ", ".join(f"{name} {ms:.2f}" for name, ms in latency.parts_ms.items() if ms >= 0.005)
    return f"latency: {latency.ms:.2f} ms, {latency.kind}{band}{f' ({parts})' if parts else ''}"


def require_mapped(found: Inspection, least: Any) -> None:
    """Raise GateFailure when less maps than `least`, a Minimum or None."""
    failure = least.failure(found) if least is not None else ""
    if failure:
        hint = found.advice[0].text if found.advice else ""
        raise GateFailure(failure, hint=hint)


def golden(result: Any) -> None:
    verdict = "passed" if result.passed else "FAILED"
    emit(f"{result.path}: {verdict}, {result.n} golden vectors on {result.engine}")
    emit(f"  largest difference {result.max_abs_diff:.3g}, allowed {result.tolerance:.3g}")
    if result.device != "local":
        emit(f"  on {result.device}, {result.kind}; {_agreement(result.agreement)}")


def _agreement(found: Any) -> str:
    if found.host_engine is None:
        return f"not compared with this host: {found.cause}"
    if found.differing == 0:
        return f"equal to this host bit for bit: {found.values:,} values of {found.samples} inputs"
    steps = "" if found.max_steps is None else f"{found.max_steps} steps, "
    return (
        f"{found.differing:,} of {found.values:,} values of {found.samples} inputs differ from this host's, by at most "
        f"{steps}{found.max_abs_diff:.3g}: {found.cause}"
    )


def require_passed(result: Any) -> None:
    """Raise GateFailure unless `result.passed`."""
    if not result.passed:
        raise GateFailure(result.failure)


def answer(given: Any) -> None:
    for name, rows in given["heads"].items():
        if len(given["heads"]) > 1:
            emit(f"{name}:")
        for row in rows:
            emit(f"{row['score']:8.4f}  {row['label']}")


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


def gates(outcome: Any) -> None:
    rows = [("pass" if r.passed else "FAIL", r.artifact, r.figure, r.message) for r in outcome.results]
    emit_table("", ("", "artifact", "figure", "what"), rows)


def recorded(path: Any) -> None:
    emit(f"{path}: written; look the tolerances over, and commit it")


def baseline_line(result: Report) -> str:
    """Return the sentence that says what everything is compared with."""
    base = result.baseline
    if base is None:
        return "no baseline: latencies stand alone"
    place = base.device if base.accelerator == "gpu" else f"{base.device} (no GPU found, so this is the CPU)"
    value = "" if base.value is None else f", {base.metric} {base.value:.4f}"
    time = "" if base.latency_ms is None else f", p50 {base.latency_ms.p50:.3f} ms"
    return f"baseline: float model on {place} with {base.engine}{value}{time}"


def _artifact_row(a: Any) -> tuple[str, ...]:
    latency = a.latency[0] if a.latency else None
    drop = "unknown" if a.drop is None else f"{a.drop:+.4f} {interval(a.drop_ci95, 4)}"
    mapped = "unknown" if a.mapping is None else f"{a.mapping.n_mapped}/{a.mapping.n_ops} {a.target}"
    return (
        a.name,
        a.scheme if a.method == "none" else f"{a.scheme} {a.method}",
        _bytes(a.size_bytes),
        "unknown" if a.value is None else f"{a.value:.4f}",
        drop,
        "not here" if latency is None else f"{latency.p50:.3f}",
        "" if latency is None or latency.ratio_to_baseline is None else f"{latency.ratio_to_baseline:.2f}",
        mapped,
        "" if latency is None else latency.kind,
    )


def interval(pair: tuple[float, float] | None, digits: int) -> str:
    return "" if pair is None else f"[{pair[0]:.{digits}f}, {pair[1]:.{digits}f}]"


def _bytes(count: int | None) -> str:
    if count is None:
        return "unknown"
    return (
        f"{count:,} B"
        if count < 10_000
        else f"{count / 1000:,.1f} kB"
        if count < 10_000_000
        else f"{count / 1e6:,.1f} MB"
    )


def _shape(shape: Any) -> str:
    return "x".join(str(s) for s in shape)


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


def split_parts(parts: Any) -> None:
    for part in parts:
        emit(f"{part.path}: {part.parameters:,} parameters, input {_shape(part.input_shape)}")
