"""Predicting what the Edge TPU compiler maps: types, shapes, per-operator conditions, then one part of the graph.

It never promises success: the compiler can still fail on a whole file, for reasons that the file does not show.
"""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import replace

from edgecv.core import files
from edgecv.graphs import Graph, Op, Tensor, partition, read_graph
from edgecv.targets.advice import Obstacle, advise
from edgecv.targets.edgetpu_doubts import parameter_notes, whole_file_doubts
from edgecv.targets.edgetpu_latency import predict
from edgecv.targets.edgetpu_memory import on_the_edge, parameter_bytes
from edgecv.targets.edgetpu_rules import (
    CONDITIONS,
    LIMITED,
    MAPPED,
    OLD_VERSION,
    SECOND_SUBGRAPH,
    UNSUPPORTED,
    WRONG_RANK,
    WRONG_TYPE,
    Doubt,
    Refusal,
    activations,
    worst,
)
from edgecv.targets.vendor import find_tool
from edgecv.targets.verdict import PROCEDURES, Finding, Request, Verdict, refuse_all, wrong_format
from edgecv.values.inspection import Advice, PredictedLatency
from edgecv.values.profiles import OpRule, TargetProfile

NOTE = (
    "predicted from the compiler's table and published logs; it can still fail on the whole file "
    "(large activations, internal errors), which only compiling shows"
)
UNQUANTISED_NOTE = (
    "no operator works on quantised int8 or uint8 tensors: make an int8 file (scheme int8) for this target"
)
EDGE_NOTE = (
    "whether all cached weights fit the chip is open: published logs show 6.9 to 7.7 MiB for them; what does not is "
    "streamed at each inference"
)
PROGRAM = "edgetpu_compiler"
VARIABLE = "EDGECV_EDGETPU_COMPILER"
COMPILED = "edgetpu-custom-op"  # what the compiler leaves in place of the operators that it compiled
SECOND_CAUSE = "second_part"
_ACTIVATION_DIMS = 3
# Operators whose output shape is a run-time value when the named input is not in the file.
_SHAPE_INPUTS = {
    "RESHAPE": 1,
    "PAD": 1,
    "TILE": 1,
    "SLICE": 2,
    "STRIDED_SLICE": 2,
    "TRANSPOSE": 1,
    "RESIZE_BILINEAR": 1,
    "RESIZE_NEAREST_NEIGHBOR": 1,
    "TRANSPOSE_CONV": 0,
    "EXPAND_DIMS": 1,
    "FILL": 0,
    "BROADCAST_TO": 1,
}
_ALWAYS_DYNAMIC = ("WHERE", "UNIQUE", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5")


def judge_on_edgetpu(request: Request) -> Verdict:
    """Predict the compiler's verdict on a file."""
    graph, profile = request.graph, request.profile
    refused = wrong_format(request)
    if refused is not None:
        return refused
    if any(op.op == COMPILED for op in graph.ops):
        return _already_compiled(graph)
    whole = _whole_file(graph, profile)
    if whole is not None:
        return _rejected(graph, whole, profile)
    found = {op.index: verdict for op in graph.ops if (verdict := judge(graph, op, profile)) is not None}
    refusals = {index: verdict for index, verdict in found.items() if isinstance(verdict, Refusal)}
    mapped = _first_part(graph, set(range(len(graph.ops))) - set(refusals))
    parts = [op for op in graph.ops if op.index in mapped]
    whole_doubts = whole_file_doubts(graph, parts, profile)
    doubts = {index: doubt for index, doubt in found.items() if isinstance(doubt, Doubt)}
    doubts |= {op.index: doubt for doubt in whole_doubts[:1] for op in parts}
    findings = tuple(
        _finding(op, refusals.get(op.index), doubts.get(op.index), op.index in mapped, profile) for op in graph.ops
    )
    latency = predict(graph, parts, profile)
    return Verdict(
        findings=findings,
        kind="predicted",
        notes=(
            *_type_note(refusals, parts),
            NOTE,
            *_compiler_note(),
            *(doubt.reason for doubt in whole_doubts),
            *((EDGE_NOTE,) if on_the_edge(graph, parts, profile) else ()),
            *parameter_notes(graph, parts, profile),
            *_runtime_note(parts, profile),
            *_latency_note(latency, findings),
        ),
        parameter_bytes=parameter_bytes(graph, parts, profile),
        latency=latency,
        advice=_advice(graph, refusals, mapped, profile),
    )


def is_compiled(path: files.PathLike) -> bool:
    """Say whether the Edge TPU compiler made a file: the CPU cannot run it whole. Raises as `read_graph` does."""
    return any(op.op == COMPILED for op in read_graph(path).ops)


def _already_compiled(graph: Graph) -> Verdict:
    reason = "the file is compiled already: what the compiler left in it runs on the CPU"
    left = Finding(status="Left on the CPU by the compiler", mapped=False, certainty="certain", reason=reason)
    done = Finding(status=MAPPED, mapped=True, certainty="certain")
    findings = tuple(done if op.op == COMPILED else left for op in graph.ops)
    return Verdict(findings=findings, kind="predicted", notes=("the file is compiled already",))


def _rejected(graph: Graph, whole: Refusal, profile: TargetProfile) -> Verdict:
    findings = refuse_all(graph, status=whole.status, reason=whole.reason, certainty=whole.certainty)
    notes = (f"the compiler rejects the file: {whole.reason}",)
    advice = advise((Obstacle(op, whole.cause) for op in graph.ops if f"operator {op.index})" in whole.reason), profile)
    return Verdict(findings=findings, kind="predicted", notes=notes, advice=advice)


def _advice(
    graph: Graph, refusals: dict[int, Refusal], mapped: frozenset[int], profile: TargetProfile
) -> tuple[Advice, ...]:
    everything = frozenset(range(len(graph.ops)))
    supported = everything - set(refusals)
    refused = [Obstacle(graph.ops[index], refusal.cause) for index, refusal in refusals.items()]
    found = advise(refused, profile, lambda lifted: len(_first_part(graph, supported | lifted)))
    apart = sorted(supported - mapped)
    text = profile.advice.get(SECOND_CAUSE, "")
    if not apart or not text:
        return found
    parts = Advice(op="", ops=tuple(apart), cause=SECOND_CAUSE, text=text, would_map=len(supported))
    return (*found, parts)


def _compiler_note() -> tuple[str, ...]:
    return (f"{PROGRAM} is installed: --compile asks it",) if find_tool(PROGRAM, VARIABLE) else ()


def _latency_note(latency: PredictedLatency | None, findings: tuple[Finding, ...]) -> tuple[str, ...]:
    if latency is None:
        return ()
    error = latency.median_error
    known = "" if error is None else f", {error:.0%} off at the median on networks that it was not fitted to"
    left = sum(not finding.mapped for finding in findings)
    cpu = f"; the time of the {left} operators on the CPU comes on top" if left else ""
    return (f"latency is predicted for a stick on USB 3 by a model fitted to published times{known}{cpu}",)


def _type_note(refusals: dict[int, Refusal], mapped: list[Op]) -> tuple[str, ...]:
    by_type = all(refusal.status in (WRONG_TYPE, UNSUPPORTED) for refusal in refusals.values())
    return (UNQUANTISED_NOTE,) if refusals and by_type and not mapped else ()


def _runtime_note(mapped: list[Op], profile: TargetProfile) -> tuple[str, ...]:
    since = {op.op: int(rule.since) for op in mapped if (rule := profile.ops.get(op.op)) is not None and rule.since}
    if not since:
        return ()
    newest = max(since.values())
    names = ", ".join(sorted(name for name, version in since.items() if version == newest))
    return (f"needs Edge TPU runtime {newest} or newer, for {names}; older ones leave these to the CPU",)


def judge(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | Doubt | None:
    """Return why the compiler does not support one operator, or why that is open; None when it does."""
    rule = profile.ops.get(op.op)
    if op.is_custom or op.op == "DEQUANTIZE":
        return _type_refusal(graph, op, profile) or Refusal(
            status=WRONG_TYPE, reason=f"{op.op} has no Edge TPU version", cause="custom" if op.is_custom else "boundary"
        )
    if rule is None:
        return Refusal(
            status=UNSUPPORTED,
            reason=f"{op.op} is not in the compiler's table of operations",
            certainty="certain" if op.op in profile.refused else "likely",
            cause="table",
        )
    wrong_type = _type_refusal(graph, op, profile)
    if wrong_type is not None:
        return wrong_type
    if rule.since and int(rule.since) > profile.limits.get("runtime", math.inf):
        reason = f"{op.op} needs Edge TPU runtime {rule.since}, the target has {profile.limits['runtime']:.0f}"
        return Refusal(status=UNSUPPORTED, reason=reason, certainty="likely", cause="runtime")
    checks = (_named(name, CONDITIONS.get(name)(graph, op, profile)) for name in rule.limits)
    return worst(*checks, _rank_refusal(graph, op))


def _named(name: str, found: Refusal | Doubt | None) -> Refusal | Doubt | None:
    return replace(found, cause=name) if isinstance(found, Refusal) and not found.cause else found


def _whole_file(graph: Graph, profile: TargetProfile) -> Refusal | None:
    for op in graph.ops:
        rule = profile.ops.get(op.op, OpRule())
        if rule.max_version is not None and op.version > rule.max_version and not op.is_custom:
            reason = f"{op.op} version {op.version} (operator {op.index}) is newer than version {rule.max_version}"
            seen = rule.refused_version is not None and op.version >= rule.refused_version
            return Refusal(
                status=OLD_VERSION,
                reason=f"{reason}, the last one that the compiler reads",
                certainty="certain" if seen else "likely",
                cause="version",
            )
        if _is_dynamic(graph, op):
            reason = f"the shape of the output of {op.op} (operator {op.index}) is only known at run time"
            return Refusal(reason=f"{reason}; give the model fixed input sizes", certainty="likely", cause="dynamic")
    return None


def _is_dynamic(graph: Graph, op: Op) -> bool:
    if op.op in _ALWAYS_DYNAMIC:
        return True
    position = _SHAPE_INPUTS.get(op.op)
    index = op.inputs[position] if position is not None and position < len(op.inputs) else -1
    return index >= 0 and not graph.tensors[index].is_constant


def _type_refusal(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    wrong = next((t for t in activations(graph, op) if not _is_quantised(t, profile)), None)
    if wrong is None:
        return None
    if op.op == "QUANTIZE":
        reason = f"its input '{wrong.name}' is {wrong.dtype}: this conversion runs on the CPU"
        return Refusal(status=LIMITED, reason=reason, cause="boundary")
    if op.op == "DEQUANTIZE":
        reason = f"its output is {wrong.dtype}: this conversion runs on the CPU"
        return Refusal(status=WRONG_TYPE, reason=reason, cause="boundary")
    supported = " and ".join(profile.dtypes)
    reason = f"'{wrong.name}' is {_described(wrong, profile)}; the Edge TPU computes quantised {supported} only"
    return Refusal(status=WRONG_TYPE, reason=reason, cause="custom" if op.is_custom else "type")


def _described(tensor: Tensor, profile: TargetProfile) -> str:
    return tensor.dtype if tensor.dtype not in profile.dtypes else f"{tensor.dtype} without a scale"


def _is_quantised(tensor: Tensor, profile: TargetProfile) -> bool:
    return tensor.dtype in profile.dtypes and bool(tensor.scales)


def _rank_refusal(graph: Graph, op: Op) -> Refusal | None:
    for tensor in activations(graph, op):
        if any(size > 1 for size in tensor.shape[:-_ACTIVATION_DIMS]):
            reason = f"'{tensor.name}' has shape {tensor.shape}; only the 3 innermost sizes may exceed 1"
            return Refusal(status=WRONG_RANK, reason=reason, cause="rank")
    return None


def _first_part(graph: Graph, supported: Set[int]) -> frozenset[int]:
    # The compiler takes the first supported part, not the largest.
    parts = (frozenset(part.ops) for part in partition(graph, supported) if part.supported)
    return next(parts, frozenset())


def _finding(op: Op, refusal: Refusal | None, doubt: Doubt | None, mapped: bool, profile: TargetProfile) -> Finding:
    if refusal is not None:
        return Finding(status=refusal.status, mapped=False, certainty=refusal.certainty, reason=refusal.reason)
    if mapped and doubt is not None:
        return Finding(status=MAPPED, mapped=True, certainty="unknown", reason=doubt.reason)
    if mapped:
        return Finding(status=MAPPED, mapped=True, certainty=profile.ops[op.op].certainty)
    reason = f"{op.op} is supported, but comes after an operator that runs on the CPU; only the first part is compiled"
    return Finding(status=SECOND_SUBGRAPH, mapped=False, certainty="likely", reason=reason)


PROCEDURES.add("edgetpu", judge_on_edgetpu)
