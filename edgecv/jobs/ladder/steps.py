"""One step of the ladder: made, measured against the float model, and kept with its figures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import edgecv.convert as convert
from edgecv.core import codec
from edgecv.core.errors import ConversionError, EdgecvError
from edgecv.core.files import sha256
from edgecv.core.progress import Reporter, Unseen
from edgecv.data import Dataset
from edgecv.jobs import convert as artifacts
from edgecv.jobs import models, qat
from edgecv.jobs.journal import content_key
from edgecv.jobs.ladder.values import LadderPlan, Trial
from edgecv.jobs.ladder.worst import Ranked, ranked
from edgecv.jobs.trials.judge import VALIDATION, Judge, Judgement
from edgecv.jobs.trials.records import Records
from edgecv.modelio import LoadedModel

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
    """What makes, judges and remembers the steps of a climb.

    Args:
        path: Of the float model.
        loaded: The float model, with the ending that its files get.
        request: How far.
        dataset: Calibrates and judges.
        folder: Of files and records; exists.
        reporter: Told of every step.
    """

    def __init__(
        self, path: Path, loaded: LoadedModel, request: LadderPlan, dataset: Dataset, folder: Path, reporter: Reporter
    ) -> None:
        self.request, self.loaded, self.reporter = request, loaded, reporter
        self._path, self._dataset, self._folder = path, dataset, folder
        self._ready: tuple[artifacts.Plan, artifacts.Prepared] | None = None
        self._splits = {name: dataset.split(name).sha256 for name in ("train", VALIDATION)}
        self.judge = Judge(loaded, dataset, reporter=reporter)
        self.records: Records[Rung, Trial] = Records(self._record, lambda rung: Trial, self._intact)
        self.ranking_seconds = 0.0

    def file(self, step: str) -> Path:
        """Return where a step's file is."""
        return self._folder / step_file(step)

    def make(self, rung: Rung) -> Trial:
        """Make and judge a step's file; a step that has none says why.

        Raises:
            EdgecvError: The first step cannot be had: the request is wrong.
        """
        began = time.monotonic()
        self.reporter.info(f"step {rung.step}")
        made, found, failure = None, None, rung.refused
        if not failure:
            try:
                made, found = self._artifact(rung)
            except EdgecvError as error:
                # What the first step cannot have is wrong with the request. A later step can be one that this model,
                # these data or this installation do not have, and the others still stand.
                if rung.step == FIRST and not isinstance(error, ConversionError):
                    raise
                failure = reason(error)
        return Trial(
            step=rung.step,
            scheme=made.manifest.scheme if made else rung.plan.scheme,
            method=rung.plan.method,
            steps=rung.plan.recipe.steps,
            keep_float=rung.plan.keep_float,
            value=found.value if found else None,
            drop=found.drop.value if found else None,
            drop_ci95=found.drop.ci95 if found else None,
            size_bytes=made.size_bytes if made else None,
            seconds=time.monotonic() - began,
            sha256=made.sha256 if made else "",
            failure=failure,
            int16=rung.plan.int16,
            ranked_by=rung.ranked.by if rung.ranked else "",
            ranking=rung.ranked.reason if rung.ranked else "",
            calibration=rung.plan.calibration,
        )

    def ranked(self, step: str, plan: artifacts.Plan, *, needed: float) -> Ranked:
        """Return the layers of a step's file, worst first; kept, like the steps, for a climb that goes on.

        Args:
            step: Whose file.
            plan: How that was made.
            needed: Share of the layers whose order matters.
        """
        file = self.file(step)
        digest = self._digest(plan, {"needed": needed}, file)
        kept: Records[str, Ranked] = Records(lambda key: self._folder / f"ranking-{key[:32]}.json", lambda _: Ranked)
        found = kept.known(digest)
        if found is None:
            found = ranked(self.loaded, file, plan, self._dataset, needed=needed, reporter=self.reporter)
            kept.remember(digest, found)
        self.ranking_seconds = found.seconds
        return found

    def _record(self, rung: Rung) -> Path:
        file = self.file(rung.step)
        return file.with_name(f"{file.stem}-{self._digest(rung.plan, {'step': rung.step})[:32]}.json")

    def _digest(self, plan: artifacts.Plan, more: Mapping[str, Any], *files: Path) -> str:
        source = self._path
        inputs = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
        settings = {"plan": codec.encode(plan), "data": self._splits, **more}
        return content_key([sha256(path) for path in (*inputs, *files)], settings)

    def _intact(self, rung: Rung, trial: Trial) -> bool:
        """Say whether a step's file is the one that its record speaks of."""
        file = self.file(rung.step)
        return bool(trial.failure) or (file.exists() and sha256(file) == trial.sha256)

    def _prepared(self, plan: artifacts.Plan) -> artifacts.Prepared | None:
        """Return the model after a plan's steps on its weights; those of the last plan are kept for mixed files of it.

        None for a plan without such steps.
        """
        if not artifacts.takes_steps(plan):
            return None
        weights = replace(plan, keep_float=(), int16=())
        if self._ready is None or self._ready[0] != weights:
            done = artifacts.prepared(self.loaded, weights, self._dataset, reporter=self.reporter)
            self._ready = (weights, done)
        return self._ready[1]

    def _artifact(self, rung: Rung) -> tuple[convert.Artifact, Judgement]:
        out, loaded = self.file(rung.step), self.loaded
        if rung.plan.method == "qat":
            training = qat.QatPlan(data=rung.plan.data, epochs=rung.plan.epochs, seed=rung.plan.seed)
            state = models.state_path(out)
            loaded, _ = qat.quantization_aware(loaded, training, state=state, reporter=self.reporter)
        ready = self._prepared(rung.plan)
        made = artifacts.built(
            loaded, rung.plan, self._dataset, out=out, force=True, ready=ready, reporter=Unseen(self.reporter)
        )
        models.forget_state(out)
        return made, self.judge.judged(out, name=rung.step)
