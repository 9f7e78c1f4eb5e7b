"""The command that shows what a model sees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecv.cli import options as opt
from edgecv.cli import render_view as render
from edgecv.cli.console import ConsoleReporter, emit_json
from edgecv.cli.opening import AS_IT_IS, Opening, opens

Inputs = Annotated[
    list[Path],
    typer.Argument(metavar="MODEL [SECOND] IMAGE", help="A model, a second form of it if you like, a picture."),
]


@opens()
def view(
    inputs: Inputs,
    out: opt.Out = Path("view.html"),
    layer: Annotated[
        list[str] | None, typer.Option("--layer", help="Layers that get pictures; * is a wildcard; repeatable.")
    ] = None,
    data: opt.OptionalData = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Of the data, to judge channels and noise on.")] = 64,
    alike: Annotated[float, typer.Option("--alike", help="Correlation from which a map is a duplicate.")] = 0.98,
    heat: Annotated[bool, typer.Option("--heat/--no-heat", help="Show where in the image the answer is from.")] = True,
    force: opt.Force = False,
    opening: Opening = AS_IT_IS,
    json_: opt.Json = False,
) -> None:
    """Show what every layer answers to an image, in one page: maps, kernels, heat, and channels that may go.

    With a second form of the model, such as its int8 file, side by side with what differs.

    Example: `edgecv view lenet5.keras int8.tflite sample.png --out view.html`
    """
    from edgecv.jobs import view as viewing

    source = opening.source(inputs[0])
    plan = viewing.ViewPlan(
        layers=tuple(layer or ()), data=data, samples=samples, alike=alike, heat=heat, source=source
    )
    found = viewing.view(inputs[:-1], inputs[-1], plan, out=out, force=force, reporter=ConsoleReporter())
    emit_json(found) if json_ else render.viewed(found)
