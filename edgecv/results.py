"""The frozen values that stages hand on: mapping, evaluation, measurement, report.

Every figure carries its kind and they are never mixed in a column; an unknown figure is None, with a warning in the
report that says why. Field names and nesting are report.json's (schema edgecv.report/1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edgecv.timings import Conditions, DeviceFailure, OpProfile, Sustained, ThreadSweep

Kind = Literal["measured", "simulated", "predicted"]
Certainty = Literal["certain", "likely", "unknown", "accelerator"]
"""How sure a mapping verdict is: "accelerator" means the accelerator, or its vendor's compiler, said so; the others
grade our op table."""

LOWER_IS_BETTER: frozenset[str] = frozenset({"mae", "mse", "rmse"})
"""Metrics that count errors; all others are better when larger."""

REPORT_SCHEMA = "edgecv.report/1"
UNKNOWN = "unknown"
"""Scheme, method and target of a file that edgecv did not make and that says nothing of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpVerdict:
    """What a target does with one operator of a file.

    Attributes:
        index: Position in the file's first subgraph.
        op: Builtin name: "CONV_2D".
        layer: Source layer's name, "" when unknown.
        status: Short status in the target's own words.
        mapped: Whether it runs on the accelerator.
        reason: Why not; "" when mapped, unless the certainty is "unknown": then why.
    """

    index: int
    op: str
    layer: str
    status: str
    mapped: bool
    certainty: Certainty
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterBytes:
    """Weights of the mapped part on an Edge TPU, in bytes; None where unknown.

    Attributes:
        on_chip: Sent once and kept on chip: the parameters that the compiled file caches.
        streamed: Sent at each inference.
        on_chip_memory: What those kept on chip occupy there, with padding: the log's "On-chip memory used".
    """

    on_chip: int | None
    streamed: int | None
    on_chip_memory: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedLatency:
    """A cost model's time for the part of a file that a target maps, in milliseconds; the CPU's part is not in it.

    Attributes:
        low_ms: Lower end of the band, `high_ms` the upper one; None where the model states no error.
        parts_ms: What `ms` is made of, by name.
        median_error: Of the model, on networks that it was not fitted to: 0.08 is 8 %; None when unknown.
    """

    ms: float
    low_ms: float | None = None
    high_ms: float | None = None
    parts_ms: Mapping[str, float] = field(default_factory=dict)
    median_error: float | None = None
    kind: Kind = "predicted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A change of the model with which a target would map more of it.

    Attributes:
        op: Builtin name of the operators that it is about; `ops` their indices.
        cause: Name of what stands in their way, as in the target's data.
        text: What to do.
        would_map: Operators of the whole file that would map then; None when that cannot be tried out.
    """

    op: str
    ops: tuple[int, ...]
    cause: str
    text: str
    would_map: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Float16Tensor:
    """An operator's output that comes near the largest float16, 65504, or beyond it.

    Attributes:
        layer: Source layer, "" when unknown; `op` and `index` of the operator.
        largest: Largest absolute value that was seen, real units.
        overflows: Whether that is beyond float16.
    """

    layer: str
    op: str
    index: int
    largest: float
    overflows: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Float16Audit:
    """The activations of a model, computed in float32 on the CPU, against float16's range.

    Attributes:
        samples: How many samples it ran on; `source` says which.
        margin: `near` lists what is above 65504 over this, largest first.
        largest: Of all activations.
    """

    samples: int
    source: str
    margin: float
    largest: float
    near: tuple[Float16Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """What a vendor's compiler made of a file.

    Attributes:
        tool: Name and version.
        path: The compiled file; `log` what the compiler said.
        figures: The compiler's own figures, by name with units.
        disagreements: A sentence for each operator that edgecv's prediction places differently.
    """

    tool: str
    path: str
    log: str
    size_bytes: int
    figures: Mapping[str, float] = field(default_factory=dict)
    disagreements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """`edgecv inspect FILE --target T --json`; `float16` is known for targets that compute in it."""

    target: str
    n_ops: int
    n_mapped: int
    ops: tuple[OpVerdict, ...]
    parameter_bytes: ParameterBytes
    size_bytes: int
    arena_bytes: int | None
    kind: Kind
    notes: tuple[str, ...] = ()
    float16: Float16Audit | None = None
    latency: PredictedLatency | None = None
    advice: tuple[Advice, ...] = ()
    compilation: Compilation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmapped:
    """An operator that a target leaves to the CPU, in a report."""

    index: int
    op: str
    layer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingSummary:
    """An Inspection, as a report keeps it."""

    target: str
    n_ops: int
    n_mapped: int
    unmapped: tuple[Unmapped, ...]
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadEvaluation:
    """How well one head of a file answers on one split.

    Attributes:
        head: Its name.
        task: "classification", "multilabel" or "regression".
        metric: "top1"; "exact_match", the share of samples with every label right; "mae", the mean absolute error.
        value: 0..1 for accuracies; in the labels' own unit for errors, where smaller is better.
        labels: Classes, labels or values, in the order of the outputs.
        top_k: Classification: k as a string to the share of samples whose label is among the k best: {"1": 0.98}.
        confusion: Classification: row = true class, column = predicted class, counts.
        correct: Per sample in order, whether it counted as right; empty for regression.
        errors: Regression: per sample in order, the mean over its values of the absolute error; what paired
            statistics need. Empty for the other tasks.
        figures: Further figures of the whole head by name: "f1_macro", "rmse", …; None where undefined.
        per_label: Multilabel and regression: label or value to its own figures by name; None where undefined.
    """

    head: str
    task: str
    metric: str
    value: float
    labels: tuple[str, ...]
    top_k: Mapping[str, float] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()
    correct: tuple[bool, ...] = ()
    errors: tuple[float, ...] = ()
    figures: Mapping[str, float | None] = field(default_factory=dict)
    per_label: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How well one file answers on one split. What is said of a head is said of the first; `others` has the rest.

    Attributes:
        metric: "top1", "exact_match", "mae".
        value: 0..1 for accuracies; in the labels' own unit for errors, where smaller is better.
        n: Number of samples.
        top_k: k as a string to the share of samples whose label is among the k best: {"1": 0.98, "3": 1.0}.
        confusion: Row = true class, column = predicted class, counts. Empty when the metric has none.
        correct: Per sample in order, whether it counted as right; what paired statistics need.
        dataset: Name of the data set; `split` of it; `dataset_sha256` of the samples.
        engine: Interpreter and version.
        accelerator: "cpu", "gpu", …
        adapter: What the accelerator calls its device; None on the CPU.
        precision: The float type that it computes in, found out on it: "float16", "float32"; None where unknown.
        fully_accelerated: Whether every operator ran on it.
        kind: "simulated" when the adapter is a software renderer or the device an emulator.
        head: Name of the first head; `task` of it, `errors`, `figures` and `per_label` as in `HeadEvaluation`.
        others: The further heads, in the model's order.
        device: What ran it.
    """

    metric: str
    value: float
    n: int
    top_k: Mapping[str, float]
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    correct: tuple[bool, ...]
    dataset: str
    split: str
    dataset_sha256: str
    engine: str
    accelerator: str
    adapter: str | None = None
    precision: str | None = None
    fully_accelerated: bool = True
    kind: Kind = "measured"
    head: str = ""
    task: str = "classification"
    errors: tuple[float, ...] = ()
    figures: Mapping[str, float | None] = field(default_factory=dict)
    per_label: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    others: tuple[HeadEvaluation, ...] = ()
    device: str = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """How much worse the candidate is on the same samples, in the metric's unit, with a paired 95 % interval.

    Baseline minus candidate for accuracies, candidate minus baseline for errors: above 0 is worse in both cases.
    """

    value: float
    ci95: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What one way of starting costs, in milliseconds; medians over fresh processes.

    Attributes:
        load_ms: Opening the file to a ready interpreter, importing the interpreter's package included.
        compile_ms: Of it, what the accelerator takes to compile the model.
        first_ms: The first inference.
    """

    load_ms: float
    compile_ms: float | None
    first_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """How long a model takes to start on an accelerator that compiles, apart from its latency.

    Attributes:
        cold: Without a cache of compiled programs.
        storing: With an empty one, which is filled.
        warm: With a filled one.
        launches: Fresh processes of each.
        from_cache: Whether the accelerator said at every warm start that it found its programs compiled.
        cache_bytes: Size of the filled cache.
        kind: "simulated" on a software renderer: its times are no GPU's.
    """

    cold: Start
    storing: Start
    warm: Start
    launches: int
    from_cache: bool
    cache_bytes: int
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Steady-state time of one inference on one device, in milliseconds, with what it cost to get there.

    Attributes:
        samples: Milliseconds of each timed block per inference, in order of measurement.
        ratio_to_baseline: This file's time over the baseline's, interleaved in the same run; None without a baseline.
        load_ms: Opening the file to a ready interpreter.
        first_ms: The first inference.
        peak_rss_bytes: Of the agent process.
        adapter: What the accelerator calls its device; None on the CPU.
        precision: The float type that the accelerator computes in, found out on it; None on the CPU and where unknown.
        startup: On an accelerator that compiles; None elsewhere.
        mode: "burst": short blocks with pauses, alternating with the baseline; "sustained": one run without a pause.
        conditions: The device before and after; None when nothing was read.
        sustained: Windows, drift and energy of a sustained run; None for bursts.
        profile: Time per operator, when it was asked for and could be had.
    """

    device: str
    engine: str
    accelerator: str
    threads: int
    kind: Kind
    load_ms: float | None
    first_ms: float | None
    p50: float
    p90: float
    p99: float
    samples: tuple[float, ...]
    ratio_to_baseline: float | None = None
    ratio_ci95: tuple[float, float] | None = None
    peak_rss_bytes: int | None = None
    arena_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    adapter: str | None = None
    precision: str | None = None
    startup: Startup | None = None
    mode: Literal["burst", "sustained"] = "burst"
    conditions: Conditions | None = None
    sustained: Sustained | None = None
    profile: OpProfile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySummary:
    """The baseline's latency in a report, in milliseconds."""

    p50: float
    p90: float
    p99: float
    samples: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The float model everything is compared with: on a GPU, or on the host CPU when there is none."""

    engine: str
    accelerator: str
    device: str
    metric: str | None
    value: float | None
    latency_ms: LatencySummary | None
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadResult:
    """One head of an artifact, in a report.

    Attributes:
        drop: Against the same head of the baseline, as in `Drop`.
        figures: Further figures by name: "f1_macro", "rmse", …; None where undefined.
    """

    head: str
    task: str
    metric: str
    value: float
    drop: float | None = None
    drop_ci95: tuple[float, float] | None = None
    figures: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactResult:
    """Everything known of one artifact.

    Attributes:
        path: Relative to the report's folder.
        scheme: As in the manifest, or UNKNOWN; so are `method` and `target`.
        metric_kind: Of `value` and `drop`: "simulated" when a software renderer stood in for the accelerator.
        mapping: On the target that the artifact was made for; `other_mappings` on further targets.
        heads: Every head, when there are several or the only one is no classifier; `metric`, `value` and `drop` are of
            the first.
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
    metric: str | None = None
    value: float | None = None
    drop: float | None = None
    drop_ci95: tuple[float, float] | None = None
    mapping: MappingSummary | None = None
    other_mappings: tuple[MappingSummary, ...] = ()
    latency: tuple[Latency, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    top_k: Mapping[str, float] = field(default_factory=dict)
    metric_kind: Kind | None = None
    heads: tuple[HeadResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """The samples that a report's metrics are about."""

    name: str
    split: str
    n: int
    sha256: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """report.json.

    Attributes:
        baseline: On the first device when there are several; `baselines` has one per device then.
        devices: Device to what a reader must know of it; empty when all is measured on the host.
        failures: What could not be measured on which device.
        sweeps: Of files that were measured with several numbers of threads.
        statement: The first line: what the baseline ran on, which is the CPU where there was no GPU.
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
