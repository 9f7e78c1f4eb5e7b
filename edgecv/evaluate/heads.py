"""What a report says of models with several heads, or with a head that is no classifier."""

from __future__ import annotations

from edgecv.core.errors import DataError
from edgecv.tasks.paired import drop_between
from edgecv.values.evaluation import Evaluation, HeadEvaluation
from edgecv.values.report import HeadResult


def heads_of(evaluation: Evaluation) -> tuple[HeadEvaluation, ...]:
    """Return the evaluation of every head, the first included."""
    first = HeadEvaluation(
        head=evaluation.head,
        task=evaluation.task,
        metric=evaluation.metric,
        value=evaluation.value,
        labels=evaluation.labels,
        top_k=evaluation.top_k,
        confusion=evaluation.confusion,
        correct=evaluation.correct,
        errors=evaluation.errors,
        figures=evaluation.figures,
        per_label=evaluation.per_label,
    )
    return (first, *evaluation.others)


def head_results(baseline: Evaluation, candidate: Evaluation) -> tuple[HeadResult, ...]:
    """Return each head with its drop against the baseline's; nothing for a single classifier.

    Raises:
        DataError: The two have other heads, or were not asked about the same samples.
    """
    theirs, ours = heads_of(baseline), heads_of(candidate)
    if [head.metric for head in theirs] != [head.metric for head in ours]:
        raise DataError(f"the baseline has {len(theirs)} heads, the candidate {len(ours)}, or of other kinds")
    if len(ours) == 1 and ours[0].task == "classification":
        return ()
    return tuple(_result(a, b) for a, b in zip(theirs, ours, strict=True))


def _result(baseline: HeadEvaluation, candidate: HeadEvaluation) -> HeadResult:
    drop = drop_between(baseline, candidate)
    return HeadResult(
        head=candidate.head,
        task=candidate.task,
        metric=candidate.metric,
        value=candidate.value,
        drop=drop.value,
        drop_ci95=drop.ci95,
        figures=candidate.figures,
    )
