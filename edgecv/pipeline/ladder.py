"""The quantisation ladder: step by step from cheap to dear, until a file loses no more than is allowed.

Every step makes a whole artifact, is measured on the validation split against the float model, sample by sample, and
is kept, with its figures, beside the output. A killed climb, run again with the same command, goes on from there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecv import codec, convert
from edgecv.data import Dataset
from edgecv.errors import ConfigError, ConversionError, GateFailure
from edgecv.evaluate import KerasPredictor, evaluate
from edgecv.evaluate.layer_noise import LayerNoise, layer_noise
from edgecv.evaluate.statistics import drop_between
from edgecv.evaluations import LOWER_IS_BETTER, Drop, Evaluation
from edgecv.files import atomic_path, check_output, read_bytes, sha256, write_text
from edgecv.modelio import LoadedModel
from edgecv.pipeline import artifacts, models
from edgecv.pipeline.assess import open_artifact
from edgecv.pipeline.journal import Journal
from edgecv.progress import QUIET, Reporter
from edgecv.runtime.image import preprocess

SPLIT = "validation"
NOISE_SAMPLES = 32
MOST_KEPT = 0.25
"""Share of the layers that a mixed file may keep in float at most: beyond it, int8 has little left to give."""

BEST_DB = 48.0
"""Signal to noise that 8 bits can give at most, 6.02 dB a bit: what a layer without layers before it starts from."""


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
        step: "ptq", "+equalise", "+bias correction", "+adaround", "mixed 2", "qat".
        steps: What was done to the weights.
        keep_float: Layers that were left in float32.
        value: Of the metric on the validation split; None when the file could not be made.
        drop: Against the float model on the same samples, in points, or the error's unit; None likewise.
        drop_ci95: Its paired 95 % interval.
        gained: How much smaller the drop is than the best before; None for the first.
        size_bytes: Of the file.
        seconds: That it took, conversion and measurement.
        sha256: Of the file; "" without one.
        failure: Why there is no file; "" when there is.
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
    gained: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """What the ladder came to.

    Attributes:
        chosen: Step of the file at `path`; "" when no file could be made.
        passed: Whether it loses no more than `max_drop`.
        stopped: Why the climb ended: "passed", "time budget", "trial budget" or "top".
        unit: Of drops: "points" or the metric's name.
        kind: How the values came about.
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
    kind: str = "measured"


def climb(
    source: models.Source, request: LadderPlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET
) -> Climb:
    """Climb until a file passes, the budget ends, or there is no step left; the best file so far stands at `out`.

    Args:
        source: The float model.
        request: How far.
        out: The .tflite; its steps are kept in a folder beside it until one passes.
        force: Replace an `out` of something else.
        reporter: Told of every step.

    Raises:
        ConfigError: The request is wrong, or `out` exists and is not of an unfinished climb.
        UnsupportedModelError: The model cannot be loaded.
    """
    _check(request, out)
    folder = out.with_name(f".{out.name}.ladder")
    check_output(out, force=force or folder.exists())
    artifacts.check_plan(request.plan)
    loaded = models.load(source)
    dataset = models.open_data(request.plan.data, models.require_manifest(loaded))
    folder.mkdir(parents=True, exist_ok=True)
    ladder = _Ladder(source.path, loaded, request, dataset, folder, reporter)
    done = _up(ladder, out)
    if done.passed:
        shutil.rmtree(folder)
    return done


def require_passed(done: Climb) -> None:
    """Raise GateFailure, saying what to try, when no file was good enough."""
    if done.passed:
        return
    best = min((t.drop for t in done.trials if t.drop is not None), default=None)
    found = "no file could be made" if best is None else f"the best of {len(done.trials)} loses {best:.2f} {done.unit}"
    hints = {"top": "train longer with --epochs, or allow a larger --max-drop"}
    raise GateFailure(
        f"{found}, allowed {done.max_drop:g} (stopped: {done.stopped})",
        hint=hints.get(done.stopped, "run the same command with a larger budget: it goes on from here"),
    )


def _check(request: LadderPlan, out: Path) -> None:
    plan = request.plan
    if not request.max_drop >= 0:
        raise ConfigError(f"--max-drop must be 0 or more, got {request.max_drop}")
    asked = plan.keep_float or plan.recipe.steps or plan.scheme != "int8" or plan.method != "ptq"
    if asked:
        raise ConfigError(
            "--max-drop chooses scheme, method and steps itself", hint="leave the others out, or leave out --max-drop"
        )
    if out.suffix != ".tflite":
        raise ConfigError(f"the ladder makes .tflite files, --out is {out}", hint="end it in .tflite")
    for name, value in (("--budget-seconds", request.budget_seconds), ("--max-trials", request.max_trials)):
        if value is not None and not value > 0:
            raise ConfigError(f"{name} must be above 0, got {value}")


