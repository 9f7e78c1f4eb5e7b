"""How targets, and what is learnt of one file, look in a terminal. Each function prints one result to stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgecv.cli.console import emit, emit_table
from edgecv.cli.figures import size_text

if TYPE_CHECKING:
    from edgecv.values.inspection import Advice, Compilation, Inspection, PredictedLatency


def targets(listed: Any) -> None:
    rows = [(t.name, t.accelerator, ", ".join(t.formats), ", ".join(t.schemes), t.title) for t in listed]
    emit_table(
        "", ("target", "runs on", "formats", "schemes, best first", "what it is"), rows, spare=("formats", "runs on")
    )


def inspection(found: Inspection, *, everything: bool = False) -> None:
    """Print the summary, then the operators that do not map or may not; when asked, all of them."""
    how = f"as {found.compilation.tool} compiled it" if found.compilation is not None else found.kind
    emit(f"{found.n_mapped} of {found.n_ops} operators run on {found.target} ({how}); "
         f"file {size_text(found.size_bytes)}")  # fmt: skip
    _summary(found)
    shown = [v for v in found.ops if everything or not v.mapped]
    if shown:
        rows = [(str(v.index), v.op, v.layer, "yes" if v.mapped else "no", v.certainty, v.reason or v.status)
                for v in shown]  # fmt: skip
        columns = ("#", "op", "layer", "mapped", "certainty", "why")
        title = "operators" if everything else "operators that do not run there"
        emit_table(title, columns, rows, right=(0,), spare=("certainty", "layer"))
    if len(shown) < found.n_ops:
        emit(f"--all shows all {found.n_ops} operators" if shown else f"--all shows the {found.n_ops} operators")


def _summary(found: Inspection) -> None:
    if found.arena_bytes is not None:
        emit(f"activations need {size_text(found.arena_bytes)}")
    if found.parameter_bytes.on_chip is not None:
        on_chip, streamed = found.parameter_bytes.on_chip, found.parameter_bytes.streamed
        emit(f"parameters: {size_text(on_chip)} on chip, {size_text(streamed)} streamed at each inference")
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
        emit(advice_line(advice, found.n_mapped))
    for note in found.notes:
        emit(f"note: {note}")


def _compilation(made: Compilation) -> None:
    emit(f"{made.path}: written, {size_text(made.size_bytes)}; what the compiler said is in {made.log}")
    told = ", ".join(f"{name.replace('_', ' ')} {value:,.0f}" for name, value in made.figures.items())
    if told:
        emit(f"  {made.tool}: {told}")
    for line in made.disagreements:
        emit(f"  the prediction was wrong: {line}")
    if not made.disagreements:
        emit("  the prediction agrees on every operator")


def advice_line(advice: Advice, mapped: int) -> str:
    """Return an advice as one line; `mapped`: how many operators map without it."""
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


def golden(result: Any) -> None:
    verdict = "passed" if result.passed else "FAILED"
    if result.against == "contract":
        emit(f"{result.path}: {verdict}, {result.n} made-up images by its contract on {result.engine}")
        emit("  it holds no golden vectors, so nothing says that it answers as it did when it was made")
        return
    emit(f"{result.path}: {verdict}, {result.n} golden vectors on {result.engine}")
    emit(f"  largest difference {result.max_abs_diff:.3g}, allowed {result.tolerance:.3g}")
    if result.device != "local":
        emit(f"  on {result.device}, {result.kind}; {_agreement(result.agreement)}")


def mediapipe(result: Any) -> None:
    verdict = "passed" if result.passed else "FAILED"
    task = result.task.replace("_", " ")
    emit(f"{result.path}: {verdict}, as {task} in {result.engine}, {result.n} images: {result.images}")
    emit(f"  of images of the input's size: {_apart(result.fitted)}, allowed {result.allowed:g}")
    if result.as_is is not None:
        emit(f"  of images as they are, which each feeds in its own way: {_apart(result.as_is)}")


def _apart(found: Any) -> str:
    same = "" if found.same is None else f"; {found.same_what}: {found.same:.1%}"
    return f"{found.what} {found.value:.2g}{same}"


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
