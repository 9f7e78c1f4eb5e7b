"""The search at work: costs of all shapes first, then accuracies as the engine asks for them, until a budget ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs.optimize import engine
from edgecv.jobs.optimize.candidates import AS_IT_IS, Candidate
from edgecv.jobs.optimize.engine import Ask, Study
from edgecv.jobs.optimize.records import Task
from edgecv.values.search import Cost, Finding, Objective

DEVICE_BUDGET = "device time budget"
Sampler = Callable[..., Ask | str]
"""From a study, and what is under way, to what to look at next: `engine.ask`, or one of Optuna's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of a task.

    Attributes:
        made: Whether it was made now; False for what an earlier run left.
    """

    task: Task
    result: Cost | Finding
    made: bool = True


class Executor(Protocol):
    """Does tasks: here, one after the other, or on several machines at once."""

    @property
    def slots(self) -> int:
        """How many tasks it takes at once."""

    def known(self, task: Task) -> Cost | Finding | None:
        """Return what came of a task in an earlier run; None for nothing."""

    def start(self, task: Task) -> None:
        """Begin a task, or put it in a row."""

    def finished(self) -> Done:
        """Wait for a task that was begun, and return what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When to begin nothing more.

    Attributes:
        trials: Accuracies that are asked for, those of earlier runs included; None: no limit.
        seconds: Likewise of time.
        device_seconds: Likewise of time on the devices.
    """

    trials: int | None = None
    seconds: float | None = None
    device_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What a search came to.

    Attributes:
        stopped: Why it ended: "done", "small gains", "interrupted", or the "trial", "time" or "device time budget".
        made: Accuracies that were made by this run; the others were known.
    """

    study: Study
    stopped: str
    seconds: float
    made: int


