"""Every head of a model on one split, asked through the same runtime code that ships to devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from edgecv.core.errors import ConfigError, DataError
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Target, match_targets
from edgecv.runtime.image import preprocess_batch
from edgecv.runtime.reading import frame_for
from edgecv.tasks.frame import Frame
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_outputs
from edgecv.values.evaluation import Evaluation, HeadEvaluation
from edgecv.values.scores import Drop
from edgecv.values.specs import Head, ModelSpec

Array = np.ndarray[Any, Any]


class Evaluable(Protocol):
    """A `runtime.Predictor` or a `KerasPredictor`."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def bound_outputs(self) -> Sequence[Sequence[int]]: ...

    @property
    def engine(self) -> str: ...

    @property
    def accelerator(self) -> str: ...

    @property
    def batch(self) -> int: ...

    def run(self, tensors: Sequence[Array]) -> list[Array]: ...


class Samples(Protocol):
    """A `data.Split`, or a part of one."""

    @property
    def name(self) -> str: ...

    @property
    def targets(self) -> tuple[Any, ...]: ...

    @property
    def sha256(self) -> str: ...

    def __len__(self) -> int: ...

    def sample(self, index: int) -> tuple[Array, ...]: ...


Judge = Callable[[Sequence[Array]], tuple[HeadEvaluation, ...]]
"""From a model's answers, float32 (n, …) per output in the model's order, to figures, one per head."""


def evaluate(
    predictor: Evaluable,
    split: Samples,
    dataset_name: str,
    *,
    targets: Sequence[Target] | None = None,
    name: str | None = None,
    reporter: Reporter = QUIET,
) -> Evaluation:
    """Ask the model about every sample, and let the task of each head judge its answers.

    Args:
        predictor: A loaded model.
        split: The samples, with one column of truths per target.
        dataset_name: For the result.
        targets: What the data set's targets are; matched with the heads by name, by kind or by position. None takes
            them by position.
        name: What to call the model in progress; None takes its spec's name.
        reporter: Told of each sample.

    Raises:
        ConfigError: A head's task is unknown, or the targets are not the heads'.
        DataError: The split is empty, a truth does not fit, an answer is not finite, or an image is corrupt.
        DeviceError: The interpreter or the accelerator failed.
    """
    spec = predictor.spec
    columns, where = _columns(spec, split, dataset_name, targets), _where(split, dataset_name)
    evidence: list[list[Any]] = [[] for _ in spec.heads]
    for chosen, outputs, frames in _answers(predictor, split, name or spec.name, reporter):
        own = [[outputs[place] for place in places] for places in predictor.bound_outputs]
        for kept, head, column, answers in zip(evidence, spec.heads, columns, own, strict=True):
            kept += task_of(head).judge(_truths(head, column, chosen, where), answers, head, frames)
    heads = tuple(_scored(head, kept) for head, kept in zip(spec.heads, evidence, strict=True))
    return Evaluation(
        heads=heads,
        n=len(split),
        dataset=dataset_name,
        split=split.name,
        dataset_sha256=split.sha256,
        engine=predictor.engine,
        accelerator=predictor.accelerator,
        adapter=getattr(predictor, "adapter", None),
        precision=getattr(predictor, "precision", None),
        fully_accelerated=getattr(predictor, "fully_accelerated", True),
        kind="simulated" if getattr(predictor, "is_software_adapter", False) else "measured",
    )


def judge_of(
    spec: ModelSpec,
    split: Samples,
    dataset_name: str,
    *,
    outputs: Sequence[str],
    targets: Sequence[Target] | None = None,
) -> Judge:
    """Return what turns a model's answers to all samples of a split into figures, one per head.

    Arguments and errors are those of `evaluate`; what is wrong with the request is found here, and what is wrong with
    answers when they are judged.

    Args:
        spec: The model's contract.
        split: The samples.
        dataset_name: For messages.
        outputs: Names of the model's outputs, in its order.
        targets: As for `evaluate`.
    """
    columns = _columns(spec, split, dataset_name, targets)
    bound = bind_outputs(spec, outputs, spec.name)
    whole, where = range(len(split)), _where(split, dataset_name)
    truths = [_truths(head, column, whole, where) for head, column in zip(spec.heads, columns, strict=True)]
    frames = [frame_for(split.sample(i), spec) for i in whole]

    def judge(answers: Sequence[Array]) -> tuple[HeadEvaluation, ...]:
        own = [[answers[place] for place in places] for places in bound]
        rows = zip(spec.heads, truths, own, strict=True)
        return tuple(_scored(head, task_of(head).judge(truth, given, head, frames)) for head, truth, given in rows)

    return judge


