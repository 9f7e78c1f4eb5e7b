"""What a verdict says in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from edgecv.report import figures as show
from edgecv.values.inspection import MappingSummary, PredictedLatency
from edgecv.values.latency import Latency
from edgecv.values.report import ArtifactResult, HeadResult, Outcome, Report, ShipVerdict, Speed
from edgecv.values.scores import Drop

CERTAINTY = {
    "shown": "shown: accuracy and speed are both measured",
    "partly shown": "partly shown: accuracy is, speed is not",
    "not shown": "not shown: accuracy is not",
}
"""How sure a verdict is."""


def to_ship(report: Report, verdict: ShipVerdict) -> str:
    """Return a verdict in one sentence: the file, how much faster and smaller it is, what it loses, what runs it."""
    artifact = next((a for a in report.artifacts if a.name == verdict.artifact), None)
    if artifact is None:
        return f"ship nothing for {verdict.target}: {verdict.why[0]}"
    itself = show.is_float_model(artifact)
    gains = ["the float model itself"] if itself else [*_sped_up(artifact, verdict), *_shrunk(report, artifact)]
    parts = [*gains, *(_value(head) for head in artifact.heads)] if itself else [*gains, *_kept(artifact)]
    mapping = show.mapping_on(artifact, verdict.target)
    if mapping is not None:
        parts.append(f"{mapping.n_mapped}/{mapping.n_ops} operators on {verdict.target} ({mapping.kind})")
    return f"ship {artifact.name}: {', '.join(parts)}"


def _sped_up(artifact: ArtifactResult, verdict: ShipVerdict) -> Iterator[str]:
    latency = next(iter(artifact.latency), None) if artifact.target == verdict.target else None
    if latency is None or latency.ratio_to_baseline is None or latency.ratio_ci95 is None:
        mapping = show.mapping_on(artifact, verdict.target)
        predicted = mapping.latency if mapping is not None else None
        yield f"{show.milliseconds(predicted.ms)} predicted" if predicted else "speed not measured"
        return
    low, high = latency.ratio_ci95
    times = f"{1 / latency.ratio_to_baseline:.1f}x [{1 / high:.1f}, {1 / low:.1f}]"
    words = {
        "faster": f"{times} as fast as float",
        "slower": f"slower than float: {latency.ratio_to_baseline:.2f}x its time [{low:.2f}, {high:.2f}]",
        "not shown": f"no difference in speed shown: {times}",
        "unknown": f"{times} as fast as float ({latency.kind})",
    }
    yield words[verdict.speed]


def _shrunk(report: Report, artifact: ArtifactResult) -> Iterator[str]:
    share = show.size_ratio(report, artifact)
    if share is not None and share < 0.995:
        yield f"{1 / share:.1f}x smaller"


def _value(head: HeadResult) -> str:
    return f"{head.metric.name} {show.decimal(head.value)}"


def _kept(artifact: ArtifactResult) -> Iterator[str]:
    for head in artifact.heads:
        value = _value(head) if len(artifact.heads) == 1 else f"{head.head} {_value(head)}"
        if head.drop is None or head.drop_ci95 is None:
            yield f"{value}, its drop unknown"
            continue
        base = head.value + head.drop if head.metric.better == "higher" else head.value - head.drop
        told, form = head.metric.told(Drop(head.drop, head.drop_ci95)), "+.2f" if head.metric.is_share else "+.3g"
        low, high = (bound + 0.0 for bound in told.ci95)
        yield (
            f"{value} (float {show.decimal(base)}, drop {told.value + 0.0:{form}} "
            f"[{low:{form}}, {high:{form}}] {head.metric.drop_unit})"
        )


def reached(artifact: ArtifactResult) -> str:
    """Return what an artifact's heads reach, and what they lose against the float model, in a sentence."""
    return ", ".join(_kept(artifact))


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


def doubtful(report: Report, artifact: ArtifactResult, limits: Sequence[float]) -> str:
    """Say what a file loses whose samples do not show enough, and what would: more samples, or a larger budget."""
    n = report.dataset.n if report.dataset is not None else None
    told = "; ".join(_head(head, limit, n) for head, limit in zip(artifact.heads, limits, strict=True))
    return f"Accuracy not shown on these samples: {artifact.name}, {told}; or allow more{_enough(artifact)}."


def _enough(artifact: ArtifactResult) -> str:
    """Return the budget that every head's whole interval is within, where all have the same unit."""
    bounds = [head.metric.told(Drop(head.drop, head.drop_ci95)).ci95[1] for head in artifact.heads
              if head.drop is not None and head.drop_ci95 is not None]  # fmt: skip
    alike = len({head.metric.drop_unit for head in artifact.heads}) == 1
    return f": {math.ceil(100 * max(bounds)) / 100:g}" if bounds and alike else ""


def _head(head: HeadResult, limit: float, n: int | None) -> str:
    """Tell a head's drop; with `n` samples that do not show enough, also how many would."""
    value = _value(head)
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
