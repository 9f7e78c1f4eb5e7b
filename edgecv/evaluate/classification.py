"""Accuracy of a classifier on one split, asked through the same runtime code that ships to devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from edgecv.errors import ConfigError, DataError
from edgecv.progress import QUIET, Reporter
from edgecv.results import Evaluation
from edgecv.runtime.image import preprocess_batch
from edgecv.runtime.postprocess import scores
from edgecv.specs import ModelSpec

Array = np.ndarray[Any, Any]

TOP_K = (1, 3, 5)


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


class Samples(Protocol):
    """A `data.Split`."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> Array: ...

    @property
    def sha256(self) -> str: ...

    def __len__(self) -> int: ...

    def image(self, index: int) -> Array: ...


def evaluate(
    predictor: Evaluable,
    split: Samples,
    dataset_name: str,
    *,
    labels: Sequence[str] | None = None,
    name: str | None = None,
    reporter: Reporter = QUIET,
) -> Evaluation:
    """Ask the model about every sample and count.

    Args:
        predictor: A loaded classifier.
        split: The samples; labels are indices into the data set's class names.
        dataset_name: For the result.
        labels: Class names of the data set, in order; checked against the model's. None skips that check.
        name: What to call the model in progress; None takes its spec's name.
        reporter: Told of each sample.

    Returns:
        Top-1 and top-k (k = 1, 3, 5, where there are more classes), the confusion matrix, and per sample whether the
        model was right. Of equal scores the first class counts, as in argmax.

    Raises:
        ConfigError: The model is no classifier, or its labels are not the data set's.
        DataError: The split is empty, a label is out of range, or an image is corrupt.
        DeviceError: The interpreter or the accelerator failed.
    """
    head = predictor.spec.head
    if head.task != "classification":
        raise ConfigError(f"head '{head.name}' of '{predictor.spec.name}' is for {head.task}, not classification")
    if labels is not None and head.labels:
        _check_names(head.labels, tuple(labels), dataset_name)
    if len(split) == 0:
        raise DataError(f"split '{split.name}' of '{dataset_name}' is empty")
    values = np.concatenate(list(_scores(predictor, split, name or predictor.spec.name, reporter)))
    truth = np.asarray(split.labels, np.int64)
    _check_range(truth, values.shape[1], split.name, dataset_name)
    names = head.labels or tuple(str(index) for index in range(values.shape[1]))
    return _count(predictor, split, dataset_name, names, truth, values)


def _scores(predictor: Evaluable, split: Samples, name: str, reporter: Reporter) -> Iterator[Array]:
    """Yield float32 (n, classes) for each batch of samples."""
    head = predictor.spec.head
    with reporter.bar(f"evaluate {name} on {split.name}", len(split)) as advance:
        for start in range(0, len(split), predictor.batch):
            chosen = range(start, min(start + predictor.batch, len(split)))
            images = preprocess_batch([split.image(index) for index in chosen], predictor.spec)
            output = predictor.run([images])[0].reshape(len(chosen), -1)
            if not np.isfinite(output).all():
                raise DataError(f"'{predictor.spec.name}' answers NaN or infinity to sample {start} of '{split.name}'")
            yield scores(output, head.activation)
            advance(len(chosen))


def _check_names(model: tuple[str, ...], data: tuple[str, ...], dataset_name: str) -> None:
    if model == data:
        return
    different = [f"{ours!r} is {theirs!r}" for ours, theirs in zip(model, data, strict=False) if ours != theirs]
    detail = f"; first: {different[0]}" if different else ""
    raise ConfigError(
        f"the model's {len(model)} labels are not the {len(data)} of '{dataset_name}'{detail}",
        hint="evaluate on data with the model's classes in the model's order",
    )


def _check_range(truth: Array, classes: int, split: str, dataset_name: str) -> None:
    outside = np.flatnonzero((truth < 0) | (truth >= classes))
    if outside.size:
        first = int(outside[0])
        raise DataError(
            f"sample {first} of split '{split}' of '{dataset_name}' has label {int(truth[first])}, "
            f"the model has classes 0..{classes - 1}",
            hint="evaluate on data with the model's classes",
        )


def _count(
    predictor: Evaluable, split: Samples, dataset_name: str, names: tuple[str, ...], truth: Array, values: Array
) -> Evaluation:
    order = np.argsort(-values, axis=1, kind="stable")
    rank = (order == truth[:, None]).argmax(axis=1)
    confusion = np.zeros((values.shape[1], values.shape[1]), np.int64)
    np.add.at(confusion, (truth, order[:, 0]), 1)
    return Evaluation(
        metric="top1",
        value=float((rank == 0).mean()),
        n=len(truth),
        top_k={str(k): float((rank < k).mean()) for k in TOP_K if k == 1 or k < values.shape[1]},
        labels=names,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        correct=tuple(bool(right) for right in rank == 0),
        dataset=dataset_name,
        split=split.name,
        dataset_sha256=split.sha256,
        engine=predictor.engine,
        accelerator=predictor.accelerator,
    )
