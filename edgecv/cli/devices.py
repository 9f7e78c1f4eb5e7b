"""Commands about devices: which there are, make one ready, find out what is wrong."""

from __future__ import annotations

from typing import Annotated

import typer

from edgecv.cli import completion
from edgecv.cli import options as opt
from edgecv.cli import render_devices as render
from edgecv.cli.console import ConsoleReporter, emit_json

Name = Annotated[str, typer.Argument(help="A device: see `edgecv device list`.", autocompletion=completion.devices)]


def device_list(devices: opt.Devices = None, json_: opt.Json = False) -> None:
    """List the devices that files can run on.

    Example: `edgecv device list`
    """
    from edgecv.jobs import devices as jobs

    listed = jobs.listed(devices)
    emit_json(listed) if json_ else render.listed(listed)


def device_setup(
    name: Name,
    devices: opt.Devices = None,
    force: Annotated[bool, typer.Option("--force", help="Make its environment anew.")] = False,
    json_: opt.Json = False,
) -> None:
    """Make a device ready: an interpreter for its Python, and edgecv's runtime. Repeating it changes nothing.

    Example: `edgecv device setup local`
    """
    from edgecv.jobs import devices as jobs

    ready = jobs.setup(name, devices=devices, force=force, reporter=ConsoleReporter())
    emit_json(ready) if json_ else render.ready(ready)


def device_doctor(
    name: Annotated[
        str | None, typer.Argument(help="A device; default: all.", autocompletion=completion.devices)
    ] = None,
    devices: opt.Devices = None,
    json_: opt.Json = False,
) -> None:
    """Find out what is wrong with a device, and how to fix it; exit 3 when something is.

    Example: `edgecv device doctor local`
    """
    from edgecv.jobs import devices as jobs

    seen = jobs.doctor(name, devices=devices)
    emit_json(seen) if json_ else render.doctor(seen)
    jobs.require_healthy(seen)


def device_serve(
    browser: Annotated[
        bool, typer.Option("--browser", help="Browsers: the only kind of device that is served.")
    ] = False,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on: 0.0.0.0 lets phones of this network in, by https.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 0,
    json_: opt.Json = False,
) -> None:
    """Let browsers be devices: print a link; each tab that opens it is `--device browser:NAME`. Ctrl-C ends it.

    Example: `edgecv device serve --browser`
    """
    from edgecv.core.errors import ConfigError
    from edgecv.jobs import browsers

    if not browser:
        raise ConfigError("device serve: nothing to serve was named", hint="edgecv device serve --browser")
    announce = emit_json if json_ else render.served
    browsers.serve(announce, host=host, port=port, reporter=ConsoleReporter())
