"""The command that gives a model another input size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecv.cli import options as opt
from edgecv.cli import render_models as render
from edgecv.cli.console import ConsoleReporter, emit_json
from edgecv.cli.opening import AS_IT_IS, Opening, opens
from edgecv.cli.options import Model


@opens(without=("input_size",))
def reshape(
    model: Model,
    input_size: Annotated[str, typer.Option("--input-size", help="Height and width of the new input: 448 or 448x640.")],
    fully_convolutional: Annotated[
        bool, typer.Option("--fully-convolutional", help="Answer for every window of the size of before.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write; default: beside the model, named by its size.")
    ] = None,
    data: opt.OptionalData = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    opening: Opening = AS_IT_IS,
    json_: opt.Json = False,
) -> None:
    """Make a classifier fully convolutional, for larger images: one run answers for every window of them.

    Dense layers become convolutions, so that the result is a mask of classes at the distance of the network's strides.
    Where layers pad, answers differ from those for single windows: the command says where, and by how much.

    Example: `edgecv reshape lenet5.keras --fully-convolutional --input-size 96`
    """
    from edgecv.jobs import reshape as reshaping

    source = opening.source(model)
    plan = reshaping.ReshapePlan(fully_convolutional=fully_convolutional, input_size=input_size, data=data, seed=seed)
    made = reshaping.reshape(source, plan, out=out, force=force, reporter=ConsoleReporter())
    emit_json(made) if json_ else render.reshaped(made)
