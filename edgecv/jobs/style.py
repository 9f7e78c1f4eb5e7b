"""Style transfer from paths: a picture made step by step, and a network that makes such pictures on a device."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import edgecv.train as training
from edgecv import data, zoo
from edgecv.core import codec
from edgecv.core.errors import ConfigError
from edgecv.core.files import check_output, sha256, write_bytes
from edgecv.core.optional import require
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import Shown
from edgecv.data import Dataset, Target
from edgecv.jobs import models
from edgecv.modelio import env, manifest_for
from edgecv.runtime.image import load_image
from edgecv.tasks.registry import task_of
from edgecv.train.loop import Hooks, Objective
from edgecv.train.style.backbones import EMBEDDED, Pooling, backbone
from edgecv.train.style.losses import CONTENT_LAYER, STYLE_LAYERS, Form, StyleLoss
from edgecv.train.style.perceptual import METRIC, PerceptualTraining
from edgecv.train.style.transfer import Start, TransferRecipe, check_size, transfer
from edgecv.train.training import run_stage
from edgecv.values.specs import ModelSpec

Array = np.ndarray[Any, Any]

NETWORK = "fast_style"
SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}
WHITE = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a form of the loss takes where nothing is said: weights of its parts, and Adam's settings.

    Attributes:
        content_layer: The form's own where it is None.
    """

    content: float
    style: float
    variation: float
    learning_rate: float = 0.02
    beta_1: float = 0.9
    epsilon: float = 1e-7
    content_layer: str | None = None


DEFAULTS: dict[tuple[bool, Form], Defaults] = {
    # Source of the paper's ratio: Gatys et al. 2016, section 3. Of the book's Adam: TensorFlow's tutorial.
    (False, "paper"): Defaults(content=1.0, style=1e3, variation=0.0, learning_rate=0.02),
    (False, "book"): Defaults(content=1e4, style=1e-2, variation=0.0, beta_1=0.99, epsilon=0.1),
    # The small network's activations have mean 1, VGG19's are hundreds of times as large.
    (True, "paper"): Defaults(content=5e-6, style=40.0, variation=30.0),
    (True, "book"): Defaults(content=0.1, style=10.0, variation=30.0),
}
"""By whether the embedded network is used, and form."""

