"""Asking for trials until nothing is left, a limit is reached, or what was looked for is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edgecv.jobs.trials.executor import Done, Executor

T = TypeVar("T")
R = TypeVar("R")

BUDGET = "budget"
"""How reasons end that no result under way can change."""
DEVICE_BUDGET = f"device time {BUDGET}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When to begin nothing more.

    Attributes:
        trials: That are asked for, those of earlier runs included; None: no limit.
        seconds: Likewise of time.
        device_seconds: Likewise of time on the devices.
    """

    trials: int | None = None
    seconds: float | None = None
    device_seconds: float | None = None

    def over(self, *, trials: int, seconds: float, device_seconds: float = 0.0) -> str:
        """Return which limit is reached; "" when none is."""
        if self.trials is not None and trials >= self.trials:
            return f"trial {BUDGET}"
        if self.seconds is not None and seconds >= self.seconds:
            return f"time {BUDGET}"
        if self.device_seconds is not None and device_seconds >= self.device_seconds:
            return DEVICE_BUDGET
        return ""


def asked(
    executor: Executor[T, R],
    ask: Callable[[], T | str],
    tell: Callable[[Done[T, R]], Sequence[T]],
    *,
    first: Sequence[T] = (),
) -> str:
    """Ask for tasks and tell what came of each; return why it ended.

    Args:
        executor: Does them, as many at once as it has slots.
        ask: Returns the next task, or why there is none: for good, or unless one under way changes that.
        tell: Takes in what came of a task; returns what follows from it at once.
        first: Tasks before any that is asked for.
    """
    busy, stopped = len(first), ""
    for task in first:
        executor.start(task)
    while True:
        while not stopped and busy < executor.slots:
            step = ask()
            if isinstance(step, str):
                stopped = step if step.endswith(BUDGET) or not busy else ""
                break
            executor.start(step)
            busy += 1
        if not busy:
            return stopped
        further = tell(executor.finished())
        for task in further:
            executor.start(task)
        busy += len(further) - 1


def rest(left: int, seconds: Sequence[float]) -> str:
    """Return how much is left, for people: "4 left at most, about 30 s".

    Args:
        left: Trials at most.
        seconds: That each of those so far took.
    """
    expected = left * sum(seconds) / len(seconds) if seconds else 0.0
    about = f"about {expected:.0f} s" if expected < 90 else f"about {expected / 60:.0f} min"
    return f"{left} left at most, {about}"
