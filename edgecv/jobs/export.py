"""`edgecv export`: from a float model to the file to ship for each target, with the reason.

The files are candidates of increasing effort: the float model, float16, and int8 by the quantisation ladder; for this
machine's CPU also int8 with the layers in float that are faster so, for a device that computes in float16 a file that
lets it. They are judged on a split that chose none of them, timed beside the float model, and the report's verdict says
which to ship.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgecv.core import codec
from edgecv.core.errors import ConfigError, ConversionError, GateFailure
from edgecv.core.files import sha256
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import Shown
from edgecv.graphs import read_graph
from edgecv.graphs.pool_windows import CONVOLUTION, as_pool
from edgecv.jobs import contract, float_islands, ladder, models, web_page
from edgecv.jobs import convert as artifacts
from edgecv.jobs import report as measure
from edgecv.jobs.journal import Journal, read_record, write_record
from edgecv.jobs.ladder import Climb
from edgecv.modelio import save_keras
from edgecv.modelio.model_file import model_file
from edgecv.report import sentences
from edgecv.targets import cpu
from edgecv.values import profiles
from edgecv.values.report import ArtifactResult, Report, ShipVerdict

FLOATS = ("float32", "float16")
MAX_DROP = 1.0
"""In points of the metric; of an error, in its unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """What to export for, and what it may cost.

    Attributes:
        data: Calibrates on its training split, chooses on validation and judges on test; None: the training data.
        max_drop: Largest loss allowed against the float model: percentage points, or the unit of an error.
        targets: Deployment targets, the most important first; a file is chosen for each.
        device: Where files are timed.
        bench: Benchmark plan of the timing: "quick", "standard", …
        budget_seconds: Of each target's ladder: no step is begun after so long; None: no limit.
        max_trials: Of each target's ladder: steps at most; None: no limit.
        seed: Of every random choice.
        metadata: TFLite Metadata of the files: see `edgecv.jobs.convert.Plan`.
    """

    data: str | None = None
    max_drop: float = MAX_DROP
    targets: tuple[str, ...] = ("cpu",)
    device: str = "local"
    bench: str = "quick"
    budget_seconds: float | None = None
    max_trials: int | None = None
    seed: int = 0
    metadata: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What to ship for one target.

    Attributes:
        target: Its name.
        file: Path of the file; None when none may be shipped there.
        sentence: The same with its reason, in one sentence.
        decided: The report's verdict: how sure accuracy and speed are, and why other files were not taken.
    """

    target: str
    file: str | None
    sentence: str
    decided: ShipVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported(Shown):
    """What an export came to.

    Attributes:
        verdict: For the first target, a sentence.
        winner: Path of the file to ship for it; None when there is none.
        shipped: The same for every target.
        artifacts: All files that were made, with their figures, as in report.json.
        climbs: What the ladder tried for each target that has integers.
        report: Path of report.json; report.html and report.md stand beside it.
        page: The page that runs the winner in a browser; None when none was asked for, or nothing is to be shipped.
    """

    verdict: str
    winner: str | None
    shipped: tuple[Shipped, ...]
    artifacts: tuple[ArtifactResult, ...]
    climbs: tuple[Climb, ...]
    report: str
    page: web_page.WebPage | None = None


def export(
    source: models.Source,
    plan: ExportPlan,
    *,
    out: Path,
    web: Path | None = None,
    force: bool = False,
    reporter: Reporter = QUIET,
) -> Exported:
    """Make the candidates, judge and time them, and write them with a report into a folder.

    A killed run goes on: what is finished in `out`, made from the same model, data, settings and tools, is kept.
    `web` is a folder for a page that runs the first target's file in a browser.

    Raises:
        ConfigError: The plan is wrong, the model's contract is open, or `out` holds a report and not `force`.
        UnsupportedModelError: The model cannot be loaded.
        ConversionError: The float model does not convert.
        DeviceError: A device failed; what was timed is kept.
    """
    _check(plan, out, force)
    if web is not None:
        web_page.check(web, force=force)
    out.mkdir(parents=True, exist_ok=True)
    journal = Journal(out / ".journal.json", reporter)
    model = _described(source, plan, out, reporter)
    files = _floats(model, plan, out, journal, reporter)
    # What runs other schemes better takes the integers of another target when it is to have some.
    whole = [name for name in plan.targets if profiles.target(name).schemes[0] == "int8"]
    climbs = [_climbed(model, target, plan, out, journal, reporter) for target in whole]
    files += [Path(climbed.path) for climbed in climbs if climbed.chosen]
    found = [_islands(model, *pair, plan, out, journal, reporter) for pair in zip(whole, climbs, strict=True)]
    files += [file for file in found if file is not None]
    request = measure.ReportRequest(
        data=plan.data, targets=plan.targets, plan=plan.bench, device=plan.device, seed=plan.seed,
        max_drop=plan.max_drop,
    )  # fmt: skip
    made = measure.report_files(files, request, baseline=model.path, out=out, force=force, reporter=reporter)
    order = plan.targets.index
    decided = sorted(made.report.verdicts, key=lambda verdict: order(verdict.target))
    shipped = tuple(_shipped(made.report, verdict, out) for verdict in decided)
    return Exported(
        verdict=shipped[0].sentence,
        winner=shipped[0].file,
        shipped=shipped,
        artifacts=made.report.artifacts,
        climbs=tuple(climbs),
        report=str(made.paths.json),
        page=_page(made.report, shipped[0], web, force) if web is not None else None,
    )


def require_winners(done: Exported) -> None:
    """Raise GateFailure, naming the targets, when for some of them there is no file to ship."""
    without = [one.target for one in done.shipped if one.file is None]
    if without:
        raise GateFailure(
            f"no file may be shipped for {', '.join(without)}",
            hint="allow a larger --max-drop, or see the report for what each file loses and where it runs",
        )


def _page(report: Report, shipped: Shipped, out: Path, force: bool) -> web_page.WebPage | None:
    """Write a page with the file to ship, and what was measured of it."""
    if shipped.file is None:
        return None
    artifact = next(one for one in report.artifacts if one.name == shipped.decided.artifact)
    where = report.dataset
    samples = f" on {where.n} samples of {where.name} ({where.split})" if where is not None else ""
    return web_page.write(Path(shipped.file), out=out, judged=sentences.reached(artifact) + samples, force=force)


def _check(plan: ExportPlan, out: Path, force: bool) -> None:
    if not plan.max_drop >= 0:
        raise ConfigError(f"--max-drop must be 0 or more, got {plan.max_drop}")
    if out.is_file():
        raise ConfigError(f"{out} is a file", hint="--out is a folder: of the files, and of the report on them")
    if (out / "report.json").exists() and not force:
        raise ConfigError(
            f"{out} holds a finished export", hint="choose another --out, or pass --force: what is unchanged is kept"
        )
    measure.check_timing(plan.bench, plan.device)
    for name in plan.targets:
        profiles.target(name)


def _described(source: models.Source, plan: ExportPlan, out: Path, reporter: Reporter) -> models.Source:
    """Return the model with its contract: the given file when that has one, else one of edgecv's in `out`."""
    loaded = contract.opened(source, plan.data, reporter=reporter)
    own = model_file(source.path)
    if own.format == "keras" and source.path.suffix == ".keras" and own.manifest is not None and source.spec is None:
        return models.Source(path=source.path, unsafe=source.unsafe, custom_objects=source.custom_objects)
    file = out / f"{_stem(source.path)}.keras"
    # The same model gives the same bytes, so that what was made of it on an earlier run is known again.
    save_keras(loaded.model, file, models.as_written(loaded), force=True)
    return replace(source, path=file, spec=None, preset=None, architecture=None, input_size=None, signature=None)


