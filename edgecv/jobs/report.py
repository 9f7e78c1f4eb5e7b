"""Comparing artifacts with the float baseline: latency, accuracy and mapping, put together into a report."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import edgecv.bench as bench
import edgecv.report as reports
from edgecv.bench import BenchCase, CaseResult, ResultsFile
from edgecv.core.errors import ConfigError, DeviceError
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import Shown
from edgecv.data import Dataset
from edgecv.evaluate import assess, head_results
from edgecv.jobs import exhibits, float16_arithmetic, loss, meaning, models
from edgecv.jobs.baselines import BaselineFile, contract, open_baseline
from edgecv.jobs.evaluate import EvaluationRequest, open_predictor
from edgecv.jobs.exhibits import Answers, Picture
from edgecv.jobs.slow import explained
from edgecv.modelio.model_file import model_file
from edgecv.targets import edgetpu, inspect, summarize
from edgecv.values import profiles
from edgecv.values.evaluation import Evaluation
from edgecv.values.kind import Kind
from edgecv.values.latency import Latency
from edgecv.values.manifest import Manifest
from edgecv.values.report import Baseline, DatasetInfo, HeadResult, LatencySummary, Report
from edgecv.values.run_options import RunOptions
from edgecv.values.scores import Drop


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """What to measure for a report; no targets means all of them.

    Attributes:
        max_drop: What the verdicts allow each head to lose: see `Report.max_drop`.
    """

    data: str | None = None
    split: str = "test"
    targets: tuple[str, ...] = ()
    plan: str = "quick"
    device: str = "local"
    seed: int = 0
    baseline_engine: str = "auto"
    spec: Path | None = None
    max_drop: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeReport(Shown):
    """A report and where its files are."""

    report: Report
    paths: reports.ReportPaths


def report_files(
    files: Sequence[Path],
    request: ReportRequest,
    *,
    baseline: Path,
    out: Path,
    force: bool = False,
    reporter: Reporter = QUIET,
) -> MadeReport:
    """Evaluate, inspect and time files against a baseline, and write the report. A killed run goes on.

    Raises:
        ConfigError, UnsupportedModelError, DataError: A file, option or data set is wrong.
        DeviceError: A device failed; what was timed is kept beside the report.
    """
    check_timing(request.plan, request.device)
    for name in ("report.json", "report.html", "report.md"):
        if (out / name).exists() and not force:
            raise ConfigError(f"{out / name} already exists", hint="choose another --out, or pass --force")
    names = [file_name(file) for file in distinct(files)]
    exhibits.check_free(names, out, force=force)
    targets = tuple(profiles.target(name).name for name in request.targets or profiles.report_target_names())
    manifests = {file: model_file(file).required_manifest for file in files}
    dataset, judged = models.judged(request.data, _most_seen(manifests), request.split, reporter)
    request = replace(request, split=judged)
    wanted = request.baseline_engine
    spec = contract(request.spec, files)
    with open_baseline(
        baseline, seed=request.seed, wanted=wanted, spec=spec, evaluated=True, reporter=reporter
    ) as base:
        made, pictures = _compare(manifests, base, dataset, targets, request, out, reporter)
    # Only now: a killed run leaves none, so that it goes on without --force.
    exhibits.write(pictures, names, out)
    made = reports.decided(made)
    paths = reports.write(made, out, force=force)
    (out / RAW_RESULTS).unlink(missing_ok=True)
    return MadeReport(report=made, paths=paths)


def check_timing(plan: str, device: str) -> None:
    """Raise ConfigError, before any work, where no benchmark plan or no device has this name."""
    bench.plan(plan)
    bench.open_device(device)


RAW_RESULTS = ".bench.json"
"""Raw launches of an unfinished report, beside it."""


def _compare(
    manifests: Mapping[Path, Manifest],
    base: BaselineFile,
    dataset: Dataset,
    targets: tuple[str, ...],
    request: ReportRequest,
    out: Path,
    reporter: Reporter,
) -> tuple[Report, tuple[Picture, ...]]:
    split = dataset.split(request.split)
    float_model = _evaluate(base.evaluable, base.engine.accelerator, dataset, request.split, reporter)
    reference = float_model.evaluation
    found, pictures = {}, {}
    for file, manifest in manifests.items():
        answer = _answered(file, manifest, dataset, request, reporter)
        pictures[file] = exhibits.pictures(
            float_model.shown, answer.shown, dataset, request.split, name=file_name(file), scheme=manifest.scheme
        )
        # Maps of many large images are not kept for every file.
        found[file] = replace(answer, shown=None)
    looked = {file: [inspect(file, name, reporter=reporter) for name in targets] for file in manifests}
    cases = [
        BenchCase(name=file_name(f), path=str(f), accelerator=_accelerator(f, m))
        for f, m in manifests.items()
        if _timed_here(f, m)
    ]
    results = _time(cases, base, request.device, request.plan, request.seed, out / RAW_RESULTS, reporter)
    latencies = {result.case.name: result.latency for result in results}
    heads = {file: head_results(reference, answer.evaluation) for file, answer in found.items()}
    artifacts = tuple(
        reports.artifact_result(
            file,
            manifest,
            folder=out,
            name=file_name(file),
            evaluation=found[file].evaluation,
            metric_kind=found[file].kind,
            drop=_drop(heads[file][0]),
            heads=heads[file],
            mappings=[summarize(one) for one in looked[file]],
            arena_bytes=next((one.arena_bytes for one in looked[file]), None),
            latency=[latencies[file_name(file)]] if file_name(file) in latencies else [],
            exhibits=[picture.exhibit for picture in pictures[file]],
        )
        for file, manifest in manifests.items()
    )
    remarks = [answer.remark for answer in found.values() if answer.remark]
    untimed = [_why_untimed(file_name(f), m) for f, m in manifests.items() if not _timed_here(f, m)]
    made = Report(
        created=now(),
        host=reports.host_facts(),
        dataset=DatasetInfo(
            name=dataset.name, split=request.split, n=len(split), sha256=split.sha256, labels=tuple(dataset.labels)
        ),
        baseline=_baseline(base, reference, latencies),
        artifacts=artifacts,
        warnings=(*remarks, *untimed, *_seen(manifests, dataset, request.split)),
        max_drop=request.max_drop,
    )
    made = explained(made, {file_name(file): file for file in manifests}, device=request.device, reporter=reporter)
    return made, tuple(picture for own in pictures.values() for picture in own)


def _seen(manifests: Mapping[Path, Manifest], dataset: Dataset, split: str) -> tuple[str, ...]:
    """Return the warning about files that were trained or calibrated on the samples that judge them."""
    names = [file_name(file) for file, manifest in manifests.items() if models.has_seen(manifest, dataset, split)]
    return (f"{loss.seen(split, dataset.name)}: {', '.join(names)}",) if names else ()


def _most_seen(manifests: Mapping[Path, Manifest]) -> Manifest:
    """Return the manifest that says what samples made its file, by training or calibration; else the first one."""
    return next((m for m in manifests.values() if m.provenance.dataset_sha256), next(iter(manifests.values())))


def _drop(head: HeadResult) -> Drop | None:
    """Return what is known of a head's drop; bootstraps take seconds, so that none is made twice."""
    return None if head.drop is None or head.drop_ci95 is None else Drop(head.drop, head.drop_ci95)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """An evaluation, how it came about, what the reader must know of it, and answers to draw."""

    evaluation: Evaluation
    kind: Kind = "measured"
    remark: str = ""
    shown: Answers | None = None


