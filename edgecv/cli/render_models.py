"""How architectures, data sets and models look in a terminal. Each function prints one result to stdout."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from edgecv.cli import render_traits as render_kept
from edgecv.cli.console import emit, emit_table
from edgecv.cli.figures import shape_text, size_text


def zoo_entries(entries: Any) -> None:
    rows = [
        (e["name"], e["task"], shape_text(e["input_shape"]), _short(e["parameters"]), _short(e["macs"]),
         ", ".join(v for v in e["variants"] if v != "canonical"), e["title"])
        for e in entries
    ]  # fmt: skip
    columns = ("name", "task", "input", "weights", "MACs", "variants", "what it is")
    emit_table("", columns, rows, right=(3, 4), spare=("variants", "input", "task"))


def zoo_entry(shown: Any) -> None:
    emit(f"{shown['name']} ({shown['variant']}): {shown['title']}")
    for key in ("parameters", "trainable", "macs", "weight_bytes", "peak_activation_bytes", "depth"):
        at = f"  at layer {shown['peak_layer']}" if key == "peak_activation_bytes" else ""
        emit(f"  {key.replace('_', ' '):<22}{shown[key]:>14,}{at}")
    emit(f"  input: {shape_text(shown['input_shape'])}; source: {shown['source']}")
    for variant, title in shown["variants"].items():
        emit(f"  variant {variant}: {title}")
    layers = [(r["name"], r["kind"], shape_text(r["output_shape"]), f"{r['parameters']:,}") for r in shown["layers"]]
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
        emit("targets: not known; edgecv zoo convert tells")


def _short(count: int | None) -> str:
    """Three digits and a unit: 25.6M."""
    if count is None:
        return "?"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def matrix(cells: Any) -> None:
    rows = [
        (f"{c.network}/{c.variant}", c.way, c.format, "ok" if not c.error else c.error.splitlines()[0],
         "" if c.size_bytes is None else size_text(c.size_bytes),
         ", ".join(f"{t.target} {t.n_mapped}/{t.n_ops}" for t in c.targets))
        for c in cells
    ]  # fmt: skip
    emit_table("", ("network", "file", "format", "result", "size", "mapped"), rows, right=(4,), spare=("size",))


def dataset(described: Any) -> None:
    sizes = ", ".join(f"{name} {n:,}" for name, n in described.sizes.items())
    small, large = shape_text(described.smallest), shape_text(described.largest)
    emit(f"{described.name}: {sizes}; samples {small if small == large else f'{small} to {large}'}")
    for target in described.targets:
        _target(target)
    if not described.targets:
        emit("no labels: it calibrates, and can neither train a model nor judge one")
    for note in described.notes:
        emit(f"note: {note}")
    for split, n in described.duplicates_within.items():
        if n:
            emit(f"{n:,} samples of {split} repeat another one of it, byte for byte")
    for pair, n in described.duplicates_across.items():
        if n:
            first, second = pair.split("/")
            emit(
                f"warning: {n:,} samples of {second} are in {first} too: figures of {second} look better than they are"
            )


FIRST = 24
"""Labels that are listed; of more, --json has the rest."""


def _target(target: Any) -> None:
    from edgecv.tasks.registry import of_kind

    n = len(target.labels)
    balance = "" if target.imbalance is None else f"; largest over smallest {target.imbalance:.2f}"
    one, several = of_kind(target.task).named
    count = f", {n} {one if n == 1 else several}" if n else ""
    emit(f"{target.name}: {target.task}{count}{balance}")
    if target.measures:
        rows = [
            (split, label, *(f"{x:.4g}" for x in (s.min, s.mean, s.std, s.max)))
            for split, spreads in target.spread.items()
            for label, s in zip(target.measures, spreads, strict=True)
        ]
        emit_table("", ("split", "of", "min", "mean", "std", "max"), rows, right=(2, 3, 4, 5))
    if target.shares:
        _per_label(target, "pixels of", {s: [f"{x:.1%}" for x in shares] for s, shares in target.shares.items()})
        without = ", ".join(f"{split} {share:.1%}" for split, share in target.ignored.items() if share)
        if without:
            emit(f"pixels of no class: {without}")
    elif target.counts:
        told = {split: [f"{x:,}" for x in counts] for split, counts in target.counts.items()}
        _per_label(target, "count of", told)


def _per_label(target: Any, what: str, told: dict[str, list[str]]) -> None:
    rows = list(zip(target.labels, *told.values(), strict=True))
    emit_table("", (what, *told), rows[:FIRST], right=range(1, len(told) + 1))
    if len(rows) > FIRST:
        emit(f"and {len(rows) - FIRST} more: see --json")


def saved_model(saved: Any) -> None:
    sparsity = "" if saved.sparsity is None else f", {saved.sparsity:.1%} of its prunable weights are zero"
    emit(f"{saved.path}: {saved.name}, {saved.parameters:,} parameters{sparsity}")
    emit(f"  {saved.split} {saved.metric} {saved.value:.4f}, best of {saved.epochs} epochs (epoch {saved.best_epoch})")
    if saved.gzip_weight_bytes is not None:
        values = "" if saved.clusters is None else f" of at most {saved.clusters} values in each kernel"
        emit(
            f"  weights{values}: {size_text(saved.gzip_weight_bytes)} after gzip, of {size_text(4 * saved.parameters)}"
        )
    if saved.sparse_kernels is not None:
        render_kept.pruned(saved.sparse_kernels)


def built_model(made: Any) -> None:
    kind = "nothing to train" if made.is_fixed else "untrained"
    emit(f"{made.path}: {made.name}, {made.variant}, {made.parameters:,} parameters, {kind}")
    outputs = ", ".join(map(shape_text, made.output_shapes))
    emit(f"  {shape_text(made.input_shape)} to {outputs}, {made.macs:,} MACs, {size_text(made.size_bytes)}")


def split_parts(parts: Any) -> None:
    for part in parts:
        emit(f"{part.path}: {part.parameters:,} parameters, input {shape_text(part.input_shape)}")


def imported(made: Any) -> None:
    labels = f"{made.labels} labels" if made.labels else "no labels"
    emit(f"{made.path}: {made.name}, input {shape_text(made.input_shape)}, {labels}")
    emit(f"  {made.parameters:,} parameters, {made.macs:,} MACs, {size_text(made.size_bytes)}")
    if made.nodes is not None:
        what = "nodes" if made.format == "onnx" else "operators"
        emit(f"  {made.nodes} {what} became {made.layers} layers")
    for name, shape in made.outputs.items():
        emit(f"  output {name}: {shape_text(shape)}")
    if made.differences:
        worst = max(made.differences.values())
        emit(f"  largest difference from {made.reference} on random inputs: {worst:.1e} of an output's range")
    if made.seen is not None:
        emit(f"  its weights have seen {made.seen:,} images")
    if made.format == "darknet":
        return
    preset = f" --preset {'|'.join(made.open)}" if made.open else ""
    if made.open:
        emit(f"next: edgecv spec {shlex.quote(made.path)} --data D, which finds out how pixels are scaled; then")
    begin, out = "" if made.open else "next: ", shlex.quote(f"{Path(made.path).stem}.tflite")
    emit(f"{begin}edgecv quantize {shlex.quote(made.path)} --data D{preset} --out {out}")


def reshaped(made: Any) -> None:
    rows, columns = made.cells
    emit(f"{made.path}: {made.name} at {shape_text(made.input_size)}, {rows}x{columns} answers in one run")
    emit(f"  each is for a window of {shape_text(made.window)}; the next is {_apart(made.stride)}")
    ratio = made.window_macs / made.macs if made.macs else 1.0
    emit(f"  {made.parameters:,} parameters; {made.macs:,} MACs, window by window {ratio:.1f} times as many")
    emit(
        f"  against {made.checked} single windows of {made.checked_on}: largest difference {made.max_abs_diff:.3g}, "
        f"the same class in {made.agreement:.1%}"
    )


def _apart(stride: Any) -> str:
    down, across = stride
    return f"{down} pixels away" if down == across else f"{down} pixels down, {across} across"