def _floats(model: models.Source, plan: ExportPlan, out: Path, journal: Journal, reporter: Reporter) -> list[Path]:
    """Return the float files: one of each scheme for all targets that run it."""
    files = []
    for scheme in FLOATS:
        running = [name for name in plan.targets if scheme in profiles.target(name).schemes]
        if running:
            files.append(_float(model, scheme, running, plan, out, journal, reporter))
    half = [name for name in plan.targets if _computes_half(name, plan.device)]
    if half:
        files.append(_float(model, FLOATS[1], half, plan, out, journal, reporter, arithmetic=FLOATS[1]))
    return [file for file in files if file is not None]


def _computes_half(target: str, device: str) -> bool:
    """Say whether a target computes in float16, and the files for it are judged where they run."""
    there = device != float_islands.HERE or float_islands.are_of(target)
    return there and cpu.computes_half(target)


def _float(
    model: models.Source,
    scheme: str,
    targets: Sequence[str],
    plan: ExportPlan,
    out: Path,
    journal: Journal,
    reporter: Reporter,
    *,
    arithmetic: str = "float32",
) -> Path | None:
    """Make a float file; None, with a warning, when a scheme other than float32 cannot be had."""
    first, *others = targets
    asked = artifacts.Plan(
        scheme=scheme, target=first, further_targets=tuple(others), data=plan.data, seed=plan.seed,
        metadata=plan.metadata, arithmetic=arithmetic,
    )  # fmt: skip
    computed = "" if arithmetic == "float32" else "-arithmetic"
    file = out / f"{_stem(model.path)}-{scheme}{computed}.tflite"
    try:
        journal.run(
            file,
            lambda: artifacts.make(model, asked, out=file, force=True, reporter=reporter),
            inputs=(model.path,),
            settings=codec.encode(asked),
        )
    except ConversionError as error:
        if scheme == FLOATS[0]:
            raise
        reporter.warn(f"{file.name} cannot be made: {error.message.splitlines()[0]}")
        return None
    return file


