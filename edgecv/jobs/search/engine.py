"""The search itself, as pure functions: from what is known to what to look at next, and why what is out is out.

All costs are known before any accuracy, since time needs no training. So accuracy is asked where it decides: of
candidates that are better in time or size than the best that passed, in the order of what may be expected of them;
what is harsher in every respect than one that surely failed is not asked at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from edgecv.jobs.search.candidates import Candidate
from edgecv.jobs.search.knobs import harshness
from edgecv.jobs.search.surrogate import Array, Belief, Grid, Seen, belief, grid
from edgecv.values.search import Cost, Finding, Level, Objective

LEAST_GAIN = 0.005
"""A search ends when the best of those left is expected to gain less, as a share of time or size."""
DOUBT = 2.0
"""By what deviations are multiplied before a search may end: a belief on few findings is too sure of itself."""
LEAST_POINTS = 0.02
"""Likewise of the accuracy: in the transformed unit, about a fiftieth of the budget."""
DEFAULT_SCALE = 1.0
"""Drop that matters where there is no budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All that a search knows.

    Attributes:
        candidates: Of the space, in order.
        costs: Of candidates by id; all of them once costs were measured.
        findings: Accuracies, in the order in which they came.
        objective: What is looked for.
        coarse: Ids of candidates that get a short look first; the others are judged in full at once.
        thorough: Whether all is looked at: what is dominated by a failure too, and what promises small gains only.
        index: Findings by candidate and level.
    """

    candidates: tuple[Candidate, ...]
    costs: Mapping[str, Cost]
    objective: Objective
    findings: tuple[Finding, ...] = ()
    coarse: frozenset[str] = frozenset()
    thorough: bool = False
    index: Mapping[tuple[str, str], Finding] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {(one.candidate, one.level): one for one in reversed(self.findings)})

    def told(self, finding: Finding) -> Study:
        """Return the study with one more finding."""
        return replace(self, findings=(*self.findings, finding))

    def finding(self, candidate: str, level: Level) -> Finding | None:
        """Return what was found of a candidate at a level; None for nothing yet."""
        return self.index.get((candidate, level))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What to look at next.

    Attributes:
        candidate: Whose accuracy.
        level: How much is trained, and on how many samples it is judged.
        expected: Of what is looked for: the share of time or size that it may save, or accuracy in the scale's unit.
    """

    candidate: Candidate
    level: Level
    expected: float


Stop = Literal["done", "small gains"]


def ask(study: Study, *, pending: Sequence[Ask] = ()) -> Ask | Stop:
    """Return what to look at next; or why the search ends: nothing is left, or nothing that promises enough.

    Args:
        study: All that is known.
        pending: What was asked and not told yet: not asked again, and taken to turn out as expected.
    """
    out = reasons(study)
    busy = {one.candidate.id for one in pending}
    left = [one for one in study.candidates if one.id not in out and one.id not in busy]
    if not left:
        return "done"
    space = grid(study.candidates)
    known = _belief(study, space, pending)
    gains = _gains(study, known, left)
    best = int(np.argmax(gains))
    least = LEAST_GAIN if study.objective.goal in ("fastest", "smallest") else LEAST_POINTS
    # The first ones are asked whatever they promise: a belief without findings knows nothing.
    doubted = _gains(study, known.doubted(DOUBT), left)
    if not study.thorough and len(study.findings) >= 3 and doubted.max() < least:
        return "small gains"
    return Ask(candidate=left[best], level=_level(study, left[best]), expected=float(gains[best]))


def _level(study: Study, one: Candidate) -> Level:
    return "coarse" if one.id in study.coarse and study.finding(one.id, "coarse") is None else "full"


def winner(study: Study) -> Candidate | None:
    """Return the best candidate that is shown to keep the limits; None where there is none.

    Of a front it is the fastest within `max_drop`; without that limit, the one that loses least.
    """
    passed = [one for one in study.candidates if _passed(study, one)]
    if study.objective.goal == "accurate" or study.objective.max_drop is None:
        return min(passed, key=lambda one: (_drop(study, one), _price(study, one)), default=None)
    return min(passed, key=lambda one: (_price(study, one), _drop(study, one)), default=None)


def nearest_miss(study: Study) -> Candidate | None:
    """Return, where no candidate is shown to pass, the one whose interval reaches least beyond what is allowed."""
    full = [f for f in study.findings if f.level == "full" and f.drop_ci95 is not None]
    allowed = [f for f in full if not study.objective.refuses(study.costs[f.candidate])]
    best = min(allowed or full, key=lambda f: f.drop_ci95[1] if f.drop_ci95 else math.inf, default=None)
    return next((one for one in study.candidates if best is not None and one.id == best.candidate), None)


def front(study: Study) -> tuple[Candidate, ...]:
    """Return what no other candidate beats in time and accuracy, of those judged in full, fastest first."""
    judged = [one for one in study.candidates if _judged(study, one)]
    order = sorted(judged, key=lambda one: (study.costs[one.id].ratio or math.inf, _drop(study, one)))
    found: list[Candidate] = []
    for one in order:
        if not found or _drop(study, one) < _drop(study, found[-1]):
            found.append(one)
    return tuple(found)


def reasons(study: Study) -> dict[str, str]:
    """Return why candidates are not looked at (again), by id: judged, refused, too slow, or dominated by a failure."""
    found: dict[str, str] = {}
    best = winner(study) if study.objective.goal in ("fastest", "smallest") else None
    failed = [] if study.thorough else _sure_failures(study)
    for one in study.candidates:
        why = _reason(study, one, best, failed)
        if why:
            found[one.id] = why
    return found


