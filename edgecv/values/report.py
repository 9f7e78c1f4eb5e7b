"""The frozen values that a report is made of, and reading them from report.json.

Every figure carries its kind and they are never mixed in a column; an unknown figure is None, with a warning in the
report that says why. Field names and nesting are report.json's (schema edgecv.report/2); /1 is still read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from edgecv.core import codec, files
from edgecv.core.errors import ConfigError
from edgecv.core.shown import Shown
from edgecv.values.inspection import MappingSummary
from edgecv.values.kind import Kind
from edgecv.values.latency import DeviceFailure, Latency, ThreadSweep
from edgecv.values.old_report import OLD_SCHEMA, upgraded
from edgecv.values.scores import Metric, Table

REPORT_SCHEMA = "edgecv.report/2"
UNKNOWN = "unknown"
"""Scheme, method and target of a file that edgecv did not make and that says nothing of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySummary:
    """The baseline's latency in a report, in milliseconds."""

    p50: float
    p90: float
    p99: float
    samples: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The float model everything is compared with: on a GPU, or on the host CPU when there is none.

    Attributes:
        size_bytes: Of the float32 file that was evaluated or timed; None when unknown.
        format: Of that file.
    """

    engine: str
    accelerator: str
    device: str
    metric: Metric | None
    value: float | None
    latency_ms: LatencySummary | None
    kind: Kind
    size_bytes: int | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadResult:
    """One head of an artifact, in a report.

    Attributes:
        drop: Against the same head of the baseline, as in `Drop`.
        figures: Further figures by name; None where undefined.
        per_label: Label or value to its own figures by name; None where undefined.
        tables: What the task shows beside the figures, such as a confusion matrix.
    """

    head: str
    task: str
    metric: Metric
    value: float
    drop: float | None = None
    drop_ci95: tuple[float, float] | None = None
    figures: Mapping[str, float | None] = field(default_factory=dict)
    per_label: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """A picture that a report shows: samples with answers, float beside int8.

    Attributes:
        title: What it shows; its alternative text too.
        path: Of the PNG or JPEG file, relative to the report's folder.
        note: More about it; may be empty.
    """

    title: str
    path: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactResult:
    """Everything known of one artifact.

    Attributes:
        path: Relative to the report's folder.
        scheme: As in the manifest, or UNKNOWN; so are `method` and `target`.
        metric_kind: Of `value` and `drop`: "simulated" when a software renderer stood in for the accelerator.
        mapping: On the target that the artifact was made for; `other_mappings` on further targets.
        heads: Every head, in the model's order; `metric`, `value` and `drop` are of the first. Empty when nothing was
            evaluated.
        exhibits: Pictures of its answers.
        arena_bytes: Memory that TensorFlow Lite's planner gives to the file's activations, predicted from the file;
            None where it cannot be told.
    """

    name: str
    path: str
    format: str
    scheme: str
    method: str
    sparsity: float | None
    target: str
    size_bytes: int
    sha256: str
    metric: Metric | None = None
    value: float | None = None
    drop: float | None = None
    drop_ci95: tuple[float, float] | None = None
    mapping: MappingSummary | None = None
    other_mappings: tuple[MappingSummary, ...] = ()
    latency: tuple[Latency, ...] = ()
    metric_kind: Kind | None = None
    heads: tuple[HeadResult, ...] = ()
    exhibits: tuple[Exhibit, ...] = ()
    arena_bytes: int | None = None


Outcome = Literal["passed", "failed", "not shown", "unknown"]
"""Of a drop against what is allowed, as `Drop.against` says; "unknown" where there is no interval."""
Speed = Literal["faster", "slower", "not shown", "unknown"]
"""Of an interleaved ratio's interval against 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipVerdict:
    """Which artifact to ship for one target, as far as the figures of the report decide it.

    Attributes:
        artifact: Name; None when no artifact may be shipped there.
        accuracy: Of the artifact, the worst of its heads.
        speed: Against the baseline, measured on this target; "unknown" where it was not timed.
        certainty: "shown" when accuracy and speed are; "partly shown" when accuracy alone is.
        why: Sentences, the most important first.
        instead: Of files that a reader might have expected, why they were not chosen.
    """

    target: str
    artifact: str | None
    accuracy: Outcome
    speed: Speed
    certainty: Literal["shown", "partly shown", "not shown"]
    why: tuple[str, ...]
    instead: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """The samples that a report's metrics are about."""

    name: str
    split: str
    n: int
    sha256: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Shown):
    """report.json.

    Attributes:
        baseline: On the first device when there are several; `baselines` has one per device then.
        devices: Device to what a reader must know of it; empty when all is measured on the host.
        failures: What could not be measured on which device.
        sweeps: Of files that were measured with several numbers of threads.
        statement: The first line: what the baseline ran on, which is the CPU where there was no GPU.
        max_drop: What the verdicts allow each head to lose: percentage points, or the unit of an error; None takes
            one point, or a twentieth of the float model's error.
        verdicts: What to ship, a target each.
    """

    statement: str = ""
    created: str
    host: Mapping[str, Any]
    dataset: DatasetInfo | None
    baseline: Baseline | None
    artifacts: tuple[ArtifactResult, ...]
    warnings: tuple[str, ...] = ()
    schema: str = REPORT_SCHEMA
    baselines: tuple[Baseline, ...] = ()
    devices: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[DeviceFailure, ...] = ()
    sweeps: tuple[ThreadSweep, ...] = ()
    max_drop: float | None = None
    verdicts: tuple[ShipVerdict, ...] = ()


