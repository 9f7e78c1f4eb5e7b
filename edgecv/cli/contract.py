"""The commands about contracts: finding one out, and checking those that were written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgecv.cli import options as opt
from edgecv.cli import verdicts
from edgecv.cli.console import emit, emit_json, emit_table
from edgecv.cli.opening import AS_IT_IS, Opening, opens
from edgecv.values.presets import PRESETS


@opens(without=("spec",))
def spec(
    model: Annotated[
        Path, typer.Argument(help="A `.keras` or `.h5` file, a SavedModel folder, a `.tflite` or an `.onnx`.")
    ],
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="Gives labels, and decides how images are scaled where the model does not."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where the TOML goes; default: stdout.")] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="A .png of what the model sees of eight images of --data.")
    ] = None,
    force: opt.Force = False,
    opening: Opening = AS_IT_IS,
    json_: opt.Json = False,
) -> None:
    """Write the contract of a model that edgecv did not write, as far as the model and labelled data tell it.

    `convert`, `quantize` and the others find out the same by themselves; write it down to change it.

    Example: `edgecv spec lenet5.keras --data digits --out lenet5.toml`
    """
    from edgecv.jobs import describe

    source = opening.source(model)
    found = describe.describe(source, uri=data, preset_name=opening.preset, out=out, sheet=picture, force=force)
    if json_:
        emit_json(found)
        return
    for one in found.known:
        typer.echo(f"known:   {one}", err=out is None)
    for one in found.guessed:
        typer.echo(f"guessed: {one}", err=out is None)
    _trials(found)
    if found.open:
        typer.echo(f"open:    how images are scaled; --preset {'|'.join(found.open)}", err=out is None)
    for head, settings in found.ask.items():
        for key, question in settings.items():
            typer.echo(f"asked:   {key} of '{head}': {question}", err=out is None)
    if out is None:
        emit(describe.toml_of(found).rstrip("\n"))
    else:
        typer.echo(f"wrote {out}")


def lint(
    files: Annotated[list[Path], typer.Argument(help="TOML files: contracts of models, and gates.")],
    skip_others: Annotated[
        bool, typer.Option("--skip-others", help="Leave TOML files that are something else alone.")
    ] = False,
    json_: opt.Json = False,
) -> None:
    """Read contracts and gates as strictly as the commands that use them, in a second and without the model.

    The hook for pre-commit runs it: see docs/ci.md.

    Example: `edgecv lint lenet5.toml`
    """
    from edgecv.jobs import lint as job

    found = job.lint(files, skip_others=skip_others)
    emit_json(found) if json_ else _linted(found)
    verdicts.require_passed(found)


def _linted(found: Any) -> None:
    for one in found.findings:
        emit(f"WRONG {one.message}")
        if one.hint:
            emit(f"  next: {one.hint}")
    right = len(found.read) - len(found.findings)
    others = f", {len(found.left)} left alone" if found.left else ""
    emit(f"{right} of {len(found.read)} right{others}")


def _trials(found: Any) -> None:
    if found.trials:
        rows = [(trial.preset, PRESETS[trial.preset], f"{trial.accuracy:.1%}") for trial in found.trials]
        emit_table(f"accuracy on {found.trials[0].n} images", ("preset", "pixels", "right"), rows, right=(2,))
