"""Commands about one artifact: what a target does with it, does it still answer as it did, what does it say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecv.cli import options as opt
from edgecv.cli import render_answer, settings, verdicts
from edgecv.cli import render_files as render
from edgecv.cli.console import ConsoleReporter, emit_json
from edgecv.core.errors import ConfigError, unknown_name

File = Annotated[Path, typer.Argument(help="A `.tflite` or `.onnx` file, or a bundle of them, `.edgecv`.")]
MinMapped = Annotated[
    str | None,
    typer.Option(
        "--min-mapped", metavar="SHARE|COUNT", help="Exit 1 when fewer map: 0.95, 95%, 1 (all), or a number above 1."
    ),
]

Compile = Annotated[
    bool, typer.Option("--compile", help="Run the vendor's compiler (Edge TPU, Ethos-U), and keep the compiled file.")
]
CompileTo = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder for the compiled file and its log; default: beside FILE.")
]


def targets(json_: opt.Json = False) -> None:
    """List the deployment targets.

    Example: `edgecv targets`
    """
    from edgecv.jobs import zoo as catalogue

    listed = catalogue.targets()
    emit_json(listed) if json_ else render.targets(listed)


def inspect(
    file: File,
    target: opt.Target = "cpu",
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="GPU: samples for the float16 audit; default: golden inputs.")
    ] = None,
    min_mapped: MinMapped = None,
    compile_: Compile = False,
    out: CompileTo = None,
    snippet: Annotated[
        str | None,
        typer.Option(
            "--snippet",
            help="Print code that feeds the file and reads its answers instead: kotlin, swift, javascript or python. "
            "Example: --snippet kotlin",
        ),
    ] = None,
    spec: opt.Spec = None,
    all_: opt.All = False,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Show which operators a target runs, why not the others, and what would map more.

    Example: `edgecv inspect int8.tflite --target edgetpu --min-mapped 95%`

    Example: `edgecv inspect int8.tflite --snippet kotlin`
    """
    if snippet is not None:
        return _snippet(file, snippet, spec=spec, json_=json_)
    if spec is not None:
        raise ConfigError("--spec is for --snippet here", hint="operators are judged without a contract")
    from edgecv.jobs.inspect import inspect_file
    from edgecv.targets import parse_minimum

    least = parse_minimum(min_mapped) if min_mapped is not None else None
    inspection = inspect_file(
        file, target, data=data, compile_=compile_, out=out, force=force, reporter=ConsoleReporter()
    )
    emit_json(inspection) if json_ else render.inspection(inspection, everything=all_)
    verdicts.require_mapped(inspection, least)


def _snippet(file: Path, language: str, *, spec: Path | None, json_: bool) -> None:
    from edgecv.jobs.snippets import snippet

    code = snippet(file, language, spec=spec)
    emit_json({"file": str(file), "language": language, "code": code}) if json_ else typer.echo(code, nl=False)


def verify(
    file: File,
    spec: opt.Spec = None,
    as_: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="mediapipe: compare with MediaPipe Tasks, in the environment of `make mediapipe`. Example: "
            "--as mediapipe --data scenes",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="With --as: images; default: the training data, else golden inputs."),
    ] = None,
    device: opt.Device = "local",
    devices: opt.Devices = None,
    engine: opt.Engine = None,
    accelerator: opt.Accelerator = "cpu",
    precision: opt.Precision = None,
    allow_partial: opt.AllowPartial = False,
    json_: opt.Json = False,
) -> None:
    """Replay the golden vectors stored in a file; exit 1 when it answers differently from when it was made.

    It looks at one file, on this host or a device; `edgecv check` compares the figures of a report with gates. A file
    of another tool, which holds none, is held against its --spec: does it fit, and answer finite numbers, twice the
    same? With --as mediapipe, the file's TFLite Metadata is held against its contract: MediaPipe Tasks and edgecv's
    runtime are asked about the same images.

    Example: `edgecv verify int8.tflite`
    """
    from edgecv.jobs import verify as verification

    if as_ is None and data is not None:
        raise ConfigError("--data is for --as mediapipe", hint="golden vectors bring their inputs along")
    if as_ is not None:
        asked = opt.run_options(engine, accelerator, precision, allow_partial)
        if device != "local" or asked != opt.run_options(None, "cpu", None, False):
            raise ConfigError("--as runs on this host's CPU", hint="leave --device, --engine and the like out")
        return _verify_as(as_, file, spec=spec, data=data, json_=json_)
    result = verification.verify(
        file, spec=spec, device=device, devices=devices, reporter=ConsoleReporter(),
        options=opt.run_options(engine, accelerator, precision, allow_partial),
    )  # fmt: skip
    emit_json(result) if json_ else render.golden(result)
    verdicts.require_passed(result)


def _verify_as(name: str, file: Path, *, spec: Path | None, data: str | None, json_: bool) -> None:
    from edgecv.jobs import mediapipe_verify

    if name != "mediapipe":
        raise unknown_name("runtime to verify with", name, ("mediapipe",))
    found = mediapipe_verify.verify_as_mediapipe(file, spec=spec, data=data, reporter=ConsoleReporter())
    emit_json(found) if json_ else render.mediapipe(found)
    verdicts.require_passed(found)


def predict(
    file: File,
    images: Annotated[
        list[Path], typer.Argument(help="Images, or folders of them; one per input for a model of several.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for pictures with the predictions drawn on.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Labels to show, of heads that rank labels.")] = 5,
    set_: opt.Set = None,
    spec: opt.Spec = None,
    engine: opt.Engine = None,
    accelerator: opt.Accelerator = "cpu",
    precision: opt.Precision = None,
    allow_partial: opt.AllowPartial = False,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Ask a file about images, with the on-device runtime.

    Example: `edgecv predict int8.tflite sample.png --json`

    Example: `edgecv predict int8.tflite pictures --out drawn`
    """
    from edgecv.jobs import run as running

    answer = running.run(
        file, images, top=top, spec=spec, settings=settings.parsed(set_), out=out, force=force,
        reporter=ConsoleReporter(),
        options=opt.run_options(engine, accelerator, precision, allow_partial),
    )  # fmt: skip
    emit_json(answer) if json_ else render_answer.answer(answer)
