"""From a finished study to what is reported: standings, the trail to the winner, what each knob was worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from edgecv.jobs.optimize import engine
from edgecv.jobs.optimize.candidates import Candidate, candidate
from edgecv.jobs.optimize.engine import Study
from edgecv.jobs.optimize.knobs import KNOBS
from edgecv.jobs.optimize.space import Space
from edgecv.values.scores import Drop, Verdict
from edgecv.values.search import Cost, Judged, KnobWorth, Part, TrialReport


def timed(study: Study) -> int:
    """Return how many shapes have a time: of those that cannot be made, or were not reached, nothing was timed."""
    known = {one.shape for one in study.candidates if one.id in study.costs and not study.costs[one.id].failure}
    return len(known)


def trials(study: Study, chosen: Candidate | None) -> tuple[TrialReport, ...]:
    """Return every candidate with what is known of it: judged ones first, fastest first."""
    why, best = engine.reasons(study), {one.id for one in engine.front(study)}
    found = [_trial(study, one, why.get(one.id, ""), best, chosen) for one in study.candidates]
    return tuple(sorted(found, key=lambda one: (one.full is None, _ratio(one.cost))))


def _trial(study: Study, one: Candidate, why: str, best: set[str], chosen: Candidate | None) -> TrialReport:
    coarse, full = study.finding(one.id, "coarse"), study.finding(one.id, "full")
    limit, needed = study.objective.max_drop, None
    standing = why or "not reached"
    if full is not None:
        verdict = full.against(limit) if limit is not None else "passed"
        standing = full.failure or (verdict if limit is not None else "judged")
        refused = study.objective.refuses(study.costs[one.id])
        standing = refused or standing
        if not refused and one.id in best and verdict == "passed":
            standing = "front"
        needed = full.needed(limit) if limit is not None and verdict == "not shown" else None
    if chosen is not None and one.id == chosen.id:
        standing = "winner"
    return TrialReport(
        id=one.id, label=one.label, settings=dict(one.settings), cost=study.costs.get(one.id), coarse=coarse, full=full,
        standing=standing, needed=needed,
    )  # fmt: skip


def _ratio(cost: Cost | None) -> float:
    return math.inf if cost is None or cost.ratio is None else cost.ratio


def judged(
    split: str, n: int, before: float, after: float, drop: Drop, limit: float | None, *, device: str | None = None
) -> Judged:
    """Return how a file did on a split."""
    return Judged(
        split=split, n=n, before=before, after=after, drop=drop.value, drop_ci95=drop.ci95,
        verdict=None if limit is None else drop.against(limit),
        needed=None if limit is None else drop.samples_to_show(limit, n), device=device,
    )  # fmt: skip


def verdict(*found: Judged | None) -> Verdict | None:
    """Return the weakest verdict of several splits; None where none has one."""
    told = [one.verdict for one in found if one is not None and one.verdict is not None]
    order: tuple[Verdict, ...] = ("failed", "not shown", "passed")
    return min(told, key=order.index, default=None)


def tied(study: Study, chosen: Candidate) -> tuple[str, ...]:
    """Return what passed as well, and is not shown to be slower: the intervals of the ratios overlap."""
    interval, limit = study.costs[chosen.id].ratio_ci95, study.objective.max_drop
    if interval is None or study.objective.goal != "fastest" or limit is None:
        return ()
    found = []
    for one in study.candidates:
        other, full = study.costs[one.id].ratio_ci95, study.finding(one.id, "full")
        passed = full is not None and full.against(limit) == "passed"
        if one.id != chosen.id and passed and other is not None and other[0] <= interval[1]:
            found.append(one.label)
    return tuple(found)


def trail(study: Study, chosen: Candidate, float_bytes: int) -> tuple[Part, ...]:
    """Return what the winner's steps give: one after the other, and its quantisation alone as tools have it."""
    sofar: dict[str, object] = {}
    labels = [candidate({"quantize.scheme": chosen["quantize.scheme"]}, named=chosen.named)]
    for step in ("zoo", "slim", "low_rank", "units", "prune", "quantize", "device"):
        own = {name: value for name, value in chosen.settings if name.split(".")[0] == step}
        if own:
            sofar |= own
            labels.append(candidate(sofar, named=chosen.named))  # type: ignore[arg-type]
    return tuple(_part(study, one, float_bytes) for one in dict.fromkeys(labels))


def _part(study: Study, one: Candidate, float_bytes: int) -> Part:
    cost, found = study.costs.get(one.id), study.finding(one.id, "full")
    known = cost is not None and not cost.failure
    return Part(
        label=one.label,
        faster=1 / cost.ratio if known and cost is not None and cost.ratio and cost.kind != "predicted" else None,
        smaller=float_bytes / cost.size_bytes if known and cost is not None and cost.size_bytes else None,
        drop=found.drop if found else None, drop_ci95=found.drop_ci95 if found else None,
    )  # fmt: skip


def worth(study: Study, given: Space) -> tuple[KnobWorth, ...]:
    """Return what each value of each knob of a space came to; of a value, over the candidates in which it counts."""
    found = []
    for knob in given.knobs:
        for value in knob.values:
            own = [one for one in study.candidates if one[knob.name] == value]
            if len(knob.values) > 1 and own:
                found.append(_worth(study, knob.name, str(value), own))
    return tuple(found)


def _worth(study: Study, name: str, value: str, own: Sequence[Candidate]) -> KnobWorth:
    ratios = [study.costs[one.id].ratio for one in own if one.id in study.costs]
    known = [math.log(ratio) for ratio in ratios if ratio]
    full = [study.finding(one.id, "full") for one in own]
    drops = [one.drop for one in full if one is not None and one.drop is not None]
    assert name in KNOBS
    return KnobWorth(
        knob=name, value=value, ratio=math.exp(sum(known) / len(known)) if known else None,
        drop=median(drops) if drops else None, judged=len(drops),
    )  # fmt: skip
