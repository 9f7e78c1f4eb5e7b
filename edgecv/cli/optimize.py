"""The command that searches for the file to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecv.cli import completion, panels, quantities
from edgecv.cli import options as opt
from edgecv.cli import render_optimize as render
from edgecv.cli.console import ConsoleReporter, emit_json
from edgecv.cli.opening import AS_IT_IS, Opening, opens
from edgecv.cli.options import Model

MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop", help="Largest loss allowed, in percentage points: the whole interval has to be within.",
        rich_help_panel=panels.BUDGET,
    ),
]  # fmt: skip
Space = Annotated[
    Path | None,
    typer.Option(
        "--space", help="TOML of what to try; default: from the model and the target.", rich_help_panel=panels.SEARCH
    ),
]
Goal = Annotated[
    str | None,
    typer.Option(
        "--objective",
        help="fastest (default with --max-drop), smallest, accurate (default with --latency or --bytes) or front.",
        rich_help_panel=panels.BUDGET,
    ),
]
Latency = Annotated[
    str | None,
    typer.Option("--latency", help="Longest time on the device: 10ms.", rich_help_panel=panels.BUDGET),
]
Bytes = Annotated[int | None, typer.Option("--bytes", help="Largest file.", rich_help_panel=panels.BUDGET)]
Trials = Annotated[
    int | None,
    typer.Option("--trials", help="Accuracies to look at, at most, earlier runs' included.",
                 rich_help_panel=panels.SEARCH),
]  # fmt: skip
Time = Annotated[
    str | None,
    typer.Option("--time", help="Begin nothing more after so long: 30m, earlier runs included.",
                 rich_help_panel=panels.SEARCH),
]  # fmt: skip
Thorough = Annotated[
    bool,
    typer.Option("--thorough", help="Look at all that the limits do not rule out.", rich_help_panel=panels.SEARCH),
]
Samples = Annotated[
    int | None,
    typer.Option("--samples", help="Validation samples that judge, at most; default: all.",
                 rich_help_panel=panels.SEARCH),
]  # fmt: skip
Sampler = Annotated[
    str,
    typer.Option("--sampler", help="latency: our own; tpe or nsga2: Optuna's.", rich_help_panel=panels.SEARCH),
]
Storage = Annotated[
    str | None,
    typer.Option("--storage", help="Of an Optuna study of all trials: a file, or sqlite:///study.db.",
                 rich_help_panel=panels.SEARCH),
]  # fmt: skip
Cluster = Annotated[
    str | None,
    typer.Option("--cluster", help="A dask scheduler that runs the trials: tcp://scheduler:8786.",
                 rich_help_panel=panels.SEARCH),
]  # fmt: skip
TimedOn = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        help="Where files are timed: see `edgecv device list`; repeatable: one file for all, by the device that gains "
        "least (default: local).",
        rich_help_panel=panels.RUNNING,
        autocompletion=completion.devices,
    ),
]
OneEach = Annotated[
    bool,
    typer.Option("--one-each", help="Of several devices: a file for each.", rich_help_panel=panels.RUNNING),
]
DeviceTime = Annotated[
    str | None,
    typer.Option("--device-time", help="Time nothing more after so long on the devices: 10m.",
                 rich_help_panel=panels.SEARCH),
]  # fmt: skip
Serve = Annotated[
    int | None,
    typer.Option("--serve", help="Show the page while it searches, at this port of the loopback; 0: any.",
                 rich_help_panel=panels.SEARCH),
]  # fmt: skip


@opens()
def optimize(
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the winner, its recipe, the report and trials.")],
    data: opt.OptionalData = None,
    max_drop: MaxDrop = None,
    goal: Goal = None,
    latency: Latency = None,
    nbytes: Bytes = None,
    space: Space = None,
    trials: Trials = None,
    time: Time = None,
    device_time: DeviceTime = None,
    samples: Samples = None,
    thorough: Thorough = False,
    sampler: Sampler = "latency",
    storage: Storage = None,
    cluster: Cluster = None,
    serve: Serve = None,
    target: opt.Target = "cpu",
    device: TimedOn = None,
    one_each: OneEach = False,
    devices: opt.Devices = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    opening: Opening = AS_IT_IS,
    json_: opt.Json = False,
) -> None:
    """Search for the file to ship: slimming, quantisation and training together, with measured time in the loop.

    Every candidate's shape is timed untrained, beside the float file; accuracy is spent only where it decides. The
    winner is chosen on the validation split and judged once on the test split. It comes with the recipe that `edgecv
    compress` makes the same bytes by. A run that is killed, or interrupted by Ctrl-C, goes on by the same command.

    Example: `edgecv optimize lenet5.keras --max-drop 3 --trials 4 --out optimized`
    """
    from edgecv.jobs.optimize import job, verdict

    source = opening.source(model)
    first, *further = device or ["local"]
    plan = job.OptimizePlan(
        data=data, space=space, goal=goal, max_drop=max_drop, latency_ms=quantities.milliseconds(latency),
        size_bytes=nbytes, trials=trials, seconds=quantities.seconds(time),
        device_seconds=quantities.seconds(device_time), target=target, device=first, further_devices=tuple(further),
        devices=devices, samples=samples, thorough=thorough, sampler=sampler, storage=storage, cluster=cluster,
        serve=serve, seed=seed,
    )  # fmt: skip
    if one_each:
        all_done = job.optimize_each(source, plan, out=out, force=force, reporter=ConsoleReporter())
        emit_json(all_done) if json_ else render.outcomes(all_done)
        found = list(all_done.outcomes.values())
    else:
        done = job.optimize(source, plan, out=out, force=force, reporter=ConsoleReporter())
        emit_json(done) if json_ else render.outcome(done)
        found = [done]
    if any(done.stopped == "interrupted" for done in found):
        raise KeyboardInterrupt
    for done in found:
        verdict.require_passed(done)
