"""LiteRT's GPU accelerator: its own verdict where a Vulkan driver is present, else the operator table."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgecv.graphs import Graph, Op, constant, partition
from edgecv.targets.gpu_probe import Answer, Runner, ask
from edgecv.targets.table import judge_by_table, limit
from edgecv.targets.verdict import PREDICTORS, PROCEDURES, Finding, Request, Verdict, refuse_all, wrong_format
from edgecv.targets.vulkan import Driver, drivers
from edgecv.values.inspection import Certainty
from edgecv.values.kind import Kind

WRONG_ABOVE = 0.5
"""Relative difference from the CPU above which answers are called wrong: far beyond float16's rounding."""

UNEVEN = "it computes wrong answers: a grouped convolution whose groups are no multiple of 4 channels"

STRIDED = "it computes wrong answers: an 8-bit 1x1 convolution with strides (LiteRT 2.3; float files are right)"

WRONG = "Wrong answers on the GPU"
"""Status of operators that the accelerator takes and was seen to compute wrongly."""

APART = "Not in the delegated part"
"""Status of operators that the GPU supports and leaves to the CPU: it takes one part of the graph."""

SOFTWARE_NOTE = "software adapter: coverage and numerics only, never latency"
_ON_GPU = Finding(status="Runs on the GPU", mapped=True, certainty="accelerator")


def judge_on_gpu(request: Request, *, found: tuple[Driver, ...] | None = None, run: Runner = subprocess.run) -> Verdict:
    """Judge a file by loading it on the GPU in a process of its own; by the table when no adapter opens.

    Args:
        request: The file.
        found: Vulkan drivers to try in order; those of this host by default.
        run: Starts processes, as subprocess.run.
    """
    refused = wrong_format(request)
    if refused is not None:
        return refused
    available = drivers() if found is None else found
    answer = _first_answer(request, available, run)
    if answer is None or answer.failure:
        why = answer.failure if answer else "no Vulkan driver was found"
        note = f"judged by the operator table: the accelerator was not asked, because {why}"
        return Verdict(findings=by_table(request), kind="predicted", notes=(note,))
    return verdict_of(request.graph, answer)


def predict_on_gpu(request: Request) -> Verdict:
    """Judge a file by the table alone."""
    return wrong_format(request) or Verdict(findings=by_table(request), kind="predicted")


def by_table(request: Request) -> tuple[Finding, ...]:
    """Judge by the operator table and by the conditions that single operators were seen to fail on."""
    found = judge_by_table(request).findings
    return tuple(_conditioned(request, op, finding) for op, finding in zip(request.graph.ops, found, strict=True))


def _conditioned(request: Request, op: Op, finding: Finding) -> Finding:
    reason = _broken_condition(request.graph, op, int(limit(request.profile, "max_axes")))
    if not finding.mapped or not reason:
        return finding
    return Finding(status="Condition not met", mapped=False, certainty="likely", reason=reason)


def _broken_condition(graph: Graph, op: Op, max_axes: int) -> str:
    axes = max((len(tensor.shape) for tensor in (*graph.inputs_of(op), *graph.outputs_of(op))), default=0)
    if axes > max_axes:
        return f"it works on tensors of {axes} axes; at most {max_axes} are supported"
    if _is_uneven_group(graph, op):
        return UNEVEN
    if is_known_wrong(graph, op):
        return STRIDED
    if op.op == "STRIDED_SLICE" and graph.tensors[op.inputs[3]].is_constant and constant(graph, op.inputs[3]).min() < 0:
        return "reversed slices are not supported"
    return ""


def _first_answer(request: Request, available: tuple[Driver, ...], run: Runner) -> Answer | None:
    answer = None
    for driver in available:
        request.reporter.info(f"asking the GPU accelerator, with {driver.origin}")
        answer = ask(Path(request.path), driver, run=run)
        if not answer.failure:
            break
    return answer


def verdict_of(graph: Graph, answer: Answer) -> Verdict:
    """Turn the accelerator's answer into findings: it names kinds of operators, and counts those it takes."""
    kind: Kind = "simulated" if answer.software else "measured"
    notes = [f"GPU adapter: {answer.adapter}"] + ([SOFTWARE_NOTE] if answer.software else [])
    notes += [f"the accelerator's log: {line}" for line in answer.errors]
    if answer.dynamic:
        reason = "the accelerator takes static shapes only, and the file has dynamic-sized tensors"
        findings = refuse_all(graph, status="Dynamic shapes", reason=reason, certainty="accelerator")
    elif answer.abort:
        reason = f"the accelerator's native code gives up on the file: {answer.abort}"
        findings = refuse_all(graph, status="The accelerator aborts", reason=reason, certainty="accelerator")
    elif answer.fully:
        findings = (_ON_GPU,) * len(graph.ops)
    else:
        findings, doubt = _partly(graph, answer)
        notes += [doubt] if doubt else []
    if _is_wrong(graph, answer):
        findings = tuple(_doubted(graph, op, found) for op, found in zip(graph.ops, findings, strict=True))
    findings = tuple(_known(graph, op, found) for op, found in zip(graph.ops, findings, strict=True))
    notes += _answers(graph, answer)
    return Verdict(findings=findings, kind=kind, notes=tuple(notes))