TRAINING: dict[tuple[bool, Form], Defaults] = {
    **DEFAULTS,
    (True, "paper"): Defaults(content=2e-4, style=40.0, variation=5.0, content_layer="block3_conv2"),
    (True, "book"): Defaults(content=15.0, style=10.0, variation=5.0, content_layer="block3_conv2"),
}
"""Likewise, of networks. They meet all pictures at once, and need to be held to these by an earlier layer.
Source: Johnson et al. 2016, section 4.1, which takes relu3_3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossPlan:
    """What pictures are judged by. None takes the default of the network and the form.

    Attributes:
        form: "paper" or "book": see `edgecv.train.style.losses`.
        weights: "embedded", "imagenet", or a file of VGG19's.
        content_layers, style_layers: Names of layers.
        pooling: "max" or "average".
    """

    form: Form = "paper"
    weights: str = EMBEDDED
    content_layers: tuple[str, ...] = ()
    style_layers: tuple[str, ...] = ()
    content_weight: float | None = None
    style_weight: float | None = None
    variation_weight: float | None = None
    pooling: Pooling = "average"

    def defaults(self, known: Mapping[tuple[bool, Form], Defaults] = DEFAULTS) -> Defaults:
        """What this form takes on this network. Raises ConfigError for an unknown form."""
        if self.form not in CONTENT_LAYER:
            raise ConfigError(f"unknown form '{self.form}'", hint=f"known: {', '.join(CONTENT_LAYER)}")
        if self.pooling not in ("max", "average"):
            raise ConfigError(f"unknown pooling '{self.pooling}'", hint="known: max, average")
        return known[self.weights == EMBEDDED, self.form]

    def loss(self, known: Mapping[tuple[bool, Form], Defaults] = DEFAULTS) -> StyleLoss:
        """Return the loss, by the defaults that are `known`. Raises ConfigError for weights that cannot be."""
        usual = self.defaults(known)
        return StyleLoss(
            form=self.form,
            content_layers=self.content_layers or (usual.content_layer or CONTENT_LAYER[self.form],),
            style_layers=self.style_layers or STYLE_LAYERS,
            content_weight=_or(self.content_weight, usual.content),
            style_weight=_or(self.style_weight, usual.style),
            variation_weight=_or(self.variation_weight, usual.variation),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferPlan:
    """A picture to make. None takes the default of the network and the form.

    Attributes:
        content: Image whose things the picture shows.
        style: Image whose textures and colours it has.
        max_side: Longer side of the picture, and of the style, pixels; smaller images stay as they are.
        silhouette: Image of the content's proportions that is white where the picture is to be white.
        previews: Folder for the picture every `preview_every` steps; None for none.
    """

    content: Path
    style: Path
    loss: LossPlan = LossPlan()
    max_side: int = 512
    steps: int = 300
    learning_rate: float | None = None
    beta_1: float | None = None
    epsilon: float | None = None
    start: Start = "content"
    silhouette: Path | None = None
    previews: Path | None = None
    preview_every: int = 50
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stylised(Shown):
    """A picture that was made and written.

    Attributes:
        size: Height and width.
        network: What judged it: "embedded" or "vgg19".
        first_loss, last_loss: Before the first step and after the last.
        content, style: Weighted parts of the last.
        losses: Before each step, and after the last.
        previews: Pictures on the way.
    """

    path: str
    size: tuple[int, int]
    network: str
    form: str
    steps: int
    first_loss: float
    last_loss: float
    content: float
    style: float
    losses: tuple[float, ...]
    previews: tuple[str, ...]


def make_picture(plan: TransferPlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET) -> Stylised:
    """Make a picture in a style and save it. A killed run goes on where it was.

    Raises:
        ConfigError: An option is wrong, the weights cannot be had, or `out` cannot be written.
        DataError: An image cannot be read.
    """
    form = _format(out)
    check_output(out, force=force)
    loss, recipe = plan.loss.loss(), _recipe(plan)
    content, style = (_pixels(path, plan.max_side) for path in (plan.content, plan.style))
    white = None if plan.silhouette is None else _silhouette(plan.silhouette, (content.shape[0], content.shape[1]))
    network, written = backbone(plan.loss.weights, loss.layers, pooling=plan.loss.pooling), list[str]()

    def preview(step: int, picture: Array) -> None:
        path = Path(str(plan.previews)) / f"step_{step:05}.png"
        _write(path, _levels(picture, white), "PNG")
        written.append(str(path))

    state = models.state_path(out)
    done = transfer(
        content, style, network, loss, recipe, state=state, reporter=reporter,
        preview=None if plan.previews is None else preview, preview_every=max(1, plan.preview_every),
    )  # fmt: skip
    _write(out, _levels(done.picture, white), form)
    models.forget_state(out)
    return Stylised(
        path=str(out), size=(content.shape[0], content.shape[1]), network=network.name, form=loss.form,
        steps=recipe.steps, first_loss=done.losses[0], last_loss=done.losses[-1], content=done.content,
        style=done.style, losses=done.losses, previews=tuple(written),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StylePlan:
    """A style network to train. None takes what its recipe says.

    Attributes:
        style: The one image of the style.
        data: Pictures to learn on; truths of theirs do not count.
        style_side: Longer side of the style, pixels: the scale of its textures in 256 pixels.
    """

    style: Path
    data: str = "scenes"
    variant: str = "edge"
    width: float = 1.0
    input_size: int | None = None
    loss: LossPlan = LossPlan(form="book")
    style_side: int = 256
    recipe: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    seed: int = 0


def train_network(plan: StylePlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET) -> models.SavedModel:
    """Train a network that gives pictures one style, and save it. A killed run goes on where it was.

    Raises:
        ConfigError: Unknown variant, recipe, form or data, or `out` cannot be written.
        DataError: The data or the style cannot be read.
    """
    models.check_keras(out)
    check_output(out, force=force)
    opened = data.open_divided(plan.data)
    dataset = of_themselves(opened)
    entry = zoo.get(NETWORK)
    size = None if plan.input_size is None else (plan.input_size, plan.input_size, entry.input_shape[2])
    model, spec = zoo.build(NETWORK, variant=plan.variant, input_shape=size, width=plan.width, seed=plan.seed)
    recipe = training.adjusted(
        training.recipe(plan.recipe) if plan.recipe else training.default_recipe(spec),
        epochs=plan.epochs, batch_size=plan.batch_size, learning_rate=plan.learning_rate, seed=plan.seed,
    )  # fmt: skip
    hooks, facts = _perceptual(plan, spec)
    done = run_stage(model, spec, dataset, recipe, hooks, state=models.state_path(out), reporter=reporter)
    manifest = manifest_for(
        spec, recipe={"step": "style", **facts, **codec.encode(recipe)}, seed=plan.seed, dataset=opened.name,
        dataset_sha256=opened.split("train").sha256,
    )  # fmt: skip
    saved = models.save(model, out, manifest, done, force=force)
    return replace(saved, metric=METRIC.name)


def of_themselves(dataset: Dataset) -> Dataset:
    """Return data whose truths are the images themselves: what a style network is to keep of them."""
    head = zoo.get(NETWORK).heads[0]
    targets = (Target(name=head.name, task=task_of(head).reads[0], labels=()),)
    splits = {name: replace(split, targets=(split.images,)) for name, split in dataset.splits.items()}
    return replace(dataset, targets=targets, splits=splits)


def _perceptual(plan: StylePlan, spec: ModelSpec) -> tuple[Hooks, dict[str, Any]]:
    """Return what the network learns by, and the facts that tell it from other runs."""
    loss = plan.loss.loss(TRAINING)
    env.seed_everything(plan.seed)
    network = backbone(plan.loss.weights, loss.layers, pooling=plan.loss.pooling)
    style = _pixels(plan.style, plan.style_side)
    check_size("style", style, "--style-side")
    facts = {
        "style_sha256": sha256(plan.style),
        "style_side": plan.style_side,
        "loss": codec.encode(loss),
        "network": network.name,
        "network_sha256": network.digest,
    }
    own: Any = task_of(spec.head).training(spec.head)
    objective = Objective(task=PerceptualTraining(own, style, network, loss), metric=METRIC)
    return Hooks(stage="style", facts=facts, objective=objective), facts


def _recipe(plan: TransferPlan) -> TransferRecipe:
    usual = plan.loss.defaults()
    if plan.start not in ("content", "noise"):
        raise ConfigError(f"unknown start '{plan.start}'", hint="known: content, noise")
    return TransferRecipe(
        steps=plan.steps, learning_rate=_or(plan.learning_rate, usual.learning_rate),
        beta_1=_or(plan.beta_1, usual.beta_1), epsilon=_or(plan.epsilon, usual.epsilon), start=plan.start,
        seed=plan.seed,
    )  # fmt: skip


def _or(given: float | None, usual: float) -> float:
    return usual if given is None else given


def _pixels(path: Path, max_side: int) -> Array:
    """Return an image as float32 (h, w, 3) RGB of 0..1, no side longer than `max_side`."""
    image = load_image(path)
    pil = require("PIL.Image", why="to read images")
    picture = pil.fromarray(image).convert("RGB")
    factor = min(1.0, max_side / max(picture.size))
    if factor < 1.0:
        size = tuple(max(1, round(side * factor)) for side in picture.size)
        picture = picture.resize(size, pil.Resampling.LANCZOS)
    return np.asarray(picture, np.float32) / 255.0


def _silhouette(path: Path, size: tuple[int, int]) -> Array:
    """Return which pixels of a picture of `size` are to be white, bool (h, w)."""
    pil = require("PIL.Image", why="to read images")
    mask = pil.fromarray(load_image(path)).convert("L")
    if abs(mask.width * size[0] - mask.height * size[1]) > max(mask.width, mask.height, *size):
        raise ConfigError(
            f"silhouette {path} has {mask.width}x{mask.height} pixels, the picture "
            f"{size[1]}x{size[0]}: other proportions",
            hint="make it of the content: white where the picture is to be white, black elsewhere",
        )
    white: Array = np.asarray(mask.resize((size[1], size[0]), pil.Resampling.NEAREST)) == WHITE
    if white.all() or not white.any():
        raise ConfigError(
            f"silhouette {path} is {'white all over' if white.all() else 'nowhere white (255)'}",
            hint="white, 255, marks what is to be white",
        )
    return white


def _levels(picture: Array, white: Array | None) -> Array:
    """Return a picture as uint8, white where its silhouette is."""
    levels = np.clip(np.rint(255.0 * picture), 0, 255).astype(np.uint8)
    if white is not None:
        levels[white] = WHITE
    return levels


def _format(out: Path) -> str:
    if out.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--out {out} is no picture's name", hint=f"known suffixes: {', '.join(SUFFIXES)}")
    return SUFFIXES[out.suffix.lower()]


def _write(path: Path, pixels: Array, form: str) -> None:
    stream = io.BytesIO()
    require("PIL.Image", why="to write pictures").fromarray(pixels).save(stream, format=form)
    write_bytes(path, stream.getvalue())
