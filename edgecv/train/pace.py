"""How fast an epoch, or another run of steps, goes, and when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Counts the steps of one epoch.

    Args:
        steps: Of the epoch.
        clock: Seconds, from any start.
        unit: What a step takes some of.
        what: What ends with the last step.
    """

    def __init__(
        self, steps: int, clock: Callable[[], float] = time.monotonic, *, unit: str = "samples", what: str = "epoch"
    ) -> None:
        self._steps, self._clock, self._unit, self._what = steps, clock, unit, what
        self._done, self._samples, self._start = 0, 0, 0.0

    def step(self, samples: int) -> str:
        """Count a step of so many samples, and return how far it is: "step 12/38, 512 samples/s, epoch ends in 4 s".

        The first step is not timed: it waits for the compiler.
        """
        self._done += 1
        if self._done == 1:
            self._start = self._clock()
            return self._place
        self._samples += samples
        seconds = self._clock() - self._start
        if seconds <= 0:
            return self._place
        left = seconds / (self._done - 1) * max(0, self._steps - self._done)
        rate = self._samples / seconds
        told = f"{rate:,.0f}" if rate >= 10 or self._unit == "samples" else f"{rate:.1f}"
        return f"{self._place}, {told} {self._unit}/s, {self._what} ends in {_duration(left)}"

    @property
    def _place(self) -> str:
        return f"step {self._done}/{max(self._steps, self._done)}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole else "under 1 s"
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