def _answered(file: Path, manifest: Manifest, dataset: Dataset, request: ReportRequest, reporter: Reporter) -> _Answer:
    """Evaluate a file: here, or on the device where that computes what no other CPU does, in float16."""
    accelerator = _accelerator(file, manifest)
    opened = model_file(file)
    device = request.device if float16_arithmetic.is_half(opened) else "local"
    answer = _evaluate(file, accelerator, dataset, request.split, reporter, device=device)
    if device != "local":
        remark = f"{file_name(file)}: accuracy evaluated on {device}, which may compute it in float16"
        return replace(answer, remark=remark)
    return replace(answer, remark=answer.remark or float16_arithmetic.otherwise_elsewhere(opened, device))


def _evaluate(
    file: Path, accelerator: str, dataset: Dataset, split: str, reporter: Reporter, *, device: str = "local"
) -> _Answer:
    """Evaluate on the accelerator that the file is for when there is one here, else, with a remark, on the CPU.

    A file that was compiled for an Edge TPU runs nowhere else.
    """
    try:
        options = RunOptions(accelerator=accelerator)
        predictor = open_predictor(file, EvaluationRequest(options=options, device=device))
    except DeviceError as error:
        if accelerator in ("cpu", "edgetpu"):
            raise
        remark = f"{file_name(file)}: accuracy evaluated on the CPU, not on the {accelerator}: {error.message}"
        return replace(_evaluate(file, "cpu", dataset, split, reporter), remark=remark)
    with predictor:
        meaning.check_inputs(file, predictor.spec, reporter)
        meaning.check_steps(file, predictor.spec, reporter)
        evaluation = assess(predictor, dataset, split, name=file_name(file), reporter=reporter)
        meaning.doubt(evaluation, file_name(file), reporter)
        shown = exhibits.answers(predictor, dataset, split)
        if not getattr(predictor, "is_software_adapter", False):
            kind: Kind = getattr(predictor, "kind", "measured")
            return _Answer(evaluation=evaluation, kind=kind, shown=shown)
        where = f"the software adapter {predictor.adapter}, in {predictor.precision or 'an unknown precision'}"
        remark = f"{file_name(file)}: accuracy simulated: evaluated on {where}"
        return _Answer(evaluation=evaluation, kind="simulated", remark=remark, shown=shown)


