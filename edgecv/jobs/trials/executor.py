"""Who does tasks: this machine, one after the other; `cluster.py` has several machines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from edgecv.jobs.trials.records import Records

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[T, R]):
    """What came of a task.

    Attributes:
        made: Whether it was made now; False for what an earlier run left.
    """

    task: T
    result: R
    made: bool = True


class Executor(Protocol[T, R]):
    """Does tasks: here, one after the other, or on several machines at once."""

    @property
    def slots(self) -> int:
        """How many tasks it takes at once."""

    def known(self, task: T) -> R | None:
        """Return what came of a task in an earlier run; None for nothing."""

    def start(self, task: T) -> None:
        """Begin a task, or put it in a row."""

    def finished(self) -> Done[T, R]:
        """Wait for a task that was begun, and return what came of it."""


class Local(Generic[T, R]):
    """An executor of one slot: each task is done when its result is asked for, unless it is known.

    Args:
        perform: Does a task.
        records: Of what is known; None: nothing is, or is kept.
    """

    slots = 1

    def __init__(self, perform: Callable[[T], R], records: Records[T, R] | None = None) -> None:
        self._perform, self._records = perform, records
        self._row: deque[T] = deque()

    def known(self, task: T) -> R | None:
        """Return what came of a task in an earlier run; None for nothing."""
        return self._records.known(task) if self._records else None

    def start(self, task: T) -> None:
        """Put a task in the row."""
        self._row.append(task)

    def finished(self) -> Done[T, R]:
        """Do the oldest task."""
        task = self._row.popleft()
        known = self.known(task)
        if known is not None:
            return Done(task=task, result=known, made=False)
        result = self._perform(task)
        if self._records:
            self._records.remember(task, result)
        return Done(task=task, result=result)
