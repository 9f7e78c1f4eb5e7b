"""What a report says of each head of a model."""

from __future__ import annotations

from edgecv.core.errors import DataError
from edgecv.evaluate.evaluating import drop_between
from edgecv.values.evaluation import Evaluation, HeadEvaluation
from edgecv.values.report import HeadResult


def head_results(baseline: Evaluation, candidate: Evaluation) -> tuple[HeadResult, ...]:
    """Return each head with its drop against the baseline's.

    Raises:
        DataError: The two have other heads, or were not asked about the same samples.
    """
    if [head.metric for head in baseline.heads] != [head.metric for head in candidate.heads]:
        counts = f"the baseline has {len(baseline.heads)} heads, the candidate {len(candidate.heads)}"
        raise DataError(f"{counts}, or of other kinds")
    return tuple(_result(a, b) for a, b in zip(baseline.heads, candidate.heads, strict=True))


def _result(baseline: HeadEvaluation, candidate: HeadEvaluation) -> HeadResult:
    drop = drop_between(baseline, candidate)
    return HeadResult(
        head=candidate.head.name,
        task=candidate.head.task,
        metric=candidate.metric,
        value=candidate.value,
        drop=drop.value,
        drop_ci95=drop.ci95,
        figures=candidate.figures,
        per_label=candidate.per_label,
        tables=candidate.tables,
    )