def _time(
    cases: Sequence[BenchCase],
    base: BaselineFile | None,
    device: str,
    plan: str,
    seed: int,
    out: Path | None,
    reporter: Reporter,
) -> tuple[CaseResult, ...]:
    store = ResultsFile(out) if out else None
    return bench.bench(
        cases,
        baseline=base.case() if base else None,
        device=bench.open_device(device),
        plan=bench.plan(plan, seed=seed),
        save=store.save if store else None,
        earlier=store.read() if store else (),
        reporter=reporter,
    )


def _timed_here(file: Path, manifest: Manifest) -> bool:
    """Say whether timing a file here tells of its target: a CPU's time is no GPU's or TPU's."""
    return profiles.target(manifest.target).accelerator == "cpu" or _accelerator(file, manifest) == "edgetpu"


def _why_untimed(name: str, manifest: Manifest) -> str:
    title = profiles.target(manifest.target).title
    return f"{name}: latency unknown: it is made for {title}, and none is attached here"


def _accelerator(file: Path, manifest: Manifest) -> str:
    if model_file(file).format == "tflite" and edgetpu.is_compiled(file):
        return "edgetpu"
    return "gpu" if profiles.target(manifest.target).accelerator == "gpu" else "cpu"


def _baseline(base: BaselineFile, found: Evaluation | None, latencies: Mapping[str, Latency]) -> Baseline:
    latency = latencies.get(base.case().name)
    return Baseline(
        engine=latency.engine if latency else base.engine.engine,
        accelerator=base.engine.accelerator,
        device=base.engine.device,
        metric=found.metric if found else None,
        value=found.value if found else None,
        latency_ms=latency_summary(latency) if latency else None,
        kind="measured",
        size_bytes=base.path.stat().st_size if base.path.is_file() else None,
        format=base.engine.format,
    )


def latency_summary(latency: Latency) -> LatencySummary:
    return LatencySummary(p50=latency.p50, p90=latency.p90, p99=latency.p99, samples=latency.samples)


def distinct(files: Sequence[Path]) -> Sequence[Path]:
    names = [file_name(file) for file in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"two files are called '{twice}'", hint="rename one: reports tell artifacts apart by name")
    return files


def file_name(file: Path) -> str:
    return file.name


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
