"""Commands that turn a model into a file for a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecv.cli import completion, panels
from edgecv.cli import options as opt
from edgecv.cli import render_compress as render
from edgecv.cli.console import ConsoleReporter, emit_json
from edgecv.cli.opening import AS_IT_IS, Opening, opens
from edgecv.cli.options import Model
from edgecv.core.errors import ConfigError

if TYPE_CHECKING:
    from edgecv.jobs.convert import Plan
    from edgecv.jobs.models import Source

FormatOption = Annotated[str | None, typer.Option("--format", help="tflite or onnx; default: by the name of --out.")]
IoType = Annotated[
    str | None,
    typer.Option(
        "--io",
        help="An int8 file's input and output: int8 (default; onnx: float32), uint8, or float32.",
        rich_help_panel=panels.QUANTISATION,
    ),
]
KeepFloat = Annotated[
    list[str] | None,
    typer.Option(
        "--keep-float",
        help="A layer that an int8 file computes in float32; * is a wildcard; repeatable. faster: the layers that "
        "this machine's CPU computes faster so, by measured time.",
        rich_help_panel=panels.QUANTISATION,
    ),
]
Int16 = Annotated[
    list[str] | None,
    typer.Option(
        "--int16",
        help="A layer that an int8 file computes with int16 activations; like --keep-float.",
        rich_help_panel=panels.QUANTISATION,
    ),
]
NO_LAYER = "none"
Int8 = Annotated[
    list[str] | None,
    typer.Option(
        "--int8",
        help="A layer whose weights keep 8 bits in an int4 file; like --keep-float; none: no layer (default: the "
        "depthwise and the smallest ones).",
        rich_help_panel=panels.QUANTISATION,
    ),
]
StrictInt8 = Annotated[
    bool,
    typer.Option(
        "--strict-int8",
        help="Refuse a file of integers in which an operator stays float; it is named.",
        rich_help_panel=panels.QUANTISATION,
    ),
]
ExactScale = Annotated[
    bool,
    typer.Option(
        "--exact-scale",
        help="Refuse an int8 file that rounds a weight; filters get exact weights anyway.",
        rich_help_panel=panels.QUANTISATION,
    ),
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop",
        help="Largest loss allowed, in percentage points: climb the quantisation ladder; with a scheme, method or step "
        "of your own: exit 1 beyond it (default: 10).",
        rich_help_panel=panels.BUDGET,
    ),
]
Softmax = Annotated[
    str,
    typer.Option(
        "--softmax",
        help="Where the last softmax or sigmoid is computed: file, or runtime: the file ends at its logits, which "
        "edgecv's runtime reads, without the ties that steps of 1/256 make.",
        rich_help_panel=panels.QUANTISATION,
    ),
]
Calibration = Annotated[
    str,
    typer.Option(
        "--calibration",
        help="A recipe of `calibration/`, or a TOML file.",
        rich_help_panel=panels.QUANTISATION,
        autocompletion=completion.calibrations,
    ),
]
SchemeOption = Annotated[
    str,
    typer.Option("--scheme", help="int8, int16x8, int4, dynamic or float16.", autocompletion=completion.schemes),
]
Method = Annotated[str, typer.Option("--method", help="ptq: calibrate; qat: train on with quantisation.")]
Equalise = Annotated[
    bool,
    typer.Option(
        "--equalise", help="Even out channel ranges between layers first.", rich_help_panel=panels.QUANTISATION
    ),
]
CorrectBias = Annotated[
    bool,
    typer.Option("--correct-bias", help="Take rounding out of the biases.", rich_help_panel=panels.QUANTISATION),
]
AdaRound = Annotated[
    bool,
    typer.Option("--adaround", help="Learn which way each weight rounds.", rich_help_panel=panels.QUANTISATION),
]
BudgetSeconds = Annotated[
    float | None,
    typer.Option(
        "--budget-seconds", help="With --max-drop: begin no step after so long.", rich_help_panel=panels.BUDGET
    ),
]
MaxTrials = Annotated[
    int | None, typer.Option("--max-trials", help="With --max-drop: steps at most.", rich_help_panel=panels.BUDGET)
]


@opens()
def quantize(
    model: Model,
    out: opt.Out,
    scheme: SchemeOption = "int8",
    method: Method = "ptq",
    data: opt.OptionalData = None,
    calibration: Calibration = "minmax",
    keep_float: KeepFloat = None,
    int16: Int16 = None,
    int8: Int8 = None,
    strict_int8: StrictInt8 = False,
    exact_scale: ExactScale = False,
    equalise: Equalise = False,
    correct_bias: CorrectBias = False,
    adaround: AdaRound = False,
    max_drop: MaxDrop = None,
    budget_seconds: BudgetSeconds = None,
    max_trials: MaxTrials = None,
    format_: FormatOption = None,
    target: opt.Targets = None,
    io: IoType = None,
    softmax: Softmax = "file",
    metadata: opt.Metadata = "auto",
    epochs: opt.Epochs = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    opening: Opening = AS_IT_IS,
    json_: opt.Json = False,
) -> None:
    """Quantise a float model into a checked TFLite or ONNX file.

    With --max-drop: step by step, from calibration to training on, until a file loses no more than that. Training on
    (--method qat) keeps the zeros, 2:4 blocks and clusters of a pruned or clustered model. Where the data has labels,
    every file is held against the float model on its validation split. Operators without an integer kernel stay in
    float: the command says which, and what they cost.

    Example: `edgecv quantize lenet5.keras --data digits --out int8.tflite`

    Example: `edgecv quantize lenet5.keras --max-drop 0.5 --out budget.tflite`

    Example: `edgecv quantize pruned.keras --method qat --out pruned-int8.tflite`
    """
    from edgecv.jobs import convert as artifacts

    source = opening.source(model)
    plan = artifacts.Plan(
        scheme=scheme, method=method, format=format_, **_targets(target), io_dtype=io, softmax=softmax, data=data,
        calibration=calibration, epochs=epochs, seed=seed, keep_float=tuple(keep_float or ()), int16=tuple(int16 or ()),
        int8=None if int8 is None else () if int8 == [NO_LAYER] else tuple(int8),
        equalise=equalise, correct_bias=correct_bias, adaround=adaround, strict_int8=strict_int8,
        exact_scale=exact_scale, metadata=metadata,
    )  # fmt: skip
    if max_drop is None or plan.names_a_way:
        for name, value in (("--budget-seconds", budget_seconds), ("--max-trials", max_trials)):
            if value is not None:
                raise ConfigError(f"{name} is of the ladder", hint="give --max-drop alone: it chooses the steps itself")
        return _make(source, plan, out, force=force, json_=json_, judge=True, max_drop=max_drop)
    limits = {"max_drop": max_drop, "budget_seconds": budget_seconds, "max_trials": max_trials}
    _climb(source, plan, limits, out, force=force, json_=json_)


@opens()
def compress(
    model: Model,
    out: opt.Out,
    recipe: Annotated[Path, typer.Option("--recipe", help="TOML of steps; docs/compress.md shows how.")],
    data: opt.OptionalData = None,
    seed: Annotated[int | None, typer.Option("--seed", help="In place of the recipe's.")] = None,
    force: opt.Force = False,
    opening: Opening = AS_IT_IS,
    json_: opt.Json = False,
) -> None:
    """Take a model through a recipe: slim, prune, quantize or convert, one after the other, each step judged.

    Example: `edgecv compress lenet5.keras --recipe half-int8.toml -o half.tflite`
    """
    from edgecv.jobs import compress as compression

    source = opening.source(model)
    done = compression.compress(source, recipe, out=out, data=data, seed=seed, force=force, reporter=ConsoleReporter())
    emit_json(done) if json_ else render.compressed(done)
    compression.require_passed(done)


@opens()
def convert(
    model: Model,
    out: opt.Out,
    format_: FormatOption = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            "--scheme",
            help="float32, float16, dynamic or int8; default: float32, or that of --arithmetic.",
            autocompletion=completion.schemes,
        ),
    ] = None,
    target: opt.Targets = None,
    data: opt.OptionalData = None,
    calibration: Calibration = "minmax",
    io: IoType = None,
    softmax: Softmax = "file",
    metadata: opt.Metadata = "auto",
    strict_int8: StrictInt8 = False,
    sparse: Annotated[
        bool,
        typer.Option("--sparse", help="Leave a pruned model's zeros out of a float32 .tflite; says what runs sparse."),
    ] = False,
    arithmetic: Annotated[
        str,
        typer.Option(
            "--arithmetic",
            help="float16: CPUs that have it (Raspberry Pi 5, phones since 2018) compute a float16 .tflite in float16.",
        ),
    ] = "float32",
    seed: opt.Seed = 0,
    force: opt.Force = False,
    opening: Opening = AS_IT_IS,
    json_: opt.Json = False,
) -> None:
    """Convert a keras model into a checked TFLite or ONNX file; a detector of two stages into a bundle, `.edgecv`.

    A .tflite that exists gets or loses TFLite Metadata by --metadata mediapipe or none, and nothing else changes.

    Example: `edgecv convert lenet5.keras --target cpu --out float32.tflite`

    Example: `edgecv convert lenet5.keras --metadata mediapipe --out android.tflite`

    Example: `edgecv convert pruned.keras --sparse --out sparse.tflite`

    Example: `edgecv convert lenet5.keras --arithmetic float16 --out float16.tflite`
    """
    from edgecv.jobs import convert as artifacts

    if model.suffix == ".tflite" and metadata != "auto":
        return _rewrite(model, metadata, out, spec=opening.spec, force=force, json_=json_)
    source = opening.source(model)
    plan = artifacts.Plan(
        scheme=scheme or ("float16" if arithmetic == "float16" else "float32"), method="ptq", format=format_,
        **_targets(target), io_dtype=io, softmax=softmax, data=data, calibration=calibration, epochs=None, seed=seed,
        sparse=sparse, strict_int8=strict_int8, metadata=metadata, arithmetic=arithmetic,
    )  # fmt: skip
    _make(source, plan, out, force=force, json_=json_)


def _rewrite(model: Path, metadata: str, out: Path, *, spec: Path | None, force: bool, json_: bool) -> None:
    from edgecv.jobs import mediapipe_metadata

    found = mediapipe_metadata.rewritten(model, metadata, out=out, spec=spec, force=force)
    emit_json(found) if json_ else render.rewritten(found)


def _targets(named: list[str] | None) -> dict[str, Any]:
    first, *others = named or ["cpu"]
    return {"target": first, "further_targets": tuple(others)}


def _make(
    source: Source,
    plan: Plan,
    out: Path,
    *,
    force: bool,
    json_: bool,
    judge: bool = False,
    max_drop: float | None = None,
) -> None:
    from edgecv.jobs import convert as artifacts
    from edgecv.jobs import loss

    made = artifacts.make(
        source, plan, out=out, force=force, judge=judge, max_drop=max_drop, reporter=ConsoleReporter()
    )
    emit_json(made) if json_ else render.artifact(made)
    loss.require_small(made.loss)


def _climb(source: Source, plan: Plan, limits: dict[str, Any], out: Path, *, force: bool, json_: bool) -> None:
    from edgecv.jobs import ladder

    request = ladder.LadderPlan(plan=plan, **limits)
    done = ladder.climb(source, request, out=out, force=force, reporter=ConsoleReporter())
    emit_json(done) if json_ else render.climb(done)
    ladder.require_passed(done)
