"""Commands that measure: accuracy, latency, reports, gates, and the demo that does it all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecv.cli import completion, panels, render_gallery, settings, verdicts
from edgecv.cli import options as opt
from edgecv.cli import render_assess as render
from edgecv.cli.console import ConsoleReporter, emit_json
from edgecv.cli.opening import AS_IT_IS, Opening, opens

Files = Annotated[list[Path], typer.Argument(help="`.tflite` and `.onnx` files.")]
Baseline = Annotated[
    Path | None, typer.Option("--baseline", help="The float model to compare with: `.keras`, `.tflite` or `.onnx`.")
]
Plan = Annotated[
    str,
    typer.Option(
        "--plan", help="quick (about 8 s a file) or default (narrower intervals).", rich_help_panel=panels.MEASURING
    ),
]


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; a killed demo goes on from there.")],
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="What the network is for: see docs/tasks.md; default: to classify.",
            autocompletion=completion.demos,
        ),
    ] = None,
    network: Annotated[str | None, typer.Option("--network", help="Another network of the same data: lenet5.")] = None,
    seed: opt.Seed = 0,
    json_: opt.Json = False,
) -> None:
    """Take a network on embedded data through the whole flow, to a report; by default a CNN on scanned digits.

    Example: `edgecv demo --out demo`

    Example: `edgecv demo --network lenet5 --out demo-lenet5`

    Example: `edgecv demo --task segmentation --out demo-masks`
    """
    from edgecv.jobs.demo import demo_of, run_demo

    finished = run_demo(out, demo_of(task, network=network), seed=seed, reporter=ConsoleReporter())
    emit_json(finished.report) if json_ else render.report(finished.report, finished.paths)


@opens()
def evaluate(
    file: Annotated[Path, typer.Argument(help="A `.tflite`, `.onnx` or `.keras` file.")],
    data: opt.OptionalData = None,
    split: opt.Split = "test",
    set_: opt.Set = None,
    opening: Opening = AS_IT_IS,
    engine: opt.Engine = None,
    accelerator: opt.Accelerator = "cpu",
    device: opt.Device = "local",
    devices: opt.Devices = None,
    precision: opt.Precision = None,
    allow_partial: opt.AllowPartial = False,
    program_cache: opt.ProgramCache = None,
    gallery_model: Annotated[
        Path | None,
        typer.Option("--gallery-model", help="Of vectors: also judge FILE on samples that this file enrolled."),
    ] = None,
    json_: opt.Json = False,
) -> None:
    """Measure accuracy with the same runtime code that ships to devices.

    Example: `edgecv evaluate int8.tflite --data digits --json`
    """
    from edgecv.jobs import evaluate as assess
    from edgecv.jobs import mixing

    source = opening.source(file)
    request = assess.EvaluationRequest(
        data=data, split=split, spec=opening.spec, source=source, device=device, devices=devices,
        settings=settings.parsed(set_),
        options=opt.run_options(engine, accelerator, precision, allow_partial, program_cache),
    )  # fmt: skip
    if gallery_model is not None:
        both = mixing.evaluate_mixed(file, gallery_model, request, reporter=ConsoleReporter())
        return emit_json(both.document) if json_ else render_gallery.mixed(both)
    result = assess.evaluate_file(file, request, reporter=ConsoleReporter())
    emit_json(result.document) if json_ else render.evaluation(result)


@opens()
def debug(
    float_file: Annotated[
        Path, typer.Argument(help="The float32 `.tflite`; or, alone, a float model, quantised here.")
    ],
    int8_file: Annotated[Path | None, typer.Argument(help="The int8 `.tflite` of the same model.")] = None,
    data: opt.OptionalData = None,
    calibration: Annotated[
        str,
        typer.Option(
            "--calibration", help="Recipe for a model that stands alone.", autocompletion=completion.calibrations
        ),
    ] = "minmax",
    opening: Opening = AS_IT_IS,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Of the validation split.")] = 64,
    rank: Annotated[bool, typer.Option("--rank", help="Also measure what each layer costs, and what helps.")] = False,
    top: Annotated[int, typer.Option("--top", min=0, help="Layers to try remedies for.")] = 5,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with the ranking; implies --rank.")] = None,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Show where an int8 file loses its accuracy: the noise of every layer, and with --rank what each one costs.

    Example: `edgecv debug float32.tflite int8.tflite --data digits --rank`
    """
    from edgecv.jobs.debug import debug as find

    source = opening.source(float_file)
    found = find(
        float_file, int8_file, data=data, calibration=calibration, spec=opening.spec, source=source, samples=samples,
        rank=rank, top=top, html=html, force=force, reporter=ConsoleReporter(),
    )  # fmt: skip
    emit_json(found) if json_ else render.debugged(found)


def report(
    files: Files,
    out: opt.Out,
    baseline: Annotated[Path, typer.Option("--baseline", help="The float model to compare with.")],
    data: opt.OptionalData = None,
    split: opt.Split = "test",
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="Repeatable; default: all.", autocompletion=completion.targets),
    ] = None,
    plan: Plan = "quick",
    baseline_engine: opt.BaselineEngine = "auto",
    spec: opt.Spec = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop", help="What the verdict allows: points, or the unit of an error; default: 1, or 5 %."
        ),
    ] = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Evaluate, inspect and bench files, and write report.json, report.html and report.md.

    Example: `edgecv report int8.tflite --baseline lenet5.keras --out measured`
    """
    from edgecv.jobs import report as measure

    request = measure.ReportRequest(
        data=data, split=split, targets=tuple(target or ()), plan=plan, seed=seed, baseline_engine=baseline_engine,
        spec=spec, max_drop=max_drop,
    )  # fmt: skip
    made = measure.report_files(files, request, baseline=baseline, out=out, force=force, reporter=ConsoleReporter())
    emit_json(made.report) if json_ else render.report(made.report, made.paths)


def check(
    gates: Annotated[Path, typer.Argument(help="A TOML file of gates; with --record, where to write one.")],
    junit: Annotated[Path | None, typer.Option("--junit", help="Write a JUnit XML file for CI.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write a Markdown summary.")] = None,
    comment: Annotated[
        Path | None, typer.Option("--comment", help="Write the text of a comment on the change: see docs/ci.md.")
    ] = None,
    github: Annotated[
        bool, typer.Option("--github", help="In a GitHub job: also its summary, outputs and annotations.")
    ] = False,
    record: Annotated[
        Path | None, typer.Option("--record", help="A report.json: write gates from its figures instead of checking.")
    ] = None,
    all_: opt.All = False,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Compare a report with gates; exit 1 on a regression and on an unexplained gain.

    It looks at recorded figures; `edgecv verify` asks one file whether it still answers as it did.

    Example: `edgecv check gates.toml --junit gates.xml`
    """
    from edgecv.jobs import check as gate

    if record is not None:
        written = gate.record(gates, record, force=force)
        return emit_json({"recorded": str(written)}) if json_ else render.recorded(written)
    outcome = gate.run(gates, junit=junit, markdown=markdown, comment=comment, github=github)
    for line in outcome.annotations:
        typer.echo(line, err=True)
    emit_json(outcome) if json_ else render.gates(outcome, everything=all_)
    verdicts.require_passed(outcome)
