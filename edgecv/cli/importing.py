"""The command that takes networks from other tools' own formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecv.cli import options as opt
from edgecv.cli import render_models as render
from edgecv.cli.console import ConsoleReporter, emit_json


def import_(
    source: Annotated[
        Path, typer.Argument(help="What the network is made of: an `.onnx`, a float `.tflite`, or a Darknet `.cfg`.")
    ],
    out: opt.Out,
    weights: Annotated[
        Path | None, typer.Argument(help="Of a `.cfg`: its Darknet `.weights`; default: random ones.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Names of the classes, one per line: `coco.names`.")
    ] = None,
    spec: opt.Spec = None,
    preset: opt.Preset = None,
    input_size: opt.InputSize = None,
    allow_difference: Annotated[
        float,
        typer.Option(
            "--allow-difference", min=0.0, help="How far from the file's own answers, as a share of an output's range."
        ),
    ] = 1e-4,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Import a float `.onnx` of PyTorch and others, a float `.tflite`, or a network of Darknet; docs/importing.md.

    Keras models need no import: every command takes them.

    Example: `edgecv import tiny.cfg --out tiny.keras`
    """
    from edgecv.jobs.importing import Asked, import_file

    asked = Asked(
        source=source, weights=weights, labels=labels, spec=spec, preset=preset, input_size=input_size,
        allow_difference=allow_difference, seed=seed,
    )  # fmt: skip
    made = import_file(asked, out=out, force=force, reporter=ConsoleReporter())
    emit_json(made) if json_ else render.imported(made)