# What a warning may call a figure when it says why the figure is unknown.
FIGURE_WORDS: dict[str, tuple[str, ...]] = {
    "metric": ("metric", "accuracy", "evaluat"),
    "drop": ("drop", "metric", "accuracy", "evaluat"),
    "latency": ("latency", "benchmark", "bench", "timed"),
    "ratio_to_baseline": ("ratio", "baseline", "latency"),
    "mapping": ("mapping", "mapped", "inspect"),
}


def read_report(path: files.PathLike) -> Report:
    """Read report.json strictly; one of the schema before is upgraded.

    Args:
        path: The file.

    Raises:
        ConfigError: It is missing, not JSON, of another schema, or has unknown keys, missing keys, values of a
            wrong type or non-finite numbers; the message names the place.
    """
    raw = files.read_bytes(path, what="report")
    try:
        document = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ConfigError(f"report {path} is not valid JSON: {error}", hint="make it again: edgecv report") from error
    _check_schema(document, path)
    if document["schema"] == OLD_SCHEMA:
        document = upgraded(document, REPORT_SCHEMA, str(path))
    return codec.decode(Report, document, where=str(path))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"'{name}' is not JSON; an unknown figure is null")


def _check_schema(document: Any, path: files.PathLike) -> None:
    found = document.get("schema") if isinstance(document, dict) else None
    if found not in (REPORT_SCHEMA, OLD_SCHEMA):
        raise ConfigError(
            f"{path} is not a report: expected the schema '{REPORT_SCHEMA}', got {found!r}",
            hint="give the report.json that edgecv wrote, or upgrade edgecv when the report is newer",
        )


def explanation(warnings: Iterable[str], name: str, figure: str) -> str | None:
    """Return the first warning that names both the artifact and the figure, or None.

    Args:
        warnings: Of a report.
        name: The artifact's.
        figure: A key of `FIGURE_WORDS`, or the name of a field of report.json.
    """
    whole_name = re.compile(rf"(?<![\w.-]){re.escape(name)}(?!\.?[\w-])")
    words = FIGURE_WORDS.get(figure, (figure,))
    for warning in warnings:
        if whole_name.search(warning) and any(word in warning.lower() for word in words):
            return warning
    return None
