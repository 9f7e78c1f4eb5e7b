"""What a verdict says in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgecv.report import figures as show
from edgecv.values.inspection import MappingSummary, PredictedLatency
from edgecv.values.latency import Latency
from edgecv.values.report import ArtifactResult, HeadResult, Outcome, Report, Speed
from edgecv.values.scores import Drop

CERTAINTY = {
    "shown": "shown: accuracy and speed are both measured",
    "partly shown": "partly shown: accuracy is, speed is not",
    "not shown": "not shown: accuracy is not",
}
"""How sure a verdict is."""


def nothing_fits(target: str, runnable: int) -> str:
    """Say why nothing is to be shipped."""
    if not runnable:
        return f"No file of this report runs on {target}."
    return "Accuracy failed in every file that runs there: train with quantisation, or keep layers in float."


def accuracy(report: Report, artifact: ArtifactResult, found: Outcome, limits: Sequence[float]) -> str:
    """Say whether a file may be shipped, what it loses, and on what samples that was judged."""
    if not artifact.heads:
        return "Accuracy unknown: the file was not evaluated."
    n = report.dataset.n if report.dataset is not None and found == "not shown" else None
    told = "; ".join(_head(head, limit, n) for head, limit in zip(artifact.heads, limits, strict=True))
    simulated = "" if artifact.metric_kind in (None, "measured") else f", {artifact.metric_kind}"
    itself = ", for it is the float model itself" if show.is_float_model(artifact) else ""
    return f"Accuracy {found}{itself}: {told}{_judged(report)}{simulated}."


def _judged(report: Report) -> str:
    if report.dataset is None:
        return ""
    return f"; judged on {report.dataset.n} samples of the {report.dataset.split} split of {report.dataset.name}"


def _head(head: HeadResult, limit: float, n: int | None) -> str:
    """Tell a head's drop; with `n` samples that do not show enough, also how many would."""
    value = f"{head.metric.name} {show.decimal(head.value)}"
    if head.drop is None or head.drop_ci95 is None:
        return f"{value}, drop unknown"
    drop, unit = head.metric.told(Drop(head.drop, head.drop_ci95)), head.metric.drop_unit
    low, high = (bound + 0.0 for bound in drop.ci95)
    form = "+.2f" if head.metric.is_share else "+.3g"
    told = f"{value}, drop {drop.value + 0.0:{form}} {unit} [{low:{form}}, {high:{form}}], allowed {limit:.3g}"
    needed = drop.samples_to_show(limit, n) if n is not None and drop.against(limit) == "not shown" else None
    return f"{told} (about {needed:,} samples would show it, if the drop stays)" if needed else told


def speed(report: Report, latency: Latency | None, found: Speed, mapping: MappingSummary | None) -> str:
    """Say how fast a file is where it was timed, else what is predicted."""
    if latency is None:
        predicted = mapping.latency if mapping is not None else None
        return (
            f"Speed predicted, not measured: {milliseconds(predicted)}." if predicted else "Speed unknown: not timed."
        )
    time = f"{show.milliseconds(latency.p50)} ({latency.kind} on {show.setting_of(latency).place})"
    if latency.ratio_to_baseline is None or latency.ratio_ci95 is None:
        return f"Speed: {time}; its ratio to the baseline is unknown."
    low, high = latency.ratio_ci95
    ratio = f"{latency.ratio_to_baseline:.2f} [{low:.2f}, {high:.2f}] of the time of {show.baseline_short(report)}"
    words = {
        "faster": f"{1 / latency.ratio_to_baseline:.1f} times as fast as float: {ratio}",
        "slower": f"Slower than float: {ratio}",
        "not shown": f"No difference from float shown: {ratio}",
        "unknown": f"Not judged: {ratio}",
    }
    return f"{words[found]}, interleaved; {time}."


def milliseconds(predicted: PredictedLatency) -> str:
    """Return a prediction with its band and its error."""
    band = ""
    if predicted.low_ms is not None and predicted.high_ms is not None:
        band = f" [{show.milliseconds(predicted.low_ms)} to {show.milliseconds(predicted.high_ms)}]"
    error = f", median error {predicted.median_error:.0%}" if predicted.median_error is not None else ""
    return f"{show.milliseconds(predicted.ms)}{band} for the operators that map{error}"


def size(report: Report, artifact: ArtifactResult) -> str:
    """Say how large a file is, and beside float."""
    share = show.size_ratio(report, artifact)
    beside = f", {1 / share:.1f} times smaller than float32" if share and share < 1 else ""
    arena = f"; activations take {show.size(artifact.arena_bytes)} (predicted)" if artifact.arena_bytes else ""
    return f"Size {show.size(artifact.size_bytes)}{beside}{arena}."


def mapped(mapping: MappingSummary | None) -> Iterator[str]:
    """Say how much of a file the target runs."""
    if mapping is not None:
        yield f"{mapping.n_mapped} of {mapping.n_ops} operators run on it ({mapping.kind})."
