"""Every task by name. A new one is a folder beside this file and a line here."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, Tuple

from edgecv.core.errors import ConfigError
from edgecv.core.registry import Registry
from edgecv.tasks.classification import ClassificationTask
from edgecv.tasks.detection import DetectionTask
from edgecv.tasks.embedding import EmbeddingTask, VerificationTask
from edgecv.tasks.imaging import ImagingTask
from edgecv.tasks.localisation import Localisation
from edgecv.tasks.multilabel import MultilabelTask
from edgecv.tasks.protocol import Task
from edgecv.tasks.regression import RegressionTask
from edgecv.tasks.response import ResponseTask
from edgecv.tasks.segmentation import SegmentationTask
from edgecv.values.specs import Head

TASKS: Registry[Task] = Registry("task")
_ALL: Tuple[Task, ...] = (
    ClassificationTask(),
    MultilabelTask(),
    RegressionTask(),
    Localisation(),
    DetectionTask(),
    SegmentationTask(),
    EmbeddingTask(),
    VerificationTask(),
    ImagingTask(),
    ResponseTask(),
)
for _task in _ALL:
    TASKS.add(_task.name, _task)


def task(name: str) -> Task:
    """Return a task by name. Raises ConfigError, with the nearest match, when there is none."""
    return TASKS.get(name)


def task_of(head: Head) -> Task:
    """Return the task of a head. Raises ConfigError, with the nearest match, when there is none."""
    return TASKS.get(head.task)


def of_kind(kind: str) -> Task:
    """Return the task that knows a kind of truth: the one called like it, or else the first that reads it.

    Raises:
        ConfigError: None does.
    """
    if kind in TASKS:
        return TASKS.get(kind)
    reader = next((each for _, each in TASKS if kind in each.reads), None)
    return TASKS.get(kind) if reader is None else reader


def features_head(name: str) -> Head:
    """Return the head of a backbone, whose output another head takes."""
    found = next((each.name for _, each in TASKS if each.is_features), None)
    if found is None:
        raise ConfigError("no task is registered whose outputs are features")
    return Head(name=name, task=found, activation="linear")


@contextmanager
def registered(new: Task) -> Iterator[Task]:
    """Register a task of one's own for the length of a `with` block. Raises ConfigError when its name is taken."""
    TASKS.add(new.name, new)
    try:
        yield new
    finally:
        TASKS.remove(new.name)
