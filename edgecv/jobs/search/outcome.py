"""What `edgecv optimize` comes to: every trial, the winner with its reason, and what was not looked at and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgecv.core.errors import GateFailure
from edgecv.core.shown import Shown
from edgecv.jobs.search.findings import Cost, Finding
from edgecv.jobs.search.knobs import Value
from edgecv.jobs.search.objective import Objective
from edgecv.jobs.search.rules import Applied
from edgecv.values.scores import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReport:
    """One candidate.

    Attributes:
        id: Of its settings; `label` for people.
        settings: Knobs that are not neutral.
        cost: On the device.
        coarse: After a first look; None without one.
        full: After training in full, on all samples; None where it was not judged.
        standing: "winner", "front", "passed", "not shown", "failed", or why it was not judged.
        needed: How many samples would show that it passes, where they do not; None when no number would.
    """

    id: str
    label: str
    settings: Mapping[str, Value]
    cost: Cost | None
    coarse: Finding | None = None
    full: Finding | None = None
    standing: str = ""
    needed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A file against the float model on one split.

    Attributes:
        before: Metric of the float model; `after` of the file.
        drop: In points or the error's unit, with its paired 95 % interval.
        verdict: Against what may be lost; None without a limit.
        needed: How many samples would show that it passes, if the drop stays what it is; None when no number would.
    """

    split: str
    n: int
    before: float
    after: float
    drop: float
    drop_ci95: tuple[float, float]
    verdict: Verdict | None = None
    needed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """The file to ship.

    Attributes:
        path: Of it; `recipe` of the TOML that `edgecv compress` makes the same bytes by.
        shown: Whether the validation split shows that it keeps the limits; False for the nearest miss.
        cost: Of the file itself, on the device.
        faster: How many times as fast as the float file; None where times are predicted.
        smaller: How many times as small as the float32 file.
        validation: On the split that chose it: of many candidates the best looks better there than it is.
        test: On the split that nothing was chosen by, looked at once; None when the run was interrupted before.
        tied: Labels of candidates that passed as well, and whose time is not shown to differ.
        trail: What each part of its recipe gave.
    """

    id: str
    label: str
    path: str
    recipe: str
    sha256: str
    size_bytes: int
    shown: bool
    cost: Cost
    faster: float | None
    smaller: float
    validation: Judged
    test: Judged | None
    tied: tuple[str, ...] = ()
    trail: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A candidate on the way from the float model to the winner.

    Attributes:
        label: What was done so far.
        faster: How many times as fast as the float file, `smaller` as small; None where it is not known.
        drop: On the validation split, where it was judged; `drop_ci95` its interval.
    """

    label: str
    faster: float | None
    smaller: float | None
    drop: float | None
    drop_ci95: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnobWorth:
    """What a value of a knob came to, over all candidates that have it.

    Attributes:
        ratio: Geometric mean of the time, over that of the float file, of all candidates with it.
        drop: Median drop of those that were judged; None for none.
        judged: How many were.
    """

    knob: str
    value: str
    ratio: float | None
    drop: float | None
    judged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Shown):
    """What a search came to.

    Attributes:
        path: Folder of all its files.
        objective: What was looked for.
        verdict: Of the winner on both splits: "passed" when both whole intervals are within the limit, "failed" when a
            drop is not, else "not shown"; None without a limit.
        stopped: Why the search ended.
        metric: By which files are judged; `unit` of drops; `baseline` its value for the float model on `n` samples.
        device: Where times were measured; `reference` what they are a ratio to; `kind` how they came about.
        combinations: Of the space, before any rule; `shapes` that were timed; `accuracies` that were asked for, `made`
            by this run.
        rules: What was left out before, and why.
        front: Ids of the candidates that no other one beats, fastest first.
        worth: What each value of each knob came to.
    """

    path: str
    objective: Objective
    verdict: Verdict | None
    stopped: str
    metric: str
    unit: str
    baseline: float
    n: int
    dataset: str
    device: str
    reference: str
    kind: str
    float_ms: float | None
    float_bytes: int
    combinations: int
    shapes: int
    accuracies: int
    made: int
    seconds: float
    winner: Winner | None
    front: tuple[str, ...]
    trials: tuple[TrialReport, ...]
    rules: tuple[Applied, ...] = ()
    worth: tuple[KnobWorth, ...] = ()
    files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default_factory=tuple)


def require_passed(done: Outcome) -> None:
    """Raise GateFailure when no file is shown to keep the limit, with what would help."""
    limit, found = done.objective.max_drop, done.winner
    if found is None:
        raise GateFailure(
            f"no candidate could be judged (stopped: {done.stopped})", hint="see the reasons in the report"
        )
    if limit is None or done.verdict == "passed":
        return
    worst = max((one for one in (found.validation, found.test) if one), key=lambda one: one.drop_ci95[1])
    low, high = worst.drop_ci95
    said = f"loses {worst.drop:+.2f} {done.unit} [{low:+.2f}, {high:+.2f}] on {worst.n:,} samples of {worst.split}"
    more = f"about {worst.needed:,} samples would show it" if worst.needed else "no number of samples would show it"
    raise GateFailure(
        f"{found.label}: {said}, allowed {limit:g}: {done.verdict}",
        hint=f"{more}; allow a larger --max-drop, or give the space gentler values and more epochs",
    )
