"""The command that takes networks from other tools' own formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecv.cli import options as opt
from edgecv.cli import render_models as render
from edgecv.cli.console import ConsoleReporter, emit_json


def import_(
    source: Annotated[Path, typer.Argument(help="What the network is made of: a Darknet `.cfg`.")],
    out: opt.Out,
    weights: Annotated[
        Path | None, typer.Argument(help="Its weights: a Darknet `.weights`; default: random ones.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Names of the classes, one per line: `coco.names`.")
    ] = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Import a network of Darknet: YOLO v1 to v4, Darknet-19, Darknet-53 and others; docs/importing.md.

    Keras models need no import: every command takes them.

    Example: `edgecv import tiny.cfg --out tiny.keras`
    """
    from edgecv.jobs.importing import import_file

    made = import_file(source, weights, out=out, labels=labels, seed=seed, force=force, reporter=ConsoleReporter())
    emit_json(made) if json_ else render.imported(made)
