"""Rules: which combinations of a space are not worth a look, and why; each is shown with what it left out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from edgecv.core.errors import ConfigError
from edgecv.jobs.float_islands import FASTER
from edgecv.jobs.optimize.candidates import ARITHMETIC, INTEGER, Candidate, candidate
from edgecv.jobs.optimize.knobs import KNOBS, Value
from edgecv.jobs.optimize.space import MOST, Space
from edgecv.values.search import Applied

Settings = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What rules know of the model and the target.

    Attributes:
        target: Its name; `schemes` those that it runs.
        buildable: Why its architecture cannot be trained anew; "" when it can. `scalable`: why not in another width.
        slimmable: Why no channel can be removed; "" when some can. `factorable` and `droppable` likewise.
        inputs: Number of the model's inputs.
        timed_here: Whether files are for the CPU of this machine and are timed on it.
        depthwise: Whether the model has depthwise convolutions.
        half: Why files that CPUs compute in float16 cannot be judged where they run; "" when they can.
    """

    target: str = "cpu"
    schemes: tuple[str, ...] = ()
    buildable: str = ""
    scalable: str = ""
    slimmable: str = ""
    factorable: str = ""
    droppable: str = ""
    inputs: int = 1
    timed_here: bool = True
    depthwise: bool = False
    half: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    Attributes:
        name: Short.
        why: A sentence.
        drops: Whether a combination goes.
    """

    name: str
    why: str
    drops: Callable[[Settings], bool]


def rules(facts: Facts) -> tuple[Rule, ...]:
    """Return the rules for a model and a target, in order."""
    found = [
        Rule(
            name="target",
            why=f"target {facts.target} runs {', '.join(facts.schemes)}",
            drops=lambda s: bool(facts.schemes) and s["quantize.scheme"] not in facts.schemes,
        ),
        Rule(
            name="zeros",
            why="a 2:4 pattern is half zeros: a sparsity beside it says the same twice",
            drops=lambda s: s["prune.pattern"] != "none" and s["prune.sparsity"] != 0.0,
        ),
        Rule(
            name="int4",
            why="4 bits are always rounded by adaround",
            drops=lambda s: s["quantize.scheme"] == "int4" and "adaround" not in str(s["quantize.rung"])
            and s["quantize.rung"] != "plain",
        ),
    ]  # fmt: skip
    if not facts.timed_here:
        found.append(
            Rule(
                name="islands", why="which layers are faster in float is found by times on this machine's CPU",
                drops=lambda s: FASTER in _names(s["quantize.keep_float"]),
            )
        )  # fmt: skip
    impossible = (
        ("zoo", facts.buildable, ("zoo.width", "zoo.size")),
        ("width", facts.scalable, ("zoo.width",)),
        ("slim", facts.slimmable, ("slim.macs", "slim.bytes")),
        ("low_rank", facts.factorable, ("low_rank.energy",)),
        ("units", facts.droppable, ("units.drop",)),
        ("arithmetic", facts.half, (ARITHMETIC,)),
    )
    found += [Rule(name=name, why=why, drops=_turned(knobs)) for name, why, knobs in impossible if why]
    if facts.inputs != 1:
        found.append(
            Rule(
                name="inputs", why=f"steps before calibration work on models of one input, this has {facts.inputs}",
                drops=lambda s: s["quantize.rung"] != "plain" and s["quantize.scheme"] in INTEGER,
            )
        )  # fmt: skip
    return tuple(found)


def _names(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def _turned(knobs: tuple[str, ...]) -> Callable[[Settings], bool]:
    return lambda settings: any(settings[knob] != KNOBS[knob].neutral for knob in knobs)


def enumerated(given: Space, facts: Facts) -> tuple[tuple[Candidate, ...], tuple[Applied, ...]]:
    """Return all candidates of a space, each once, and what the rules left out.

    Raises:
        ConfigError: There are more than `MOST` combinations, or none is left.
    """
    if given.size > MOST:
        raise ConfigError(
            f"the space has {given.size:,} combinations, {MOST:,} at most are searched",
            hint="take values out of its knobs",
        )
    known, counts = rules(facts), dict[str, int]()
    found: dict[str, Candidate] = {}
    same = 0
    named = frozenset(knob.name for knob in given.knobs if len(knob.values) > 1)
    for settings in _combinations(given):
        rule = next((rule.name for rule in known if rule.drops(settings)), None)
        if rule is not None:
            counts[rule] = counts.get(rule, 0) + 1
            continue
        one = candidate(settings, named=named)
        same += one.id in found
        found.setdefault(one.id, one)
    applied = [Applied(rule=r.name, why=r.why, combinations=counts[r.name]) for r in known if counts.get(r.name)]
    if same:
        why = "a knob that means nothing beside the others (epochs of what is not done, say) makes no new candidate"
        applied.append(Applied(rule="same", why=why, combinations=same))
    if not found:
        said = "; ".join(one.why for one in applied)
        raise ConfigError(f"no candidate of the space is left: {said}", hint="change the space, or the target")
    return tuple(found.values()), tuple(applied)


def _combinations(given: Space) -> Iterator[dict[str, Value]]:
    neutral = {name: kind.neutral for name, kind in KNOBS.items()}
    names = [knob.name for knob in given.knobs]
    for values in itertools.product(*(knob.values for knob in given.knobs)):
        yield {**neutral, **dict(zip(names, values, strict=True))}