class Search:
    """One search; `run` takes it to its end. What was told is in `study` at any time.

    Args:
        candidates: Of the space, in order.
        objective: What is looked for.
        executor: Does the work.
        first: Candidates whose accuracy is asked before the engine decides: what others are compared with.
        coarse: Ids of candidates that get a short look first.
        limits: When to begin nothing more.
        sampler: Decides what is looked at next.
        seen: Called after each task with all that is known: a live page.
    """

    def __init__(
        self,
        candidates: tuple[Candidate, ...],
        objective: Objective,
        executor: Executor,
        *,
        first: Iterable[Candidate] = (),
        coarse: frozenset[str] = frozenset(),
        thorough: bool = False,
        limits: Limits | None = None,
        sampler: Sampler = engine.ask,
        reporter: Reporter = QUIET,
        seen: Callable[[Study], None] = lambda study: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study = Study(candidates=candidates, costs={}, objective=objective, coarse=coarse, thorough=thorough)
        self._executor, self._limits, self._sampler = executor, limits or Limits(), sampler
        self._first = [Ask(candidate=one, level="full", expected=0.0) for one in first]
        self._reporter, self._seen, self._clock = reporter, seen, clock
        self._began, self._earlier, self._made, self._timed_s = clock(), 0.0, 0, 0.0
        self._left: list[Task] = []

    def run(self) -> Searched:
        """Search until nothing is left, nothing promises enough, a budget is spent, or Ctrl-C."""
        try:
            self._price_shapes()
            self._recall()
            stopped = self._look()
        except KeyboardInterrupt:
            stopped = "interrupted"
            unknown = Cost(ratio=None, ratio_ci95=None, size_bytes=None, failure="not timed: interrupted")
            costs = {one.id: self.study.costs.get(one.id, unknown) for one in self.study.candidates}
            self.study = replace(self.study, costs=costs)
        spent = self._clock() - self._began
        return Searched(study=self.study, stopped=stopped, seconds=spent, made=self._made)

    def _price_shapes(self) -> None:
        shapes: dict[str, Candidate] = {}
        for one in self.study.candidates:
            shapes.setdefault(one.shape, one)
        with self._reporter.bar("time shapes", len(shapes)) as advance:
            for done in self._all([Task(kind="shape", candidate=one) for one in shapes.values()]):
                assert isinstance(done.result, Cost)
                self._price(done.task.candidate.shape, done.result)
                advance(1, note=_priced(done.task.candidate, done.result))
        spent = Cost(ratio=None, ratio_ci95=None, size_bytes=None, failure=f"not timed: {DEVICE_BUDGET}")
        for left in shapes.keys() - {one.shape for one in self.study.candidates if one.id in self.study.costs}:
            self._price(left, spent)

    def _price(self, shape: str, cost: Cost) -> None:
        same = [one.id for one in self.study.candidates if one.shape == shape]
        self.study = replace(self.study, costs={**self.study.costs, **dict.fromkeys(same, cost)})
        self._timed_s += cost.seconds

    def _timed_enough(self) -> bool:
        most = self._limits.device_seconds
        return most is not None and self._timed_s >= most

    def _recall(self) -> None:
        """Take in every accuracy that an earlier run left, whatever the order in which it came."""
        for one in self.study.candidates:
            for level in ("coarse", "full") if one.id in self.study.coarse else ("full",):
                found = self._executor.known(Task(kind="accuracy", candidate=one, level=level))
                if isinstance(found, Finding):
                    self._earlier += found.seconds
                    self.study = self.study.told(found)
                    if level == "full" and not found.failure:
                        self._recall_cost(one)
        if self.study.findings:
            self._reporter.info(f"{len(self.study.findings)} accuracies are known from an earlier run")

    def _recall_cost(self, one: Candidate) -> None:
        task = Task(kind="final", candidate=one)
        cost = self._executor.known(task)
        if cost is None:
            self._left.append(task)
        elif isinstance(cost, Cost) and not cost.failure:
            self.study = replace(self.study, costs={**self.study.costs, one.id: cost})
            self._timed_s += cost.seconds

    def _all(self, tasks: list[Task]) -> Iterable[Done]:
        """Do tasks, as many at once as there are slots, until the devices' time is spent."""
        waiting, busy = tasks[::-1], 0
        while waiting or busy:
            while waiting and busy < self._executor.slots and not self._timed_enough():
                self._executor.start(waiting.pop())
                busy += 1
            if not busy:
                return
            yield self._executor.finished()
            busy -= 1

    def _look(self) -> str:
        """Ask for accuracies, and for the cost of each file that was trained."""
        pending: list[Ask] = []
        busy, stopped = len(self._left), ""
        for task in self._left:
            self._executor.start(task)
        with self._reporter.bar("look at accuracies", len(self.study.candidates)) as advance:
            while True:
                while not stopped and busy < self._executor.slots:
                    step = self._next(pending)
                    if isinstance(step, str):
                        # Something under way may still change what is worth a look.
                        stopped = step if step.endswith("budget") or not busy else ""
                        break
                    self._executor.start(Task(kind="accuracy", candidate=step.candidate, level=step.level))
                    pending.append(step)
                    busy += 1
                if not busy:
                    return stopped
                busy += self._tell(self._executor.finished(), pending)
                advance(1, note=self._note())
                self._seen(self.study)

    def _tell(self, done: Done, pending: list[Ask]) -> int:
        """Take in what came of a task; return by how many the tasks under way change."""
        one = done.task.candidate
        if isinstance(done.result, Cost):
            self._timed_s += done.result.seconds
            if not done.result.failure:
                self.study = replace(self.study, costs={**self.study.costs, one.id: done.result})
            return -1
        pending[:] = [ask for ask in pending if ask.candidate.id != one.id]
        self._made += done.made
        self.study = self.study.told(done.result)
        self._reporter.info(_told(one, done.result))
        if done.result.level == "full" and not done.result.failure:
            self._executor.start(Task(kind="final", candidate=one))
            return 0
        return -1

    def _next(self, pending: list[Ask]) -> Ask | str:
        if self._limits.trials is not None and self._asked(pending) >= self._limits.trials:
            return "trial budget"
        spent = self._clock() - self._began + self._earlier
        if self._limits.seconds is not None and spent >= self._limits.seconds:
            return "time budget"
        if self._timed_enough():
            return DEVICE_BUDGET
        while self._first:
            ask = self._first.pop(0)
            if self.study.finding(ask.candidate.id, ask.level) is None and not self.study.objective.refuses(
                self.study.costs[ask.candidate.id]
            ):
                return ask
        return self._sampler(self.study, pending=pending)

    def _asked(self, pending: list[Ask]) -> int:
        """Return how many accuracies count as trials: all but that of the model as it is, which nothing is made for."""
        asked = [found.candidate for found in self.study.findings] + [ask.candidate.id for ask in pending]
        return sum(one != AS_IT_IS.id for one in asked)

    def _note(self) -> str:
        best = engine.winner(self.study)
        left = len(self.study.candidates) - len(engine.reasons(self.study))
        if self._limits.trials is not None:
            left = min(left, max(0, self._limits.trials - self._asked([])))
        rest = f"{left} left at most, {_minutes(left * self._pace())}"
        if best is None:
            return f"none passes yet; {rest}"
        cost = self.study.costs[best.id]
        told = f", {cost.ratio:.3g} of the time" if cost.ratio else ""
        return f"best so far: {best.label}{told}; {rest}"

    def _pace(self) -> float:
        """Return the seconds that a candidate took on average."""
        seconds = [found.seconds for found in self.study.findings]
        return sum(seconds) / len(seconds) if seconds else 0.0


def _minutes(seconds: float) -> str:
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"


def _priced(one: Candidate, cost: Cost) -> str:
    return (
        f"{one.label}: {cost.failure}" if cost.failure else f"{one.label}: {cost.ratio:.3g} of the time ({cost.kind})"
    )


def _told(one: Candidate, found: Finding) -> str:
    how = "a first look, " if found.level == "coarse" else ""
    if found.drop is None or found.drop_ci95 is None:
        return f"{one.label}: {how}no file: {found.failure}"
    low, high = found.drop_ci95
    return f"{one.label}: {how}loses {found.drop:+.2f} [{low:+.2f}, {high:+.2f}] on {found.n:,} samples"
