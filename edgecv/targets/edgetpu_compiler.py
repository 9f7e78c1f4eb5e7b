"""Google's compiler for the Edge TPU, where it is installed: its files, its verdict, its failures explained."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from edgecv.core.errors import ConversionError, UnsupportedModelError
from edgecv.graphs import Graph, read_tflite
from edgecv.targets.compiling import COMPILERS, Compiled, Compiler
from edgecv.targets.edgetpu import COMPILED, PROGRAM, VARIABLE, judge_on_edgetpu
from edgecv.targets.edgetpu_latency import predict
from edgecv.targets.edgetpu_log import CompilerLog, explain, parse
from edgecv.targets.edgetpu_rules import MAPPED
from edgecv.targets.vendor import Tool, left_on_cpu, require_tool, run_tool
from edgecv.targets.verdict import Finding, Request, Verdict
from edgecv.values.inspection import ParameterBytes
from edgecv.values.profiles import TargetProfile

TIMEOUT_S = 900.0
_OWN_TIMEOUT_S = 600  # the compiler's own is 180 s, from version 16 on
_HINT = (
    "it runs on x86-64 Linux: https://coral.ai/docs/edgetpu/compiler/ says how to install it; without it, `edgecv "
    "inspect` predicts what it would do"
)


def compile_for_edgetpu(request: Request, *, run: Tool = run_tool, timeout_s: float = TIMEOUT_S) -> Compiled:
    """Compile a file in a temporary folder.

    Raises:
        MissingDependencyError: The compiler is not installed.
        ConversionError: It fails, and the message explains why; or it writes no readable file.
    """
    program = require_tool(PROGRAM, VARIABLE, why="to compile for the Edge TPU", hint=_HINT)
    with tempfile.TemporaryDirectory(prefix="edgecv-edgetpu-") as name:
        folder = Path(name)
        source = folder / "model.tflite"
        source.write_bytes(Path(request.path).read_bytes())
        version = parse(run([program, "--version"], folder, 60.0).output).version
        command = [program, "-s", "-o", str(folder), *_options(request.profile, version), str(source)]
        request.reporter.info(f"compiling with {PROGRAM} {version or 'of unknown version'}")
        done = run(command, folder, timeout_s)
        text = done.output + _read(folder / "model_edgetpu.log")
        made = folder / "model_edgetpu.tflite"
        if done.returncode != 0 or not made.is_file():
            raise _failed(request, text, done.returncode)
        return _compiled(request, made.read_bytes(), text, version)


def _options(profile: TargetProfile, version: str) -> list[str]:
    runtime = profile.limits.get("runtime")
    major = re.match(r"\d+", version)
    timed = major is not None and int(major[0]) >= 16
    return [
        *(["--min_runtime_version", f"{runtime:.0f}"] if runtime else []),
        *(["--timeout_sec", str(_OWN_TIMEOUT_S)] if timed else []),
    ]


def _failed(request: Request, text: str, status: int) -> ConversionError:
    log = parse(text)
    meaning, hint = explain(text)
    said = log.failure or (text.strip().splitlines() or ["nothing"])[-1]
    because = f": {meaning}" if meaning else ""
    return ConversionError(
        f"{PROGRAM} {log.version} cannot compile {request.path}{because} (exit status {status}; it says: {said})",
        hint=hint,
    )


def _compiled(request: Request, data: bytes, text: str, version: str) -> Compiled:
    log = parse(text)
    try:
        compiled = read_tflite(data)
    except UnsupportedModelError as error:
        raise ConversionError(f"{PROGRAM} wrote a file that cannot be read: {error.message}") from error
    return Compiled(
        data=data,
        log=text,
        suffix="_edgetpu",
        tool=f"{PROGRAM} {version or log.version or 'unknown'}",
        verdict=verdict_of(request.graph, compiled, log, request.profile),
        figures={name: float(value) for name, value in _figures(log).items() if value is not None},
    )


def _figures(log: CompilerLog) -> dict[str, int | None]:
    return {
        "on_chip_bytes": log.on_chip_bytes,
        "on_chip_remaining_bytes": log.remaining_bytes,
        "streamed_bytes": log.streamed_bytes,
        "edgetpu_subgraphs": log.subgraphs,
        "compile_ms": log.compile_ms,
    }


def verdict_of(graph: Graph, compiled: Graph, log: CompilerLog, profile: TargetProfile) -> Verdict:
    """Return what the compiler did: the operators that its file still holds stayed on the CPU."""
    cpu = left_on_cpu(graph, compiled, COMPILED)
    findings = tuple(_finding(op.op, op.index not in cpu, log) for op in graph.ops)
    mapped = [op for op in graph.ops if op.index not in cpu]
    notes = [f"as edgetpu_compiler {log.version} decided; the latency is predicted"]
    told = sum(row.count for row in log.rows if row.status == MAPPED)
    if log.rows and told != len(mapped):
        notes.append(f"its log counts {told} mapped operators, its file lacks {len(mapped)} of the original ones")
    return Verdict(
        findings=findings,
        kind="predicted",
        notes=tuple(notes),
        parameter_bytes=ParameterBytes(on_chip=None, streamed=log.streamed_bytes, on_chip_memory=log.on_chip_bytes),
        latency=predict(graph, mapped, profile),
    )


def _finding(op: str, mapped: bool, log: CompilerLog) -> Finding:
    if mapped:
        return Finding(status=MAPPED, mapped=True, certainty="accelerator")
    said = [row.status for row in log.rows if row.op == op and row.status != MAPPED]
    status = " or: ".join(said) or "left on the CPU"
    return Finding(status=status, mapped=False, certainty="accelerator", reason=status)


def _read(path: Path) -> str:
    return "\n" + path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


COMPILERS.add("edgetpu", Compiler(compile=compile_for_edgetpu, predict=judge_on_edgetpu))
