"""Every task by name. A new one is a folder beside this file and a line here."""

from __future__ import annotations

from typing import Tuple

from edgecv.core.registry import Registry
from edgecv.tasks.classification import ClassificationTask
from edgecv.tasks.embedding import EmbeddingTask, VerificationTask
from edgecv.tasks.localisation import Localisation
from edgecv.tasks.multilabel import MultilabelTask
from edgecv.tasks.protocol import Task
from edgecv.tasks.regression import RegressionTask
from edgecv.tasks.segmentation import SegmentationTask
from edgecv.values.specs import Head

TASKS: Registry[Task] = Registry("task")
_ALL: Tuple[Task, ...] = (
    ClassificationTask(),
    MultilabelTask(),
    RegressionTask(),
    Localisation(),
    SegmentationTask(),
    EmbeddingTask(),
    VerificationTask(),
)
for _task in _ALL:
    TASKS.add(_task.name, _task)


def task(name: str) -> Task:
    """Return a task by name. Raises ConfigError, with the nearest match, when there is none."""
    return TASKS.get(name)


def task_of(head: Head) -> Task:
    """Return the task of a head. Raises ConfigError, with the nearest match, when there is none."""
    return TASKS.get(head.task)
