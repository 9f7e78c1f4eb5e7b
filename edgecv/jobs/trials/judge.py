"""The judge of trials: what a file loses against the float model, on the same samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset, fitted
from edgecv.evaluate import KerasPredictor, drop_between, evaluate
from edgecv.evaluate.evaluating import Evaluable
from edgecv.jobs.evaluate import open_artifact
from edgecv.modelio import LoadedModel
from edgecv.tasks.registry import task_of
from edgecv.values.evaluation import Evaluation, HeadEvaluation
from edgecv.values.scores import Drop

VALIDATION, TEST = "validation", "test"
"""What trials are judged on, and what stays unseen until one is chosen."""
SUBSET_SEED = 20
"""Of the samples that a first look takes, the same ones for all trials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A file beside the float model.

    Attributes:
        n: Samples.
        before: Metric of the float model; `value` of the file.
        drop: In points or the error's unit, with its paired 95 % interval.
    """

    n: int
    before: float
    value: float
    drop: Drop


class Judge:
    """The float model's answers on one split, evaluated once, and what files are held against.

    They are no part of any record: what paired statistics need of a sample is the task's own.

    Args:
        loaded: The float model.
        dataset: That has the split.
        split: Its name.
        reporter: Gets progress.
    """

    def __init__(
        self, loaded: LoadedModel, dataset: Dataset, split: str = VALIDATION, reporter: Reporter = QUIET
    ) -> None:
        self._loaded, self._reporter = loaded, reporter
        self._data = fitted(dataset, loaded.require_spec())
        self._whole = self._data.split(split)

    @cached_property
    def baseline(self) -> Evaluation:
        """The float model on the whole split."""
        with KerasPredictor(self._loaded) as predictor:
            return self._answered(predictor, "the float model")

    @property
    def unit(self) -> str:
        """Of drops."""
        return self.baseline.metric.drop_unit

    def samples(self, most: int | None) -> int:
        """Return on how many samples a file is judged that is judged on `most`; None: on all."""
        return len(self._whole) if most is None else min(most, len(self._whole))

    def judged(self, file: Path, *, name: str, n: int | None = None) -> Judgement:
        """Return what a file loses.

        Args:
            file: For a device.
            name: For progress.
            n: Samples, as of `samples`, always the same ones; None: all.

        Raises:
            EdgecvError: The file does not answer, or the answers cannot be judged.
        """
        with open_artifact(file) as predictor:
            return self.held(predictor, name=name, n=n)

    def held(self, predictor: Evaluable, *, name: str, n: int | None = None) -> Judgement:
        """As `judged`, of what is open."""
        count = self.samples(n)
        found, before = self._answered(predictor, name, count), self._before(count)
        return Judgement(n=count, before=before.value, value=found.value, drop=self.drop(before, found.first))

    def drop(self, before: HeadEvaluation, after: HeadEvaluation) -> Drop:
        """Return the paired drop, in `unit`."""
        return before.metric.told(drop_between(before, after))

    def _answered(self, predictor: Evaluable, name: str, n: int | None = None) -> Evaluation:
        part = self._whole if n in (None, len(self._whole)) else self._whole.take(self._subset(n))
        data = self._data
        return evaluate(predictor, part, data.name, targets=data.targets, name=name, reporter=self._reporter)

    def _subset(self, n: int | None) -> Any:
        return np.sort(np.random.default_rng(SUBSET_SEED).permutation(len(self._whole))[:n])

    def _before(self, n: int) -> HeadEvaluation:
        """Return how the float model does on the `n` samples of a first look, or on all."""
        whole = self.baseline.first
        if n == len(whole.evidence):
            return whole
        kept = tuple(whole.evidence[index] for index in self._subset(n))
        return replace(whole, evidence=kept, value=task_of(whole.head).score(kept, whole.head).value)
