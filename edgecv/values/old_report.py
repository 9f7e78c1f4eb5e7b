"""Reports of the schema edgecv.report/1 as documents of today's.

In those days a metric was a bare name, one of three; a single classifier had no heads, and its confusion matrix and
top-k shares stood beside the artifact's figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgecv.core import codec

OLD_SCHEMA = "edgecv.report/1"
SHARE = {"unit": "share", "better": "higher"}
_METRICS = {"mae": {"unit": "label", "better": "lower"}}
_TASKS = {"top1": "classification", "exact_match": "multilabel", "mae": "regression"}
_HEAD = "output"
"""What the only head is called, whose name such a report does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Old:
    """What became something else."""

    metric: str | None = None
    confusion: tuple[tuple[int, ...], ...] = ()
    top_k: Mapping[str, float] = field(default_factory=dict)
    heads: tuple[Any, ...] = ()


def upgraded(document: Mapping[str, Any], schema: str, where: str) -> dict[str, Any]:
    """Return a /1 document as one of `schema`; what is not as it was then stays, for the strict reader to refuse.

    Raises:
        ConfigError: A metric, confusion matrix or top-k share is of a wrong type.
    """
    made = {**document, "schema": schema}
    labels = _labels(document)
    if "baseline" in document:
        made["baseline"] = _with_metric(document["baseline"], f"{where}: baseline")
    if isinstance(document.get("baselines"), list):
        made["baselines"] = [_with_metric(one, f"{where}: baselines[{i}]") for i, one in enumerate(made["baselines"])]
    if isinstance(document.get("artifacts"), list):
        artifacts = document["artifacts"]
        made["artifacts"] = [_artifact(one, labels, f"{where}: artifacts[{i}]") for i, one in enumerate(artifacts)]
    return made


def _labels(document: Mapping[str, Any]) -> list[Any]:
    dataset = document.get("dataset")
    labels = dataset.get("labels") if isinstance(dataset, Mapping) else None
    return labels if isinstance(labels, list) else []


def _old(found: Mapping[str, Any], where: str) -> _Old:
    return codec.decode(_Old, {key: found[key] for key in _Old.__slots__ if key in found}, where=where)


def _with_metric(found: Any, where: str) -> Any:
    if not isinstance(found, Mapping):
        return found
    return {**found, **({"metric": _metric(_old(found, where).metric)} if "metric" in found else {})}


def _metric(name: str | None) -> dict[str, str] | None:
    return None if name is None else {"name": name, **_METRICS.get(name, SHARE)}


def _artifact(found: Any, labels: list[Any], where: str) -> Any:
    if not isinstance(found, Mapping):
        return found
    old = _old(found, where)
    made = {key: value for key, value in found.items() if key not in ("confusion", "top_k")}
    heads = [_with_metric(head, f"{where}: heads[{i}]") for i, head in enumerate(old.heads)]
    if not heads and old.metric is not None and found.get("value") is not None:
        heads = [_only_head(found, old.metric)]
    if heads and isinstance(heads[0], Mapping):
        heads[0] = {**heads[0], **_shown(heads[0], old, labels)}
    return {**_with_metric(made, where), "heads": heads}


def _only_head(found: Mapping[str, Any], metric: str) -> dict[str, Any]:
    figures = {key: found[key] for key in ("value", "drop", "drop_ci95") if key in found}
    return {"head": _HEAD, "task": _TASKS.get(metric, "unknown"), "metric": _metric(metric), **figures}


def _shown(head: Mapping[str, Any], old: _Old, labels: list[Any]) -> dict[str, Any]:
    shares = {f"top{k}": share for k, share in old.top_k.items()}
    known = head.get("figures", {})
    made: dict[str, Any] = {"figures": {**shares, **known}} if isinstance(known, Mapping) else {}
    if old.confusion:
        names = labels if len(labels) == len(old.confusion) else [str(i) for i in range(len(old.confusion))]
        cells = [list(row) for row in old.confusion]
        table = {"title": "confusion", "rows": names, "columns": names, "cells": cells, "corner": "true \\ predicted"}
        made["tables"] = [table]
    return made
