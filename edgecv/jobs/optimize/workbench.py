"""Where candidates become files and figures: made, timed on the device, judged on data, each once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import edgecv.bench as bench
from edgecv.bench import BenchCase, BenchPlan, ResultsFile
from edgecv.core import codec
from edgecv.core.errors import EdgecvError, UnsupportedModelError
from edgecv.core.files import sha256
from edgecv.core.progress import QUIET, About, Reporter, Unseen
from edgecv.data import Dataset
from edgecv.jobs import contract, models
from edgecv.jobs import convert as artifacts
from edgecv.jobs.evaluate import EvaluationRequest, open_predictor
from edgecv.jobs.journal import content_key
from edgecv.jobs.optimize import several, steps, untrained
from edgecv.jobs.optimize.candidates import Built, Candidate, content, recipe_of
from edgecv.jobs.optimize.records import SearchRecords, Task
from edgecv.jobs.optimize.site import Site
from edgecv.jobs.trials.judge import VALIDATION, Judge, Judgement
from edgecv.modelio import LoadedModel
from edgecv.runtime.host import host_facts
from edgecv.targets import inspect
from edgecv.values.evaluation import Evaluation
from edgecv.values.search import Cost, Finding, Level

LEVELS: tuple[Level, Level] = ("coarse", "full")
FEW_EPOCHS = 4
"""Training below it is so short that a first look saves nothing."""


class Workbench:
    """A model and a device, held open for a search; everything it makes is kept in `folder` by content.

    Args:
        site: What is searched, and where files run.
        folder: Of records, files and raw times; need not exist.
        reporter: Told of what is made.
    """

    def __init__(self, site: Site, folder: Path, reporter: Reporter = QUIET) -> None:
        self.site, self.folder, self._reporter = site, folder, reporter
        folder.mkdir(parents=True, exist_ok=True)

    @cached_property
    def loaded(self) -> LoadedModel:
        """The float model."""
        return contract.opened(self.site.source, self.site.data, reporter=self._reporter)

    @cached_property
    def dataset(self) -> Dataset:
        """What it is judged on."""
        return models.open_data(self.site.data, models.require_manifest(self.loaded))

    @cached_property
    def splits(self) -> dict[str, str]:
        """Hash of each split that a search uses."""
        return {name: self.dataset.split(name).sha256 for name in ("train", VALIDATION)}

    def judge_on(self, split: str) -> Judge:
        """Return what holds files against the float model on a split."""
        return Judge(self.loaded, self.dataset, split, Unseen(self._reporter))

    @cached_property
    def judge(self) -> Judge:
        """What candidates are held against."""
        return self.judge_on(VALIDATION)

    @property
    def baseline(self) -> Evaluation:
        """The float model on the whole validation split."""
        return self.judge.baseline

    @cached_property
    def float_file(self) -> Path:
        """The float32 file of the model as it is: what times are a ratio to."""
        key = self._key({"file": "float32", "target": self.site.target})[:24]
        out = self.folder / "shapes" / key / f"float32{self.site.suffix}"
        if not out.exists():
            out.parent.mkdir(parents=True, exist_ok=True)
            plan = artifacts.Plan(scheme="float32", target=self.site.target, data=self.site.data, seed=self.site.seed)
            artifacts.built(self.loaded, plan, self.dataset, out=out, force=True, reporter=Unseen(self._reporter))
        return out

    @cached_property
    def _built(self) -> Built | None:
        try:
            return untrained.built(self.loaded)
        except UnsupportedModelError:
            return None  # and the rules leave out what needs it

    @cached_property
    def records(self) -> SearchRecords:
        """What was found out so far."""
        return SearchRecords(self.folder, self.key)

    def perform(self, task: Task) -> Cost | Finding:
        """Do a task. Raises DeviceError when the device failed, twice."""
        if task.kind == "shape":
            return self.shape_cost(task.candidate)
        if task.kind == "final":
            return self.final_cost(task.candidate, self.file(task.candidate))
        return self.accuracy(task.candidate, task.level)

    def key(self, task: Task) -> str:
        """Return the digest of all that the result of a task depends on."""
        one = task.candidate
        if task.kind == "shape":
            plan = codec.encode(self.site.shape_plan)
            return self._key({"shape": one.shape, "plan": plan, **self._place})
        done = {"recipe": content(self.recipe(one, task.level)), "data": self.splits}
        if task.kind == "accuracy":
            there = {"device": list(self.site.timing)} if one.answers_there else {}
            return self._key({**done, **there, "n": self.samples(task.level)})
        run = {"threads": one["device.threads"], "accelerator": one["device.accelerator"]}
        return self._key({**done, **run, "plan": codec.encode(self.site.final_plan), **self._place})

    def shape_cost(self, one: Candidate) -> Cost:
        """Return what a candidate's shape costs, without any training; a failure where it cannot be made.

        Raises:
            DeviceError: The device failed, twice.
        """
        try:
            file = self.shape_file(one)
        except EdgecvError as error:
            return Cost(ratio=None, ratio_ci95=None, size_bytes=None, failure=reason(error))
        return self.timed(file, one, self.site.shape_plan)

    def final_cost(self, one: Candidate, file: Path) -> Cost:
        """Return what a trained file costs, timed for longer. Raises DeviceError when the device failed, twice."""
        return replace(self.timed(file, one, self.site.final_plan), trained=True)

    def timed(self, file: Path, one: Candidate, plan: BenchPlan) -> Cost:
        """Return what a file costs on all devices together; see `several.together`.

        Raises:
            DeviceError: A device failed, twice.
        """
        names = self.site.timing
        return several.together(names, [self.timed_on(name, file, one, plan) for name in names])

    def timed_on(self, name: str, file: Path, one: Candidate, plan: BenchPlan) -> Cost:
        """Time a file interleaved with the float file on a device; for a target without one, predict.

        Raises:
            DeviceError: The device failed, twice.
        """
        if self.site.predicted:
            return self._predicted(file)
        began = time.monotonic()
        try:
            found = self._measured(name, file, one, plan)
        except UnsupportedModelError as error:
            found = Cost(ratio=None, ratio_ci95=None, size_bytes=file.stat().st_size, failure=reason(error))
        return replace(found, seconds=time.monotonic() - began)

    def _measured(self, name: str, file: Path, one: Candidate, plan: BenchPlan) -> Cost:
        store = ResultsFile(self.folder / "times.json")
        device = bench.open_device(name, self.site.devices)
        engine = None if name != "local" else "litert"
        case = BenchCase(
            name="candidate", path=str(file), threads=one["device.threads"], accelerator=one["device.accelerator"],
            engine=engine,
        )  # fmt: skip
        of_float, found = bench.bench(
            [case], baseline=BenchCase(name="float", path=str(self.float_file), engine=engine), device=device,
            plan=replace(plan, seed=self.site.seed), save=store.save, earlier=store.read(), retries=1,
            reporter=Unseen(self._reporter),
        )  # fmt: skip
        latency = found.latency
        if latency.ratio_to_baseline is None:
            said = latency.warnings[0] if latency.warnings else "no ratio to the float file"
            return Cost(ratio=None, ratio_ci95=None, size_bytes=file.stat().st_size, kind=latency.kind, failure=said)
        return Cost(
            ratio=latency.ratio_to_baseline, ratio_ci95=latency.ratio_ci95, size_bytes=file.stat().st_size,
            latency_ms=latency.ratio_to_baseline * of_float.latency.p50, kind=latency.kind,
        )  # fmt: skip

    def accuracy(self, one: Candidate, level: Level) -> Finding:
        """Return what a candidate loses, on the validation split; a failure where it cannot be made."""
        n, began = self.samples(level), time.monotonic()
        try:
            file = self.file(one, level)
        except EdgecvError as error:
            return Finding(
                candidate=one.id, level=level, n=n, value=None, drop=None, drop_ci95=None,
                seconds=time.monotonic() - began, failure=reason(error),
            )  # fmt: skip
        found = self.judged(file, one, self.judge, n=n)
        return Finding(
            candidate=one.id, level=level, n=n, value=found.value, drop=found.drop.value, drop_ci95=found.drop.ci95,
            before=found.before, size_bytes=file.stat().st_size, sha256=sha256(file),
            seconds=time.monotonic() - began,
        )  # fmt: skip

    def judged(self, file: Path, one: Candidate, judge: Judge, *, n: int | None = None) -> Judgement:
        """Hold a file against the float model: here, or where its answers are its device's own, on the device.

        Of several devices the one counts on which it loses most.

        Raises:
            EdgecvError: As `Judge.judged`. DeviceError: The device cannot run it.
        """
        if not one.answers_there:
            return judge.judged(file, name=one.label, n=n)
        found = []
        for device in self.site.timing:
            request = EvaluationRequest(device=device, devices=self.site.devices)
            with open_predictor(file, request) as predictor:
                found.append(judge.held(predictor, name=f"{one.label} on {device}", n=n))
        return max(found, key=lambda judgement: judgement.drop.value)

    def judged_on(self, one: Candidate) -> str | None:
        """Return the devices that a candidate is judged on; None for one that is judged here."""
        return ", ".join(self.site.timing) if one.answers_there else None

    def recipe(self, one: Candidate, level: Level = "full", title: str = "") -> Any:
        """Return a candidate's recipe; of a first look with a share of the epochs."""
        share = self.site.coarse_epochs if level == "coarse" else 1.0
        return recipe_of(
            one, data=self.site.data, seed=self.site.seed, target=self.site.target, epochs=share, title=title,
            built=self._built,
        )  # fmt: skip

    def samples(self, level: Level) -> int:
        """Return on how many samples a candidate is judged."""
        return self.judge.samples(self.site.coarse_samples if level == "coarse" else self.site.final_samples)

    def looks_twice(self, one: Candidate) -> bool:
        """Say whether a first look at a candidate is less than the judgement in full."""
        short, long = (Task(kind="accuracy", candidate=one, level=level) for level in LEVELS)
        return one.trains and one.epochs not in range(1, FEW_EPOCHS) and self.key(short) != self.key(long)

    def file(self, one: Candidate, level: Level = "full") -> Path:
        """Return a candidate's file, made where it stands neither here nor among those that came from elsewhere."""
        found = self.records.known(Task(kind="accuracy", candidate=one, level=level))
        elsewhere = self.records.received(found.sha256) if isinstance(found, Finding) and found.sha256 else None
        if elsewhere is not None:
            return elsewhere
        return steps.made(
            self.site.source, self.recipe(one, level), self.folder / "steps", splits=self.splits,
            suffix=self.site.suffix, reporter=Unseen(About(one.label, self._reporter)),
        )  # fmt: skip

    @property
    def _place(self) -> dict[str, Any]:
        # Times of this machine say nothing of another one that the folder is brought to.
        names = self.site.timing
        host = host_facts().get("cpu_model") if "local" in names else None
        return {
            "device": names[0] if len(names) == 1 else list(names), "target": self.site.target,
            "float": sha256(self.float_file), "host": host,
        }  # fmt: skip

    def shape_file(self, one: Candidate) -> Path:
        """Return a candidate's untrained file, made where it does not stand already."""
        out = self.folder / "shapes" / self._key({"shape": one.shape})[:24] / f"shape{self.site.suffix}"
        if not out.exists():
            out.parent.mkdir(parents=True, exist_ok=True)
            untrained.write(
                self.loaded, one, self.dataset, out, data=self.site.data, seed=self.site.seed,
                target=self.site.target, reporter=self._reporter,
            )  # fmt: skip
        return out

    def _predicted(self, file: Path) -> Cost:
        size = file.stat().st_size
        told = inspect(file, self.site.target, predicted=True).latency
        if told is None:
            why = f"target {self.site.target} has no cost model for this file"
            return Cost(ratio=None, ratio_ci95=None, size_bytes=size, kind="predicted", failure=why)
        return Cost(ratio=told.ms, ratio_ci95=None, size_bytes=size, latency_ms=told.ms, kind="predicted")

    def _key(self, settings: Mapping[str, Any]) -> str:
        spec = codec.encode(self.loaded.require_spec())
        return content_key([self.loaded.sha256], {**settings, "spec": spec, "seed": self.site.seed})


def reason(error: EdgecvError) -> str:
    """Return what is wrong, on one line."""
    return error.message.splitlines()[0]
