"""Commands that make a model smaller and turn it into a file for a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecv.cli import options as opt
from edgecv.cli import render
from edgecv.cli.console import ConsoleReporter, emit_json

if TYPE_CHECKING:
    from edgecv.pipeline.artifacts import Plan

Model = Annotated[Path, typer.Argument(help="A `.keras` or `.h5` file, or a SavedModel folder.")]
FormatOption = Annotated[str | None, typer.Option("--format", help="tflite or onnx; default: by the name of --out.")]
IoType = Annotated[
    str | None,
    typer.Option("--io", help="An int8 file's input and output: int8 (default; onnx: float32), uint8, or float32."),
]
KeepFloat = Annotated[
    list[str] | None,
    typer.Option("--keep-float", help="A layer that an int8 file computes in float32; * is a wildcard; repeatable."),
]
MaxDrop = Annotated[
    float | None,
    typer.Option("--max-drop", help="Climb the quantisation ladder: largest loss allowed, in percentage points."),
]
Calibration = Annotated[str, typer.Option("--calibration", help="A recipe of `calibration/`, or a TOML file.")]


def prune(
    model: Model,
    out: opt.Out,
    sparsity: Annotated[float, typer.Option("--sparsity", help="Share of zero weights to reach, between 0 and 1.")],
    data: opt.OptionalData = None,
    epochs: opt.Epochs = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    unsafe: opt.Unsafe = False,
    spec: opt.Spec = None,
    json_: opt.Json = False,
) -> None:
    """Prune weights by magnitude while training on.

    Example: `edgecv prune lenet5.keras --sparsity 0.5 --out lenet5-pruned.keras`
    """
    from edgecv.pipeline import models

    source = models.Source(path=model, unsafe=unsafe, spec=spec)
    plan = models.PrunePlan(sparsity=sparsity, data=data, epochs=epochs, seed=seed)
    saved = models.prune(source, plan, out=out, force=force, reporter=ConsoleReporter())
    emit_json(saved) if json_ else render.saved_model(saved)


def quantize(
    model: Model,
    out: opt.Out,
    scheme: Annotated[str, typer.Option("--scheme", help="int8, int16x8, int4, dynamic or float16.")] = "int8",
    method: Annotated[str, typer.Option("--method", help="ptq: calibrate; qat: train on with quantisation.")] = "ptq",
    data: opt.OptionalData = None,
    calibration: Calibration = "minmax",
    keep_float: KeepFloat = None,
    equalise: Annotated[bool, typer.Option("--equalise", help="Even out channel ranges between layers first.")] = False,
    correct_bias: Annotated[bool, typer.Option("--correct-bias", help="Take rounding out of the biases.")] = False,
    adaround: Annotated[bool, typer.Option("--adaround", help="Learn which way each weight rounds.")] = False,
    max_drop: MaxDrop = None,
    budget_seconds: Annotated[
        float | None, typer.Option("--budget-seconds", help="With --max-drop: begin no step after so long.")
    ] = None,
    max_trials: Annotated[int | None, typer.Option("--max-trials", help="With --max-drop: steps at most.")] = None,
    format_: FormatOption = None,
    target: opt.Target = "cpu",
    io: IoType = None,
    epochs: opt.Epochs = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    unsafe: opt.Unsafe = False,
    spec: opt.Spec = None,
    json_: opt.Json = False,
) -> None:
    """Quantise a float model into a checked TFLite or ONNX file.

    With --max-drop: step by step, from calibration to training on, until a file loses no more than that.

    Example: `edgecv quantize lenet5.keras --scheme int8 --method ptq --data digits --out lenet5-int8.tflite`

    Example: `edgecv quantize lenet5.keras --max-drop 0.5 --data digits --out lenet5-int8.tflite`
    """
    from edgecv.pipeline import artifacts

    plan = artifacts.Plan(
        scheme=scheme, method=method, format=format_, target=target, io_dtype=io, data=data, calibration=calibration,
        epochs=epochs, seed=seed, keep_float=tuple(keep_float or ()), equalise=equalise, correct_bias=correct_bias,
        adaround=adaround,
    )  # fmt: skip
    if max_drop is None:
        return _make(model, plan, out, unsafe=unsafe, spec=spec, force=force, json_=json_)
    limits = {"max_drop": max_drop, "budget_seconds": budget_seconds, "max_trials": max_trials}
    _climb(model, plan, limits, out, unsafe=unsafe, spec=spec, force=force, json_=json_)


def convert(
    model: Model,
    out: opt.Out,
    format_: FormatOption = None,
    scheme: Annotated[str, typer.Option("--scheme", help="float32, float16, dynamic or int8.")] = "float32",
    target: opt.Target = "cpu",
    data: opt.OptionalData = None,
    calibration: Calibration = "minmax",
    io: IoType = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    unsafe: opt.Unsafe = False,
    spec: opt.Spec = None,
    json_: opt.Json = False,
) -> None:
    """Convert a keras model into a checked TFLite or ONNX file.

    Example: `edgecv convert lenet5.keras --format tflite --scheme float32 --target cpu --out lenet5.tflite`
    """
    from edgecv.pipeline import artifacts

    plan = artifacts.Plan(
        scheme=scheme, method="ptq", format=format_, target=target, io_dtype=io, data=data,
        calibration=calibration, epochs=None, seed=seed,
    )  # fmt: skip
    _make(model, plan, out, unsafe=unsafe, spec=spec, force=force, json_=json_)


def _make(model: Path, plan: Plan, out: Path, *, unsafe: bool, spec: Path | None, force: bool, json_: bool) -> None:
    from edgecv.pipeline import artifacts, models

    source = models.Source(path=model, unsafe=unsafe, spec=spec)
    made = artifacts.make(source, plan, out=out, force=force, reporter=ConsoleReporter())
    emit_json(made) if json_ else render.artifact(made)


def _climb(
    model: Path,
    plan: Plan,
    limits: dict[str, Any],
    out: Path,
    *,
    unsafe: bool,
    spec: Path | None,
    force: bool,
    json_: bool,
) -> None:
    from edgecv.pipeline import ladder, models

    source = models.Source(path=model, unsafe=unsafe, spec=spec)
    request = ladder.LadderPlan(plan=plan, **limits)
    done = ladder.climb(source, request, out=out, force=force, reporter=ConsoleReporter())
    emit_json(done) if json_ else render.climb(done)
    ladder.require_passed(done)
