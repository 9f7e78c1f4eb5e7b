"""`edgecv inspect`: what a target does with each operator of a file."""

from __future__ import annotations

from pathlib import Path

from edgecv.core import files
from edgecv.core.progress import QUIET, Reporter
from edgecv.graphs import Graph, arena_bytes, naming_operators
from edgecv.modelio.model_file import model_file
from edgecv.targets.verdict import PREDICTORS, PROCEDURES, Request, Verdict
from edgecv.values import profiles
from edgecv.values.inspection import Inspection, MappingSummary, OpVerdict, Unmapped
from edgecv.values.profiles import TargetProfile


def inspect(
    path: files.PathLike, target_name: str, *, predicted: bool = False, reporter: Reporter = QUIET
) -> Inspection:
    """Say which operators of a model file a target runs on its accelerator, and why not the others.

    Args:
        path: A `.tflite` or `.onnx` file.
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
    source, graph = opened.path, opened.graph
    procedures = PREDICTORS if predicted and profile.verdict in PREDICTORS else PROCEDURES
    procedure = procedures.get(profile.verdict)
    request = Request(path=source, graph=graph, profile=profile, reporter=reporter)
    with naming_operators(graph):
        return _inspection(profile.name, graph, procedure(request), opened.layers)


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