def _is_wrong(graph: Graph, answer: Answer) -> bool:
    return answer.difference is not None and answer.difference > WRONG_ABOVE and not _is_quantised(graph)


def _is_quantised(graph: Graph) -> bool:
    return any(tensor.dtype in ("int8", "uint8", "int16") and not tensor.is_constant for tensor in graph.tensors)


def _doubted(graph: Graph, op: Op, finding: Finding) -> Finding:
    """Blame wrong answers on the operators that are known for them; the others are in doubt."""
    if not _is_uneven_group(graph, op):
        return replace(finding, certainty="unknown")
    return Finding(status=WRONG, mapped=False, certainty="accelerator", reason=UNEVEN)


def is_known_wrong(graph: Graph, op: Op) -> bool:
    """Say whether the accelerator is known to compute an operator wrongly, whatever it says of it.

    Established on LiteRT 2.3 by comparing single operators with the CPU: 8-bit 1x1 convolutions with strides, as in the
    shortcuts of residual networks, are off by as much as the answer itself.
    """
    if op.op != "CONV_2D" or graph.outputs_of(op)[0].dtype not in ("int8", "uint8"):
        return False
    pointwise = graph.inputs_of(op)[1].shape[1:3] == (1, 1)
    return pointwise and max(op.options.get("stride_w", 1), op.options.get("stride_h", 1)) > 1


def _known(graph: Graph, op: Op, finding: Finding) -> Finding:
    if not finding.mapped or not is_known_wrong(graph, op):
        return finding
    return Finding(status=WRONG, mapped=False, certainty="certain", reason=STRIDED)


def _is_uneven_group(graph: Graph, op: Op) -> bool:
    # The accelerator keeps channels in slices of 4. Established on LiteRT 2.3: see benchmarks/gpu_coverage.py --ops.
    if op.op != "CONV_2D":
        return False
    image, weights = graph.inputs_of(op)[:2]
    return weights.shape[-1] != image.shape[-1] and weights.shape[-1] % 4 != 0


def _answers(graph: Graph, answer: Answer) -> list[str]:
    if answer.difference is None:
        return []
    found = f"on random input its answers differ from the CPU's by {answer.difference:.2g} of their size"
    if _is_wrong(graph, answer):
        return [f"WRONG ANSWERS: the accelerator takes the file, but {found}"]
    # Noise is unlike what a file was calibrated on; the CPU saturates there, float arithmetic does not.
    why = "; it computes 8-bit files in float, without their saturation" if _is_quantised(graph) else ""
    return [found + why]


def _partly(graph: Graph, answer: Answer) -> tuple[tuple[Finding, ...], str]:
    reasons = {op.index: _reason(graph, op, answer.refused) for op in graph.ops}
    refused = {index: reason for index, reason in reasons.items() if reason}
    taken = _largest_subset(graph, {op.index for op in graph.ops} - set(refused))
    exact = answer.n_gpu == len(taken)
    findings = tuple(_finding(op, refused.get(op.index, ""), op.index in taken, exact) for op in graph.ops)
    doubt = f"the accelerator counts {answer.n_gpu} operators on the GPU, but names only kinds, not which ones"
    return findings, "" if exact else doubt


def _largest_subset(graph: Graph, supported: set[int]) -> frozenset[int]:
    # The delegate takes one part of the graph, the one with the most operators (the first of equals).
    # Source: GetFirstNLargestPartitions, tensorflow/lite/delegates/utils.cc, with max_delegated_partitions = 1.
    parts = [frozenset(part.ops) for part in partition(graph, supported) if part.supported]
    return max(parts, key=len, default=frozenset())


def _reason(graph: Graph, op: Op, refused: Sequence[tuple[str, str]]) -> str:
    """Return why an operator is refused; "" when it is not.

    A reason that ends in a tensor's name is about the operators of that tensor; any other, about all of their kind.
    """
    mine = {tensor.name for tensor in (*graph.inputs_of(op), *graph.outputs_of(op))}
    names = {tensor.name for tensor in graph.tensors}
    for kind, reason in refused:
        last = _named(reason, names)
        if kind == op.op and (not last or last in mine):
            return reason.removesuffix(last).strip()
    return ""


def _named(reason: str, names: set[str]) -> str:
    return max((name for name in names if name and reason.endswith(f" {name}")), key=len, default="")


def _finding(op: Op, reason: str, on_gpu: bool, exact: bool) -> Finding:
    certainty: Certainty = "accelerator" if exact else "unknown"
    if on_gpu:
        return Finding(status="Runs on the GPU", mapped=True, certainty=certainty)
    if reason:
        return Finding(status="Not supported by the GPU delegate", mapped=False, certainty=certainty, reason=reason)
    apart = f"{op.op} is supported, but outside the one part of the graph that the GPU takes"
    return Finding(status=APART, mapped=False, certainty=certainty, reason=apart)


PREDICTORS.add("litert_gpu", predict_on_gpu)
PROCEDURES.add("litert_gpu", judge_on_gpu)
