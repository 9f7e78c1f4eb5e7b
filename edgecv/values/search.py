"""The frozen values of a search: what is looked for, what candidates cost and lose, and what it all comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edgecv.core.shown import Shown
from edgecv.values.kind import Kind
from edgecv.values.scores import Drop, Verdict

Level = Literal["coarse", "full"]
"""Of an accuracy: after short training on a part of the samples, or after all of it on all of them."""


Goal = Literal["fastest", "smallest", "accurate", "front"]
GOALS: tuple[Goal, ...] = ("fastest", "smallest", "accurate", "front")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCost:
    """What a candidate costs on one of several devices; as in `Cost`."""

    device: str
    ratio: float | None
    ratio_ci95: tuple[float, float] | None
    latency_ms: float | None
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a candidate costs on the device; on several, on the one that gains least.

    Attributes:
        ratio: Its time over the float file's, interleaved in the same run; None where it could not be had.
        ratio_ci95: The ratio's 95 % interval; None where it is not measured.
        size_bytes: Of the file.
        latency_ms: The ratio times the float file's time; on a busy machine only the ratio can be compared.
        kind: "measured" on hardware, "simulated" by an emulator, "predicted" by a cost model.
        trained: Whether the file is the trained one, not one of the same shape that was never trained.
        failure: Why there is none; "" when there is one.
        seconds: That timing took, on all devices.
        each: Of several devices, one by one; empty for one device.
    """

    ratio: float | None
    ratio_ci95: tuple[float, float] | None
    size_bytes: int | None
    latency_ms: float | None = None
    kind: Kind = "measured"
    trained: bool = False
    failure: str = ""
    seconds: float = 0.0
    each: tuple[DeviceCost, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The accuracy of one candidate.

    Attributes:
        candidate: Its id.
        level: How much was trained, and on how many samples it was judged.
        n: Samples of the validation split.
        value: Of the metric; None when there is no file. `before`: of the float model on the same samples.
        drop: Against the float model on the same samples, in points or the error's unit; `drop_ci95` its paired 95 %
            interval.
        size_bytes: Of the trained file; `sha256` of it.
        seconds: That it took.
        failure: Why there is no file; "" when there is.
    """

    candidate: str
    level: Level
    n: int
    value: float | None
    drop: float | None
    drop_ci95: tuple[float, float] | None
    before: float | None = None
    size_bytes: int | None = None
    sha256: str = ""
    seconds: float = 0.0
    failure: str = ""

    def against(self, allowed: float) -> Verdict:
        """Return "passed" when the whole interval is within what is allowed, "failed" when the drop is not."""
        if self.drop is None or self.drop_ci95 is None:
            return "failed"
        return Drop(value=self.drop, ci95=self.drop_ci95).against(allowed)

    def surely_fails(self, allowed: float) -> bool:
        """Say whether even the lower end of the interval is beyond what is allowed, or there is no file."""
        return self.drop_ci95 is None or self.drop_ci95[0] > allowed

    def needed(self, allowed: float) -> int | None:
        """Return how many samples would show that it passes; None when no number would."""
        if self.drop is None or self.drop_ci95 is None:
            return None
        return Drop(value=self.drop, ci95=self.drop_ci95).samples_to_show(allowed, self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What is looked for.

    Attributes:
        goal: "fastest" or "smallest" within `max_drop`; "accurate": loses least within `latency_ms` or `size_bytes`;
            "front": every candidate that no other one beats in time and accuracy.
        max_drop: What may be lost, in points or the error's unit; None: no limit.
        latency_ms: Longest time; None: no limit.
        size_bytes: Largest file; None: no limit.
    """

    goal: Goal = "front"
    max_drop: float | None = None
    latency_ms: float | None = None
    size_bytes: int | None = None

    def price(self, cost: Cost) -> float | None:
        """Return what is to be small among candidates that lose no more than they may; None where it is unknown."""
        return None if cost.failure else (cost.size_bytes if self.goal == "smallest" else cost.ratio)

    def refuses(self, cost: Cost) -> str:
        """Return why a candidate is out whatever its accuracy; "" when it is not."""
        if cost.failure:
            return cost.failure
        if self.price(cost) is None:
            return "its time is not known"
        if self.latency_ms is not None and cost.latency_ms is not None and cost.latency_ms > self.latency_ms:
            return f"takes {cost.latency_ms:.3g} ms, allowed {self.latency_ms:g}"
        if self.size_bytes is not None and cost.size_bytes is not None and cost.size_bytes > self.size_bytes:
            return f"is {cost.size_bytes:,} bytes, allowed {self.size_bytes:,}"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a rule left out.

    Attributes:
        combinations: How many; a combination that several rules would leave out counts for the first.
    """

    rule: str
    why: str
    combinations: int


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
    settings: Mapping[str, Any]
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
        device: Where the file answered, when its answers are that device's own; of several the worst one counts. None:
            on this host.
    """

    split: str
    n: int
    before: float
    after: float
    drop: float
    drop_ci95: tuple[float, float]
    verdict: Verdict | None = None
    needed: int | None = None
    device: str | None = None


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
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes(Shown):
    """What searches for a file for each of several devices came to.

    Attributes:
        path: Folder of all their files.
        outcomes: By device.
    """

    path: str
    outcomes: Mapping[str, Outcome]
