"""The Typer application: every command registered explicitly, in the order of the flow."""

from __future__ import annotations

import typer

from edgecv.cli import (
    assess,
    bench,
    compress,
    contract,
    devices,
    export,
    files,
    gallery,
    importing,
    models,
    optimize,
    reshape,
    smaller,
    style,
    view,
)
from edgecv.cli.announced import Announced

EXIT_CODES = (
    "Exit codes: 0 done; 1 a gate or a check failed; 2 the request or the environment is wrong; 3 a device failed; "
    "130 interrupted by Ctrl-C (every finished file is whole)."
)
app = typer.Typer(
    name="edgecv",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From a float vision CNN to the fastest file that meets an accuracy budget on its device, with proof.\n\n"
    "Start with `edgecv demo --out demo`. Every command takes `--help`; `--debug` shows tracebacks, and what the "
    "libraries say.",
    epilog=EXIT_CODES,
)


def _version(value: bool) -> None:
    if value:
        from edgecv import __version__

        typer.echo(f"edgecv {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    return


app.command("demo", cls=Announced)(assess.demo)
zoo = typer.Typer(no_args_is_help=True, help="The architectures that edgecv builds.")
zoo.command("list")(models.zoo_list)
zoo.command("show")(models.zoo_show)
zoo.command("build", cls=Announced)(models.zoo_build)
zoo.command("convert", cls=Announced)(models.zoo_convert)
# The names of before, which scripts go on using.
zoo.command("check", cls=Announced, hidden=True)(models.zoo_convert)
app.add_typer(zoo, name="zoo")
data = typer.Typer(
    no_args_is_help=True, help="Data sets: `digits`, `npz:PATH`, `folder:PATH`, `keras:NAME`, `tfds:NAME`."
)
data.command("show", cls=Announced)(models.data_show)
app.add_typer(data, name="data")
app.command("spec", cls=Announced)(contract.spec)
app.command("lint")(contract.lint)
app.command("import", cls=Announced)(importing.import_)
app.command("train", cls=Announced)(models.train)
app.command("split", cls=Announced)(models.split)
app.command("export", cls=Announced)(export.export)
app.command("prune", cls=Announced)(smaller.prune)
app.command("slim", cls=Announced)(smaller.slim)
app.command("reshape", cls=Announced)(reshape.reshape)
app.command("quantize", cls=Announced)(compress.quantize)
app.command("convert", cls=Announced)(compress.convert)
app.command("compress", cls=Announced)(compress.compress)
app.command("optimize", cls=Announced)(optimize.optimize)
app.command("inspect", cls=Announced)(files.inspect)
app.command("evaluate", cls=Announced)(assess.evaluate)
app.command("debug", cls=Announced)(assess.debug)
app.command("view", cls=Announced)(view.view)
timing = typer.Typer(cls=bench.FilesByDefault, rich_markup_mode="markdown")
timing.command(bench.FILES, cls=Announced)(bench.files)
timing.command("compare", cls=Announced)(bench.compare)
app.add_typer(timing, name="bench", help=bench.HELP)
app.command("report", cls=Announced)(assess.report)
app.command("check")(assess.check)
app.command("web")(export.web)
app.command("verify", cls=Announced)(files.verify)
app.command("predict", cls=Announced)(files.predict)
app.command("run", cls=Announced, hidden=True)(files.predict)
enrolled = typer.Typer(no_args_is_help=True, help=gallery.HELP)
enrolled.command("enrol", cls=Announced)(gallery.enrol)
enrolled.command("identify", cls=Announced)(gallery.identify)
enrolled.command("list")(gallery.list_)
enrolled.command("calibrate", cls=Announced)(gallery.calibrate)
enrolled.command("remove")(gallery.remove)
app.add_typer(enrolled, name="gallery")
styles = typer.Typer(no_args_is_help=True, help=style.HELP)
styles.command("transfer", cls=Announced)(style.transfer)
styles.command("train", cls=Announced)(style.train)
app.add_typer(styles, name="style")
app.command("targets")(files.targets)
device = typer.Typer(
    no_args_is_help=True, help="The devices that files run on: this host, boards, phones, browsers, emulators."
)
device.command("list")(devices.device_list)
device.command("setup", cls=Announced)(devices.device_setup)
device.command("doctor", cls=Announced)(devices.device_doctor)
device.command("serve", cls=Announced)(devices.device_serve)
app.add_typer(device, name="device")
