"""The steps from cheap to dear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from edgecv import profiles
from edgecv.pipeline import artifacts
from edgecv.pipeline.ladder.steps import Rung, Steps
from edgecv.pipeline.ladder.values import Trial, better

LAST = "qat"
MOST_KEPT = 0.25
"""Share of the layers that a mixed file may keep out of int8 at most: beyond it, int8 has little left to give."""


def rungs(ladder: Steps, trials: list[Trial]) -> Iterator[Rung]:
    """Yield the steps from cheap to dear; each starts from what helped before."""
    plain = ladder.request.plan
    yield Rung(step="ptq", plan=plain)
    yield Rung(step="+equalise", plan=replace(plain, equalise=True))
    base = replace(plain, equalise=better(trials[1], trials[0]))
    yield Rung(step="+bias correction", plan=replace(base, correct_bias=True))
    yield Rung(step="+adaround", plan=replace(base, adaround=True))
    yield from _mixed(ladder, trials, base)
    yield Rung(step=LAST, plan=replace(plain, method="qat"))


def _mixed(ladder: Steps, trials: list[Trial], base: artifacts.Plan) -> Iterator[Rung]:
    made = [trial for trial in trials if trial.drop is not None]
    if not made:
        return
    best = min(made, key=lambda trial: trial.drop or 0.0)
    plan = replace(
        base,
        equalise="equalise" in best.steps,
        correct_bias="bias correction" in best.steps,
        adaround="adaround" in best.steps,
    )
    found = ladder.ranked(best.step, plan, needed=MOST_KEPT)
    most = max(1, int(len(found.layers) * MOST_KEPT))
    # int16 keeps the file small and integer; a target without kernels for it has float, or nothing.
    wide = found.wide if "int16x8" in profiles.target(plan.target).schemes else ()
    for name, field, layers in (("mixed16", "int16", wide), ("mixed", "keep_float", found.layers)):
        for count in _doubling(min(most, len(layers))):
            named: dict[str, Any] = {field: tuple(sorted(layers[:count]))}
            yield Rung(step=f"{name} {count}", plan=replace(plan, **named), ranked=found)


def _doubling(most: int) -> Iterator[int]:
    count = 1
    while count <= most:
        yield count
        count *= 2
