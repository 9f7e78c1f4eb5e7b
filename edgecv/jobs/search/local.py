"""Doing the tasks of a search here, one after the other."""

from __future__ import annotations

from edgecv.jobs.search.driver import Done, Task
from edgecv.jobs.search.workbench import Workbench
from edgecv.values.search import Cost, Finding


def perform(task: Task, bench: Workbench) -> Cost | Finding:
    """Do one task.

    Raises:
        DeviceError: The device failed, twice.
    """
    if task.kind == "shape":
        return bench.shape_cost(task.candidate)
    if task.kind == "final":
        return bench.final_cost(task.candidate, bench.file(task.candidate))
    return bench.accuracy(task.candidate, task.level)


class Local:
    """An executor of one slot: each task is done when its result is asked for."""

    slots = 1

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._row: list[Task] = []

    def start(self, task: Task) -> None:
        """Put a task in the row."""
        self._row.append(task)

    def finished(self) -> Done:
        """Do the oldest task."""
        task = self._row.pop(0)
        before = self._bench.made
        result = perform(task, self._bench)
        return Done(task=task, result=result, made=self._bench.made > before)
