"""What a quantised file loses against the float model that it was made from, on real data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecv.core.errors import ConfigError, GateFailure
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset, fitted
from edgecv.data.dataset import Split
from edgecv.evaluate import KerasPredictor, drop_between, evaluate
from edgecv.jobs import models
from edgecv.jobs.evaluate import open_artifact
from edgecv.jobs.meaning import doubt
from edgecv.modelio import LoadedModel
from edgecv.tasks.registry import task_of
from edgecv.values.evaluation import Evaluation, HeadEvaluation
from edgecv.values.scores import Drop, Verdict

SPLITS = ("validation", "all", "test", "train")
"""Where samples are taken from: the first that the data has."""
MOST = 500
GENEROUS_POINTS = 10.0
GENEROUS_SHARE = 0.5
"""Of an error's value for the float model: a file may be half as wrong again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLoss:
    """What one head loses.

    Attributes:
        before: The metric of the float model; `after` of the file.
        drop: How much worse the file is, above 0, in `unit`, with a paired 95 % interval.
        allowed: The largest drop that passes.
        verdict: "passed" when the whole interval is allowed, "failed" when the drop is not, else "not shown".
        needed: How many samples would show that the drop passes, if it stays what it is; None when no number would.
        ties: Samples whose best score another label has too, in the file; `ties_before` in the float model. None for
            tasks in which no label is the best.
    """

    head: str
    metric: str
    unit: str
    before: float
    after: float
    drop: float
    drop_ci95: tuple[float, float]
    allowed: float
    verdict: Verdict
    needed: int | None
    ties: int | None = None
    ties_before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a file loses on `n` samples of a split.

    Attributes:
        seen: Whether the float model was trained on that split; None where nothing tells.
        heads: One per head of the model.
    """

    dataset: str
    split: str
    n: int
    heads: tuple[HeadLoss, ...]
    seen: bool | None = None


def measured(
    reference: LoadedModel, file: Path, dataset: Dataset, *, max_drop: float | None = None, reporter: Reporter = QUIET
) -> Loss | None:
    """Return what a file loses against its float model, on at most `MOST` samples; None when the data has no truths.

    Args:
        reference: The float model.
        file: Made from it.
        dataset: Its validation split judges, or the whole where it has none.
        max_drop: What each head may lose: percentage points, or the unit of an error. None is generous: ten points, or
            half of the float model's error.
        reporter: Gets progress, and the warning that nothing could be judged.
    """
    spec = reference.require_spec()
    try:
        whole = fitted(dataset, spec)
        part = _part(whole)
        with KerasPredictor(reference) as keras:
            before = evaluate(keras, part, whole.name, targets=whole.targets, name="the float model", reporter=reporter)
        doubt(before, "the float model", reporter)
        with open_artifact(file) as predictor:
            after = evaluate(predictor, part, whole.name, targets=whole.targets, name=file.name, reporter=reporter)
    except ConfigError as error:
        answers = f"; --data answers:{reference.path}:{dataset.uri} holds it to the float model's own answers"
        way_out = "" if dataset.targets else answers
        reporter.warn(f"not held against the float model: {error.message}{way_out}")
        return None
    found = Loss(
        dataset=whole.name, split=part.name, n=len(part), heads=_heads(before, after, max_drop, len(part)),
        seen=models.has_seen(reference.manifest, dataset, part.name),
    )  # fmt: skip
    _tell(found, reporter)
    return found


def not_shown(drop: Drop, allowed: float, n: int, *, metric: str, unit: str) -> str:
    """Return the warning about a drop whose interval reaches beyond what is allowed."""
    needed = drop.samples_to_show(allowed, n)
    would = (
        f"about {needed:,} samples would, if the loss stays {drop.value:.2f}" if needed else "no number of them would"
    )
    return (
        f"{n:,} samples do not show that {metric} loses no more than {allowed:g} {unit}: "
        f"it may lose {drop.ci95[1]:.2f}; {would}"
    )


def seen(split: str, dataset: str) -> str:
    """Return the warning about samples that the model was trained on."""
    return (
        f"the model was trained on {split} of {dataset}, which judges it: on other samples it may lose more; "
        "give --data that it has not seen"
    )


def _tell(found: Loss, reporter: Reporter) -> None:
    """Warn of what the samples cannot show."""
    if found.seen:
        reporter.warn(seen(found.split, found.dataset))
    for head in found.heads:
        if head.verdict == "not shown":
            drop = Drop(value=head.drop, ci95=head.drop_ci95)
            reporter.warn(not_shown(drop, head.allowed, found.n, metric=head.metric, unit=head.unit))


def require_small(loss: Loss | None) -> None:
    """Raise GateFailure when a head loses more than is allowed; the message has both values."""
    if loss is None:
        return
    for head in loss.heads:
        if head.verdict == "failed":
            raise GateFailure(
                f"the file loses {head.drop:.2f} {head.unit} of {head.metric} against the float model "
                f"({head.before:.4f} to {head.after:.4f} on {loss.n} samples of {loss.split}), "
                f"allowed {head.allowed:g}",
                hint="`edgecv debug MODEL --rank` says which layers it is and what helps; or allow another --max-drop",
            )


def _part(whole: Dataset) -> Split:
    """Return the split that judges, or `MOST` samples spread evenly over it."""
    split = whole.split(next(name for name in SPLITS if name in whole.splits))
    if len(split) <= MOST:
        return split
    return split.take(np.linspace(0, len(split) - 1, MOST).astype(np.int64), split.name)


def _heads(before: Evaluation, after: Evaluation, max_drop: float | None, n: int) -> tuple[HeadLoss, ...]:
    return tuple(_head(float_, own, max_drop, n) for float_, own in zip(before.heads, after.heads, strict=True))


def _head(before: HeadEvaluation, after: HeadEvaluation, max_drop: float | None, n: int) -> HeadLoss:
    metric = before.metric
    found = metric.told(drop_between(before, after))
    generous = GENEROUS_POINTS if metric.is_share else GENEROUS_SHARE * abs(before.value)
    allowed = generous if max_drop is None else max_drop
    return HeadLoss(
        head=before.head.name,
        metric=metric.name,
        unit=metric.drop_unit,
        before=before.value,
        after=after.value,
        drop=found.value,
        drop_ci95=found.ci95,
        allowed=allowed,
        verdict=found.against(allowed),
        needed=found.samples_to_show(allowed, n),
        ties=task_of(after.head).ties(after.evidence),
        ties_before=task_of(before.head).ties(before.evidence),
    )
