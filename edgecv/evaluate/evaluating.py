"""Every head of a model on one split, asked through the same runtime code that ships to devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from edgecv.core.errors import ConfigError, DataError
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Target, match_targets
from edgecv.runtime.image import preprocess_batch
from edgecv.tasks.classification import classification
from edgecv.tasks.multilabel import multilabel
from edgecv.tasks.regression import regression
from edgecv.values.evaluation import Evaluation, HeadEvaluation
from edgecv.values.specs import Head, ModelSpec

Array = np.ndarray[Any, Any]

TASKS = ("classification", "multilabel", "regression")


class Evaluable(Protocol):
    """A `runtime.Predictor` or a `KerasPredictor`."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def engine(self) -> str: ...

    @property
    def accelerator(self) -> str: ...

    @property
    def batch(self) -> int: ...

    def run(self, tensors: Sequence[Array]) -> list[Array]: ...


class Labelled(Protocol):
    """What is right for each sample: a `data.Split`, or a part of one."""

    @property
    def name(self) -> str: ...

    @property
    def targets(self) -> tuple[Array, ...]: ...

    def __len__(self) -> int: ...


class Samples(Labelled, Protocol):
    """A `data.Split`."""

    @property
    def sha256(self) -> str: ...

    def image(self, index: int) -> Array: ...


def evaluate(
    predictor: Evaluable,
    split: Samples,
    dataset_name: str,
    *,
    targets: Sequence[Target] | None = None,
    name: str | None = None,
    reporter: Reporter = QUIET,
) -> Evaluation:
    """Ask the model about every sample and count, head by head.

    Args:
        predictor: A loaded model whose heads classify, give several labels, or give values.
        split: The samples, with one array of answers per target.
        dataset_name: For the result.
        targets: What the data set's targets are; matched with the heads by name, else by position, and checked against
            them. None takes them by position, and checks what the arrays show.
        name: What to call the model in progress; None takes its spec's name.
        reporter: Told of each sample.

    Returns:
        The figures of the first head, and those of the others in `others`.

    Raises:
        ConfigError: A head's task cannot be evaluated, or the targets are not the heads'.
        DataError: The split is empty, a label is out of range, an answer is not finite, or an image is corrupt.
        DeviceError: The interpreter or the accelerator failed.
    """
    judge = judge_of(predictor.spec, split, dataset_name, targets=targets)
    batches = list(_outputs(predictor, split, name or predictor.spec.name, reporter))
    answers = [np.concatenate(each) for each in zip(*batches, strict=True)]
    return _result(judge(answers), predictor, split, dataset_name)


def judge_of(
    spec: ModelSpec, split: Labelled, dataset_name: str, *, targets: Sequence[Target] | None = None
) -> Callable[[Sequence[Array]], tuple[HeadEvaluation, ...]]:
    """Return what turns a model's answers to all samples of a split into figures, one per head.

    It takes one float32 (n, units) per head; outputs beyond the heads are left alone. Arguments and errors are those
    of `evaluate`; what is wrong with the request is found here, and what is wrong with answers when they are judged.
    """
    heads = spec.heads
    odd = next((head for head in heads if head.task not in TASKS), None)
    if odd is not None:
        raise ConfigError(
            f"head '{odd.name}' of '{spec.name}' is for {odd.task}, which cannot be evaluated",
            hint=f"heads for {', '.join(TASKS)} can",
        )
    chosen = match_targets(heads, targets, dataset=dataset_name) if targets else tuple(range(len(heads)))
    if len(split) == 0:
        raise DataError(f"split '{split.name}' of '{dataset_name}' is empty")
    where = f"split '{split.name}' of '{dataset_name}'"
    truths = [_truth(split, index, head, where) for index, head in zip(chosen, heads, strict=True)]

    def judge(answers: Sequence[Array]) -> tuple[HeadEvaluation, ...]:
        rows = zip(truths, answers[: len(heads)], heads, strict=True)
        return tuple(_measure(truth, given, head, where) for truth, given, head in rows)

    return judge


def _truth(split: Labelled, index: int, head: Head, where: str) -> Array:
    if index >= len(split.targets):
        raise ConfigError(
            f"head '{head.name}' has no target in {where}, which has {len(split.targets)}",
            hint="use data with one target per head",
        )
    truth = split.targets[index]
    if (truth.ndim == 1) != (head.task == "classification"):
        held = "class labels" if truth.ndim == 1 else "values or several labels"
        raise ConfigError(f"head '{head.name}' is for {head.task}, and {where} holds {held}")
    return truth


def _outputs(predictor: Evaluable, split: Samples, name: str, reporter: Reporter) -> Iterator[list[Array]]:
    """Yield one float32 (n, units) per head for each batch of samples."""
    spec = predictor.spec
    with reporter.bar(f"evaluate {name} on {split.name}", len(split)) as advance:
        for start in range(0, len(split), predictor.batch):
            chosen = range(start, min(start + predictor.batch, len(split)))
            inputs = preprocess_batch([split.image(index) for index in chosen], spec)
            outputs = predictor.run([inputs])[: len(spec.heads)]
            if not all(np.isfinite(output).all() for output in outputs):
                raise DataError(f"'{spec.name}' answers NaN or infinity to sample {start} of '{split.name}'")
            yield [np.asarray(output, np.float32).reshape(len(chosen), -1) for output in outputs]
            advance(len(chosen))


def _measure(truth: Array, answers: Array, head: Head, where: str) -> HeadEvaluation:
    if head.task == "classification":
        return classification(np.asarray(truth, np.int64), answers, head, where=where)
    if truth.shape != answers.shape:
        raise DataError(
            f"head '{head.name}' gives {answers.shape[1]} values, {where} has {truth.shape[1]}",
            hint="use data with one column per output",
        )
    return multilabel(truth, answers, head) if head.task == "multilabel" else regression(truth, answers, head)


def _result(found: Sequence[HeadEvaluation], predictor: Evaluable, split: Samples, dataset_name: str) -> Evaluation:
    first = found[0]
    return Evaluation(
        metric=first.metric,
        value=first.value,
        n=len(split),
        top_k=first.top_k,
        labels=first.labels,
        confusion=first.confusion,
        correct=first.correct,
        dataset=dataset_name,
        split=split.name,
        dataset_sha256=split.sha256,
        engine=predictor.engine,
        accelerator=predictor.accelerator,
        adapter=getattr(predictor, "adapter", None),
        precision=getattr(predictor, "precision", None),
        fully_accelerated=getattr(predictor, "fully_accelerated", True),
        kind="simulated" if getattr(predictor, "is_software_adapter", False) else "measured",
        head=first.head,
        task=first.task,
        errors=first.errors,
        figures=first.figures,
        per_label=first.per_label,
        others=tuple(found[1:]),
    )
