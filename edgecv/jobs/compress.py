"""One way to run every compression: prepare → step → report → finalize, with the steps of a recipe.

    recipe = compression_recipe.read(Path("half-int8.toml"))
    with prepare(Source(path=Path("lenet5.keras")), recipe, out=Path("lenet5-half.tflite")) as session:
        while session.step():
            print(session.report().steps[-1])
        report = session.finalize()

A recipe is TOML, the same for this and for `edgecv compress`. Its steps are the commands slim, prune, quantize and
convert with their options; each starts from the result of the one before, and the last one makes the file that is
asked for. Finished steps are kept beside it, so that a killed run goes on where it was.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from edgecv.core import codec
from edgecv.core.errors import ConfigError, GateFailure
from edgecv.core.files import atomic_path, check_output, sha256
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import Shown
from edgecv.jobs import compress_recipe as compression_recipe
from edgecv.jobs import contract, models, sense
from edgecv.jobs import convert as artifacts
from edgecv.jobs.compress_recipe import METHODS, CompressionRecipe, Request, check, request_of, within
from edgecv.jobs.evaluate import EvaluationRequest, open_predictor
from edgecv.jobs.journal import Journal, read_record, write_record
from edgecv.jobs.trials.judge import VALIDATION, Judge
from edgecv.values.scores import Drop, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What one step came to.

    Attributes:
        method: Of the step; `settings` all that it was asked for, defaults included.
        value: Of the metric on the validation split, after it.
        drop: Against the model that the recipe began with, on the same samples, in percentage points or the error's
            unit; `drop_ci95` its paired 95 % interval.
        gained_bytes: How much smaller than before the step; compare files of one kind only.
        seconds: That it took, evaluation included.
        result: What the command of the same name prints with --json.
    """

    method: str
    settings: Mapping[str, Any]
    path: str
    sha256: str
    size_bytes: int
    value: float
    drop: float
    drop_ci95: tuple[float, float]
    gained_bytes: int
    seconds: float
    result: Mapping[str, Any]
    kind: str = "measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionReport(Shown):
    """What a recipe has come to so far.

    Attributes:
        path: Where the result is, or will be.
        finished: Whether all steps are done and the result stands at `path`.
        before: Metric of the source; `size_bytes` of it.
        left: Methods of the steps that were not taken yet.
        max_drop: What the result may lose in all; None without a limit.
        verdict: Of the last step's drop against it; None without a limit, or before a step.
        needed: How many samples would show that it passes, if the drop stays what it is; None when no number would.
        seen: Whether the model was trained on the split that judges; None where nothing tells.
    """

    title: str
    source: str
    path: str
    finished: bool
    metric: str
    split: str
    n: int
    before: float
    size_bytes: int
    steps: tuple[StepReport, ...]
    left: tuple[str, ...]
    max_drop: float | None = None
    verdict: Verdict | None = None
    needed: int | None = None
    seen: bool | None = None


def prepare(
    source: models.Source,
    recipe: CompressionRecipe,
    *,
    out: Path,
    force: bool = False,
    reporter: Reporter = QUIET,
) -> Session:
    """Return a session that takes a model through a recipe. Steps that an earlier run finished are not taken again.

    Raises:
        ConfigError: The recipe is wrong, `out` exists or does not fit the last step, or there is no data.
        UnsupportedModelError: The model cannot be loaded.
    """
    check(recipe)
    last = METHODS[recipe.steps[-1].method]
    if last.keras:
        models.check_keras(out)
    elif out.suffix not in artifacts.FORMATS:
        raise ConfigError(f"--out {out} names no format", hint="end it in .tflite or .onnx")
    check_output(out, force=force)
    return Session(source, recipe, out, reporter)


def compress(
    source: models.Source,
    recipe: Path,
    *,
    out: Path,
    data: str | None = None,
    seed: int | None = None,
    force: bool = False,
    reporter: Reporter = QUIET,
) -> CompressionReport:
    """Take a model through a recipe file, to its end. A killed run goes on where it was.

    Args:
        data: In place of the recipe's; `seed` likewise.

    Raises:
        EdgecvError: As `prepare` and `Session.step`.
    """
    read = models.with_changes(compression_recipe.read(recipe), data=data, seed=seed)
    with prepare(source, read, out=out, force=force, reporter=reporter) as session:
        return session.finalize()


