"""One step of the ladder: made, measured against the float model, and kept with its figures."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import edgecv.convert as convert
from edgecv.core import codec
from edgecv.core.errors import ConversionError, EdgecvError
from edgecv.core.files import sha256
from edgecv.core.progress import Reporter, Unseen
from edgecv.data import Dataset
from edgecv.evaluate import KerasPredictor, assess, drop_between
from edgecv.jobs import convert as artifacts
from edgecv.jobs import models, qat
from edgecv.jobs.evaluate import open_artifact
from edgecv.jobs.journal import Journal, read_record, write_record
from edgecv.jobs.ladder.values import LadderPlan, Trial
from edgecv.jobs.ladder.worst import SPLIT, Ranked, ranked
from edgecv.modelio import LoadedModel
from edgecv.values.evaluation import Evaluation
from edgecv.values.scores import Drop

FIRST = "ptq"


def step_file(step: str) -> str:
    """Return the name of a step's file."""
    return f"{step.strip('+').replace(' ', '-')}.tflite"


def reason(error: EdgecvError) -> str:
    """Return why a step has no file, on one line: what is wrong, and what to do about it."""
    what = error.message.splitlines()[0]
    return f"{what}; {error.hint.splitlines()[0]}" if error.hint else what


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step to take.

    Attributes:
        step: Its name, also of its files.
        plan: How the file is made.
        ranked: What chose the layers that the plan names; None where it names none.
        refused: Why the step cannot be taken; "" for one that can.
    """

    step: str
    plan: artifacts.Plan
    ranked: Ranked | None = None
    refused: str = ""


class Steps:
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
        self._ranking_seconds = 0.0
        self._ready: tuple[artifacts.Plan, artifacts.Prepared] | None = None
        self._splits = {name: dataset.split(name).sha256 for name in ("train", SPLIT)}
        self.baseline = self._baseline()

    @property
    def unit(self) -> str:
        """Of drops."""
        return self.baseline.metric.drop_unit

    def file(self, step: str) -> Path:
        """Return where a step's file is."""
        return self._folder / step_file(step)

    def over_budget(self, trials: list[Trial]) -> str:
        """Return which budget is spent; "" when none is."""
        limit, most = self.request.budget_seconds, self.request.max_trials
        if most is not None and len(trials) >= most:
            return "trial budget"
        spent = self._ranking_seconds + sum(t.seconds for t in trials)
        return "time budget" if limit is not None and spent >= limit else ""

    def tell(self, trial: Trial) -> None:
        """Say how a step went."""
        if trial.drop is None:
            self._reporter.warn(f"{trial.step}: {trial.failure}")
        else:
            self._reporter.info(f"{trial.step}: loses {trial.drop:+.2f} {self.unit}")

    def measured(self, rung: Rung, best: Trial | None) -> Trial:
        """Return the step's trial: of an earlier run when it is the same, else made now."""
        record = self.file(rung.step).with_suffix(".json")
        settings = {"plan": codec.encode(rung.plan), "data": self._splits, "step": rung.step}
        if not self._intact(record, rung.step):
            record.unlink(missing_ok=True)
        self._journal.run(record, lambda: self._make(rung, record), inputs=self._inputs(), settings=settings)
        trial = codec.decode(Trial, read_record(record), where=str(record))
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
        known, file = read_record(record), self.file(step)
        return bool(known.get("failure")) or (file.exists() and sha256(file) == known.get("sha256"))

    def _make(self, rung: Rung, record: Path) -> None:
        began = time.monotonic()
        self._reporter.info(f"step {rung.step}")
        made, evaluation, failure = None, None, rung.refused
        if not failure:
            try:
                made, evaluation = self._artifact(rung)
            except EdgecvError as error:
                # What the first step cannot have is wrong with the request. A later step can be one that this model,
                # these data or this installation do not have, and the others still stand.
                if rung.step == FIRST and not isinstance(error, ConversionError):
                    raise
                failure = reason(error)
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
            int16=rung.plan.int16,
            ranked_by=rung.ranked.by if rung.ranked else "",
            ranking=rung.ranked.reason if rung.ranked else "",
        )
        write_record(record, trial)

    def ranked(self, step: str, plan: artifacts.Plan, *, needed: float) -> Ranked:
        """Return the layers of a step's file, worst first; kept, like the steps, for a climb that goes on.

        Args:
            step: Whose file.
            plan: How that was made.
            needed: Share of the layers whose order matters.
        """
        record, file = self._folder / "ranking.json", self.file(step)

        def make() -> None:
            found = ranked(self._loaded, file, plan, self._dataset, needed=needed, reporter=self._reporter)
            write_record(record, found)

        settings = {"plan": codec.encode(plan), "data": self._splits, "needed": needed}
        self._journal.run(record, make, inputs=[*self._inputs(), file], settings=settings)
        known = codec.decode(Ranked, read_record(record), where=str(record))
        self._ranking_seconds = known.seconds
        return known

    def _prepared(self, plan: artifacts.Plan) -> artifacts.Prepared | None:
        """Return the model after a plan's steps on its weights; those of the last plan are kept for mixed files of it.

        None for a plan without such steps.
        """
        if not artifacts.takes_steps(plan):
            return None
        weights = replace(plan, keep_float=(), int16=())
        if self._ready is None or self._ready[0] != weights:
            done = artifacts.prepared(self._loaded, weights, self._dataset, reporter=self._reporter)
            self._ready = (weights, done)
        return self._ready[1]

    def _artifact(self, rung: Rung) -> tuple[convert.Artifact, Evaluation]:
        out, loaded = self.file(rung.step), self._loaded
        if rung.plan.method == "qat":
            training = qat.QatPlan(data=rung.plan.data, epochs=rung.plan.epochs, seed=rung.plan.seed)
            state = models.state_path(out)
            loaded, _ = qat.quantization_aware(loaded, training, state=state, reporter=self._reporter)
        ready = self._prepared(rung.plan)
        made = artifacts.built(
            loaded, rung.plan, self._dataset, out=out, force=True, ready=ready, reporter=Unseen(self._reporter)
        )
        models.forget_state(out)
        with open_artifact(out) as predictor:
            return made, self._evaluated(predictor, rung.step)

    def _evaluated(self, predictor: Any, name: str) -> Evaluation:
        return assess(predictor, self._dataset, SPLIT, name=name, reporter=self._reporter)

    def _drop(self, evaluation: Evaluation) -> Drop:
        return self.baseline.metric.told(drop_between(self.baseline, evaluation))

    def _baseline(self) -> Evaluation:
        # Measured anew by a climb that goes on: what paired statistics need of a sample is the task's own.
        return self._evaluated(KerasPredictor(self._loaded), "the float model")
