"""`edgecv inspect`: what a target does with each operator of a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgecv.core import files
from edgecv.core.progress import QUIET, Reporter
from edgecv.graphs import Graph, arena_bytes, naming_operators
from edgecv.modelio.model_file import model_file
from edgecv.modelio.parts import unpacked
from edgecv.targets.verdict import PREDICTORS, PROCEDURES, Request, Verdict
from edgecv.values import profiles
from edgecv.values.inspection import (
    Advice,
    Inspection,
    MappingSummary,
    OpVerdict,
    ParameterBytes,
    PredictedLatency,
    Unmapped,
)
from edgecv.values.profiles import TargetProfile


def inspect(
    path: files.PathLike, target_name: str, *, predicted: bool = False, reporter: Reporter = QUIET
) -> Inspection:
    """Say which operators of a model file a target runs on its accelerator, and why not the others.

    Args:
        path: A `.tflite` or `.onnx` file, or a bundle of such, whose operators are counted through.
        target_name: Name of a target, or path of a target's TOML file.
        predicted: Ask no accelerator and run no compiler: by the target's data, in a moment.
        reporter: Is told what is asked of slow accelerators.

    Raises:
        ConfigError: The target is unknown, or the file is missing.
        UnsupportedModelError: The file cannot be read as a model, or an operator is malformed, by name.
        CrashError: It ends the process that asks an interpreter about it.
    """
    profile = profiles.target(target_name)
    opened = model_file(path)
    if opened.format == "bundle":
        return _bundle(opened.path, target_name, predicted=predicted, reporter=reporter)
    source, graph = opened.path, opened.graph
    procedures = PREDICTORS if predicted and profile.verdict in PREDICTORS else PROCEDURES
    procedure = procedures.get(profile.verdict)
    request = Request(path=source, graph=graph, profile=profile, reporter=reporter)
    with naming_operators(graph):
        return _inspection(profile.name, graph, procedure(request), opened.layers)


def _bundle(path: Path, target_name: str, *, predicted: bool, reporter: Reporter) -> Inspection:
    with unpacked(path) as parts:
        found = {
            role: inspect(file, target_name, predicted=predicted, reporter=reporter) for role, file in parts.items()
        }
    return combined(found, path.stat().st_size)


def combined(parts: Mapping[str, Inspection], size_bytes: int) -> Inspection:
    """Return the inspections of a bundle's networks, by role, as one: operators counted through, sums of the rest.

    What lies between the networks runs on the CPU, and is not in a predicted time.
    """
    first, ops, advice, notes = next(iter(parts.values())), list[OpVerdict](), list[Advice](), list[str]()
    for role, found in parts.items():
        start = len(ops)
        notes.append(f"operators {start} to {start + found.n_ops - 1} are of the part '{role}'")
        notes += [f"{role}: {note}" for note in found.notes]
        ops += [replace(op, index=op.index + start) for op in found.ops]
        advice += [replace(one, ops=tuple(op + start for op in one.ops), would_map=None) for one in found.advice]
    return Inspection(
        target=first.target,
        n_ops=len(ops),
        n_mapped=sum(op.mapped for op in ops),
        ops=tuple(ops),
        parameter_bytes=ParameterBytes(
            on_chip=_sum(one.parameter_bytes.on_chip for one in parts.values()),
            streamed=_sum(one.parameter_bytes.streamed for one in parts.values()),
            on_chip_memory=_sum(one.parameter_bytes.on_chip_memory for one in parts.values()),
        ),
        size_bytes=size_bytes,
        arena_bytes=_sum(one.arena_bytes for one in parts.values()),
        kind=next((one.kind for one in parts.values() if one.kind != "measured"), "measured"),
        notes=tuple(dict.fromkeys(notes)),
        latency=_total([one.latency for one in parts.values()]),
        advice=tuple(advice),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _total(parts: Sequence[PredictedLatency | None]) -> PredictedLatency | None:
    """Return the time of networks one after the other; errors add up, since one model makes them all."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    ends = [(part.low_ms, part.high_ms) for part in known]
    low, high = (_sum_ms([pair[side] for pair in ends]) for side in (0, 1))
    names = dict.fromkeys(name for part in known for name in part.parts_ms)
    return PredictedLatency(
        ms=sum(part.ms for part in known),
        low_ms=low,
        high_ms=high,
        parts_ms={name: sum(part.parts_ms.get(name, 0.0) for part in known) for name in names},
        median_error=known[0].median_error,
        kind=known[0].kind,
    )


def _sum_ms(values: Sequence[float | None]) -> float | None:
    return None if None in values else sum(value for value in values if value is not None)


def describe(source: Path, profile: TargetProfile, graph: Graph, verdict: Verdict) -> Inspection:
    """Return a verdict as the inspection of a file, with the names of its source layers."""
    return _inspection(profile.name, graph, verdict, model_file(source).layers)


def summarize(inspection: Inspection) -> MappingSummary:
    """Return what a report keeps of an inspection."""
    unmapped = tuple(
        Unmapped(index=v.index, op=v.op, layer=v.layer, reason=v.reason or v.status)
        for v in inspection.ops
        if not v.mapped
    )
    return MappingSummary(
        target=inspection.target,
        n_ops=inspection.n_ops,
        n_mapped=inspection.n_mapped,
        unmapped=unmapped,
        kind=inspection.kind,
        latency=inspection.latency,
    )


def _inspection(target: str, graph: Graph, verdict: Verdict, layers: tuple[str, ...]) -> Inspection:
    ops = tuple(
        OpVerdict(
            index=op.index,
            op=op.op,
            layer=layer,
            status=found.status,
            mapped=found.mapped,
            certainty=found.certainty,
            reason=found.reason,
        )
        for op, found, layer in zip(graph.ops, verdict.findings, layers, strict=True)
    )
    return Inspection(
        target=target,
        n_ops=len(ops),
        n_mapped=sum(op.mapped for op in ops),
        ops=ops,
        parameter_bytes=verdict.parameter_bytes,
        size_bytes=graph.size_bytes,
        arena_bytes=arena_bytes(graph),
        kind=verdict.kind,
        notes=verdict.notes + _graph_notes(graph),
        latency=verdict.latency,
        advice=verdict.advice,
    )


def _graph_notes(graph: Graph) -> tuple[str, ...]:
    if graph.n_subgraphs == 1:
        return ()
    return (f"the file has {graph.n_subgraphs} subgraphs; only the first one is judged",)