class Session:
    """A model on its way through a recipe; made by `prepare`. As a context manager it leaves finished steps on disk."""

    def __init__(self, source: models.Source, recipe: CompressionRecipe, out: Path, reporter: Reporter) -> None:
        loaded = contract.opened(source, recipe.data, reporter=reporter)
        self._manifest = models.require_manifest(loaded)
        self._data = models.open_data(recipe.data, self._manifest)
        if recipe.max_drop is not None:
            sense.check_sense(loaded, self._data, promised=True)
        self._source, self._recipe, self._out, self._reporter = source, recipe, out, reporter
        self._folder = out.with_name(f".{out.name}.steps")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(self._folder / "journal.json", reporter)
        self._done: list[StepReport] = []
        self._finished = False
        self._judge = Judge(loaded, self._data, reporter=reporter)
        self._before = self._judge.baseline

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    def step(self) -> StepReport | None:
        """Take the next step and return what it came to; None when there is none left.

        Raises:
            EdgecvError: As the command of that name; what was finished before stays.
        """
        index = len(self._done)
        if index == len(self._recipe.steps):
            return None
        step = self._recipe.steps[index]
        request = within(request_of(step, self._recipe, f"step {index + 1}"), self._left())
        self._reporter.info(f"step {index + 1} of {len(self._recipe.steps)}: {step.method}")
        out, before = self._place(index), self._current()
        record = out.with_suffix(".json")
        splits = {name: self._data.split(name).sha256 for name in ("train", VALIDATION)}
        settings = {"method": step.method, "request": plain(request), "data": splits}
        if record.exists() and not _stands(record, out):
            record.unlink()
        self._journal.run(
            record, lambda: self._take(step.method, request, before, out, record), inputs=_contents(before.path),
            settings=settings,
        )  # fmt: skip
        self._done.append(codec.decode(StepReport, read_record(record), where=str(record)))
        return self._done[-1]

    def report(self) -> CompressionReport:
        """Return what has been done so far, and what is left."""
        budget = self._recipe.max_drop
        last = Drop(value=self._done[-1].drop, ci95=self._done[-1].drop_ci95) if self._done else None
        return CompressionReport(
            title=self._recipe.title,
            source=str(self._source.path),
            path=str(self._out),
            finished=self._finished,
            metric=self._before.metric.name,
            split=VALIDATION,
            n=self._before.n,
            before=self._before.value,
            size_bytes=sum(path.stat().st_size for path in _contents(self._source.path)),
            steps=tuple(self._done),
            left=tuple(step.method for step in self._recipe.steps[len(self._done) :]),
            max_drop=budget,
            verdict=last.against(budget) if last is not None and budget is not None else None,
            needed=last.samples_to_show(budget, self._before.n) if last is not None and budget is not None else None,
            seen=models.has_seen(self._manifest, self._data, VALIDATION),
        )

    def finalize(self) -> CompressionReport:
        """Take the steps that are left, put the result at its place, and forget the files between.

        Raises:
            EdgecvError: As `step`.
        """
        while self.step() is not None:
            pass
        made = self._place(len(self._done) - 1)
        for file in self._folder.glob("*.channels.json"):
            shutil.copyfile(file, self._out.with_suffix(".channels.json"))
        with atomic_path(self._out) as partial:
            shutil.copyfile(made, partial)
        shutil.rmtree(self._folder)
        self._finished = True
        return self.report()

    def _place(self, index: int) -> Path:
        method = self._recipe.steps[index].method
        return self._folder / f"{index + 1}-{method}{'.keras' if METHODS[method].keras else self._out.suffix}"

    def _left(self) -> float | None:
        """Return what may still be lost within the budget of the whole; None without one."""
        budget = self._recipe.max_drop
        return None if budget is None else budget - (self._done[-1].drop if self._done else 0.0)

    def _current(self) -> models.Source:
        if not self._done:
            return self._source
        return self._own(self._place(len(self._done) - 1))

    def _own(self, path: Path) -> models.Source:
        """Return a file of a step: what the user trusts in the source, he trusts in it."""
        return replace(self._source, path=path, spec=None, preset=None, input_size=None, architecture=None)

    def _take(self, method: str, request: Request, before: models.Source, out: Path, record: Path) -> None:
        began = time.monotonic()
        result = METHODS[method].run(before, request, out, self._reporter)
        with open_predictor(out, EvaluationRequest(source=self._own(out))) as predictor:
            found = self._judge.held(predictor, name=out.name)
        report = StepReport(
            method=method, settings=plain(request), path=str(out), sha256=sha256(out),
            size_bytes=out.stat().st_size, value=found.value, drop=found.drop.value,
            drop_ci95=found.drop.ci95,
            gained_bytes=sum(path.stat().st_size for path in _contents(before.path)) - out.stat().st_size,
            seconds=time.monotonic() - began, result=plain(result),
        )  # fmt: skip
        write_record(record, report)


def require_passed(report: CompressionReport) -> None:
    """Raise GateFailure when a step that had to stay within a loss, or the whole recipe, did not."""
    for step in report.steps:
        if step.result.get("passed") is False:
            raise GateFailure(
                f"{step.method} loses {step.drop:.2f} in all, and its best file more than "
                f"the {step.result['max_drop']:g} that it was allowed",
                hint="allow a larger max_drop, or give the steps before it more epochs",
            )
    if report.verdict == "failed":
        raise GateFailure(
            f"the recipe loses {report.steps[-1].drop:.2f} in all, allowed {report.max_drop:g}",
            hint="allow a larger max_drop, or give its steps more epochs; the table says which of them loses how much",
        )


def plain(value: Any) -> Any:
    """Return a frozen value as JSON data, paths as text."""
    fields = asdict(value)
    return codec.encode({key: str(item) if isinstance(item, Path) else item for key, item in fields.items()})


def _contents(path: Path) -> list[Path]:
    """Return the files of a model: itself, or those of a folder."""
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def _stands(record: Path, out: Path) -> bool:
    """Say whether a step's file is the one that its record speaks of."""
    return out.exists() and sha256(out) == read_record(record).get("sha256")
