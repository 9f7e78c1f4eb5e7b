"""What a report's figures look like to people, and the few that are derived from others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgecv.core.sizes import size_text
from edgecv.values.inspection import MappingSummary
from edgecv.values.kind import Kind
from edgecv.values.latency import Latency
from edgecv.values.report import ArtifactResult, Baseline, Report
from edgecv.values.scores import Metric

UNKNOWN = "unknown"
NONE_SLOWER = "No quantised file was shown to be slower than the float32 file of its format."
_KIND_ORDER: tuple[Kind, ...] = ("measured", "simulated", "predicted")


@dataclass(frozen=True, slots=True, order=True)
class Setting:
    """Where latencies come from. Figures of two settings never share a column."""

    rank: int
    device: str
    accelerator: str
    threads: int

    @property
    def kind(self) -> Kind:
        """Measured, simulated or predicted."""
        return _KIND_ORDER[self.rank]

    @property
    def place(self) -> str:
        """The device in words."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.device}, {self.accelerator}, {threads}"


def setting_of(latency: Latency) -> Setting:
    """Return the setting that a latency belongs to."""
    return Setting(_KIND_ORDER.index(latency.kind), latency.device, latency.accelerator, latency.threads)


def settings(report: Report) -> tuple[Setting, ...]:
    """Return all settings of a report, measured ones first."""
    return tuple(sorted({setting_of(latency) for a in report.artifacts for latency in a.latency}))


def latencies_in(artifact: ArtifactResult, setting: Setting) -> tuple[Latency, ...]:
    """Return the artifact's latencies of one setting: one per engine."""
    return tuple(latency for latency in artifact.latency if setting_of(latency) == setting)


@dataclass(frozen=True, slots=True)
class Judged:
    """A metric and the kind of its figures. Two of them never share a column."""

    metric: Metric
    kind: Kind | None

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.metric.name

    @property
    def how(self) -> str:
        """The kind in words."""
        return self.kind or "kind unknown"

    @property
    def title(self) -> str:
        """The metric in words."""
        return f"{self.name} ({self.how})"

    @property
    def with_unit(self) -> str:
        """The metric's name, with its unit unless that is a share."""
        return self.name if self.metric.is_share else f"{self.name}, unit: {self.metric.unit}"

    @property
    def drop_help(self) -> str:
        """What a drop is a difference of."""
        interval = "on the same samples, with its paired 95 % interval"
        if self.metric.better == "higher":
            return f"baseline minus artifact {interval}"
        return f"artifact minus baseline, since {self.name} is better when small, {interval}"


def metric_of(artifact: ArtifactResult) -> Judged | None:
    """Return the metric that an artifact has, None when unknown."""
    return None if artifact.metric is None else Judged(artifact.metric, artifact.metric_kind)


def metrics(report: Report) -> tuple[Judged, ...]:
    """Return the metrics in a report, in order of appearance."""
    return tuple(dict.fromkeys(m for m in map(metric_of, report.artifacts) if m is not None))


def mappings_of(artifact: ArtifactResult) -> tuple[MappingSummary, ...]:
    """Return the artifact's mappings on all targets, its own first."""
    return tuple(m for m in (artifact.mapping, *artifact.other_mappings) if m is not None)


def mapping_on(artifact: ArtifactResult, target: str) -> MappingSummary | None:
    """Return the artifact's mapping on a target, None when it was not asked."""
    return next((m for m in mappings_of(artifact) if m.target == target), None)


def mapping_groups(report: Report) -> tuple[tuple[str, Kind], ...]:
    """Return the (target, kind) pairs that the report has mappings of, in order of appearance."""
    return tuple(dict.fromkeys((m.target, m.kind) for a in report.artifacts for m in mappings_of(a)))


def is_float_model(artifact: ArtifactResult) -> bool:
    """Say whether an artifact is the float model in another format, whose metrics came out the same."""
    unchanged = artifact.scheme == "float32" and artifact.method == "none" and not artifact.sparsity
    return unchanged and bool(artifact.heads) and all(head.drop == 0 for head in artifact.heads)


