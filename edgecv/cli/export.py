"""The short way: from a float model to the file to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecv.cli import completion, panels, render_export
from edgecv.cli import options as opt
from edgecv.cli.assess import Plan
from edgecv.cli.compress import BudgetSeconds, MaxTrials
from edgecv.cli.console import ConsoleReporter, emit_json
from edgecv.cli.opening import AS_IT_IS, Opening, opens
from edgecv.cli.options import Model

ForTargets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        "-t",
        help="What to choose a file for; repeatable, the most important first; default: cpu.",
        autocompletion=completion.targets,
    ),
]
MaxDrop = Annotated[
    float,
    typer.Option(
        "--max-drop",
        help="Largest loss against the float model: percentage points, or the unit of an error.",
        rich_help_panel=panels.BUDGET,
    ),
]


@opens()
def export(
    model: Model,
    out: opt.Out,
    data: opt.OptionalData = None,
    max_drop: MaxDrop = 1.0,
    target: ForTargets = None,
    device: opt.Device = "local",
    plan: Plan = "quick",
    budget_seconds: BudgetSeconds = None,
    max_trials: MaxTrials = None,
    metadata: opt.Metadata = "auto",
    seed: opt.Seed = 0,
    web: Annotated[
        Path | None,
        typer.Option("--web", help="Also write a page that runs the first target's file in a browser: a folder."),
    ] = None,
    force: opt.Force = False,
    opening: Opening = AS_IT_IS,
    json_: opt.Json = False,
) -> None:
    """Take a float model to the file to ship for each target, with the reason: the short way.

    It finds out how the model wants its images, makes float32, float16 and int8 files (int8 by the quantisation ladder,
    on the validation split), judges them on the test split, times them beside the float model, and writes a report.
    A file is shipped when the whole interval of its loss is within --max-drop; else the float model is. A killed run
    goes on when started again.

    Example: `edgecv export lenet5.keras --data digits --out exported`
    """
    from edgecv.jobs import export as job

    source = opening.source(model)
    asked = job.ExportPlan(
        data=data, max_drop=max_drop, targets=tuple(target or ("cpu",)), device=device, bench=plan,
        budget_seconds=budget_seconds, max_trials=max_trials, metadata=metadata, seed=seed,
    )  # fmt: skip
    done = job.export(source, asked, out=out, web=web, force=force, reporter=ConsoleReporter())
    emit_json(done) if json_ else render_export.exported(done)
    job.require_winners(done)


def web(
    file: Annotated[Path, typer.Argument(help="A `.tflite` file.")],
    out: opt.Out,
    spec: opt.Spec = None,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Write a page that runs a file in the browser, with a picture or the camera, from any static host.

    Example: `edgecv web int8.tflite --out page`
    """
    from edgecv.jobs import web_page
    from edgecv.values.spec_file import read_spec

    made = web_page.write(file, out=out, spec=read_spec(spec) if spec else None, force=force)
    emit_json(made) if json_ else render_export.page(made)
