"""Commands about architectures, data sets and training."""

from __future__ import annotations

from typing import Annotated

import typer

from edgecv.cli import options as opt
from edgecv.cli import render
from edgecv.cli.console import ConsoleReporter, emit_json


def zoo_list(json_: opt.Json = False) -> None:
    """List the architectures.

    Example: `edgecv zoo list`
    """
    from edgecv.pipeline import catalogue

    entries = catalogue.entries()
    emit_json(entries) if json_ else render.zoo_entries(entries)


def zoo_show(
    name: Annotated[str, typer.Argument(help="An architecture id: `lenet5`.")],
    variant: Annotated[str, typer.Option("--variant", help="canonical, or another one it has.")] = "canonical",
    json_: opt.Json = False,
) -> None:
    """Show parameters, multiply-accumulates, memory and layers of one architecture.

    Example: `edgecv zoo show lenet5 --json`
    """
    from edgecv.pipeline import catalogue

    shown = catalogue.show(name, variant=variant)
    emit_json(shown) if json_ else render.zoo_entry(shown)


def data_show(
    uri: Annotated[str, typer.Argument(help="`digits`, `npz:PATH`, `folder:PATH`, `keras:NAME` or `tfds:NAME`.")],
    json_: opt.Json = False,
) -> None:
    """Show the splits, balance, sizes and duplicates of a data set.

    Example: `edgecv data show digits`
    """
    from edgecv.pipeline import catalogue

    described = catalogue.dataset(uri)
    emit_json(described) if json_ else render.dataset(described)


def train(
    name: Annotated[str, typer.Argument(help="An architecture id: see `edgecv zoo list`.")],
    out: opt.Out,
    data: opt.Data = "digits",
    variant: Annotated[str, typer.Option("--variant", help="canonical, or another one it has.")] = "canonical",
    epochs: opt.Epochs = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Train an architecture; a killed run goes on from its last finished epoch when started again.

    Example: `edgecv train lenet5 --data digits --out lenet5.keras`
    """
    from edgecv.pipeline import models

    plan = models.TrainPlan(name=name, variant=variant, data=data, epochs=epochs, seed=seed)
    saved = models.train(plan, out=out, force=force, reporter=ConsoleReporter())
    emit_json(saved) if json_ else render.saved_model(saved)
