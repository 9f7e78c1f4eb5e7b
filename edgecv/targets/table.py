"""Judging operators by a target's published table."""

from __future__ import annotations

from edgecv.core.errors import ConfigError
from edgecv.graphs import Graph, Op
from edgecv.targets.verdict import PROCEDURES, Finding, Request, Verdict, wrong_format
from edgecv.values.profiles import TargetProfile


def judge_by_table(request: Request) -> Verdict:
    """Judge each operator alone by the profile's table and types. Certainty is "likely" at best."""
    refused = wrong_format(request)
    if refused is not None:
        return refused
    findings = tuple(judge_op(request.graph, op, request.profile) for op in request.graph.ops)
    return Verdict(findings=findings, kind="predicted")


def judge_op(graph: Graph, op: Op, profile: TargetProfile) -> Finding:
    """Judge one operator by the table: its name, its version and the types it computes on."""
    reason = _objection(graph, op, profile)
    if reason:
        return Finding(status="Not in the operator table", mapped=False, certainty="likely", reason=reason)
    return Finding(status="In the operator table", mapped=True, certainty="likely")


def limit(profile: TargetProfile, name: str) -> float:
    """Return a number of the profile's `[limits]`. Raises ConfigError when the profile lacks it."""
    if name not in profile.limits:
        raise ConfigError(
            f"target '{profile.name}' has no limit '{name}'", hint=f"add it to [limits] of {profile.name}.toml"
        )
    return profile.limits[name]


def _objection(graph: Graph, op: Op, profile: TargetProfile) -> str:
    if op.is_custom:
        return f"custom operator '{op.op}' is unknown to {profile.title}"
    rule = profile.ops.get(op.op)
    if rule is None:
        return f"{op.op} is not in the operator table of {profile.title}"
    if rule.max_version is not None and op.version > rule.max_version:
        return f"{op.op} version {op.version} is newer than the supported version {rule.max_version}"
    dtypes = {t.dtype for t in (*graph.inputs_of(op), *graph.outputs_of(op)) if not t.is_constant}
    wrong = sorted(dtypes - set(profile.dtypes)) if profile.dtypes else []
    if wrong:
        return f"it works on {', '.join(wrong)}; supported: {', '.join(profile.dtypes)}"
    return ""


PROCEDURES.add("op_table", judge_by_table)
