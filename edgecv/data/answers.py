"""Data whose truths are what a model says: other models, such as its int8 file, are then held to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.core.files import sha256
from edgecv.data.dataset import Dataset, Indices, Split, Target
from edgecv.modelio import load_keras
from edgecv.modelio.model_file import model_file
from edgecv.modelio.predictor import KerasPredictor
from edgecv.runtime import load
from edgecv.tasks.registry import task_of
from edgecv.values.specs import Head

REMEMBERED_BYTES = 512 * 2**20
"""Answers are kept up to this size, and asked for again beyond it."""
SMALL_BYTES = 1024
"""Of what is no array: a class, or the boxes of an image."""


def answered(model: Path, dataset: Dataset) -> Dataset:
    """Return a data set with a model's answers in the place of its truths: a target for each head.

    The model is asked about a sample when its truth is needed.

    Args:
        model: `.keras`, `.h5`, `.tflite` or `.onnx` with its contract in it: the float model, mostly.
        dataset: Any; truths of its own do not count.

    Raises:
        ConfigError, UnsupportedModelError: The model cannot be opened, or has no contract.
    """
    asked = _Model(model)
    heads = asked.predictor.spec.heads
    splits = {}
    for name, split in dataset.splits.items():
        source = _Answers(asked, split)
        columns = tuple(AnswerColumn(source, head, np.arange(len(split))) for head in heads)
        splits[name] = replace(split, targets=columns)
    uri = f"answers:{model}:{dataset.uri}"
    note = f"truths are the answers of {model.name}"
    return replace(
        dataset, name=f"{dataset.name} by {model.name}", uri=uri, targets=tuple(map(_target, heads)), splits=splits,
        notes=(*dataset.notes, note),
    )  # fmt: skip


def _target(head: Head) -> Target:
    task = task_of(head)
    known = {key: value for key, value in head.settings.items() if key in task.truth_settings}
    return Target(name=head.name, task=(task.reads or (head.task,))[0], labels=head.labels, settings=known)


class _Model:
    """A model file, opened when it is first asked."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise ConfigError(f"model {path} does not exist", hint="expected the form answers:float.keras:folder:PATH")
        self._path = path

    @cached_property
    def sha256(self) -> str:
        return sha256(self._path)

    @cached_property
    def predictor(self) -> Any:
        if model_file(self._path).is_keras:
            return KerasPredictor(load_keras(self._path))
        return load(self._path, apart=True)


class _Answers:
    """What a model says of the samples of a split."""

    def __init__(self, model: _Model, split: Split) -> None:
        self.model, self._split = model, split
        self._kept: dict[int, dict[str, Any]] = {}
        self._bytes = 0

    def truth(self, index: int, head: Head) -> Any:
        if index not in self._kept:
            found = self._asked(index)
            size = sum(getattr(truth, "nbytes", SMALL_BYTES) for truth in found.values())
            if self._bytes + size > REMEMBERED_BYTES:
                return found[head.name]
            self._kept[index], self._bytes = found, self._bytes + size
        return self._kept[index][head.name]

    def _asked(self, index: int) -> dict[str, Any]:
        sample, spec = self._split.sample(index), self.model.predictor.spec
        heads = self.model.predictor.predict(sample if len(spec.inputs) > 1 else sample[0]).heads
        return {head.name: task_of(head).as_truth(heads[head.name], head) for head in spec.heads}

    def digest(self, index: int) -> bytes:
        images = b"".join(source.digest(index) for source in self._split.inputs)
        return hashlib.sha256(self.model.sha256.encode() + images).digest()


@dataclass(frozen=True)
class AnswerColumn:
    """The answers of one head as truths."""

    source: _Answers
    head: Head
    index: Indices

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> Any:
        return self.source.truth(int(self.index[index]), self.head)

    def take(self, index: Indices) -> AnswerColumn:
        """Return the answers about the samples at `index`."""
        return replace(self, index=self.index[index])

    def digest(self, index: int) -> bytes:
        """Return what identifies an answer: the model's and the sample's content."""
        return self.source.digest(int(self.index[index]))
