"""Options that several commands share, declared once so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecv.cli import completion, panels
from edgecv.values.run_options import RunOptions

Model = Annotated[
    Path, typer.Argument(help="A `.keras` or `.h5` file, a SavedModel folder, or a float `.onnx` or `.tflite`.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Where to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what exists.")]
All = Annotated[bool, typer.Option("--all", help="Show what is right too, not only what is wrong.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
Data = Annotated[
    str, typer.Option("--data", "-d", help="`digits`, `scenes`, `npz:PATH`, `folder:PATH`, …; see docs/data.md.")
]
OptionalData = Annotated[
    str | None, typer.Option("--data", "-d", help="As `edgecv data show` takes it; default: the training data.")
]
Split = Annotated[str, typer.Option("--split", help="train, validation or test; all of data that brings no splits.")]
Seed = Annotated[int, typer.Option("--seed", help="Of every random choice; the same seed gives the same file.")]
Epochs = Annotated[
    int | None, typer.Option("--epochs", min=1, help="Passes over the training data.", rich_help_panel=panels.TRAINING)
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", min=1, help="Images per step.", rich_help_panel=panels.TRAINING)
]
LearningRate = Annotated[
    float | None, typer.Option("--learning-rate", help="Of the first epoch.", rich_help_panel=panels.TRAINING)
]
Unsafe = Annotated[
    bool,
    typer.Option(
        "--unsafe", help="Load models with Lambda layers, which can run any code.", rich_help_panel=panels.FOREIGN
    ),
]
Spec = Annotated[
    Path | None,
    typer.Option(
        "--spec",
        help="TOML with the model's contract, for a model that edgecv did not write.",
        rich_help_panel=panels.FOREIGN,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="How a foreign model's images are scaled: raw, unit, imagenet-tf, imagenet-torch, imagenet-caffe.",
        rich_help_panel=panels.FOREIGN,
        autocompletion=completion.presets,
    ),
]
InputSize = Annotated[
    str | None,
    typer.Option(
        "--input-size",
        help="Height and width of an input that leaves them open: 224 or 224x320.",
        rich_help_panel=panels.FOREIGN,
    ),
]
Architecture = Annotated[
    str | None,
    typer.Option(
        "--architecture",
        help="The network of a file of weights: NAME[:classes=N,variant=V,…] of the zoo, or FILE.py:FUNCTION, which is "
        "run.",
        rich_help_panel=panels.FOREIGN,
    ),
]
CustomObjects = Annotated[
    Path | None,
    typer.Option(
        "--custom-objects",
        help="A Python file with the classes that the model names. It is run.",
        rich_help_panel=panels.FOREIGN,
    ),
]
Signature = Annotated[
    str | None,
    typer.Option(
        "--signature",
        help="The function that is meant of a SavedModel without layers: embed; default: serving_default, or the only "
        "one.",
        rich_help_panel=panels.FOREIGN,
    ),
]
Metadata = Annotated[
    str,
    typer.Option(
        "--metadata",
        help="TFLite Metadata, by which MediaPipe reads a .tflite: auto, where it takes the file as it is; mediapipe: "
        "make one that it takes; none. Example: --metadata mediapipe",
    ),
]
Target = Annotated[
    str,
    typer.Option(
        "--target", "-t", help="A deployment target: see `edgecv targets`.", autocompletion=completion.targets
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        "-t",
        help="What the file must run on: see `edgecv targets`; repeatable, the most important first.",
        autocompletion=completion.targets,
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="litert, tflite-runtime or onnxruntime; default: what is installed.",
        rich_help_panel=panels.RUNNING,
    ),
]
Accelerator = Annotated[str, typer.Option("--accelerator", help="cpu, gpu or edgetpu.", rich_help_panel=panels.RUNNING)]
BaselineEngine = Annotated[
    str,
    typer.Option(
        "--baseline-engine",
        help="auto (the first that can use a GPU, else the CPU), onnxruntime, tensorflow or litert.",
        rich_help_panel=panels.MEASURING,
    ),
]
AllowPartial = Annotated[
    bool,
    typer.Option(
        "--allow-partial",
        help="On a GPU, run operators that it refuses on the CPU, and say so.",
        rich_help_panel=panels.RUNNING,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="On a GPU, float16 or float32; default: float16 where the adapter computes it.",
        rich_help_panel=panels.RUNNING,
    ),
]
ProgramCache = Annotated[
    Path | None,
    typer.Option(
        "--program-cache",
        help="On a GPU, folder that keeps compiled programs for next time.",
        rich_help_panel=panels.RUNNING,
    ),
]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Interpreter threads.", rich_help_panel=panels.RUNNING)]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        help="Where to run it: see `edgecv device list`.",
        rich_help_panel=panels.RUNNING,
        autocompletion=completion.devices,
    ),
]
Devices = Annotated[
    Path | None,
    typer.Option(
        "--device-file",
        help="TOML file of devices; default: $EDGECV_DEVICES, else edgecv-devices.toml if it is here.",
        rich_help_panel=panels.RUNNING,
    ),
]


Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="How answers are told, in place of what the file says: score=0.4, iou=0.6; repeatable. HEAD.KEY=VALUE for "
        "another head than the first.",
    ),
]


def run_options(
    engine: str | None,
    accelerator: str,
    precision: str | None,
    allow_partial: bool,
    program_cache: Path | None = None,
) -> RunOptions:
    """Return what a command's options say of running a file."""
    return RunOptions(
        engine=engine,
        accelerator=accelerator,
        strict=not allow_partial,
        precision=precision,
        program_cache=str(program_cache) if program_cache else None,
    )
