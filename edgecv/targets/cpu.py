"""CPUs: LiteRT's own interpreter says which operators XNNPACK took over, a target's data which kernels compute them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from edgecv.core.apart import call_apart
from edgecv.core.errors import CrashError, EdgecvError, UnsupportedModelError
from edgecv.graphs import Graph, Op, scale_limits
from edgecv.graphs.pool_windows import as_pool
from edgecv.runtime import host
from edgecv.runtime.engines import onnx
from edgecv.targets.kernel_kinds import is_weighted, kind_of
from edgecv.targets.verdict import PROCEDURES, Finding, Request, Verdict, join_names, wrong_format
from edgecv.values import profiles
from edgecv.values.profiles import KernelRule, TargetProfile

_XNNPACK = Finding(status="Delegated to XNNPACK", mapped=True, certainty="accelerator")
_KERNEL = Finding(status="Builtin kernel", mapped=True, certainty="accelerator")
_UNASKED = Finding(status="Builtin kernel", mapped=True, certainty="likely")
_ONNX = Finding(status="ONNX Runtime CPU kernel", mapped=True, certainty="likely")
_ASKED_ONNX = Finding(status="ONNX Runtime CPU kernel", mapped=True, certainty="accelerator")
_DEPTHWISE = "DEPTHWISE_CONV_2D"
_WORDS = {"half": "float16 arithmetic"}


def judge_on_cpu(request: Request) -> Verdict:
    """Judge every operator by loading the file into the interpreter with XNNPACK, without running it.

    The interpreter is in a process of its own: a file that crashes it is a CrashError.

    Builtin operators all run on the CPU; "mapped" is false only for custom ones. Which kernels compute an operator
    follows from the instruction set, the host's or the target's own, and is not traced. For another instruction set
    than the host's everything is predicted.
    """
    refused = wrong_format(request)
    if refused is not None:
        return refused
    custom = join_names(op.op for op in request.graph.ops if op.is_custom)
    if request.graph.format == "onnx":
        return _onnx(request)
    if custom:
        return _predicted(request.graph, _UNASKED, notes=(f"the file needs custom operators: {custom}",))
    try:
        delegated = xnnpack_ops(request)
    except CrashError:
        raise
    except UnsupportedModelError as error:
        note = f"the interpreter refuses the file: {_first_line(error)}"
        return _predicted(request.graph, _UNASKED, notes=(note,))
    return _with_kernels(request, delegated)


def _with_kernels(request: Request, delegated: frozenset[int]) -> Verdict:
    here = host.cpu_isa()
    profile, foreign = _instruction_set(request.profile, here)
    findings = tuple(_finding(request.graph, op, op.index in delegated, profile) for op in request.graph.ops)
    kernels = _kernel_notes(request.graph, profile)
    if not foreign:
        isa = f"this host's CPU is {_called(profile)}" if profile else "this host's instruction set has no kernel data"
        asked = f"as XNNPACK decides on this host; {isa}; kernels follow from XNNPACK's source and were not traced"
        return Verdict(findings=findings, kind="measured", notes=(asked, *kernels))
    likely = tuple(replace(found, certainty="likely") for found in findings)
    note = (
        f"predicted: nothing ran on {_called(request.profile)}; which operators XNNPACK takes is what it decides on "
        f"this host ({here or 'unnamed'}), the kernels are documented; times on this host say nothing of that CPU"
    )
    return Verdict(findings=likely, kind="predicted", notes=(note, *kernels))


def _instruction_set(profile: TargetProfile, here: str | None) -> tuple[TargetProfile | None, bool]:
    """Return the profile with the kernels that count, and whether it is of another CPU than this one."""
    if profile.isa not in ("", "host"):
        return profile, profile.isa != here
    if here is None or here not in profiles.target_names():
        return None, False
    return profiles.target(here), False


def computes_half(target: str) -> bool:
    """Say whether a target is a CPU that computes in float16; of "cpu" the one of this host."""
    profile = profiles.target(target)
    known, _ = _instruction_set(profile, host.cpu_isa())
    return profile.accelerator == "cpu" and known is not None and "half" in known.kernels


def _called(profile: TargetProfile) -> str:
    return profile.title.removeprefix("CPU: ")


def _finding(graph: Graph, op: Op, delegated: bool, profile: TargetProfile | None) -> Finding:
    kind = _kind(profile, graph, op)
    if not delegated:
        cause = scale_limits.refused(graph, op) or (f"no {kind} kernel for it, or not with its options" if kind else "")
        why = f"; XNNPACK left it: {cause}" if cause else ""
        return replace(_KERNEL, status=f"Builtin kernel of TFLite{why}")
    rule = profile.kernels.get(kind) if profile and is_weighted(op) else None
    if rule is None:
        return _XNNPACK
    kernels = rule.depthwise if op.op == _DEPTHWISE and rule.depthwise else rule.kernels
    return replace(_XNNPACK, status=f"{_XNNPACK.status}: {_WORDS.get(kind, kind)}, {kernels}")


def _kernel_notes(graph: Graph, profile: TargetProfile | None) -> tuple[str, ...]:
    """Return what is to be known of each kind of numbers that the file's layers compute with, and of threads."""
    if profile is None:
        return ()
    layers = [op for op in graph.ops if is_weighted(op) and as_pool(graph, op) is op]
    counts = Counter((_kind(profile, graph, op), op.op == _DEPTHWISE) for op in layers)
    rules = {kind: profile.kernels[kind] for kind, _ in counts if kind in profile.kernels}
    notes = [note for kind, rule in rules.items() for note in _kernel_notes_of(kind, rule, counts)]
    return (*notes, f"threads: {profile.threads}") if profile.threads else tuple(notes)


