"""The one training loop: a custom loop over epochs that can be killed after any instruction and resumed bit-equal."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable, Mapping

import numpy as np

from edgecv.errors import ConfigError
from edgecv.modelio.env import keras, tensorflow
from edgecv.progress import Reporter
from edgecv.specs import ModelSpec
from edgecv.train import state as states
from edgecv.train.batches import Samples, ordered_batches, training_batches
from edgecv.train.losses import is_regression, loss_for
from edgecv.train.randomness import reseed, reseedable
from edgecv.train.recipes import TrainRecipe, learning_rate_at
from edgecv.train.state import Array, Epoch, State

EVALUATION_BATCH = 256


def _always(epoch: int) -> bool:
    return True


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a stage adds to the loop.

    Attributes:
        stage: Shown beside the progress bar, and part of the state's fingerprint.
        facts: JSON-able values that, with the recipe, define the run beyond the weights.
        after_step: Traced into the training step, after the optimizer's update: keeps masked weights at zero, ….
        eligible: Whether the weights after this epoch (0-based) may be kept as the best.
    """

    stage: str
    facts: Mapping[str, object] = field(default_factory=dict)
    after_step: Callable[[], None] = _nothing
    eligible: Callable[[int], bool] = _always


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The result of `fit`: the model holds the weights of `best_epoch` (0-based)."""

    history: tuple[Epoch, ...]
    best_epoch: int
    best_value: float


def fit(
    model: Any,
    spec: ModelSpec,
    training: Samples,
    validation: Samples,
    recipe: TrainRecipe,
    hooks: Hooks,
    *,
    data_sha256: tuple[str, ...],
    state: Path | None,
    reporter: Reporter,
) -> Fitted:
    """Train `model` in place, epoch by epoch, and leave the best epoch's weights in it.

    The best epoch has the best validation value; ties go to the smaller validation loss, then to the earlier epoch.

    Args:
        model: A tf_keras model with one output.
        spec: Its contract; the first head picks the loss.
        training: Shuffled and augmented from (seed, epoch).
        validation: Measured after each epoch.
        recipe: The run.
        hooks: What the stage adds.
        data_sha256: Digests of both splits, for the fingerprint.
        state: Resume file, written after each epoch; None keeps none.
        reporter: Shows a bar over the epochs with loss and validation value.

    Raises:
        ConfigError: The head has no loss, the loss is no longer finite, or the state cannot be written.
    """
    run = _Run(model, spec, recipe, hooks)
    identity = _fingerprint(run, data_sha256)
    history, best = _restore(run, states.resume(state, identity, reporter))
    with reporter.bar(hooks.stage, recipe.epochs) as advance:
        advance(len(history))
        while len(history) < recipe.epochs and not _exhausted(history, recipe, spec):
            history = history + (run.epoch(len(history), training, validation),)
            if best_index(history, spec) == len(history) - 1 or not best:
                best = run.weights()
            if state is not None:
                states.save(state, run.snapshot(identity, history, best))
            advance(1, note=_note(history[-1], spec))
        advance(recipe.epochs - len(history))
    run.set_weights(best)
    chosen = best_index(history, spec)
    return Fitted(history=history, best_epoch=chosen, best_value=history[chosen].val_value)


def best_index(history: tuple[Epoch, ...], spec: ModelSpec) -> int:
    """Return the index of the best epoch: among the eligible ones, or of all when none is."""
    sign = 1.0 if is_regression(spec.head) else -1.0
    candidates = [epoch for epoch in history if epoch.eligible] or list(history)
    return min(candidates, key=lambda epoch: (sign * epoch.val_value, epoch.val_loss, epoch.index)).index


def _exhausted(history: tuple[Epoch, ...], recipe: TrainRecipe, spec: ModelSpec) -> bool:
    if recipe.patience is None or not any(epoch.eligible for epoch in history):
        return False
    return len(history) - 1 - best_index(history, spec) >= recipe.patience


def _note(epoch: Epoch, spec: ModelSpec) -> str:
    metric = "val_mae" if is_regression(spec.head) else "val_accuracy"
    return f"loss {epoch.loss:.4f} {metric} {epoch.val_value:.4f}"


def _fingerprint(run: _Run, data_sha256: tuple[str, ...]) -> str:
    facts = {
        "stage": run.hooks.stage,
        "facts": dict(run.hooks.facts),
        "recipe": asdict(run.recipe),
        "spec": asdict(run.spec),
        "data": data_sha256,
        # Not their names: keras numbers those it makes up, from the start of each process.
        "layers": [type(layer).__name__ for layer in run.model.layers],
        "tensorflow": tensorflow().__version__,
    }
    return states.fingerprint(facts, run.weights())


def _restore(run: _Run, state: State | None) -> tuple[tuple[Epoch, ...], tuple[Array, ...]]:
    if state is None:
        return (), ()
    run.set_weights(state.weights)
    for variable, value in zip(run.optimizer.variables, state.optimizer, strict=True):
        variable.assign(value)
    return state.history, state.best


class _Run:
    """A model, its optimizer and the compiled steps, while `fit` lasts."""

    def __init__(self, model: Any, spec: ModelSpec, recipe: TrainRecipe, hooks: Hooks) -> None:
        self.model, self.spec, self.recipe, self.hooks = model, spec, recipe, hooks
        self.loss = loss_for(spec.head, label_smoothing=recipe.label_smoothing)
        self.plain_loss = loss_for(spec.head)
        self.optimizer = _optimizer(recipe)
        self.optimizer.build(model.trainable_variables)
        self.generators = reseedable(model)
        self.train_step = self._compile(self._train_step)
        self.validation_step = self._compile(self._validation_step)

    def weights(self) -> tuple[Array, ...]:
        """Return a copy of every variable, wrappers' own ones included."""
        return tuple(variable.numpy().copy() for variable in self.model.weights)

    def set_weights(self, values: tuple[Array, ...]) -> None:
        for variable, value in zip(self.model.weights, values, strict=True):
            variable.assign(value)

    def snapshot(self, fingerprint: str, history: tuple[Epoch, ...], best: tuple[Array, ...]) -> State:
        optimizer = tuple(variable.numpy().copy() for variable in self.optimizer.variables)
        return State(fingerprint=fingerprint, history=history, weights=self.weights(), optimizer=optimizer, best=best)

    def epoch(self, index: int, training: Samples, validation: Samples) -> Epoch:
        """Train one epoch and measure it."""
        rate = learning_rate_at(self.recipe, index)
        self.optimizer.learning_rate.assign(rate)
        reseed(self.generators, self.recipe.seed, index)
        loss = self._train(index, training)
        val_loss, val_value = self._validate(validation)
        if not np.isfinite([loss, val_loss]).all():
            raise ConfigError(
                f"{self.hooks.stage}: the loss became {loss} (validation {val_loss}) in epoch {index + 1}",
                hint=f"lower the learning rate (it was {rate:g})",
            )
        eligible = self.hooks.eligible(index)
        return Epoch(
            index=index, loss=loss, val_loss=val_loss, val_value=val_value, learning_rate=rate, eligible=eligible
        )

    def _train(self, epoch: int, samples: Samples) -> float:
        recipe = self.recipe
        batches = training_batches(
            samples, batch_size=recipe.batch_size, augmentation=recipe.augmentation, seed=recipe.seed, epoch=epoch
        )
        losses = [float(self.train_step(inputs, labels)) * len(labels) for inputs, labels in batches]
        return float(np.sum(losses) / len(samples))

    def _validate(self, samples: Samples) -> tuple[float, float]:
        batches = ordered_batches(samples, batch_size=EVALUATION_BATCH)
        sums = np.sum([np.multiply([float(v) for v in self.validation_step(x, y)], len(y)) for x, y in batches], axis=0)
        return float(sums[0] / len(samples)), float(sums[1] / len(samples))

    def _compile(self, step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        tf = tensorflow()
        inputs = tf.TensorSpec((None, *self.spec.input_shape), tf.float32)
        compiled: Callable[[Any, Any], Any] = tf.function(
            step, input_signature=[inputs, tf.TensorSpec((None,), tf.int64)], autograph=False
        )
        return compiled

    def _train_step(self, inputs: Any, labels: Any) -> Any:
        tf = tensorflow()
        with tf.GradientTape() as tape:
            loss = tf.add_n([self.loss(labels, self.model(inputs, training=True)), *self.model.losses])
        variables = self.model.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.hooks.after_step()
        return loss

    def _validation_step(self, inputs: Any, labels: Any) -> tuple[Any, Any]:
        outputs = self.model(inputs, training=False)
        return self.plain_loss(labels, outputs), _metric(self.spec, labels, outputs)


def _metric(spec: ModelSpec, labels: Any, outputs: Any) -> Any:
    tf = tensorflow()
    if is_regression(spec.head):
        return tf.reduce_mean(tf.abs(outputs[:, 0] - tf.cast(labels, outputs.dtype)))
    scores = -outputs if spec.head.activation == "distances" else outputs
    return tf.reduce_mean(tf.cast(tf.equal(tf.argmax(scores, axis=-1), labels), tf.float32))


def _optimizer(recipe: TrainRecipe) -> Any:
    optimizers = keras().optimizers
    rate = recipe.learning_rate
    if recipe.optimizer == "sgd":
        return optimizers.SGD(rate, momentum=0.9, nesterov=True, jit_compile=False)
    if recipe.optimizer == "rmsprop":
        return optimizers.RMSprop(rate, jit_compile=False)
    return optimizers.Adam(rate, jit_compile=False)
