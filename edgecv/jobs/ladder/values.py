"""What a climb is asked for, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecv.core.shown import Shown
from edgecv.jobs import convert as artifacts
from edgecv.values.inspection import TargetVerdict
from edgecv.values.scores import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderPlan:
    """How far to climb.

    Attributes:
        max_drop: Largest allowed loss against the float model: percentage points of accuracy, or the unit of an error.
        plan: What every step has in common: data, calibration, target, input and output types, epochs, seed.
        budget_seconds: No step is begun once so much time was spent, steps of earlier runs included; None: no limit.
        max_trials: Steps at most; None: no limit.
    """

    max_drop: float
    plan: artifacts.Plan
    budget_seconds: float | None = None
    max_trials: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One step of the ladder, measured.

    Attributes:
        step: "ptq", "+equalise", "+bias correction", "+adaround", "mixed16 2", "mixed 2", "qat".
        steps: What was done to the weights.
        keep_float: Layers that were left in float32.
        int16: Layers that got int16 activations.
        ranked_by: What chose them: "task metric" or "noise"; "" where no layers were chosen.
        ranking: On what that ranking rests, or why noise decided; "" likewise.
        value: Of the metric on the validation split; None when the file could not be made.
        drop: Against the float model on the same samples, in points, or the error's unit; None likewise.
        drop_ci95: Its paired 95 % interval.
        gained: How much smaller the drop is than the best before; None for the first.
        size_bytes: Of the file.
        seconds: That it took, conversion and measurement.
        sha256: Of the file; "" without one.
        failure: Why there is no file; "" when there is.
        calibration: How ranges were found.
    """

    step: str
    scheme: str
    method: str
    steps: tuple[str, ...]
    keep_float: tuple[str, ...]
    value: float | None
    drop: float | None
    drop_ci95: tuple[float, float] | None
    size_bytes: int | None
    seconds: float
    sha256: str
    failure: str
    int16: tuple[str, ...] = ()
    ranked_by: str = ""
    ranking: str = ""
    gained: float | None = None
    calibration: str = "minmax"


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb(Shown):
    """What the ladder came to.

    Attributes:
        chosen: Step of the file at `path`; "" when no file could be made.
        passed: Whether it loses no more than `max_drop` on these samples.
        verdict: "passed" when its whole interval says so, "not shown" when only the drop itself does, else "failed".
        needed: How many samples would show it, if the drop stays what it is; None when no number would.
        seen: Whether the model was trained on the split that judges; None where nothing tells.
        stopped: Why the climb ended: "passed", "time budget", "trial budget" or "top".
        unit: Of drops: "points" or the metric's name.
        kind: How the values came about.
        verdicts: What each target does with the operators of the file at `path`, predicted.
    """

    path: str
    chosen: str
    passed: bool
    stopped: str
    max_drop: float
    unit: str
    metric: str
    baseline: float
    dataset: str
    split: str
    n: int
    trials: tuple[Trial, ...]
    verdict: Verdict = "failed"
    needed: int | None = None
    seen: bool | None = None
    kind: str = "measured"
    verdicts: tuple[TargetVerdict, ...] = ()


def lost_least(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial that loses least, the first of equal ones; None where no file could be made."""
    return min((trial for trial in trials if trial.drop is not None), key=lambda trial: trial.drop or 0.0, default=None)