def size_reference(report: Report, artifact: ArtifactResult) -> ArtifactResult | None:
    """Return the unpruned float32 artifact of the same format, which size ratios are relative to."""
    return next(
        (
            a
            for a in report.artifacts
            if a.format == artifact.format and a.scheme == "float32" and a.method == "none" and not a.sparsity
        ),
        None,
    )


def size_ratio(report: Report, artifact: ArtifactResult) -> float | None:
    """Return the artifact's size over that of its `size_reference`; without one, over the baseline's file."""
    reference, base = size_reference(report, artifact), report.baseline
    size = reference.size_bytes if reference is not None else base.size_bytes if base is not None else None
    return artifact.size_bytes / size if size else None


def is_host_cpu(baseline: Baseline) -> bool:
    """Say whether the baseline ran without a GPU."""
    return baseline.accelerator == "cpu"


def baseline_sentence(report: Report) -> str:
    """Return the report's first line: what everything is compared with."""
    baseline = report.baseline
    if baseline is None:
        return "Baseline: none was given, so drops and ratios are unknown."
    if is_host_cpu(baseline):
        where = f"the host CPU, since no GPU was used ({baseline.device})"
    else:
        where = f"{baseline.device} (accelerator: {baseline.accelerator})"
    return f"Baseline: the float model on {where}, with {baseline.engine}; {_baseline_figures(baseline)}."


def baseline_short(report: Report) -> str:
    """Return the few words that every table says of the baseline."""
    if report.baseline is None:
        return "no baseline"
    where = "the host CPU (no GPU)" if is_host_cpu(report.baseline) else report.baseline.device
    return f"the float model on {where}"


def _baseline_figures(baseline: Baseline) -> str:
    metric = "its metric is unknown"
    if baseline.metric is not None and baseline.value is not None:
        metric = f"{baseline.metric.name} {decimal(baseline.value)}"
    if baseline.latency_ms is None:
        return f"{metric}, its latency is unknown"
    return f"{metric}, p50 latency {milliseconds(baseline.latency_ms.p50)} ({baseline.kind})"


def host_rows(report: Report) -> tuple[tuple[str, str], ...]:
    """Return the host's facts as terms and values in words."""
    return tuple((_spelled(key), _fact(key, value)) for key, value in report.host.items())


def _spelled(key: str) -> str:
    words = key.removesuffix("_bytes").replace("_", " ")
    return f"Host {words.upper() if len(words) < 4 else words.replace('cpu', 'CPU')}"


def _fact(key: str, value: Any) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and key.endswith("_bytes"):
        return size(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_fact(name, item)}" for name, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(_fact(key, item) for item in value) or "none"
    return str(value)


def decimal(value: float | None) -> str:
    """Return a metric's value with four decimals."""
    return UNKNOWN if value is None else f"{value:.4f}"


def figure(value: float | None) -> str:
    """Return a further figure: a whole number above 1 as it is, any other with four decimals or six digits."""
    if value is None:
        return UNKNOWN
    if abs(value) > 1 and float(value).is_integer() and abs(value) < 1e15:
        return f"{value:.0f}"
    return f"{value + 0.0:.4f}" if abs(value) < 1000 else f"{value:.6g}"


def signed(value: float | None) -> str:
    """Return a difference with its sign and four decimals."""
    return UNKNOWN if value is None else f"{value + 0.0:+.4f}"


def interval(bounds: tuple[float, float] | None, digits: int) -> str:
    """Return an interval as "0.10 to 0.20"."""
    return UNKNOWN if bounds is None else f"{bounds[0] + 0.0:.{digits}f} to {bounds[1] + 0.0:.{digits}f}"


def ratio(value: float | None) -> str:
    """Return a ratio with three decimals."""
    return UNKNOWN if value is None else f"{value:.3f}"


def milliseconds(value: float | None) -> str:
    """Return milliseconds with three significant digits and the unit."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0 ms"
    digits = max(0, 2 - _magnitude(value))
    return f"{value:.{digits}f} ms"


def size(value: int | None) -> str:
    """Return a number of bytes in the largest binary unit that keeps it at or above 1."""
    return size_text(value)


def percent(value: float | None) -> str:
    """Return a share as whole percents."""
    return UNKNOWN if value is None else f"{100 * value:.0f} %"


def _magnitude(value: float) -> int:
    return int(f"{abs(value):e}".partition("e")[2])
