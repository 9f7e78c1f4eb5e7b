"""The search at work: costs of all shapes first, then accuracies as the engine asks for them, until a budget ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs.optimize import engine
from edgecv.jobs.optimize.candidates import AS_IT_IS, Candidate
from edgecv.jobs.optimize.engine import Ask, Study
from edgecv.jobs.optimize.records import Task
from edgecv.jobs.trials.asking import DEVICE_BUDGET, Limits, asked, rest
from edgecv.jobs.trials.executor import Done, Executor
from edgecv.values.search import Cost, Finding, Objective

Sampler = Callable[..., Ask | str]
"""From a study, and what is under way, to what to look at next: `engine.ask`, or one of Optuna's."""
Result = Cost | Finding
"""Of a task."""


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
        executor: Executor[Task, Result],
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
            left = (Task(kind="shape", candidate=one) for one in shapes.values())

            def tell(done: Done[Task, Result]) -> Sequence[Task]:
                assert isinstance(done.result, Cost)
                self._price(done.task.candidate.shape, done.result)
                advance(1, note=_priced(done.task.candidate, done.result))
                return ()

            asked(self._executor, lambda: self._over(trials=0, seconds=0.0) or next(left, "done"), tell)
        spent = Cost(ratio=None, ratio_ci95=None, size_bytes=None, failure=f"not timed: {DEVICE_BUDGET}")
        for shape in shapes.keys() - {one.shape for one in self.study.candidates if one.id in self.study.costs}:
            self._price(shape, spent)

    def _price(self, shape: str, cost: Cost) -> None:
        same = [one.id for one in self.study.candidates if one.shape == shape]
        self.study = replace(self.study, costs={**self.study.costs, **dict.fromkeys(same, cost)})
        self._timed_s += cost.seconds

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

    def _look(self) -> str:
        """Ask for accuracies, and for the cost of each file that was trained."""
        pending: list[Ask] = []

        def ask() -> Task | str:
            step = self._next(pending)
            if isinstance(step, str):
                return step
            pending.append(step)
            return Task(kind="accuracy", candidate=step.candidate, level=step.level)

        with self._reporter.bar("look at accuracies", len(self.study.candidates)) as advance:

            def tell(done: Done[Task, Result]) -> Sequence[Task]:
                further = self._tell(done, pending)
                advance(1, note=self._note())
                self._seen(self.study)
                return further

            return asked(self._executor, ask, tell, first=self._left)

    def _tell(self, done: Done[Task, Result], pending: list[Ask]) -> Sequence[Task]:
        """Take in what came of a task; return what follows from it."""
        one = done.task.candidate
        if isinstance(done.result, Cost):
            self._timed_s += done.result.seconds
            if not done.result.failure:
                self.study = replace(self.study, costs={**self.study.costs, one.id: done.result})
            return ()
        pending[:] = [ask for ask in pending if ask.candidate.id != one.id]
        self._made += done.made
        self.study = self.study.told(done.result)
        self._reporter.info(_told(one, done.result))
        final = done.result.level == "full" and not done.result.failure
        return (Task(kind="final", candidate=one),) if final else ()

    def _over(self, *, trials: int, seconds: float) -> str:
        return self._limits.over(trials=trials, seconds=seconds, device_seconds=self._timed_s)

    def _next(self, pending: list[Ask]) -> Ask | str:
        over = self._over(trials=self._asked(pending), seconds=self._clock() - self._began + self._earlier)
        if over:
            return over
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
        still = rest(left, [found.seconds for found in self.study.findings])
        if best is None:
            return f"none passes yet; {still}"
        cost = self.study.costs[best.id]
        told = f", {cost.ratio:.3g} of the time" if cost.ratio else ""
        return f"best so far: {best.label}{told}; {still}"


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
