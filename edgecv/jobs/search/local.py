"""Doing the tasks of a search here, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from edgecv.jobs.search.driver import Done
from edgecv.jobs.search.records import Records, Task
from edgecv.jobs.search.workbench import Workbench
from edgecv.values.search import Cost, Finding

Perform = Callable[[Task], Cost | Finding]


def performing(bench: Workbench) -> Perform:
    """Return what does a task on a workbench. It raises DeviceError when the device failed, twice."""

    def perform(task: Task) -> Cost | Finding:
        if task.kind == "shape":
            return bench.shape_cost(task.candidate)
        if task.kind == "final":
            return bench.final_cost(task.candidate, bench.file(task.candidate))
        return bench.accuracy(task.candidate, task.level)

    return perform


class Local:
    """An executor of one slot: each task is done when its result is asked for, unless it is known.

    Args:
        perform: Does a task.
        records: Of what is known.
    """

    slots = 1

    def __init__(self, perform: Perform, records: Records) -> None:
        self._perform, self._records = perform, records
        self._row: deque[Task] = deque()

    def known(self, task: Task) -> Cost | Finding | None:
        """Return what came of a task in an earlier run; None for nothing."""
        return self._records.known(task)

    def start(self, task: Task) -> None:
        """Put a task in the row."""
        self._row.append(task)

    def finished(self) -> Done:
        """Do the oldest task."""
        task = self._row.popleft()
        known = self._records.known(task)
        if known is not None:
            return Done(task=task, result=known, made=False)
        result = self._perform(task)
        self._records.remember(task, result)
        return Done(task=task, result=result)
