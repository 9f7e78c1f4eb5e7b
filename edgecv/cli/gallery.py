"""Commands about galleries: who is enrolled, and whom an image shows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecv.cli import options as opt
from edgecv.cli import render_gallery as render
from edgecv.cli.console import ConsoleReporter, emit_json

HELP = "Recognising who or what an image shows, among those that were enrolled: see docs/gallery.md."
GalleryFile = Annotated[Path, typer.Argument(metavar="GALLERY", help="The gallery, an `.npz`.")]
Encoder = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A network that gives vectors: `.tflite`, `.onnx`, `.keras`.")
]
Images = Annotated[list[Path], typer.Argument(metavar="IMAGES", help="Images, or folders of them.")]


def enrol(
    gallery: GalleryFile,
    model: Encoder,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGES", help="Images or folders; without --label, folders of a folder per label."),
    ],
    label: Annotated[str | None, typer.Option("--label", help="Whom or what the images show.")] = None,
    spec: opt.Spec = None,
    engine: opt.Engine = None,
    accelerator: opt.Accelerator = "cpu",
    precision: opt.Precision = None,
    allow_partial: opt.AllowPartial = False,
    json_: opt.Json = False,
) -> None:
    """Add images of one or several labels to a gallery, which is made when there is none. Nothing is trained.

    Example: `edgecv train siamese_mnist --epochs 1 --out encoder.keras`

    Example: `edgecv gallery enrol known.npz encoder.keras pictures --label any`

    Example: `edgecv gallery enrol known.npz encoder.keras sample.png --label one`
    """
    from edgecv.jobs import gallery as job

    asked = job.Asked(model=model, spec=spec, options=opt.run_options(engine, accelerator, precision, allow_partial))
    done = job.enrol(gallery, asked, images, label=label, reporter=ConsoleReporter())
    emit_json(done) if json_ else render.enrolled(done)


def identify(
    gallery: GalleryFile,
    model: Encoder,
    images: Images,
    spec: opt.Spec = None,
    engine: opt.Engine = None,
    accelerator: opt.Accelerator = "cpu",
    precision: opt.Precision = None,
    allow_partial: opt.AllowPartial = False,
    json_: opt.Json = False,
) -> None:
    """Say whom images show: the label of the nearest enrolled one, or unknown when none is closer than the threshold.

    Example: `edgecv gallery identify known.npz encoder.keras sample.png`
    """
    from edgecv.jobs import gallery as job

    asked = job.Asked(model=model, spec=spec, options=opt.run_options(engine, accelerator, precision, allow_partial))
    found = job.identify(gallery, asked, images, reporter=ConsoleReporter())
    emit_json(found) if json_ else render.identified(found)


def remove(
    gallery: GalleryFile,
    labels: Annotated[list[str], typer.Argument(metavar="LABELS", help="Whom to forget.")],
    json_: opt.Json = False,
) -> None:
    """Forget labels; all of them, or none when one is unknown.

    Example: `edgecv gallery remove known.npz one`
    """
    from edgecv.jobs import gallery as job

    done = job.remove(gallery, labels)
    emit_json(done) if json_ else render.removed(done)


def list_(gallery: GalleryFile, json_: opt.Json = False) -> None:
    """Show who is enrolled, with which network, and the threshold.

    Example: `edgecv gallery list known.npz`
    """
    from edgecv.jobs import gallery as job

    found = job.listed(gallery)
    emit_json(found) if json_ else render.listed(found)


def calibrate(
    gallery: GalleryFile,
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL", help="To look at --data; default: the enrolled vectors are taken.")
    ] = None,
    far: Annotated[
        float, typer.Option("--far", help="Share of pairs of two identities that may count as one.")
    ] = 0.001,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="Labelled samples of others than are enrolled; default: the training data."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Of the data.")] = "validation",
    spec: opt.Spec = None,
    json_: opt.Json = False,
) -> None:
    """Choose the threshold by a false accept rate, and write it into the gallery.

    Example: `edgecv gallery calibrate known.npz encoder.keras --far 0.01`
    """
    from edgecv.jobs import gallery as job

    asked = None if model is None else job.Asked(model=model, spec=spec)
    found = job.calibrate(gallery, far=far, asked=asked, data=data, split=split, reporter=ConsoleReporter())
    emit_json(found) if json_ else render.calibrated(found)
