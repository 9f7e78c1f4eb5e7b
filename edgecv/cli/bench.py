"""The bench commands: files on devices, and two files against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edgecv.cli import completion, panels
from edgecv.cli import options as opt
from edgecv.cli import render_bench as render
from edgecv.cli.console import ConsoleReporter, emit_json

HELP = "Measure latency on devices, with intervals on ratios; `bench compare A B` sets two files against each other."
FILES = "(files)"
"""Name of the command that `edgecv bench FILE…` means; nobody types it."""

Device = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        help="Where to measure; repeatable: devices work at the same time.",
        rich_help_panel=panels.RUNNING,
        autocompletion=completion.devices,
    ),
]
Baseline = Annotated[
    Path | None, typer.Option("--baseline", help="The float model to compare with: `.keras`, `.tflite` or `.onnx`.")
]
Plan = Annotated[
    str,
    typer.Option(
        "--plan",
        help="quick (about 8 s a file), default or thorough (narrower intervals).",
        rich_help_panel=panels.MEASURING,
    ),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Save raw results here; resumes a killed run.")]
Retries = Annotated[
    int,
    typer.Option(
        "--retries",
        min=0,
        help="Tries again of a launch in which a device fails, in fresh processes.",
        rich_help_panel=panels.MEASURING,
    ),
]
Mode = Annotated[
    str,
    typer.Option(
        "--mode",
        help="burst: short blocks beside the baseline; sustained: one run without a pause.",
        rich_help_panel=panels.MEASURING,
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option("--seconds", help="Length of a sustained run; default: 60.", rich_help_panel=panels.MEASURING),
]
Window = Annotated[
    float | None,
    typer.Option(
        "--window",
        help="Seconds of a sustained run's windows; default: a tenth of it.",
        rich_help_panel=panels.MEASURING,
    ),
]


class FilesByDefault(TyperGroup):
    """A group in which anything but the name of a command is an argument of `files`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command's name in front unless another one is named."""
        if not args or args[0] not in self.commands:
            args = [FILES, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Leave the default command's name out of help and messages."""
        name, command, rest = super().resolve_command(ctx, args)
        return "" if name == FILES else name, command, rest


def files(
    files: Annotated[list[Path], typer.Argument(help="`.tflite` and `.onnx` files.")],
    device: Device = None,
    devices: opt.Devices = None,
    baseline: Baseline = None,
    baseline_engine: opt.BaselineEngine = "auto",
    engine: opt.Engine = None,
    accelerator: opt.Accelerator = "cpu",
    precision: opt.Precision = None,
    allow_partial: opt.AllowPartial = False,
    threads: Annotated[
        str,
        typer.Option(
            "--threads", help="Interpreter threads; 1,2,4 finds the best number.", rich_help_panel=panels.MEASURING
        ),
    ] = "1",
    plan: Plan = "default",
    mode: Mode = "burst",
    seconds: Seconds = None,
    window: Window = None,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Time per operator too, with source layers.", rich_help_panel=panels.MEASURING),
    ] = False,
    retries: Retries = 2,
    out: Out = None,
    spec: opt.Spec = None,
    seed: opt.Seed = 0,
    json_: opt.Json = False,
) -> None:
    """Measure latency, interleaved with the baseline, with intervals on the ratio.

    `edgecv bench compare A B` sets two files against each other.

    Example: `edgecv bench int8.tflite --baseline lenet5.keras --plan quick`
    """
    from edgecv.jobs import bench as benching

    request = benching.BenchRequest(
        devices=tuple(device or ("local",)), engine=engine, accelerator=accelerator,
        threads=benching.thread_counts(threads), plan=plan, seed=seed, retries=retries,
        mode=mode, seconds=seconds, window=window, profile=profile, precision=precision, partial=allow_partial,
        baseline_engine=baseline_engine, devices_file=devices, spec=spec,
    )  # fmt: skip
    result = benching.bench_files(files, request, baseline=baseline, out=out, reporter=ConsoleReporter())
    emit_json(result) if json_ else render.report(result)
    benching.require_measured(result)


def compare(
    a: Annotated[Path, typer.Argument(help="A `.tflite` or `.onnx` file.")],
    b: Annotated[Path, typer.Argument(help="The file that it is compared with.")],
    device: opt.Device = "local",
    devices: opt.Devices = None,
    engine: opt.Engine = None,
    accelerator: opt.Accelerator = "cpu",
    precision: opt.Precision = None,
    allow_partial: opt.AllowPartial = False,
    threads: opt.Threads = 1,
    plan: Plan = "default",
    retries: Retries = 2,
    out: Out = None,
    seed: opt.Seed = 0,
    json_: opt.Json = False,
) -> None:
    """Time two files interleaved in one run: the ratio of A's time to B's, its interval, and a verdict.

    Example: `edgecv bench compare int8.tflite float32.tflite --plan quick`
    """
    from edgecv.jobs import bench as benching

    request = benching.BenchRequest(
        devices=(device,), engine=engine, accelerator=accelerator, threads=(threads,), plan=plan, seed=seed,
        retries=retries, precision=precision, partial=allow_partial, devices_file=devices,
    )  # fmt: skip
    result = benching.compare_files(a, b, request, out=out, reporter=ConsoleReporter())
    emit_json(result) if json_ else render.comparison(result)
