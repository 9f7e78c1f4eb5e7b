"""The JSON Schema of report.json, generated from the dataclasses so that the two cannot drift apart.

Types and required keys come from edgecv.values.report and what it is made of; the constraints that types cannot say
(ranges, vocabularies) and the descriptions stand here. `report.schema.json` beside this file is the published copy.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any

from edgecv.values.inspection import MappingSummary, PredictedLatency, Unmapped
from edgecv.values.latency import (
    Conditions,
    DeviceFailure,
    DeviceState,
    Energy,
    Latency,
    OpProfile,
    OpTime,
    Start,
    Startup,
    Sustained,
    SweepPoint,
    ThreadSweep,
    Window,
)
from edgecv.values.report import (
    REPORT_SCHEMA,
    UNKNOWN,
    ArtifactResult,
    Baseline,
    DatasetInfo,
    Exhibit,
    HeadResult,
    LatencySummary,
    Report,
    ShipVerdict,
)
from edgecv.values.scores import Metric, Table
from edgecv.values.specs import SCHEMES, Format, Method

_SHA256: dict[str, Any] = {"pattern": "^[0-9a-f]{64}$"}
_SHARE: dict[str, Any] = {"minimum": 0, "maximum": 1}
_COUNT: dict[str, Any] = {"minimum": 0}
_MS: dict[str, Any] = {"minimum": 0}
_NAME: dict[str, Any] = {"minLength": 1}

_Limits = dict[str, dict[str, Any]]

# Per dataclass and field: what the type does not say.
_LIMITS: dict[type, _Limits] = {
    Report: {
        "schema": {"const": REPORT_SCHEMA},
        "statement": {"description": "What the baseline ran on: the CPU where there was no GPU."},
        "created": {"format": "date-time", "description": "When the report was made, ISO 8601."},
        "host": {"description": "Facts of the machine that made the report."},
        "dataset": {"description": "The samples that metrics are about; null when there were none."},
        "baseline": {"description": "What drops and ratios are against; null when there was none."},
        "warnings": {"description": "Noise, limits, and why each unknown (null) figure is unknown."},
        "baselines": {"description": "The baseline on each device, when there are several."},
        "devices": {"description": "Device to the facts of it; empty when all was measured on the host."},
        "failures": {"description": "What could not be measured on which device."},
        "sweeps": {"description": "Files that were measured with several numbers of threads."},
        "max_drop": {"description": "What verdicts allow a head to lose; null: 1 point, or 5 % of an error."},
        "verdicts": {"description": "What to ship, a target each."},
    },
    ShipVerdict: {
        "target": _NAME,
        "artifact": {"description": "Name of an artifact; null when none may be shipped there."},
        "accuracy": {"description": "The drop's interval against what is allowed, the worst of all heads."},
        "speed": {"description": "The ratio's interval against 1, measured; unknown where it was not timed."},
        "certainty": {"description": "shown: accuracy and speed are; partly shown: accuracy alone is."},
        "why": {"description": "Sentences, the most important first."},
        "instead": {"description": "Why other files were not chosen."},
    },
    DatasetInfo: {"name": _NAME, "split": _NAME, "n": {"minimum": 1}, "sha256": _SHA256},
    Baseline: {
        "engine": _NAME,
        "accelerator": _NAME,
        "device": _NAME,
        "size_bytes": {**_COUNT, "description": "Of the float32 file; null when unknown."},
        "format": {"description": "Of that file."},
    },
    LatencySummary: {"p50": _MS, "p90": _MS, "p99": _MS, "samples": {"description": "Milliseconds."}},
    ArtifactResult: {
        "name": {**_NAME, "description": "Unique in the report."},
        "path": {"pattern": "^[^/]", "description": "Relative to the folder of the report."},
        "format": {"enum": list(typing.get_args(Format))},
        "scheme": {"enum": [*SCHEMES, UNKNOWN]},
        "method": {"enum": [*typing.get_args(Method), UNKNOWN]},
        "sparsity": {**_SHARE, "description": "Share of zeros in the pruned weights; null when not pruned."},
        "size_bytes": _COUNT,
        "sha256": _SHA256,
        "value": {"description": "Of the metric, on every sample of the data set."},
        "drop": {"description": "How much worse than the baseline on the same samples, above 0 for errors too."},
        "drop_ci95": {"description": "Paired 95 % interval of the drop."},
        "mapping": {"description": "On the target that the artifact was made for."},
        "other_mappings": {"description": "On further targets."},
        "latency": {"description": "One entry per device and engine; empty when unknown."},
        "metric_kind": {"description": "Of the value and the drop."},
        "heads": {"description": "Every head; metric, value and drop of the artifact are those of the first."},
        "exhibits": {"description": "Pictures of its answers."},
        "arena_bytes": {**_COUNT, "description": "Of its activations, predicted from the file; null when unknown."},
    },
    Exhibit: {
        "title": _NAME,
        "path": {"pattern": "^[^/]", "description": "Of a PNG or JPEG, relative to the folder of the report."},
    },
    Metric: {
        "name": _NAME,
        "unit": {**_NAME, "description": "share for 0..1, else the unit of the values."},
        "better": {"description": "Which way is good."},
    },
    Table: {
        "title": _NAME,
        "cells": {"description": "Row by row; null where a figure is undefined."},
        "corner": {"description": "What rows and columns are."},
    },
    HeadResult: {
        "head": _NAME,
        "task": _NAME,
        "figures": {"description": "Further figures by name; null where undefined."},
        "per_label": {"description": "Label or value to its own figures by name; null where undefined."},
        "tables": {"description": "What the task shows beside the figures."},
    },
    MappingSummary: {
        "target": _NAME,
        "n_ops": _COUNT,
        "n_mapped": _COUNT,
        "latency": {"description": "What a cost model says of the mapped part; null where the target has none."},
    },
    PredictedLatency: {
        "ms": {**_MS, "description": "Of the mapped part; the CPU's part is not in it."},
        "low_ms": _MS,
        "high_ms": _MS,
        "parts_ms": {"description": "What it is made of."},
        "median_error": {**_COUNT, "description": "On networks that the model was not fitted to: 0.08 is 8 %."},
    },
    Unmapped: {"index": _COUNT, "op": _NAME, "layer": {"description": "Source layer, empty when unknown."}},
    Latency: {
        "device": _NAME,
        "engine": _NAME,
        "accelerator": _NAME,
        "threads": {"minimum": 1},
        "load_ms": {**_MS, "description": "From opening the file to a ready interpreter."},
        "first_ms": {**_MS, "description": "The first inference."},
        "p50": _MS,
        "p90": _MS,
        "p99": _MS,
        "samples": {"description": "Milliseconds per inference of each timed block, in order."},
        "ratio_to_baseline": {"exclusiveMinimum": 0, "description": "Latency over the baseline's, same run."},
        "ratio_ci95": {"description": "95 % interval of the ratio."},
        "peak_rss_bytes": _COUNT,
        "arena_bytes": _COUNT,
        "mode": {"description": "burst: short blocks beside the baseline; sustained: one run without a pause."},
        "conditions": {"description": "The device before and after; null when nothing was read."},
        "sustained": {"description": "Windows, drift and energy; null for bursts."},
        "profile": {"description": "Time per operator; null when not asked for, or when a warning says why not."},
        "adapter": {"description": "What the accelerator calls its device; null on the CPU."},
        "precision": {"description": "The float type that the accelerator computes in, found out on it."},
        "startup": {"description": "Starting with and without a cache of compiled programs, where there is one."},
    },
    Startup: {"launches": {"minimum": 1}, "cache_bytes": _COUNT},
    Start: {
        "load_ms": {**_MS, "description": "From opening the file to a ready interpreter."},
        "compile_ms": {**_MS, "description": "Of it, compiling for the accelerator."},
        "first_ms": {**_MS, "description": "The first inference."},
    },
    Conditions: {},
    DeviceState: {
        "temperatures_c": {"description": "Thermal zone or sensor to degrees Celsius."},
        "frequency_mhz": {"description": "CPU to its clock frequency."},
        "energy_uj": {"description": "Counter to microjoules since some moment in the past."},
        "power_mw": {"description": "Power sensor to milliwatts."},
        "missing": {"description": "Figure to the reason why it is unknown."},
    },
    Sustained: {
        "seconds": _COUNT,
        "inferences": _COUNT,
        "throughput_per_s": _COUNT,
        "busy_share": _SHARE,
        "drift": {"exclusiveMinimum": 0, "description": "Time in the last window over that in the first."},
        "drift_ci95": {"description": "95 % interval of the drift."},
        "energy": {"description": "One per counter or sensor; rails may contain one another."},
        "energy_missing": {"description": "Why there is none."},
    },
    Window: {
        "start_s": _COUNT,
        "seconds": _COUNT,
        "inferences": _COUNT,
        "throughput_per_s": _COUNT,
        "p50": _MS,
        "p90": _MS,
    },
    Energy: {"source": _NAME, "joules": _COUNT, "per_inference_mj": _COUNT},
    OpProfile: {"source": _NAME, "runs": {"minimum": 1}, "sum_ms": _MS, "inference_ms": _MS, "resolution_ms": _MS},
    OpTime: {
        "name": _NAME,
        "op": {
            "description": "Operator of the file, empty when unknown; of several fused ones, the last in ONNX files."
        },
        "index": _COUNT,
        "layer": {"description": "Source layer, empty when unknown."},
        "ms": _MS,
        "share": _SHARE,
        "certain": {"description": "False: another order of operators explains the profile as well."},
    },
    ThreadSweep: {
        "artifact": _NAME,
        "device": _NAME,
        "reference": _NAME,
        "best": {"minimum": 1},
        "tied": {"description": "Numbers of threads that were not told from the best."},
    },
    SweepPoint: {"threads": {"minimum": 1}, "p50": _MS, "ratio": {"exclusiveMinimum": 0}},
    DeviceFailure: {"device": _NAME, "artifact": _NAME, "error": _NAME, "attempts": _COUNT},
}

# Keys that a report may leave out; all others are there, null when unknown.
_OPTIONAL: dict[type, frozenset[str]] = {
    DatasetInfo: frozenset({"labels"}),
    ArtifactResult: frozenset({"other_mappings", "metric_kind", "heads", "exhibits", "arena_bytes"}),
    Baseline: frozenset({"size_bytes", "format"}),
    MappingSummary: frozenset({"latency"}),
    PredictedLatency: frozenset({"low_ms", "high_ms", "parts_ms", "median_error", "kind"}),
    ShipVerdict: frozenset({"instead"}),
    Exhibit: frozenset({"note"}),
    HeadResult: frozenset({"per_label", "tables"}),
    Table: frozenset({"corner"}),
    Latency: frozenset({"warnings", "mode", "conditions", "sustained", "profile", "adapter", "precision", "startup"}),
    Report: frozenset({"statement", "baselines", "devices", "failures", "sweeps", "max_drop", "verdicts"}),
}

_SCALARS: dict[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def schema_path() -> Path:
    """Return the path of the published schema."""
    return Path(__file__).with_name("report.schema.json")


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of report.json."""
    root = _object(Report)
    definitions = {cls.__name__: _object(cls) for cls in _LIMITS if cls is not Report}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{REPORT_SCHEMA.replace('/', ':')}",
        "title": "edgecv report",
        "description": (
            "Times are milliseconds, sizes bytes, metrics of the unit share 0..1. Every figure says whether it was "
            "measured, simulated or predicted. Unknown is null, and a warning says why."
        ),
        **root,
        "$defs": definitions,
    }


