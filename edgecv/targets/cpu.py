"""The host CPU: LiteRT's own interpreter says which operators XNNPACK took over."""

from __future__ import annotations

from edgecv.graphs import Graph
from edgecv.optional import require
from edgecv.targets.verdict import PROCEDURES, Finding, Request, Verdict, join_names, wrong_format

_XNNPACK = Finding(status="Delegated to XNNPACK", mapped=True, certainty="accelerator")
_KERNEL = Finding(status="Builtin kernel", mapped=True, certainty="accelerator")
_UNASKED = Finding(status="Builtin kernel", mapped=True, certainty="likely")
_ONNX = Finding(status="ONNX Runtime CPU kernel", mapped=True, certainty="likely")


def judge_on_cpu(request: Request) -> Verdict:
    """Judge every operator by loading the file into the interpreter with XNNPACK, without running it.

    Builtin operators all run on the CPU; "mapped" is false only for custom ones. An ONNX file is judged by domain.
    """
    refused = wrong_format(request)
    if refused is not None:
        return refused
    custom = join_names(op.op for op in request.graph.ops if op.is_custom)
    if request.graph.format == "onnx":
        return _predicted(request.graph, _ONNX, notes=("judged by operator domains; the file was not run",))
    if custom:
        return _predicted(request.graph, _UNASKED, notes=(f"the file needs custom operators: {custom}",))
    try:
        delegated = xnnpack_ops(request)
    except (RuntimeError, ValueError) as error:
        note = f"the interpreter refuses the file: {_first_line(error)}"
        return _predicted(request.graph, _UNASKED, notes=(note,))
    findings = tuple(_XNNPACK if op.index in delegated else _KERNEL for op in request.graph.ops)
    return Verdict(findings=findings, kind="measured", notes=("as XNNPACK decides on this host's CPU",))


def xnnpack_ops(request: Request) -> frozenset[int]:
    """Return the indices of the operators that XNNPACK takes over in this host's interpreter.

    A delegate node lists the tensors that enter and leave it: the operators between them are the delegated ones.
    """
    module = require("ai_edge_litert.interpreter", why="to ask the CPU interpreter")
    interpreter = module.Interpreter(model_path=str(request.path), num_threads=1)
    interpreter.allocate_tensors()
    delegates = [node for node in interpreter._get_ops_details() if node["op_name"] == "DELEGATE"]
    found: set[int] = set()
    for node in delegates:
        found |= _between(request.graph, {int(t) for t in node["inputs"]}, [int(t) for t in node["outputs"]])
    return frozenset(found)


def _between(graph: Graph, inputs: set[int], outputs: list[int]) -> set[int]:
    producer = {t: op for op in graph.ops for t in op.outputs}
    found: set[int] = set()
    pending = list(outputs)
    while pending:
        op = producer.get(pending.pop())
        if op is not None and op.index not in found:
            found.add(op.index)
            pending += [t for t in op.inputs if t >= 0 and t not in inputs]
    return found


def _predicted(graph: Graph, builtin: Finding, *, notes: tuple[str, ...]) -> Verdict:
    findings = tuple(_custom(op.op) if op.is_custom else builtin for op in graph.ops)
    return Verdict(findings=findings, kind="predicted", notes=notes)


def _custom(name: str) -> Finding:
    select = name.startswith("Flex")
    cause = "it is a TensorFlow (select) operator" if select else "it is a custom operator"
    reason = f"{cause} that the interpreter does not have"
    return Finding(status="Unresolved custom operator", mapped=False, certainty="certain", reason=reason)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


PROCEDURES.add("all_builtin", judge_on_cpu)
