"""Commands about architectures, data sets and training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecv.cli import completion, panels
from edgecv.cli import options as opt
from edgecv.cli import render_models as render
from edgecv.cli.console import ConsoleReporter, emit_json
from edgecv.cli.opening import AS_IT_IS, Opening, opens

Variant = Annotated[
    str, typer.Option("--variant", help="canonical, or another one it has.", rich_help_panel=panels.NETWORK)
]
InputSize = Annotated[
    int | None, typer.Option("--input-size", min=1, help="Height and width.", rich_help_panel=panels.NETWORK)
]
Width = Annotated[
    float, typer.Option("--width", help="Multiplier of the channels, where it scales.", rich_help_panel=panels.NETWORK)
]


def zoo_list(json_: opt.Json = False) -> None:
    """List the architectures.

    Example: `edgecv zoo list`
    """
    from edgecv.jobs import zoo as catalogue

    entries = catalogue.entries()
    emit_json(entries) if json_ else render.zoo_entries(entries)


def zoo_show(
    name: Annotated[str, typer.Argument(help="An architecture id: `lenet5`.", autocompletion=completion.architectures)],
    variant: Variant = "canonical",
    input_size: InputSize = None,
    width: Width = 1.0,
    json_: opt.Json = False,
) -> None:
    """Show parameters, multiply-accumulates, memory, layers and target readiness of one architecture.

    Example: `edgecv zoo show lenet5 --json`
    """
    from edgecv.jobs import zoo as catalogue

    shown = catalogue.show(name, variant=variant, input_size=input_size, width=width)
    emit_json(shown) if json_ else render.zoo_entry(shown)


def zoo_build(
    name: Annotated[str, typer.Argument(help="An architecture id: `sobel`.", autocompletion=completion.architectures)],
    out: opt.Out,
    variant: Variant = "canonical",
    input_size: Annotated[
        str | None,
        typer.Option("--input-size", help="Height and width: 64 or 48x64.", rich_help_panel=panels.NETWORK),
    ] = None,
    width: Width = 1.0,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights", help="imagenet, or a file; of pattern_match a template.", rich_help_panel=panels.NETWORK
        ),
    ] = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Write an architecture as a `.keras` without training it: a filter of fixed weights, or random ones.

    Example: `edgecv zoo build sobel --input-size 64 --out sobel.keras`
    """
    from edgecv.jobs import build as building

    plan = building.BuildPlan(
        name=name, variant=variant, input_size=input_size, width=width, weights=weights, seed=seed
    )
    made = building.build(plan, out=out, force=force, reporter=ConsoleReporter())
    emit_json(made) if json_ else render.built_model(made)


def zoo_convert(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Architecture ids: `lenet5`.", autocompletion=completion.architectures),
    ],
    variant: Variant = "canonical",
    input_size: InputSize = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            help="A dask scheduler whose workers convert: tcp://scheduler:8786.",
            rich_help_panel=panels.RUNNING,
        ),
    ] = None,
    json_: opt.Json = False,
) -> None:
    """Convert architectures, with random weights, to every scheme and format, and show what each target takes of them.

    Example: `edgecv zoo convert lenet5`
    """
    from edgecv.jobs import conversions

    cells = conversions.check(
        names, variant=variant, input_size=input_size, cluster=cluster, reporter=ConsoleReporter()
    )
    emit_json(cells) if json_ else render.matrix(cells)
    if any(cell.error for cell in cells):
        raise typer.Exit(1)


def data_show(
    uri: Annotated[str, typer.Argument(help="An address: `digits`, `scenes`, `npz:PATH`, `voc:PATH`; docs/data.md.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A contact sheet to draw: samples with their truths, .png.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Of the contact sheet; default: train, or all.")] = None,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Show the splits, targets, sizes and duplicates of a data set, and draw samples of it.

    Example: `edgecv data show scenes --out scenes.png`
    """
    from edgecv.jobs import zoo as catalogue

    described = catalogue.dataset(uri, sheet=out, split=split, force=force)
    emit_json(described) if json_ else render.dataset(described)


@opens(without=("unsafe", "input_size", "signature"))
def train(
    out: opt.Out,
    name: Annotated[
        str | None,
        typer.Argument(help="An architecture id: see `edgecv zoo list`.", autocompletion=completion.architectures),
    ] = None,
    data: opt.Data = "digits",
    also: Annotated[
        str | None,
        typer.Option(
            "--also",
            help="Further identities to learn from, never judged on, for networks that compare: characters.",
            rich_help_panel=panels.TRAINING,
        ),
    ] = None,
    variant: Variant = "canonical",
    source: Annotated[
        Path | None,
        typer.Option("--from", help="A trained model that gets a new head, in place of a name: `.keras`, `.onnx`, …"),
    ] = None,
    input_size: InputSize = None,
    width: Width = 1.0,
    weights: Annotated[
        str | None,
        typer.Option("--weights", help="imagenet, or a file, to start from.", rich_help_panel=panels.NETWORK),
    ] = None,
    backbone: Annotated[
        Path | None,
        typer.Option(
            "--backbone", help="A trained `.keras` whose layers it starts from.", rich_help_panel=panels.NETWORK
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="A shipped recipe's name, or a TOML file.",
            rich_help_panel=panels.TRAINING,
            autocompletion=completion.recipes,
        ),
    ] = None,
    epochs: opt.Epochs = None,
    batch_size: opt.BatchSize = None,
    learning_rate: opt.LearningRate = None,
    teacher: Annotated[
        Path | None,
        typer.Option("--teacher", help="A trained `.keras` to learn from.", rich_help_panel=panels.TRAINING),
    ] = None,
    log_dir: Annotated[
        Path | None,
        typer.Option("--log-dir", help="Folder for a CSV table and TensorBoard.", rich_help_panel=panels.TRAINING),
    ] = None,
    opening: Opening = AS_IT_IS,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Train an architecture, or a new head on a trained model; a killed run goes on when started again.

    Example: `edgecv train lenet5 --data digits --out trained.keras`
    """
    from edgecv.jobs import train as training_job

    plan = training_job.TrainPlan(
        name=name, source=source, variant=variant, data=data, also=also, input_size=input_size, width=width,
        weights=weights, backbone=backbone, recipe=recipe, epochs=epochs, batch_size=batch_size,
        learning_rate=learning_rate, teacher=teacher, log_dir=log_dir, spec=opening.spec, preset=opening.preset,
        architecture=opening.architecture, custom_objects=opening.custom_objects, seed=seed,
    )  # fmt: skip
    saved = training_job.train(plan, out=out, force=force, reporter=ConsoleReporter())
    emit_json(saved) if json_ else render.saved_model(saved)


@opens()
def split(
    model: Annotated[Path, typer.Argument(help="A trained `.keras`, or a float `.onnx` or `.tflite`.")],
    at: Annotated[str, typer.Option("--at", help="The first layer of the head.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for backbone.keras and head.keras.")],
    opening: Opening = AS_IT_IS,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Split a model into a backbone that gives features and a head that takes them: one backbone, many heads.

    Example: `edgecv split lenet5.keras --at f6 --out parts`
    """
    from edgecv.jobs import split as splitting

    source = opening.source(model)
    parts = splitting.split(source, at=at, out=out, force=force, reporter=ConsoleReporter())
    emit_json(parts) if json_ else render.split_parts(parts)
