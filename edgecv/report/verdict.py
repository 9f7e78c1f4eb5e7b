"""What to ship for each target, decided from the figures of a report alone.

An accuracy is "passed" when the whole interval of its drop lies at or below what is allowed, "failed" when the drop
itself is more, and "not shown" between. A speed is shown when the interval of the interleaved ratio leaves 1 out.
What nobody measured on a target is predicted, and is called so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from edgecv.report import figures as show
from edgecv.report import sentences
from edgecv.values import profiles
from edgecv.values.latency import Latency
from edgecv.values.report import ArtifactResult, HeadResult, Outcome, Report, ShipVerdict, Speed
from edgecv.values.scores import Drop

ALLOWED_POINTS = 1.0
ALLOWED_OF_ERROR = 0.05
"""Of the float model's error, where the metric is an error."""
SAME_SIZE = 1.05
"""Sizes this close decide nothing."""
_ORDER: tuple[Outcome, ...] = ("passed", "not shown", "unknown", "failed")


def decided(report: Report) -> Report:
    """Return the report with a verdict for each target that an artifact was made for or asked about."""
    return replace(report, verdicts=tuple(_verdict(report, target) for target in targets(report)))


def targets(report: Report) -> tuple[str, ...]:
    """Return the targets of a report: those that artifacts were made for first, then those asked about."""
    made_for = [a.target for a in report.artifacts]
    asked = [m.target for a in report.artifacts for m in show.mappings_of(a)]
    return tuple(dict.fromkeys([*made_for, *asked]))


def allowed(head: HeadResult, max_drop: float | None) -> float:
    """Return what a head may lose, in its metric's `drop_unit`."""
    if max_drop is not None:
        return max_drop
    if head.metric.is_share:
        return ALLOWED_POINTS
    base = head.value - (head.drop or 0.0) if head.metric.better == "lower" else head.value + (head.drop or 0.0)
    return ALLOWED_OF_ERROR * abs(base)


def outcome(head: HeadResult, max_drop: float | None) -> Outcome:
    """Hold a head's drop against what is allowed."""
    if head.drop is None or head.drop_ci95 is None:
        return "unknown"
    return head.metric.told(Drop(head.drop, head.drop_ci95)).against(allowed(head, max_drop))


def accuracy(artifact: ArtifactResult, max_drop: float | None) -> Outcome:
    """Return the worst outcome of an artifact's heads; the float model itself loses nothing."""
    found: list[Outcome] = [
        "passed" if show.is_float_model(artifact) else outcome(head, max_drop) for head in artifact.heads
    ]
    return max(found, key=_ORDER.index) if found else "unknown"


