"""Commands that make a model smaller: weights that are zero, and channels that go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecv.cli import options as opt
from edgecv.cli import panels, render_models
from edgecv.cli import render_compress as render
from edgecv.cli.console import ConsoleReporter, emit_json
from edgecv.cli.opening import AS_IT_IS, Opening, opens
from edgecv.cli.options import Model


@opens()
def prune(
    model: Model,
    out: opt.Out,
    sparsity: Annotated[
        float | None, typer.Option("--sparsity", help="Share of zero weights to reach, between 0 and 1.")
    ] = None,
    pattern: Annotated[
        str | None, typer.Option("--pattern", help="2:4 makes two of each four input channels zero.")
    ] = None,
    clusters: Annotated[
        int | None, typer.Option("--clusters", help="Give each kernel so many values; its zeros stay.")
    ] = None,
    data: opt.OptionalData = None,
    epochs: opt.Epochs = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    opening: Opening = AS_IT_IS,
    json_: opt.Json = False,
) -> None:
    """Make weights zero, or few different values, while training on: files that compress.

    It says whether zeros make the network faster: on Arm, by XNNPACK's sparse kernels, if their conditions hold.
    `edgecv slim` takes whole channels out instead, which is faster everywhere.

    Example: `edgecv prune lenet5.keras --sparsity 0.5 --out pruned.keras`
    """
    from edgecv.jobs import prune as pruning

    source = opening.source(model)
    plan = pruning.PrunePlan(sparsity=sparsity, pattern=pattern, clusters=clusters, data=data, epochs=epochs, seed=seed)
    saved = pruning.prune(source, plan, out=out, force=force, reporter=ConsoleReporter())
    emit_json(saved) if json_ else render_models.saved_model(saved)


@opens()
def slim(
    model: Model,
    out: opt.Out,
    macs: Annotated[
        float | None,
        typer.Option("--macs", help="Share of the multiply-accumulates to leave.", rich_help_panel=panels.REMOVAL),
    ] = None,
    nbytes: Annotated[
        float | None,
        typer.Option("--bytes", help="Share of the weights' bytes to leave.", rich_help_panel=panels.REMOVAL),
    ] = None,
    latency: Annotated[
        float | None,
        typer.Option("--latency", help="Share of the measured time to leave.", rich_help_panel=panels.REMOVAL),
    ] = None,
    channels: Annotated[
        list[str] | None,
        typer.Option(
            "--channels",
            metavar="LAYER=3,7",
            help="Take these out, as `edgecv view` names them; repeatable.",
            rich_help_panel=panels.REMOVAL,
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", help="A channel plan to follow, without training.", rich_help_panel=panels.REMOVAL),
    ] = None,
    low_rank: Annotated[
        float | None,
        typer.Option(
            "--low-rank", help="Factor large dense layers; share of the energy to keep.", rich_help_panel=panels.REMOVAL
        ),
    ] = None,
    drop_units: Annotated[
        int | None,
        typer.Option("--drop-units", help="Number of residual units to drop.", rich_help_panel=panels.REMOVAL),
    ] = None,
    score: Annotated[
        str, typer.Option("--score", help="taylor, similarity, l1, bn or fpgm.", rich_help_panel=panels.SLIMMING)
    ] = "taylor",
    rounds: Annotated[
        int,
        typer.Option("--rounds", help="Rounds of removing channels and training on.", rich_help_panel=panels.SLIMMING),
    ] = 3,
    multiple: Annotated[
        int, typer.Option("--multiple", help="Leave a multiple of so many channels.", rich_help_panel=panels.SLIMMING)
    ] = 1,
    min_share: Annotated[
        float,
        typer.Option(
            "--min-share", help="Share of its channels that each layer keeps.", rich_help_panel=panels.SLIMMING
        ),
    ] = 0.1,
    samples: Annotated[
        int, typer.Option("--samples", help="Training images that scores look at.", rich_help_panel=panels.SLIMMING)
    ] = 512,
    data: opt.OptionalData = None,
    epochs: opt.Epochs = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="At the start of a round.", rich_help_panel=panels.TRAINING)
    ] = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    opening: Opening = AS_IT_IS,
    json_: opt.Json = False,
) -> None:
    """Take channels, ranks or whole units out of a model while training on: what is left is dense and faster.

    `edgecv prune` keeps the network's shape and makes single weights zero instead.

    Example: `edgecv slim lenet5.keras --macs 0.5 --rounds 2 --out slim.keras`
    """
    from edgecv.jobs import slim as slimming

    asked = slimming.SlimPlan(
        macs=macs, nbytes=nbytes, latency=latency, channels=tuple(channels or ()), plan=plan,
        low_rank=low_rank, drop_units=drop_units, score=score,
        rounds=rounds, multiple=multiple, min_share=min_share, samples=samples, data=data, epochs=epochs,
        learning_rate=learning_rate, seed=seed,
    )  # fmt: skip
    source = opening.source(model)
    made = slimming.slim(source, asked, out=out, force=force, reporter=ConsoleReporter())
    emit_json(made) if json_ else render.slimmed(made)