def _kind(profile: TargetProfile | None, graph: Graph, op: Op) -> str:
    """Return the kind of numbers as a CPU computes it: one without float16 arithmetic widens what may be half."""
    kind = kind_of(graph, op)
    return "float16" if kind == "half" and (profile is None or kind not in profile.kernels) else kind


def _kernel_notes_of(kind: str, rule: KernelRule, counts: Mapping[tuple[str, bool], int]) -> Iterator[str]:
    """Yield a note of a kind's layers, and one of the depthwise ones where their kernels keep another pace."""
    apart = counts.get((kind, True), 0) if rule.depthwise_pace else 0
    rest = counts.get((kind, False), 0) + counts.get((kind, True), 0) - apart
    name = _WORDS.get(kind, kind)
    if rest:
        yield f"{name}, {rest} layers: {rule.pace}{f': {rule.why}' if rule.why else ''}"
    if apart:
        yield f"{name} depthwise, {apart} layers: {rule.depthwise_pace}: {rule.depthwise_why}"


def _onnx(request: Request) -> Verdict:
    """Judge an ONNX file: ONNX Runtime assigns every node to its CPU provider, or refuses the file."""
    graph = request.graph
    names = {op.op for op in graph.ops if op.is_custom}
    if names:
        return _predicted(graph, _ONNX, notes=(f"the file needs custom operators: {join_names(names)}",))
    if request.profile.isa not in ("", "host", host.cpu_isa()):
        return _predicted(graph, _ONNX, notes=("judged by operator domains; nothing ran on this CPU",))
    try:
        nodes = call_apart("edgecv.runtime.engines.onnx:assigned_nodes", str(request.path), about=request.path)
    except CrashError:
        raise
    except EdgecvError as error:  # a missing package, a refused file: either way nobody was asked
        note = f"judged by operator domains, since ONNX Runtime was not asked: {_first_line(error)}"
        return _predicted(graph, _ONNX, notes=(note,))
    if nodes is None:
        return _predicted(graph, _ONNX, notes=("judged by operator domains: this ONNX Runtime names no nodes",))
    made = f"ONNX Runtime made {len(nodes)} nodes of the file's {len(graph.ops)}"
    return Verdict(findings=(_ASKED_ONNX,) * len(graph.ops), kind="measured", notes=(f"{made}: {_counted(nodes)}",))


def _counted(nodes: Iterable[onnx.Node]) -> str:
    counts = Counter((node.provider, node.op) for node in nodes)
    return ", ".join(f"{count} {op}" for (_, op), count in counts.most_common())


def xnnpack_ops(request: Request) -> frozenset[int]:
    """Return the indices of the operators that XNNPACK takes over in this host's interpreter.

    A delegate node lists the tensors that enter and leave it: the operators between them are the delegated ones.

    Raises:
        UnsupportedModelError: The interpreter refuses the file; CrashError: it ends over it.
    """
    nodes = call_apart("edgecv.runtime.engines.tflite:delegate_nodes", str(request.path), about=request.path)
    found: set[int] = set()
    for inputs, outputs in nodes:
        found |= _between(request.graph, set(inputs), outputs)
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
