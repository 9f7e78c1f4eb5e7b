"""Commands about style: a picture in another one's style, and networks that make such pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgecv.cli import options as opt
from edgecv.cli import panels
from edgecv.cli import render_style as render
from edgecv.cli.console import ConsoleReporter, emit_json

HELP = "Pictures in the style of another one, and networks that make them on a device: see docs/style.md."
StyleImage = Annotated[Path, typer.Argument(metavar="STYLE", help="An image whose textures and colours are taken.")]
LOSS = "What pictures are judged by"
Form = Annotated[str, typer.Option("--form", help="Of the loss: paper or book.", rich_help_panel=LOSS)]
Weights = Annotated[
    str,
    typer.Option(
        "--weights",
        help="embedded, the small network that ships; a file of VGG19's weights (.h5); imagenet downloads these.",
        rich_help_panel=LOSS,
    ),
]
ContentLayers = Annotated[
    list[str] | None,
    typer.Option("--content-layer", help="As block4_conv2; repeatable.", rich_help_panel=LOSS),
]
StyleLayers = Annotated[
    list[str] | None,
    typer.Option("--style-layer", help="Default: block1_conv1 to block5_conv1; repeatable.", rich_help_panel=LOSS),
]
ContentWeight = Annotated[
    float | None, typer.Option("--content-weight", help="Default: the form's.", rich_help_panel=LOSS)
]
StyleWeight = Annotated[float | None, typer.Option("--style-weight", help="Likewise.", rich_help_panel=LOSS)]
Variation = Annotated[
    float | None,
    typer.Option("--variation-weight", help="Of differences of neighbouring pixels: smooths.", rich_help_panel=LOSS),
]
Pooling = Annotated[str, typer.Option("--pooling", help="average or max.", rich_help_panel=LOSS)]


def transfer(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="An image whose things the picture shows.")],
    style: StyleImage,
    out: opt.Out,
    form: Form = "paper",
    weights: Weights = "embedded",
    content_layer: ContentLayers = None,
    style_layer: StyleLayers = None,
    content_weight: ContentWeight = None,
    style_weight: StyleWeight = None,
    variation_weight: Variation = None,
    pooling: Pooling = "average",
    max_side: Annotated[int, typer.Option("--max-side", min=32, help="Longer side of the picture, pixels.")] = 512,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of Adam.")] = 300,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Of pixels of 0..1.", rich_help_panel=panels.TRAINING)
    ] = None,
    beta_1: Annotated[float | None, typer.Option("--beta-1", help="Adam's.", rich_help_panel=panels.TRAINING)] = None,
    epsilon: Annotated[float | None, typer.Option("--epsilon", help="Adam's.", rich_help_panel=panels.TRAINING)] = None,
    start: Annotated[
        str, typer.Option("--start", help="From the content, or from noise.", rich_help_panel=panels.TRAINING)
    ] = "content",
    silhouette: Annotated[
        Path | None, typer.Option("--silhouette", help="An image that is white where the picture is to be white.")
    ] = None,
    previews: Annotated[Path | None, typer.Option("--previews", help="Folder for pictures on the way.")] = None,
    preview_every: Annotated[int, typer.Option("--preview-every", min=1, help="Steps between two of them.")] = 50,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Make a picture step by step: the content of one image in the style of another; a killed run goes on.

    Example: `edgecv style transfer scenes.png scenes.png --steps 2 --out new.png`
    """
    from edgecv.jobs import style as job

    loss = _loss(form, weights, content_layer, style_layer, content_weight, style_weight, variation_weight, pooling)
    plan = job.TransferPlan(
        content=content, style=style, loss=loss, max_side=max_side, steps=steps, learning_rate=learning_rate,
        beta_1=beta_1, epsilon=epsilon, start=start, silhouette=silhouette, previews=previews,  # type: ignore[arg-type]
        preview_every=preview_every, seed=seed,
    )  # fmt: skip
    done = job.make_picture(plan, out=out, force=force, reporter=ConsoleReporter())
    emit_json(done) if json_ else render.stylised(done)


def train(
    style: StyleImage,
    out: opt.Out,
    data: opt.Data = "scenes",
    variant: Annotated[
        str, typer.Option("--variant", help="Of fast_style: edge, canonical, …", rich_help_panel=panels.NETWORK)
    ] = "edge",
    input_size: Annotated[
        int | None, typer.Option("--input-size", min=32, help="Height and width.", rich_help_panel=panels.NETWORK)
    ] = None,
    width: Annotated[
        float, typer.Option("--width", help="Multiplier of the channels.", rich_help_panel=panels.NETWORK)
    ] = 1.0,
    form: Form = "book",
    weights: Weights = "embedded",
    content_layer: ContentLayers = None,
    style_layer: StyleLayers = None,
    content_weight: ContentWeight = None,
    style_weight: StyleWeight = None,
    variation_weight: Variation = None,
    pooling: Pooling = "average",
    style_side: Annotated[
        int, typer.Option("--style-side", min=32, help="Longer side of the style, pixels: how large its textures are.")
    ] = 256,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="A recipe's name, or a TOML file.", rich_help_panel=panels.TRAINING),
    ] = None,
    epochs: opt.Epochs = None,
    batch_size: opt.BatchSize = None,
    learning_rate: opt.LearningRate = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    json_: opt.Json = False,
) -> None:
    """Train a network that gives any picture this style, for a device; a killed run goes on.

    Example: `edgecv style train new.png --input-size 32 --epochs 1 --out s.keras`
    """
    from edgecv.jobs import style as job

    loss = _loss(form, weights, content_layer, style_layer, content_weight, style_weight, variation_weight, pooling)
    plan = job.StylePlan(
        style=style, data=data, variant=variant, width=width, input_size=input_size, loss=loss, style_side=style_side,
        recipe=recipe, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed,
    )  # fmt: skip
    saved = job.train_network(plan, out=out, force=force, reporter=ConsoleReporter())
    emit_json(saved) if json_ else render.network(saved)


def _loss(
    form: str, weights: str, content_layers: list[str] | None, style_layers: list[str] | None,
    content: float | None, style: float | None, variation: float | None, pooling: str,
) -> Any:  # fmt: skip
    """Return what a command's options say of the loss."""
    from edgecv.jobs.style import LossPlan

    return LossPlan(
        form=form, weights=weights, content_layers=tuple(content_layers or ()),  # type: ignore[arg-type]
        style_layers=tuple(style_layers or ()), content_weight=content, style_weight=style,
        variation_weight=variation, pooling=pooling,  # type: ignore[arg-type]
    )  # fmt: skip
