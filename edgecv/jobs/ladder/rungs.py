"""The steps from cheap to dear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from edgecv.core.errors import EdgecvError
from edgecv.jobs import convert as artifacts
from edgecv.jobs.ladder.steps import FIRST, Rung, Steps, reason
from edgecv.jobs.ladder.values import Trial, lost_least
from edgecv.values import profiles

LAST = "qat"
MOST_KEPT = 0.25
"""Share of the layers that a mixed file may keep out of int8 at most: beyond it, int8 has little left to give."""

PLAIN_RANGES = "minmax"
SEARCHED = ("moving_average", "percentile", "mse")
"""Recipes of calibration that are tried after the default one, unless the user names a recipe."""


def at_most(plan: artifacts.Plan, layers: int) -> int:
    """Return how many steps there are at most, for a model of so many layers."""
    searched = len(SEARCHED) if plan.calibration == PLAIN_RANGES else 0
    return 5 + searched + 2 * len(list(_doubling(_most_kept(layers))))


def rungs(ladder: Steps, trials: list[Trial]) -> Iterator[Rung]:
    """Yield the steps from cheap to dear; each starts from what helped before."""
    plain = ladder.request.plan
    yield Rung(step=FIRST, plan=plain)
    ranged = {FIRST: plain}
    if plain.calibration == PLAIN_RANGES:
        ranged |= {f"ranges {name}": replace(plain, calibration=name) for name in SEARCHED}
        for step in list(ranged)[1:]:
            yield Rung(step=step, plan=ranged[step])
    start = lost_least(trials) or trials[0]
    plain = ranged[start.step]
    yield Rung(step="+equalise", plan=replace(plain, equalise=True))
    base = replace(plain, equalise=lost_least(trials) is trials[-1])
    yield Rung(step="+bias correction", plan=replace(base, correct_bias=True))
    yield Rung(step="+adaround", plan=replace(base, adaround=True))
    yield from _mixed(ladder, trials, base)
    yield Rung(step=LAST, plan=replace(plain, method="qat"))


def _mixed(ladder: Steps, trials: list[Trial], base: artifacts.Plan) -> Iterator[Rung]:
    best = lost_least(trials)
    if best is None:
        yield _refused("mixed", base, "no step before made a file whose layers could be ranked")
        return
    plan = base.taking(best.steps)
    try:
        found = ladder.ranked(best.step, plan, needed=MOST_KEPT)
    except EdgecvError as error:
        yield _refused("mixed", plan, f"the layers cannot be ranked: {reason(error)}")
        return
    most = _most_kept(len(found.layers))
    # int16 keeps the file small and integer; a target without kernels for it has float, or nothing.
    lacking = [name for name in plan.targets if "int16x8" not in profiles.target(name).schemes]
    wide = () if lacking else found.wide
    if not wide:
        why = f"target {lacking[0]} does not run int16 activations" if lacking else "no layer has an int16 kernel"
        yield _refused("mixed16", plan, why)
    kept = () if plan.strict_int8 else found.layers
    for name, field, layers in (("mixed16", "int16", wide), ("mixed", "keep_float", kept)):
        for count in _doubling(min(most, len(layers))):
            named: dict[str, Any] = {field: tuple(sorted(layers[:count]))}
            yield Rung(step=f"{name} {count}", plan=replace(plan, **named), ranked=found)


def _most_kept(layers: int) -> int:
    return max(1, int(layers * MOST_KEPT))


def _refused(step: str, plan: artifacts.Plan, why: str) -> Rung:
    return Rung(step=step, plan=plan, refused=why)


def _doubling(most: int) -> Iterator[int]:
    count = 1
    while count <= most:
        yield count
        count *= 2