def _reason(study: Study, one: Candidate, best: Candidate | None, failed: Sequence[Candidate]) -> str:
    refused = study.objective.refuses(study.costs[one.id])
    if refused:
        return refused
    if study.finding(one.id, "full") is not None:
        return "judged"
    allowed, coarse = study.objective.max_drop, study.finding(one.id, "coarse")
    if coarse is not None and (
        coarse.failure or (allowed is not None and coarse.surely_fails(allowed + _slack(study)))
    ):
        return coarse.failure or "loses too much after short training"
    if best is not None and _price(study, one) >= _price(study, best):
        worse = "larger" if study.objective.goal == "smallest" else "slower"
        return f"{worse} than {best.label}, which passed"
    for other in failed:
        if harsher(one, other):
            return f"harsher than {other.label}, which lost too much"
    return ""


def _slack(study: Study) -> float:
    """Return how much more a candidate may lose after short training: the rest of it may win that back."""
    return max(study.objective.max_drop or 0.0, DEFAULT_SCALE)


def harsher(one: Candidate, other: Candidate) -> bool:
    """Say whether a candidate is the other one with at least one knob turned to where it costs more accuracy."""
    more = False
    for name in dict.fromkeys([knob for knob, _ in (*one.settings, *other.settings)]):
        first, second = one[name], other[name]
        if first == second:
            continue
        own, others = harshness(name, first), harshness(name, second)
        if own is None or others is None or own < others:
            return False
        more = True
    return more


def _sure_failures(study: Study) -> list[Candidate]:
    allowed = study.objective.max_drop
    if allowed is None:
        return []
    slack = {"coarse": _slack(study), "full": 0.0}
    ids = {f.candidate for f in study.findings if not f.failure and f.surely_fails(allowed + slack[f.level])}
    return [one for one in study.candidates if one.id in ids]


def _judged(study: Study, one: Candidate) -> bool:
    found = study.finding(one.id, "full")
    return found is not None and found.drop is not None and not study.objective.refuses(study.costs[one.id])


def _passed(study: Study, one: Candidate) -> bool:
    if not _judged(study, one):
        return False
    found, allowed = study.finding(one.id, "full"), study.objective.max_drop
    return allowed is None or (found is not None and found.against(allowed) == "passed")


def _price(study: Study, one: Candidate) -> float:
    return study.objective.price(study.costs[one.id]) or math.inf


def _drop(study: Study, one: Candidate) -> float:
    found = study.finding(one.id, "full")
    return math.inf if found is None or found.drop is None else found.drop


def _belief(study: Study, space: Grid, pending: Sequence[Ask]) -> Belief:
    place = {one.id: index for index, one in enumerate(study.candidates)}
    scale = max(study.objective.max_drop or 0.0, 0.25) if study.objective.max_drop is not None else DEFAULT_SCALE
    latest = {f.candidate: f for f in sorted(study.findings, key=lambda f: f.level == "full") if f.drop is not None}
    seen = [
        Seen(
            index=place[f.candidate], drop=f.drop or 0.0,
            half_width=(f.drop_ci95[1] - f.drop_ci95[0]) / 2 if f.drop_ci95 else 0.0, coarse=f.level == "coarse",
        )
        for f in latest.values()
    ]  # fmt: skip
    found = belief(space, seen, scale=scale)
    if not pending:
        return found
    rows = [place[one.candidate.id] for one in pending]
    guessed = [
        Seen(index=row, drop=float(scale * np.sinh(found.mean[row])), half_width=0.0, coarse=True) for row in rows
    ]
    return belief(space, [*seen, *guessed], scale=scale)


def _gains(study: Study, known: Belief, left: Sequence[Candidate]) -> Array:
    """Return what is to be expected of each candidate, in the objective's terms."""
    place = {one.id: index for index, one in enumerate(study.candidates)}
    rows = np.asarray([place[one.id] for one in left])
    own = Belief(known.mean[rows], known.deviation[rows], known.scale)
    goal, allowed = study.objective.goal, study.objective.max_drop
    prices = np.asarray([_price(study, one) for one in left])
    if goal in ("fastest", "smallest") and allowed is not None:
        best = winner(study)
        worst = max(_price(study, one) for one in study.candidates if not study.objective.refuses(study.costs[one.id]))
        reference = 1.05 * worst if best is None else _price(study, best)
        margin = _upper_margin(study)
        return np.asarray(own.chance_below(max(allowed - margin, allowed / 20)) * (1.0 - prices / reference))
    limits = _front_limits(study, prices) if goal == "front" else np.full(len(left), _least_lost(study))
    gains = own.gain_below(limits)
    if allowed is not None:
        gains = gains * own.chance_below(allowed)
    return np.asarray(gains)


def _upper_margin(study: Study) -> float:
    """Return by how much the upper end of an interval is above its drop, as found so far: that end has to pass."""
    widths = [
        f.drop_ci95[1] - f.drop for f in study.findings if f.level == "full" and f.drop_ci95 and f.drop is not None
    ]
    return float(np.median(widths)) if widths else 0.0


def _least_lost(study: Study) -> float:
    known = [_drop(study, one) for one in study.candidates if _judged(study, one)]
    return min(known, default=study.objective.max_drop if study.objective.max_drop is not None else 10 * DEFAULT_SCALE)


def _front_limits(study: Study, prices: Array) -> Array:
    """Return what each candidate has to lose less than to be on the front: the least loss of those as fast."""
    judged = [
        (study.costs[one.id].ratio or math.inf, _drop(study, one)) for one in study.candidates if _judged(study, one)
    ]
    most = study.objective.max_drop if study.objective.max_drop is not None else 10 * DEFAULT_SCALE
    return np.asarray([min((drop for ratio, drop in judged if ratio <= price), default=most) for price in prices])
