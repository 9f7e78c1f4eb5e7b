"""Time per operator with source layers: the device's profile, matched with the file's operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecv.bench import matching
from edgecv.bench.cases import BenchCase
from edgecv.bench.devices.base import Device
from edgecv.bench.link import AgentLink
from edgecv.core.errors import ConfigError, EdgecvError
from edgecv.core.optional import require
from edgecv.graphs import Graph
from edgecv.modelio.model_file import model_file
from edgecv.values.latency import OpProfile, OpTime

PROFILE_TIMEOUT_S = 400.0
OLDER_AGENT = "the edgecv on the device is older than here: its agent does not profile"
# How far the operators' sum may lie from a plain inference before a reader must be warned.
TOLERANCE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """A profile, or the reason why there is none."""

    profile: OpProfile | None
    reason: str = ""


def profile(case: BenchCase, device: Device, *, seed: int = 0, runs: int = 100, seconds: float = 5.0) -> Profiled:
    """Profile a case's operators in a process of its own.

    Args:
        case: Its file, engine and threads.
        device: Where.
        seed: Of the inputs.
        runs: Profiled inferences; fewer when `seconds` are over.

    Returns:
        Times per operator; or why they cannot be had: another accelerator, an interpreter without a profiler, a device
        that failed.
    """
    request = {"engine": case.engine, "accelerator": case.accelerator, "threads": case.threads}
    limits = {"seed": seed, "runs": runs, "seconds": seconds}
    try:
        with AgentLink(device.start(), case.name) as agent:
            agent.hello()
            path = device.put(Path(case.path))
            answer = agent.ask("profiling", PROFILE_TIMEOUT_S, command="profile", path=path, **request, **limits)
        return Profiled(profile=attributed(answer, Path(case.path)))
    except ConfigError as error:
        return Profiled(profile=None, reason=OLDER_AGENT if "unknown agent command" in error.message else error.message)
    except EdgecvError as error:
        return Profiled(profile=None, reason=f"{error.message}; {error.hint}" if error.hint else error.message)


def attributed(answer: Mapping[str, Any], file: Path) -> OpProfile:
    """Match an agent's profile with the file's operators and their source layers.

    Args:
        answer: To the agent's command `profile`.
        file: The file, on this host.
    """
    opened = model_file(file)
    graph, layers = opened.graph, opened.layers
    rows = answer["ops"]
    matches = _matches(rows, graph, file)
    total = sum(float(row["ms"]) for row in rows)
    ops = tuple(
        OpTime(
            name=str(row["name"]),
            op="" if found.index is None else graph.ops[found.index].op,
            index=found.index,
            layer="" if found.index is None else layers[found.index],
            ms=float(row["ms"]),
            share=float(row["ms"]) / total if total else 0.0,
            certain=found.certain,
        )
        for row, found in zip(rows, matches, strict=True)
    )
    return OpProfile(
        source=str(answer["source"]),
        runs=int(answer["runs"]),
        ops=ops,
        sum_ms=total,
        inference_ms=float(answer["inference_ms"]),
        resolution_ms=float(answer["resolution_ms"]),
        note=str(answer["note"]),
    )


def checked(found: OpProfile, plain_ms: float) -> OpProfile:
    """Return the profile with a note of how its sum compares with a plain inference.

    Args:
        found: The profile.
        plain_ms: Median of the inferences that were not profiled.
    """
    share = found.sum_ms / plain_ms
    text = f"the operators add up to {share:.0%} of a plain inference (p50 {plain_ms:.4g} ms)"
    if share < 1 - TOLERANCE:
        text += (
            f": the profiler counts whole steps of {found.resolution_ms * 1e3:g} us and loses up to one per operator, "
            "and the interpreter has work of its own"
        )
    if share > 1 + TOLERANCE:
        text += ": profiling itself takes time in each operator, so small ones look larger than they are"
    return replace(found, note=f"{found.note}; {text}" if found.note else text)


def _matches(rows: Sequence[Mapping[str, Any]], graph: Graph, file: Path) -> tuple[matching.Match, ...]:
    if graph.format == "onnx":
        onnx = require("onnx", why="to read the names of an .onnx file's nodes")
        nodes = onnx.load(str(file), load_external_data=False).graph.node
        # ONNX Runtime calls a node without a name by its operator and position.
        names = [(node.name or f"{node.op_type}_{i}", tuple(map(str, node.output))) for i, node in enumerate(nodes)]
        return matching.by_name([str(row["node"] or "") for row in rows], names)
    known = [row["index"] if isinstance(row["index"], int) else None for row in rows]
    return matching.in_order([str(row["name"]) for row in rows], known, [op.op for op in graph.ops])