def speed(latency: Latency | None) -> Speed:
    """Hold a measured ratio against 1; a simulated or predicted one tells nothing of a speed."""
    if latency is None or latency.kind != "measured" or latency.ratio_ci95 is None:
        return "unknown"
    low, high = latency.ratio_ci95
    return "faster" if high < 1 else "slower" if low > 1 else "not shown"


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An artifact that a target can run, whether it was made for it, and how much of it maps."""

    artifact: ArtifactResult
    accuracy: Outcome
    own: bool
    share: float
    predicted_ms: float
    latency: Latency | None
    rank: int
    """Of its scheme among those that the target runs well, best first."""

    @property
    def ratio(self) -> float:
        """To the baseline; infinite when unknown."""
        known = self.latency is not None and self.latency.ratio_to_baseline is not None
        return self.latency.ratio_to_baseline if known else float("inf")  # type: ignore[union-attr,return-value]

    @property
    def interval(self) -> tuple[float, float]:
        """Of the ratio."""
        bounds = self.latency.ratio_ci95 if self.latency is not None else None
        return bounds or (self.ratio, self.ratio)


def _verdict(report: Report, target: str) -> ShipVerdict:
    known = [_candidate(report, artifact, target) for artifact in report.artifacts]
    runnable = [c for c in known if c is not None]
    fit = [c for c in runnable if c.accuracy != "failed"]
    if not fit:
        why = sentences.nothing_fits(target, len(runnable))
        accuracy_: Outcome = "failed" if runnable else "unknown"
        return ShipVerdict(
            target=target, artifact=None, accuracy=accuracy_, speed="unknown", certainty="not shown", why=(why,)
        )
    best = _best(fit)
    found = speed(best.latency)
    own = show.mapping_on(best.artifact, target)
    return ShipVerdict(
        target=target,
        artifact=best.artifact.name,
        accuracy=best.accuracy,
        speed=found,
        certainty=_certainty(best.accuracy, found),
        why=(
            sentences.accuracy(report, best.artifact, best.accuracy, _limits(report, best.artifact)),
            sentences.speed(report, best.latency, found, own),
            sentences.size(report, best.artifact),
            *sentences.mapped(own),
        ),
        instead=tuple(_instead(report, best, runnable)),
    )


def _certainty(accuracy_: Outcome, speed_: Speed) -> Literal["shown", "partly shown", "not shown"]:
    if accuracy_ != "passed":
        return "not shown"
    return "shown" if speed_ in ("faster", "slower") else "partly shown"


def _limits(report: Report, artifact: ArtifactResult) -> list[float]:
    return [allowed(head, report.max_drop) for head in artifact.heads]


def _candidate(report: Report, artifact: ArtifactResult, target: str) -> _Candidate | None:
    """Return an artifact as a candidate for a target; None for one that nothing of runs there."""
    mapping = show.mapping_on(artifact, target)
    if artifact.target != target and (mapping is None or not mapping.n_mapped):
        return None
    latency = next(iter(artifact.latency), None) if artifact.target == target else None
    share = mapping.n_mapped / mapping.n_ops if mapping is not None and mapping.n_ops else 0.0
    predicted = mapping.latency.ms if mapping is not None and mapping.latency is not None else float("inf")
    own = artifact.target == target
    schemes: tuple[str, ...] = profiles.target(target).schemes
    rank = schemes.index(artifact.scheme) if artifact.scheme in schemes else len(schemes)
    return _Candidate(artifact, accuracy(artifact, report.max_drop), own, share, predicted, latency, rank)


def _best(candidates: Sequence[_Candidate]) -> _Candidate:
    """Return the candidate to ship: of the surest accuracy, then made and timed for the target, then the fastest.

    Where intervals of ratios overlap, the smaller file is taken; of files of about the same size, again the fastest.
    A file that is shown to be slower than float is no equal of one that is not, however close their intervals are.
    """
    surest = min(_ORDER.index(c.accuracy) for c in candidates)
    left = [c for c in candidates if _ORDER.index(c.accuracy) == surest]
    left = [c for c in left if c.latency is not None] or _most_mapped([c for c in left if c.own] or left)
    fastest = min(left, key=lambda c: (c.ratio, c.predicted_ms, c.rank, c.artifact.size_bytes))
    if fastest.latency is None:
        return fastest
    tied = [c for c in left if c.interval[0] <= fastest.interval[1]]
    if speed(fastest.latency) != "slower":
        tied = [c for c in tied if speed(c.latency) != "slower"]
    smallest = min(c.artifact.size_bytes for c in tied)
    return min((c for c in tied if c.artifact.size_bytes <= SAME_SIZE * smallest), key=lambda c: c.ratio)


def _most_mapped(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    most = max(c.share for c in candidates)
    return [c for c in candidates if c.share == most]


def _instead(report: Report, best: _Candidate, known: Sequence[_Candidate]) -> Iterable[str]:
    """Yield why the files are not taken that failed, that are not shown, and that are slower."""
    failed = [c.artifact.name for c in known if c.accuracy == "failed"]
    # Files that were made for another target are of interest where nothing was made for this one.
    own = [c for c in known if c.own] or known
    doubtful = [c.artifact for c in own if c.accuracy == "not shown" and c is not best]
    if failed:
        yield f"Accuracy failed: {', '.join(failed)}."
    slow = [c.artifact.name for c in known if c.accuracy == "passed" and speed(c.latency) == "slower" and c is not best]
    if slow and speed(best.latency) != "slower":
        yield f"Slower than the float model: {', '.join(slow)}; the report says why."
    if best.accuracy == "passed":
        yield from (sentences.doubtful(report, artifact, _limits(report, artifact)) for artifact in doubtful)