def _climbed(
    model: models.Source, target: str, plan: ExportPlan, out: Path, journal: Journal, reporter: Reporter
) -> Climb:
    """Climb the ladder to an int8 file; of an earlier run when nothing changed."""
    asked = ladder.LadderPlan(
        max_drop=plan.max_drop,
        plan=artifacts.Plan(scheme="int8", target=target, data=plan.data, seed=plan.seed, metadata=plan.metadata),
        budget_seconds=plan.budget_seconds,
        max_trials=plan.max_trials,
    )
    name = "int8" if target == plan.targets[0] else f"{target}-int8"
    file = out / f"{_stem(model.path)}-{name}.tflite"
    record = out / f".{file.stem}.climb.json"

    if not _intact(record, file):
        record.unlink(missing_ok=True)
    journal.run(
        record,
        lambda: write_record(record, ladder.climb(model, asked, out=file, force=True, reporter=reporter)),
        inputs=(model.path,),
        settings=codec.encode(asked),
    )
    return codec.decode(Climb, read_record(record), where=str(record))


def _islands(
    model: models.Source, target: str, climbed: Climb, plan: ExportPlan, out: Path, journal: Journal, reporter: Reporter
) -> Path | None:
    """Make the ladder's file anew with the layers in float that are faster so; None where there are none."""
    chosen = next((trial for trial in climbed.trials if trial.step == climbed.chosen), None)
    if (
        chosen is None
        or chosen.method != "ptq"
        or plan.device != float_islands.HERE
        or not float_islands.are_of(target)
    ):
        return None
    graph = read_graph(climbed.path)
    if not any(as_pool(graph, op).op == CONVOLUTION for op in graph.ops):
        return None  # the other integer kernels are faster than those of float
    asked = artifacts.Plan(
        scheme="int8", target=target, data=plan.data, seed=plan.seed, metadata=plan.metadata,
        calibration=chosen.calibration, keep_float=(*chosen.keep_float, float_islands.FASTER), int16=chosen.int16,
    ).taking(chosen.steps)  # fmt: skip
    file = Path(climbed.path).with_name(f"{Path(climbed.path).stem}-islands.tflite")
    record = out / f".{file.stem}.json"

    def make() -> None:
        made = artifacts.make(model, asked, out=file, force=True, reporter=reporter)
        layers = made.islands.layers if made.islands else ()
        if not layers:
            file.unlink()  # it is the ladder's
        write_record(record, {"layers": list(layers), "sha256": made.sha256})

    known = read_record(record) if record.exists() else {}
    if known.get("layers") and (not file.exists() or sha256(file) != known["sha256"]):
        record.unlink()
    journal.run(record, make, inputs=(model.path,), settings=codec.encode(asked))
    return file if read_record(record)["layers"] else None


def _intact(record: Path, file: Path) -> bool:
    """Say whether the file is the one that the record of a climb speaks of."""
    if not record.exists():
        return False
    known = codec.decode(Climb, read_record(record), where=str(record))
    chosen = [trial.sha256 for trial in known.trials if trial.step == known.chosen]
    return not known.chosen or (file.exists() and sha256(file) in chosen)


def _stem(path: Path) -> str:
    return path.name.removesuffix(path.suffix) or path.name


def _shipped(report: Report, verdict: ShipVerdict, out: Path) -> Shipped:
    artifact: Sequence[ArtifactResult] = [a for a in report.artifacts if a.name == verdict.artifact]
    return Shipped(
        target=verdict.target,
        file=str(out / artifact[0].path) if artifact else None,
        sentence=sentences.to_ship(report, verdict),
        decided=verdict,
    )