def schema_text() -> str:
    """Return the published file's text."""
    return json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n"


def _object(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    fields = [f.name for f in dataclasses.fields(cls)]
    optional = _OPTIONAL.get(cls, frozenset())
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name in fields if name not in optional],
        "properties": {name: _property(hints[name], _LIMITS[cls].get(name, {})) for name in fields},
    }


def _property(kind: Any, limits: dict[str, Any]) -> dict[str, Any]:
    inner = _without_none(kind)
    if inner is not kind:
        body = {key: value for key, value in limits.items() if key != "description"}
        said = {key: value for key, value in limits.items() if key == "description"}
        return {"anyOf": [{**_type(inner), **body}, {"type": "null"}], **said}
    return {**_type(kind), **limits}


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return next(arg for arg in typing.get_args(kind) if arg is not type(None))
    return kind


def _type(kind: Any) -> dict[str, Any]:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return {}
    if origin is typing.Literal:
        return {"type": "string", "enum": list(args)}
    if origin is tuple and args[-1] is Ellipsis:
        return {"type": "array", "items": _property(args[0], {})}
    if origin is tuple:
        pair = [_type(arg) for arg in args]
        return {"type": "array", "prefixItems": pair, "items": False, "minItems": len(pair)}
    if origin is collections.abc.Mapping:
        return {"type": "object", "additionalProperties": _property(args[1], {})}
    if dataclasses.is_dataclass(kind):
        return {"$ref": f"#/$defs/{typing.cast(type, kind).__name__}"}
    return {"type": _SCALARS[kind]}
