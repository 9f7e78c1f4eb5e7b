"""Commands about one artifact: what a target does with it, does it still answer as it did, what does it say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecv.cli import options as opt
from edgecv.cli import render
from edgecv.cli.console import ConsoleReporter, emit_json

File = Annotated[Path, typer.Argument(help="A `.tflite` or `.onnx` file.")]


def targets(json_: opt.Json = False) -> None:
    """List the deployment targets.

    Example: `edgecv targets`
    """
    from edgecv.pipeline import catalogue

    listed = catalogue.targets()
    emit_json(listed) if json_ else render.targets(listed)


def inspect(
    file: File,
    target: opt.Target = "cpu",
    min_mapped: Annotated[
        float | None, typer.Option("--min-mapped", min=0, max=1, help="Exit 1 when a smaller share of ops maps.")
    ] = None,
    json_: opt.Json = False,
) -> None:
    """Show which operators a target runs, and why not the others.

    Example: `edgecv inspect lenet5-int8.tflite --target edgetpu --json`
    """
    from edgecv.targets import inspect as inspect_file

    inspection = inspect_file(file, target, reporter=ConsoleReporter())
    emit_json(inspection) if json_ else render.inspection(inspection)
    render.require_mapped(inspection, min_mapped)


def verify(
    file: File,
    device: opt.Device = "local",
    devices: opt.Devices = None,
    engine: opt.Engine = None,
    accelerator: opt.Accelerator = "cpu",
    json_: opt.Json = False,
) -> None:
    """Replay the golden vectors stored in a file; exit 1 when it answers differently from when it was made.

    Example: `edgecv verify lenet5-int8.tflite --device arm64`
    """
    from edgecv.pipeline import assess

    result = assess.verify(file, device=device, devices=devices, engine=engine, accelerator=accelerator)
    emit_json(result) if json_ else render.golden(result)
    render.require_passed(result)


def run(
    file: File,
    image: Annotated[Path, typer.Argument(help="An image file.")],
    top: Annotated[int, typer.Option("--top", min=1, help="Labels to show.")] = 5,
    spec: opt.Spec = None,
    engine: opt.Engine = None,
    accelerator: opt.Accelerator = "cpu",
    json_: opt.Json = False,
) -> None:
    """Classify one image with the on-device runtime.

    Example: `edgecv run lenet5-int8.tflite seven.png --json`
    """
    from edgecv.pipeline import assess

    answer = assess.run(file, image, top=top, spec=spec, engine=engine, accelerator=accelerator)
    emit_json(answer) if json_ else render.answer(answer)
