"""What a verdict procedure takes and returns, and the registry that a target profile's `verdict` names one of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from edgecv.core.progress import QUIET, Reporter
from edgecv.core.registry import Registry
from edgecv.graphs import Graph
from edgecv.values.inspection import Advice, Certainty, ParameterBytes, PredictedLatency
from edgecv.values.kind import Kind
from edgecv.values.profiles import TargetProfile

UNKNOWN_BYTES = ParameterBytes(on_chip=None, streamed=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One file and the target it is inspected for."""

    path: Path
    graph: Graph
    profile: TargetProfile
    reporter: Reporter = QUIET


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a target does with one operator; the fields are OpVerdict's."""

    status: str
    mapped: bool
    certainty: Certainty
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a target does with a file.

    Attributes:
        findings: One per operator, in the file's order.
        notes: Remarks on the whole file.
        latency: Predicted time of the mapped part, where the target has a cost model.
        advice: What would map more.
    """

    findings: tuple[Finding, ...]
    kind: Kind
    notes: tuple[str, ...] = ()
    parameter_bytes: ParameterBytes = UNKNOWN_BYTES
    latency: PredictedLatency | None = None
    advice: tuple[Advice, ...] = ()


Procedure = Callable[[Request], Verdict]

PROCEDURES: Registry[Procedure] = Registry("verdict procedure")

PREDICTORS: Registry[Procedure] = Registry("static predictor")
"""By the same names: what answers at once where the procedure asks an accelerator or runs a compiler."""


def refuse_all(graph: Graph, *, status: str, reason: str, certainty: Certainty) -> tuple[Finding, ...]:
    """Return the findings of a file that the target does not take at all."""
    refusal = Finding(status=status, mapped=False, certainty=certainty, reason=reason)
    return (refusal,) * len(graph.ops)


def wrong_format(request: Request) -> Verdict | None:
    """Return the verdict on a file in a format that the target does not take, or None when it takes it."""
    taken = request.profile.formats
    if request.graph.format in taken:
        return None
    formats = " or ".join(f".{name}" for name in taken)
    reason = f"{request.profile.title} takes {formats} files, not .{request.graph.format}"
    refused = refuse_all(request.graph, status="Model format not supported", reason=reason, certainty="certain")
    return Verdict(findings=refused, kind="predicted", notes=(reason,))


def join_names(names: Iterable[str]) -> str:
    """Return names once each, sorted, as prose."""
    return ", ".join(sorted(set(names)))