def drop_between(baseline: Evaluation | HeadEvaluation, candidate: Evaluation | HeadEvaluation) -> Drop:
    """Return how much worse a candidate is on the same samples; of whole evaluations, their first heads.

    Raises:
        DataError: The metrics differ, or the results are not of the same samples.
    """
    ours, theirs = (each.first if isinstance(each, Evaluation) else each for each in (candidate, baseline))
    if theirs.metric != ours.metric:
        raise DataError(
            f"cannot compare {theirs.metric.name} with {ours.metric.name}", hint="compare heads of one task"
        )
    return task_of(ours.head).drop(theirs.evidence, ours.evidence, ours.head)


def _scored(head: Head, evidence: Sequence[Any]) -> HeadEvaluation:
    task = task_of(head)
    found = task.score(evidence, head)
    return HeadEvaluation(
        head=head,
        metric=task.metric,
        value=found.value,
        figures=found.figures,
        per_label=found.per_label,
        tables=found.tables,
        evidence=tuple(evidence),
    )


def _columns(
    spec: ModelSpec, split: Samples, dataset_name: str, targets: Sequence[Target] | None
) -> tuple[Sequence[Any], ...]:
    """Return the truths of each head, by name or place."""
    heads, where = spec.heads, _where(split, dataset_name)
    by_place = tuple(range(len(heads)))
    chosen = by_place if targets is None else match_targets(heads, targets, dataset=dataset_name)
    if len(split) == 0:
        raise DataError(f"{where} is empty")
    for head, index in zip(heads, chosen, strict=True):
        if index >= len(split.targets):
            raise ConfigError(
                f"head '{head.name}' has no target in {where}, which has {len(split.targets)}",
                hint="use data with one target per head",
            )
    return tuple(split.targets[index] for index in chosen)


def _truths(head: Head, column: Sequence[Any], chosen: range, where: str) -> list[Any]:
    """Return the truths of some samples, each checked against its head."""
    task, truths = task_of(head), [column[index] for index in chosen]
    for index, truth in zip(chosen, truths, strict=True):
        task.check_truth(truth, head, f"sample {index} of {where}")
    return truths


def _where(split: Samples, dataset_name: str) -> str:
    return f"split '{split.name}' of '{dataset_name}'"


def _answers(
    predictor: Evaluable, split: Samples, name: str, reporter: Reporter
) -> Iterator[tuple[range, list[Array], list[Frame | None]]]:
    """Yield the indices of a batch of samples, every output of the model for them, and where their images lie."""
    spec = predictor.spec
    with reporter.bar(f"evaluate {name} on {split.name}", len(split)) as advance:
        for start in range(0, len(split), predictor.batch):
            chosen = range(start, min(start + predictor.batch, len(split)))
            samples = [split.sample(index) for index in chosen]
            columns = list(zip(*samples, strict=True))
            if len(columns) != len(spec.inputs):
                raise ConfigError(
                    f"'{spec.name}' takes {len(spec.inputs)} inputs, a sample of '{split.name}' has {len(columns)}",
                    hint="use data with one image per input",
                )
            tensors = [preprocess_batch(column, only) for column, only in zip(columns, spec.inputs, strict=True)]
            outputs = [np.asarray(output, np.float32) for output in predictor.run(tensors)]
            heads = zip(spec.heads, predictor.bound_outputs, strict=True)
            if not all(task_of(head).is_finite([outputs[place] for place in own], head) for head, own in heads):
                raise DataError(f"'{spec.name}' answers NaN or infinity to sample {start} of '{split.name}'")
            yield chosen, outputs, [frame_for(sample, spec) for sample in samples]
            advance(len(chosen))