def _up(ladder: _Ladder, out: Path) -> Climb:
    """Take steps while there are any; keep the best file at `out`."""
    trials: list[Trial] = []
    best: Trial | None = None
    stopped = "top"
    for rung in _rungs(ladder, trials):
        over = ladder.over_budget(trials)
        if over:
            stopped = over
            break
        trial = ladder.measured(rung, best)
        trials.append(trial)
        ladder.tell(trial)
        if trial.drop is not None and (best is None or _better(trial, best)):
            best = trial
            _put(ladder.file(trial.step), out)
        if best is not None and best.drop is not None and best.drop <= ladder.request.max_drop:
            stopped = "passed"
            break
    base = ladder.baseline
    return Climb(
        path=str(out), chosen=best.step if best else "", passed=stopped == "passed", stopped=stopped,
        max_drop=ladder.request.max_drop, unit=ladder.unit, metric=base.metric, baseline=base.value,
        dataset=base.dataset, split=base.split, n=base.n, trials=tuple(trials),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rung:
    step: str
    plan: artifacts.Plan


def _rungs(ladder: _Ladder, trials: list[Trial]) -> Iterator[_Rung]:
    """Yield the steps from cheap to dear; each starts from what helped before."""
    plain = ladder.request.plan
    yield _Rung(step="ptq", plan=plain)
    yield _Rung(step="+equalise", plan=replace(plain, equalise=True))
    base = replace(plain, equalise=_better(trials[1], trials[0]))
    yield _Rung(step="+bias correction", plan=replace(base, correct_bias=True))
    yield _Rung(step="+adaround", plan=replace(base, adaround=True))
    yield from _mixed(ladder, trials, base)
    yield _Rung(step="qat", plan=replace(plain, method="qat"))


def _better(trial: Trial, other: Trial) -> bool:
    return trial.drop is not None and (other.drop is None or trial.drop < other.drop)


def _mixed(ladder: _Ladder, trials: list[Trial], base: artifacts.Plan) -> Iterator[_Rung]:
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
    worst, count = ladder.worst_layers(ladder.file(best.step)), 1
    while count <= max(1, int(len(worst) * MOST_KEPT)):
        yield _Rung(step=f"mixed {count}", plan=replace(plan, keep_float=tuple(sorted(worst[:count]))))
        count *= 2


class _Ladder:
    """What a climb works from, and what it has measured already."""

    def __init__(
        self,
        path: Path,
        loaded: LoadedModel,
        request: LadderPlan,
        dataset: Dataset,
        folder: Path,
        reporter: Reporter,
    ) -> None:
        self.request = request
        self._path, self._loaded, self._dataset, self._folder = path, loaded, dataset, folder
        self._reporter = reporter
        self._journal = Journal(folder / "journal.json", reporter)
        self._splits = {name: dataset.split(name).sha256 for name in ("train", SPLIT)}
        self.baseline = self._baseline()

    @property
    def unit(self) -> str:
        """Of drops."""
        return self.baseline.metric if self.baseline.metric in LOWER_IS_BETTER else "points"

    def file(self, step: str) -> Path:
        """Return where a step's file is."""
        return self._folder / f"{step.strip('+').replace(' ', '-')}.tflite"

    def over_budget(self, trials: list[Trial]) -> str:
        """Return which budget is spent; "" when none is."""
        limit, most = self.request.budget_seconds, self.request.max_trials
        if most is not None and len(trials) >= most:
            return "trial budget"
        return "time budget" if limit is not None and sum(t.seconds for t in trials) >= limit else ""

    def tell(self, trial: Trial) -> None:
        """Say how a step went."""
        if trial.drop is None:
            self._reporter.warn(f"{trial.step}: {trial.failure}")
        else:
            self._reporter.info(f"{trial.step}: loses {trial.drop:+.2f} {self.unit}")

    def measured(self, rung: _Rung, best: Trial | None) -> Trial:
        """Return the step's trial: of an earlier run when it is the same, else made now."""
        record = self.file(rung.step).with_suffix(".json")
        settings = {"plan": codec.encode(rung.plan), "data": self._splits, "step": rung.step}
        if not self._intact(record, rung.step):
            record.unlink(missing_ok=True)
        self._journal.run(record, lambda: self._make(rung, record), inputs=self._inputs(), settings=settings)
        trial = codec.decode(Trial, codec_json(record), where=str(record))
        gained = None
        if best is not None and best.drop is not None and trial.drop is not None:
            gained = best.drop - trial.drop
        return replace(trial, gained=gained)

    def _inputs(self) -> list[Path]:
        return [self._path] if self._path.is_file() else sorted(p for p in self._path.rglob("*") if p.is_file())

    def _intact(self, record: Path, step: str) -> bool:
        """Say whether a step's file is the one that its record speaks of."""
        if not record.exists():
            return False
        known, file = codec_json(record), self.file(step)
        return bool(known.get("failure")) or (file.exists() and sha256(file) == known.get("sha256"))

    def _make(self, rung: _Rung, record: Path) -> None:
        began = time.monotonic()
        self._reporter.info(f"step {rung.step}")
        try:
            made, evaluation, failure = *self._artifact(rung), ""
        except ConversionError as error:
            made, evaluation, failure = None, None, str(error).splitlines()[0]
        drop = self._drop(evaluation) if evaluation else None
        trial = Trial(
            step=rung.step,
            scheme=made.manifest.scheme if made else rung.plan.scheme,
            method=rung.plan.method,
            steps=rung.plan.recipe.steps,
            keep_float=rung.plan.keep_float,
            value=evaluation.value if evaluation else None,
            drop=drop.value if drop else None,
            drop_ci95=drop.ci95 if drop else None,
            size_bytes=made.size_bytes if made else None,
            seconds=time.monotonic() - began,
            sha256=made.sha256 if made else "",
            failure=failure,
        )
        write_text(record, codec_text(trial))

    def _artifact(self, rung: _Rung) -> tuple[convert.Artifact, Evaluation]:
        out, loaded = self.file(rung.step), self._loaded
        if rung.plan.method == "qat":
            training = models.QatPlan(data=rung.plan.data, epochs=rung.plan.epochs, seed=rung.plan.seed)
            state = models.state_path(out)
            loaded, _ = models.quantization_aware(loaded, training, state=state, reporter=self._reporter)
        made = artifacts.built(loaded, rung.plan, self._dataset, out=out, force=True, reporter=self._reporter)
        models.forget_state(out)
        with open_artifact(out) as predictor:
            return made, self._evaluated(predictor, rung.step)

    def _evaluated(self, predictor: Any, name: str) -> Evaluation:
        split = self._dataset.split(SPLIT)
        return evaluate(
            predictor, split, self._dataset.name, targets=self._dataset.targets, name=name, reporter=self._reporter
        )

    def _drop(self, evaluation: Evaluation) -> Drop:
        found = drop_between(self.baseline, evaluation)
        factor = 100.0 if self.unit == "points" else 1.0
        return Drop(value=factor * found.value, ci95=(factor * found.ci95[0], factor * found.ci95[1]))

    def _baseline(self) -> Evaluation:
        record = self._folder / "baseline.json"

        def make() -> None:
            write_text(record, codec_text(self._evaluated(KerasPredictor(self._loaded), "the float model")))

        self._journal.run(record, make, inputs=self._inputs(), settings={"data": self._splits, "step": "baseline"})
        return codec.decode(Evaluation, codec_json(record), where=str(record))

    def worst_layers(self, file: Path) -> tuple[str, ...]:
        """Return the layers of a file, those that add most quantisation noise first."""
        reference = self._folder / "float32.tflite"
        convert.convert(
            self._loaded, format="tflite", scheme="float32", out=reference, dataset=self._dataset, force=True,
            seed=self.request.plan.seed,
        )  # fmt: skip
        split, spec = self._dataset.split(SPLIT), models.require_manifest(self._loaded).spec
        count = min(NOISE_SAMPLES, len(split))
        inputs = (preprocess(split.image(index), spec) for index in range(count))
        layers = layer_noise(reference, file, inputs, total=count, reporter=self._reporter)
        return tuple(layer.layer for layer in sorted(layers, key=_lost, reverse=True))


def _lost(layer: LayerNoise) -> float:
    if layer.lost_db is not None:
        return layer.lost_db
    return BEST_DB - layer.sqnr_db if layer.sqnr_db is not None else 0.0


def codec_text(value: Any) -> str:
    """Return a frozen value as JSON."""
    import json

    return json.dumps(codec.encode(value), sort_keys=True)


def codec_json(path: Path) -> dict[str, Any]:
    """Return what `codec_text` wrote."""
    import json

    found: dict[str, Any] = json.loads(read_bytes(path, what="step of the ladder"))
    return found


def _put(file: Path, out: Path) -> None:
    with atomic_path(out) as partial:
        shutil.copyfile(file, partial)
