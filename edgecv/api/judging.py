"""Functions that judge files: evaluate, verify, inspect, bench, report, check, debug, view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from edgecv.api.model import Model, ModelLike, load_model
from edgecv.api.showing import reporter
from edgecv.jobs import bench as benching
from edgecv.jobs import check as gates_job
from edgecv.jobs import debug as debugging
from edgecv.jobs import evaluate as evaluating
from edgecv.jobs import inspect as inspecting
from edgecv.jobs import report as reporting
from edgecv.jobs import verify as verification
from edgecv.jobs import view as viewing
from edgecv.jobs.check import Outcome
from edgecv.jobs.debug import Debugged
from edgecv.jobs.mediapipe_verify import MediapipeVerification, verify_as_mediapipe
from edgecv.jobs.report import MadeReport
from edgecv.jobs.verify import Verification
from edgecv.jobs.view import View
from edgecv.values.evaluation import Evaluation
from edgecv.values.inspection import Inspection
from edgecv.values.report import Report
from edgecv.values.run_options import DEFAULTS, RunOptions

Files = str | Path | Sequence[str | Path]


def evaluate(
    file: ModelLike,
    *,
    data: str | None = None,
    split: str = "test",
    settings: Mapping[str, Any] | None = None,
    device: str = "local",
    devices: str | Path | None = None,
    options: RunOptions = DEFAULTS,
    quiet: bool = False,
) -> Evaluation:
    """Measure accuracy with the same runtime code that ships to devices.

    Args:
        file: A `.tflite` or `.onnx` file, or a model as `load_model` takes it.
        data: A data set; None: what the model was trained on.
        split: Of it; a source without splits is judged whole.
        settings: How answers are read, in place of what the file says: {"iou": 0.6} of a detector.
        device: Where to run it; `devices` is a TOML file of devices.
        devices: None: $EDGECV_DEVICES, else edgecv-devices.toml if it is here.
        options: With what the file is run.
        quiet: Say nothing on stderr.

    Raises:
        EdgecvError: As `edgecv.jobs.evaluate.evaluate_file`.
    """
    source = load_model(file).source
    request = evaluating.EvaluationRequest(
        data=data, split=split, spec=source.spec, source=source, device=device, devices=_path(devices), options=options,
        settings=settings or {},
    )  # fmt: skip
    return evaluating.evaluate_file(source.path, request, reporter=reporter(quiet))


def verify(
    file: str | Path,
    *,
    spec: str | Path | None = None,
    device: str = "local",
    devices: str | Path | None = None,
    options: RunOptions = DEFAULTS,
    as_: Literal["mediapipe"] | None = None,
    data: str | None = None,
    quiet: bool = False,
) -> Verification | MediapipeVerification:
    """Replay the golden vectors stored in a file; `passed` says whether it answers as when it was made.

    Args:
        file: A `.tflite` or `.onnx`.
        spec: The contract of one of another tool, which holds no golden vectors: made-up images are asked about then.
        device: Where to run it; `devices` is a TOML file of devices.
        devices: As `evaluate`.
        options: With what the file is run.
        as_: "mediapipe" compares with MediaPipe Tasks instead, on this host.
        data: Images for that; None: what the model was trained on, else the file's golden inputs.
        quiet: Say nothing on stderr.

    Raises:
        EdgecvError: As `edgecv.jobs.verify.verify` and `edgecv.jobs.mediapipe_verify.verify_as_mediapipe`.
    """
    if as_ is not None:
        return verify_as_mediapipe(Path(file), spec=_path(spec), data=data, reporter=reporter(quiet))
    return verification.verify(
        Path(file), spec=_path(spec), options=options, device=device, devices=_path(devices), reporter=reporter(quiet)
    )


def inspect(file: str | Path, target: str = "cpu", *, data: str | None = None, quiet: bool = False) -> Inspection:
    """Say which operators a target runs, why not the others, and what would map more.

    Args:
        file: A `.tflite` or `.onnx`.
        target: A deployment target's name, or a TOML file.
        data: For GPUs: samples for the float16 audit; None takes the file's golden inputs.
        quiet: Say nothing on stderr.

    Raises:
        EdgecvError: As `edgecv.jobs.inspect.inspect_file`.
    """
    return inspecting.inspect_file(Path(file), target, data=data, reporter=reporter(quiet))


def bench(
    files: Files,
    *,
    baseline: str | Path | Model | None = None,
    device: str | Sequence[str] = "local",
    plan: str = "default",
    threads: int | Sequence[int] = 1,
    out: str | Path | None = None,
    quiet: bool = False,
    **options: Any,
) -> Report:
    """Measure latency, interleaved with the baseline, with intervals on the ratio.

    Args:
        files: `.tflite` and `.onnx` files.
        baseline: The float model; None gives absolute times only.
        device: Where to measure; several devices work at the same time.
        plan: "quick" (about 8 s a file), "default" or "thorough".
        threads: Of the interpreter; several make a sweep.
        out: File of raw results, from which a killed run goes on.
        quiet: Say nothing on stderr.
        options: Further fields of `edgecv.jobs.bench.BenchRequest`: engine, accelerator, mode, seconds, profile, …

    Returns:
        A report without accuracies; `failures` says what could not be measured.

    Raises:
        EdgecvError: As `edgecv.jobs.bench.bench_files`.
    """
    request = benching.BenchRequest(
        devices=(device,) if isinstance(device, str) else tuple(device),
        threads=(threads,) if isinstance(threads, int) else tuple(threads), plan=plan, **options,
    )  # fmt: skip
    base = None if baseline is None else load_model(baseline).source
    if base is not None:
        request = replace(request, spec=request.spec or base.spec)
    return benching.bench_files(
        _files(files), request, baseline=base.path if base else None, out=_path(out),
        reporter=reporter(quiet),
    )  # fmt: skip


def report(
    files: Files,
    *,
    baseline: str | Path | Model,
    out: str | Path,
    data: str | None = None,
    split: str = "test",
    targets: Sequence[str] = (),
    plan: str = "quick",
    seed: int = 0,
    force: bool = False,
    quiet: bool = False,
) -> MadeReport:
    """Evaluate, inspect and bench files, and write report.json, report.html and report.md.

    Args:
        files: `.tflite` and `.onnx` files.
        baseline: The float model.
        out: Folder to write to.
        data: A data set; None: what the model was trained on.
        split: Of it.
        targets: Deployment targets; none means all.
        plan: "quick" or "default": how long to measure.
        seed: Of every random choice.
        force: Replace what exists.
        quiet: Say nothing on stderr.

    Raises:
        EdgecvError: As `edgecv.jobs.report.report_files`.
    """
    base = load_model(baseline).source
    request = reporting.ReportRequest(
        data=data, split=split, targets=tuple(targets), plan=plan, seed=seed, spec=base.spec
    )
    return reporting.report_files(
        _files(files), request, baseline=base.path, out=Path(out), force=force, reporter=reporter(quiet)
    )


def check(gates: str | Path, *, junit: str | Path | None = None, markdown: str | Path | None = None) -> Outcome:
    """Compare a report with references; `passed` is false on a regression and on an unexplained gain.

    Args:
        gates: A TOML file of gates.
        junit: JUnit XML to write, for CI.
        markdown: A summary to write.

    Raises:
        EdgecvError: As `edgecv.jobs.check.run`.
    """
    return gates_job.run(Path(gates), junit=_path(junit), markdown=_path(markdown))


def view(
    model: ModelLike,
    image: str | Path,
    *,
    beside: str | Path | None = None,
    out: str | Path = "view.html",
    force: bool = False,
    quiet: bool = False,
    **options: Any,
) -> View:
    """Show what every layer answers to an image, in one page: maps, kernels, heat, and channels that may go.

    Args:
        model: A `.tflite` or `.onnx` file, or a model as `load_model` takes it.
        image: A picture.
        beside: A second form of the model, such as its int8 file, that is held against it.
        out: The page to write.
        force: Replace it.
        quiet: Say nothing on stderr.
        options: Further fields of `edgecv.jobs.view.ViewPlan`: layers, data, samples, alike, heat.

    Raises:
        EdgecvError: As `edgecv.jobs.view.view`.
    """
    source = load_model(model).source
    paths = [source.path, *([Path(beside)] if beside is not None else [])]
    plan = viewing.ViewPlan(source=source, **options)
    return viewing.view(paths, Path(image), plan, out=Path(out), force=force, reporter=reporter(quiet))


def debug(
    float_file: ModelLike,
    int8_file: str | Path | None = None,
    *,
    data: str | None = None,
    samples: int = 64,
    rank: bool = False,
    html: str | Path | None = None,
    quiet: bool = False,
    **options: Any,
) -> Debugged:
    """Show where an int8 file loses its accuracy: the noise of every layer, and with `rank` what each one costs.

    Args:
        float_file: The float32 `.tflite`; or a model as `load_model` takes it, which is quantised here.
        int8_file: The int8 `.tflite` of the same model; None for a model.
        data: A data set; None: what the model was trained on.
        samples: Of the validation split.
        rank: Also measure what each layer costs in the task's metric, and what helps.
        html: A page to write with the ranking; implies `rank`.
        quiet: Say nothing on stderr.
        options: calibration, top, force of `edgecv.jobs.debug.debug`.

    Raises:
        EdgecvError: As `edgecv.jobs.debug.debug`.
    """
    source = load_model(float_file).source
    return debugging.debug(
        source.path, _path(int8_file), data=data, samples=samples, rank=rank, html=_path(html), spec=source.spec,
        source=source, reporter=reporter(quiet), **options,
    )  # fmt: skip


def _files(files: Files) -> list[Path]:
    return [Path(files)] if isinstance(files, (str, Path)) else [Path(file) for file in files]


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)
