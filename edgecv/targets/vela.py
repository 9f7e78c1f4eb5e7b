"""Arm Ethos-U NPUs, through Arm's own compiler: Vela decides what maps, says why not, and estimates the time.

A target is data: its TOML names Vela's configuration in `[options]`, and holds Vela's operator table for hosts without
Vela. Source of the report's columns: ethosu/vela/stats_writer.py of ethos-u-vela 5.2.
"""

from __future__ import annotations

import csv
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgecv.core.errors import ConfigError, ConversionError
from edgecv.graphs import Graph, Op, read_tflite
from edgecv.targets.advice import Obstacle, advise
from edgecv.targets.compiling import COMPILERS, Compiled, Compiler
from edgecv.targets.table import judge_by_table
from edgecv.targets.vendor import Tool, find_tool, left_on_cpu, require_tool, run_tool
from edgecv.targets.verdict import PREDICTORS, PROCEDURES, Finding, Request, Verdict, wrong_format
from edgecv.values.inspection import PredictedLatency
from edgecv.values.profiles import TargetProfile

PROGRAM = "vela"
VARIABLE = "EDGECV_VELA"
CUSTOM = "ethos-u"
TIMEOUT_S = 900.0
_HINT = "pip install 'edgecv[ethos-u]' (make ethos-u in a checkout)"
_SETTINGS = ("accelerator-config", "system-config", "memory-mode")
# In front of each name stands "Warning (supported operators) operator: RESIZE_BILINEAR, ofm: ".
_REFUSAL = re.compile(r"^Warning \([^)]*\) operator: (?P<op>[^,\n]+), ofm: '(?P<name>.*)'\nReason: (?P<why>.*)$", re.M)
_MAPPED = Finding(status="Placed on the Ethos-U", mapped=True, certainty="accelerator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Vela made of a file: the compiled file, what it said, and the one row of its summary (empty without one)."""

    data: bytes
    log: str
    summary: Mapping[str, str]
    version: str


def judge_by_vela(request: Request, *, run: Tool = run_tool) -> Verdict:
    """Judge a file by compiling it with Vela in a temporary folder; by the table when Vela is not installed."""
    refused = wrong_format(request)
    if refused is not None:
        return refused
    if find_tool(PROGRAM, VARIABLE) is None:
        by_table = judge_by_table(request)
        note = f"judged by the operator table, because Vela is not installed: {_HINT}"
        return Verdict(findings=by_table.findings, kind="predicted", notes=(note,))
    answer = ask(request, run=run)
    return verdict_of(request.graph, answer, request.profile)


def compile_for_ethos(request: Request, *, run: Tool = run_tool) -> Compiled:
    """Compile a file with Vela.

    Raises:
        ConfigError: The target's file lacks a setting of Vela.
        MissingDependencyError: Vela is not installed.
        ConversionError: It fails.
    """
    require_tool(PROGRAM, VARIABLE, why="to compile for the Ethos-U", hint=_HINT)
    answer = ask(request, run=run)
    return Compiled(
        data=answer.data,
        log=answer.log,
        suffix="_vela",
        tool=f"ethos-u-vela {answer.version}",
        verdict=verdict_of(request.graph, answer, request.profile),
        figures=figures(answer.summary),
    )


def ask(request: Request, *, run: Tool = run_tool, timeout_s: float = TIMEOUT_S) -> Answer:
    """Run Vela on a file in a temporary folder.

    Raises:
        ConfigError, MissingDependencyError, ConversionError: As `compile_for_ethos` says.
    """
    program = require_tool(PROGRAM, VARIABLE, why="to compile for the Ethos-U", hint=_HINT)
    with tempfile.TemporaryDirectory(prefix="edgecv-vela-") as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(Path(request.path).read_bytes())
        version = run([program, "--version"], folder, 60.0).output.strip().splitlines()[-1:]
        command = [program, "model.tflite", "--output-dir", "out", "--config", "Arm/vela.ini"]
        request.reporter.info(f"compiling with Vela {''.join(version)}")
        done = run([*command, *_settings(request.profile)], folder, timeout_s)
        made = folder / "out" / "model_vela.tflite"
        # It writes the file before its statistics, which fail on some partly mapped files.
        if not made.is_file():
            raise _failed(request, done.output, done.returncode)
        return Answer(
            data=made.read_bytes(), log=done.output, summary=_summary(folder / "out"), version="".join(version)
        )


def _settings(profile: TargetProfile) -> list[str]:
    missing = [name for name in _SETTINGS if name not in profile.options]
    if missing:
        raise ConfigError(
            f"target '{profile.name}' lacks {missing[0]} in [options]", hint="see targets/ethos-u55-128.toml"
        )
    return [part for name in _SETTINGS for part in (f"--{name}", profile.options[name])]


def _failed(request: Request, text: str, status: int) -> ConversionError:
    lines = [line for line in text.strip().splitlines() if line.startswith(("Error", "Fatal"))]
    said = (lines or text.strip().splitlines()[-1:] or ["nothing"])[0]
    hint = "compile with the file's own `vela` command and --verbose-all to see more"
    if "configuration" in said or "config" in said.lower():
        hint = "check [options] of the target: `vela --list-configs Arm/vela.ini` names the configurations"
    return ConversionError(f"vela cannot compile {request.path} (exit status {status}; it says: {said})", hint=hint)


def _summary(folder: Path) -> Mapping[str, str]:
    for path in folder.glob("model_summary_*.csv"):
        with path.open(newline="", encoding="utf-8") as stream:
            return next(iter(csv.DictReader(stream)), {})
    return {}


def verdict_of(graph: Graph, answer: Answer, profile: TargetProfile) -> Verdict:
    """Return what Vela did: what its file still holds stays on the CPU, for the reasons that it printed."""
    cpu = left_on_cpu(graph, read_tflite(answer.data), CUSTOM)
    reasons = {found["name"]: found["why"].strip() for found in _REFUSAL.finditer(answer.log)}
    findings = tuple(_on_cpu(graph, op, reasons) if op.index in cpu else _MAPPED for op in graph.ops)
    left = [op for op in graph.ops if op.index in cpu]
    notes = [f"as Vela {answer.version} decided for {', '.join(profile.options[name] for name in _SETTINGS)}"]
    latency = _latency(answer.summary) if len(left) < len(graph.ops) else None
    if latency is not None:
        notes.append("latency, cycles and memory are Vela's own estimates of the NPU's part; it states no error")
    else:
        notes.append("latency is unknown: Vela wrote no estimate")
    return Verdict(
        findings=findings,
        kind="predicted",
        notes=tuple(notes),
        latency=latency,
        advice=advise((Obstacle(op, "cpu") for op in left), profile),
    )


def _on_cpu(graph: Graph, op: Op, reasons: Mapping[str, str]) -> Finding:
    names = [tensor.name for tensor in graph.outputs_of(op)]
    reason = next(
        (reasons[name] for name in names if name in reasons), "Vela leaves it to the CPU and does not say why"
    )
    return Finding(status="Left to the CPU", mapped=False, certainty="accelerator", reason=reason)


def _latency(summary: Mapping[str, str]) -> PredictedLatency | None:
    seconds = _float(summary, "inference_time")
    clock = _float(summary, "core_clock")
    if not seconds or not clock:
        return None
    parts = {"npu": "cycles_npu", "sram": "cycles_sram_access", "dram": "cycles_dram_access"}
    parts |= {"on-chip flash": "cycles_on_chip_flash_access", "off-chip flash": "cycles_off_chip_flash_access"}
    # Accesses overlap with the NPU's work, so that these do not add up to the whole.
    times = {name: (_float(summary, column) or 0.0) / clock * 1e3 for name, column in parts.items()}
    return PredictedLatency(ms=seconds * 1e3, parts_ms={name: ms for name, ms in times.items() if ms > 0})


def figures(summary: Mapping[str, str]) -> dict[str, float]:
    """Return Vela's estimates with units in their names; what it did not write is left out."""
    columns = {
        "cycles": ("cycles_total", 1.0),
        "sram_bytes": ("sram_memory_used", 1024.0),
        "dram_bytes": ("dram_memory_used", 1024.0),
        "on_chip_flash_bytes": ("on_chip_flash_memory_used", 1024.0),
        "off_chip_flash_bytes": ("off_chip_flash_memory_used", 1024.0),
        "macs": ("nn_macs", 1.0),
    }
    values = {name: (_float(summary, column), scale) for name, (column, scale) in columns.items()}
    return {name: value * scale for name, (value, scale) in values.items() if value is not None}


def _float(summary: Mapping[str, str], column: str) -> float | None:
    try:
        return float(summary[column])
    except (KeyError, ValueError, TypeError):
        return None


PROCEDURES.add("vela", judge_by_vela)
PREDICTORS.add("vela", judge_by_table)
COMPILERS.add("vela", Compiler(compile=compile_for_ethos, predict=judge_by_table))
