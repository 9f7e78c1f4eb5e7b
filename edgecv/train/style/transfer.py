"""Style transfer by gradient descent on the pixels of one picture: a loop that can be killed and goes on bit-equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET, Reporter
from edgecv.modelio.env import keras, seed_everything, tensorflow
from edgecv.train.pace import Pace
from edgecv.train.state import fingerprint
from edgecv.train.style import state as states
from edgecv.train.style.backbones import Backbone
from edgecv.train.style.losses import StyleLoss
from edgecv.train.style.state import TransferState

Array = np.ndarray[Any, Any]
Start = Literal["content", "noise"]
Preview = Callable[[int, Array], None]
"""Told of the number of finished steps and the picture, float32 (h, w, 3) of 0..1."""

UNTOLD = ("steps", "save_every")
SMALLEST = 32
"""Side of a picture that every block of a backbone still has some places of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRecipe:
    """How a picture is made.

    Attributes:
        steps: Of Adam.
        learning_rate: Of pixels of 0..1.
        beta_1: Of the mean gradient; `epsilon` what Adam adds to its deviation.
        start: From the content, or from noise.
        seed: Of the noise.
        save_every: Steps between two states on disk.
    """

    steps: int = 300
    learning_rate: float = 0.02
    beta_1: float = 0.9
    epsilon: float = 1e-7
    start: Start = "content"
    seed: int = 0
    save_every: int = 10

    def __post_init__(self) -> None:
        if self.steps < 1 or self.save_every < 1:
            raise ConfigError(f"steps must be 1 or more, got {self.steps} and {self.save_every} between two states")
        if self.learning_rate <= 0 or not 0 <= self.beta_1 < 1 or self.epsilon <= 0:
            raise ConfigError(
                f"learning_rate and epsilon must be > 0 and beta_1 in 0..1, got {self.learning_rate}, {self.epsilon} "
                f"and {self.beta_1}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """A picture in a style.

    Attributes:
        picture: float32 (h, w, 3), 0..1.
        losses: Total before each step, and after the last.
        content, style: Weighted parts of the last total.
    """

    picture: Array
    losses: tuple[float, ...]
    content: float
    style: float


def check_size(name: str, image: Array, option: str) -> None:
    """Raise ConfigError for an image, (h, w, 3), of fewer than `SMALLEST` pixels a side; `option` scales it."""
    if min(image.shape[:2]) < SMALLEST:
        raise ConfigError(
            f"the {name} has {image.shape[1]}x{image.shape[0]} pixels, expected {SMALLEST} a side or more",
            hint=f"take a larger image, or a larger {option}",
        )


def transfer(
    content: Array,
    style: Array,
    network: Backbone,
    loss: StyleLoss,
    recipe: TransferRecipe,
    *,
    state: Path | None = None,
    preview: Preview | None = None,
    preview_every: int = 0,
    reporter: Reporter = QUIET,
) -> Transferred:
    """Return the content in the style.

    The same arguments give the same picture on the same machine. After a kill, the same call with the same `state`
    goes on from the last state on disk and ends with the picture of an uninterrupted run; a state of another run is
    told to the reporter and not used.

    Args:
        content: float32 (h, w, 3) RGB, 0..1; the picture is of its size.
        style: Likewise, of any size.
        network: Gives the layers of `loss`.
        loss: What the picture is judged by.
        recipe: How it is made.
        state: Resume file; the caller deletes it once the picture is saved.
        preview: Told of the picture every `preview_every` steps.
        preview_every: 0 shows none.
        reporter: Shows the loss and when it ends.

    Raises:
        ConfigError: An image is too small, the loss is no longer finite, or `state` cannot be written.
    """
    check_size("content", content, "--max-side")
    check_size("style", style, "--max-side")
    run = _Run(content, style, network, loss, recipe)
    identity = run.identity(content, style)
    losses = run.restored(states.resume(state, identity, run.state(()), reporter))
    pace = Pace(recipe.steps - len(losses), unit="steps", what="run")
    with reporter.bar("style transfer", recipe.steps) as advance:
        advance(len(losses))
        while len(losses) < recipe.steps:
            value = run.step()
            if not np.isfinite(value):
                raise ConfigError(
                    f"the loss became {value} in step {len(losses) + 1}",
                    hint=f"lower the learning rate (it was {recipe.learning_rate:g})",
                )
            losses = (*losses, value)
            done = len(losses)
            if state is not None and (done % recipe.save_every == 0 or done == recipe.steps):
                states.save(state, identity, run.state(losses))
            if preview is not None and preview_every and done % preview_every == 0:
                preview(done, run.picture)
            advance(1, note=f"loss {value:.4g}, {pace.step(1)}")
    parts = run.parts()
    return Transferred(
        picture=run.picture, losses=(*losses, parts["total"]), content=parts["content"], style=parts["style"]
    )


class _Run:
    """The picture as a variable, its optimizer, and the compiled step."""

    def __init__(
        self, content: Array, style: Array, network: Backbone, loss: StyleLoss, recipe: TransferRecipe
    ) -> None:
        tf = tensorflow()
        seed_everything(recipe.seed)
        self._network, self._loss, self._recipe = network, loss, recipe
        self._content = network.features(tf.constant(content[None]))
        self._style = loss.targets(network.features(tf.constant(style[None])))
        self._pixels = tf.Variable(_first(content, recipe)[None], name="picture")
        self._optimizer = keras().optimizers.Adam(
            recipe.learning_rate, beta_1=recipe.beta_1, epsilon=recipe.epsilon, jit_compile=False
        )
        self._optimizer.build([self._pixels])
        self._step = tf.function(self._traced, autograph=False)
        self._judged = tf.function(self._losses, autograph=False)

    @property
    def picture(self) -> Array:
        found: Array = self._pixels.numpy()[0]
        return found

    def step(self) -> float:
        """Take a step, and return the loss before it."""
        return float(self._step())

    def parts(self) -> dict[str, float]:
        return {name: float(value) for name, value in self._judged().items()}

    def _losses(self) -> dict[str, Any]:
        made = self._network.features(self._pixels)
        parts = self._loss.parts(made, self._content, self._style)
        return {**parts, "total": parts["content"] + parts["style"] + self._loss.variation(self._pixels)}

    def _traced(self) -> Any:
        tf = tensorflow()
        with tf.GradientTape() as tape:
            total = self._losses()["total"]
        self._optimizer.apply_gradients([(tape.gradient(total, self._pixels), self._pixels)])
        self._pixels.assign(tf.clip_by_value(self._pixels, 0.0, 1.0))
        return total

    def identity(self, content: Array, style: Array) -> str:
        facts = {
            "loss": asdict(self._loss),
            # How many steps there are, and how often they are saved, does not change what a step does.
            "recipe": {name: value for name, value in asdict(self._recipe).items() if name not in UNTOLD},
            "network": (self._network.name, self._network.digest),
            "tensorflow": tensorflow().__version__,
        }
        return fingerprint(facts, [content, style])

    def state(self, losses: tuple[float, ...]) -> TransferState:
        optimizer = tuple(variable.numpy().copy() for variable in self._optimizer.variables)
        return TransferState(losses=losses, picture=self.picture, optimizer=optimizer)

    def restored(self, state: TransferState | None) -> tuple[float, ...]:
        """Go on from a state, and return the losses of its steps."""
        if state is None or len(state.losses) > self._recipe.steps:
            return ()
        self._pixels.assign(state.picture[None])
        for variable, value in zip(self._optimizer.variables, state.optimizer, strict=True):
            variable.assign(value)
        return state.losses


def _first(content: Array, recipe: TransferRecipe) -> Array:
    if recipe.start == "content":
        return content.astype(np.float32)
    return np.asarray(np.random.default_rng(recipe.seed).random(size=content.shape), np.float32)
