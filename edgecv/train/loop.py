"""The one training loop: a custom loop over epochs that can be killed after any instruction and resumed bit-equal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.core.progress import Advance, Reporter
from edgecv.modelio.boundary import call, input_names
from edgecv.modelio.env import keras, tensorflow
from edgecv.tasks.learning import TrainingTask
from edgecv.tasks.registry import task_of
from edgecv.train import state as states
from edgecv.train.average import Average
from edgecv.train.batches import Batch, Source, ordered_batches, prefetched, signature, training_batches
from edgecv.train.losses import Heads
from edgecv.train.pace import Pace
from edgecv.train.randomness import reseed, reseedable
from edgecv.train.recipes import TrainRecipe, learning_rate_at, plateau_factor, recipe_facts
from edgecv.train.sizes import any_size, input_sizes, refused
from edgecv.train.state import Array, Epoch, State
from edgecv.values.binding import bind_inputs, in_order
from edgecv.values.scores import Metric
from edgecv.values.specs import ModelSpec

EVALUATION_BATCH = 256


def _always(epoch: int) -> bool:
    return True


def _nothing() -> None:
    return


def _unlogged(history: tuple[Epoch, ...]) -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What the first head learns by, where that is not what its task says.

    Attributes:
        task: Takes the targets that the head's own task encodes.
        metric: Of its validation value.
    """

    task: TrainingTask
    metric: Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a stage adds to the loop.

    Attributes:
        stage: Shown beside the progress bar, and part of the state's fingerprint.
        facts: JSON-able values that, with the recipe, define the run beyond the weights.
        after_step: Traced into the training step, after the optimizer's update: keeps masked weights at zero, …. Called
            on averaged weights too; doing it twice is doing it once.
        eligible: Whether the weights after this epoch (0-based) may be kept as the best.
        teacher: Model whose answers the first head follows, distillation; None for none.
        log: Told of all finished epochs after each one.
        start_counts: Whether the weights before the first epoch may be kept as the best.
        objective: What the first head learns by; None for its task's own. `facts` tell which it is.
    """

    stage: str
    facts: Mapping[str, object] = field(default_factory=dict)
    after_step: Callable[[], None] = _nothing
    eligible: Callable[[int], bool] = _always
    teacher: Any = None
    log: Callable[[tuple[Epoch, ...]], None] = _unlogged
    start_counts: bool = False
    objective: Objective | None = None

    def metric(self, spec: ModelSpec) -> Metric:
        """Return what epochs are compared by."""
        return task_of(spec.head).metric if self.objective is None else self.objective.metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The result of `fit`: the model holds the weights of `best_epoch` (0-based; -1 is before the first)."""

    history: tuple[Epoch, ...]
    best_epoch: int
    best_value: float


def fit(
    model: Any,
    spec: ModelSpec,
    training: Source,
    validation: Source,
    recipe: TrainRecipe,
    hooks: Hooks,
    *,
    data_sha256: tuple[str, ...],
    state: Path | None,
    reporter: Reporter,
) -> Fitted:
    """Train `model` in place, epoch by epoch, and leave the best epoch's weights in it.

    The best epoch has the best validation value; ties go to the smaller validation loss, then to the earlier epoch.
    With an average of weights (`recipe.ema`), that is what is measured and kept, and the weights themselves train on.

    Args:
        model: A tf_keras model with the outputs of every head, and further ones that are auxiliary classifiers.
        spec: Its contract; the heads pick the losses, and the first one the metric that the best epoch has.
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
    run = _Run(model, spec, recipe, hooks, training)
    start = (run.weights(), run.measure(validation)) if hooks.start_counts else None
    identity = _fingerprint(run, data_sha256)
    history, best = _restore(run, states.resume(state, identity, reporter))
    metric = hooks.metric(spec)
    with reporter.bar(hooks.stage, recipe.epochs) as advance:
        advance(len(history))
        while len(history) < recipe.epochs and not _exhausted(history, recipe, metric):
            history = history + (run.epoch(history, training, validation, advance),)
            if best_index(history, metric) == len(history) - 1 or not best:
                best = run.judged_weights()
            if state is not None:
                states.save(state, run.snapshot(identity, history, best))
            hooks.log(history)
            advance(1, note=_note(history[-1], metric))
        advance(recipe.epochs - len(history))
    run.set_weights(best)
    chosen = best_index(history, metric)
    if start is not None and metric.loss(history[chosen].val_value, start[1]) < 0:
        run.set_weights(start[0])
        reporter.warn(f"{hooks.stage}: no epoch was better than the start, whose weights are kept")
        return Fitted(history=history, best_epoch=-1, best_value=start[1])
    return Fitted(history=history, best_epoch=chosen, best_value=history[chosen].val_value)


def best_index(history: tuple[Epoch, ...], metric: Metric) -> int:
    """Return the index of the best epoch: among the eligible ones, or of all when none is."""
    sign = _sign(metric)
    candidates = [epoch for epoch in history if epoch.eligible] or list(history)
    return min(candidates, key=lambda epoch: (sign * epoch.val_value, epoch.val_loss, epoch.index)).index


def _exhausted(history: tuple[Epoch, ...], recipe: TrainRecipe, metric: Metric) -> bool:
    if recipe.patience is None or not any(epoch.eligible for epoch in history):
        return False
    return len(history) - 1 - best_index(history, metric) >= recipe.patience


def _note(epoch: Epoch, metric: Metric) -> str:
    return f"loss {epoch.loss:.4f} val_{metric.name} {epoch.val_value:.4f}"


def _sign(metric: Metric) -> float:
    """Return what makes the smallest value the best."""
    return 1.0 if metric.better == "lower" else -1.0


def _fingerprint(run: _Run, data_sha256: tuple[str, ...]) -> str:
    facts = {
        "stage": run.hooks.stage,
        "facts": dict(run.hooks.facts),
        "recipe": recipe_facts(run.recipe),
        "spec": asdict(run.spec),
        "data": data_sha256,
        # Not their names: keras numbers those it makes up, from the start of each process.
        "layers": [type(layer).__name__ for layer in run.model.layers],
        "tensorflow": tensorflow().__version__,
    }
    if run.hooks.teacher is not None:
        facts["teacher"] = states.weights_digest(run.hooks.teacher)
    return states.fingerprint(facts, run.weights())


def _restore(run: _Run, state: State | None) -> tuple[tuple[Epoch, ...], tuple[Array, ...]]:
    if state is None:
        return (), ()
    run.set_weights(state.weights)
    for variable, value in zip(run.optimizer.variables, state.optimizer, strict=True):
        variable.assign(value)
    if run.average is not None:
        run.average.restore(state.average)
    return state.history, state.best


class _Run:
    """A model, its optimizer and the compiled steps, while `fit` lasts."""

    def __init__(self, model: Any, spec: ModelSpec, recipe: TrainRecipe, hooks: Hooks, training: Source) -> None:
        self.model, self.spec, self.recipe, self.hooks = model, spec, recipe, hooks
        first = None if hooks.objective is None else hooks.objective.task
        self.heads = Heads(model, spec, recipe, class_weights=_class_weights(spec, recipe, training), first=first)
        self.inputs = bind_inputs(spec, input_names(model), spec.name)
        self.optimizer = _optimizer(recipe)
        self.optimizer.build(model.trainable_variables)
        self.average = None if recipe.ema is None else Average(model, recipe.ema)
        self.generators = reseedable(model)
        self.sources, self.train_steps = self._sized(training)
        self.validation_step = self._compile(self._validation_step, training)

    def weights(self) -> tuple[Array, ...]:
        """Return a copy of every variable, wrappers' own ones included."""
        return tuple(variable.numpy().copy() for variable in self.model.weights)

    def set_weights(self, values: tuple[Array, ...]) -> None:
        for variable, value in zip(self.model.weights, values, strict=True):
            variable.assign(value)

    def snapshot(self, fingerprint: str, history: tuple[Epoch, ...], best: tuple[Array, ...]) -> State:
        optimizer = tuple(variable.numpy().copy() for variable in self.optimizer.variables)
        average = () if self.average is None else self.average.values()
        return State(
            fingerprint=fingerprint, history=history, weights=self.weights(), optimizer=optimizer, best=best,
            average=average,
        )  # fmt: skip

    def judged_weights(self) -> tuple[Array, ...]:
        """Return a copy of the weights that the last epoch was measured with."""
        with self._judged():
            return self.weights()

    @contextlib.contextmanager
    def _judged(self) -> Iterator[None]:
        """The average stands in the model while the block runs, where there is one."""
        if self.average is None:
            yield
            return
        own = self.weights()
        self.average.put()
        self.hooks.after_step()
        try:
            yield
        finally:
            self.set_weights(own)

    def epoch(self, history: tuple[Epoch, ...], training: Source, validation: Source, advance: Advance) -> Epoch:
        """Train the epoch after `history` and measure it; `advance` is told of every step."""
        index, rate = len(history), self._rate(history)
        self.optimizer.learning_rate.assign(rate)
        reseed(self.generators, self.recipe.seed, index)
        loss = self._train(index, training, advance)
        with self._judged():
            val_loss, *values = self._validate(validation)
        if not np.isfinite([loss, val_loss]).all():
            raise ConfigError(
                f"{self.hooks.stage}: the loss became {loss} (validation {val_loss}) in epoch {index + 1}",
                hint=f"lower the learning rate (it was {rate:g})",
            )
        return Epoch(
            index=index,
            loss=loss,
            val_loss=val_loss,
            val_value=values[0],
            learning_rate=rate,
            eligible=self.hooks.eligible(index),
            head_values=tuple(values),
        )

    def measure(self, validation: Source) -> float:
        """Return the validation value of the first head, as the model stands."""
        return self._validate(validation)[1]

    def _rate(self, history: tuple[Epoch, ...]) -> float:
        sign = _sign(self.hooks.metric(self.spec))
        rate = learning_rate_at(self.recipe, len(history))
        values = [sign * epoch.val_value for epoch in history]
        return rate * plateau_factor(self.recipe.reduce_on_plateau, values, rate=rate)

    def _train(self, epoch: int, samples: Source, advance: Advance) -> float:
        recipe = self.recipe
        drawn = self.heads.tasks[0].order(samples.truths[0], np.random.default_rng((recipe.seed, epoch)))
        pace = Pace(-(-len(drawn) // recipe.batch_size))

        def batches() -> Iterator[Batch]:
            rng = np.random.default_rng((recipe.seed, epoch))
            order = self.heads.tasks[0].order(samples.truths[0], rng)
            return training_batches(
                self.sources, batch_size=recipe.batch_size, augmentation=recipe.augmentation, order=order, rng=rng
            )

        losses, count = 0.0, 0
        for inputs, targets in prefetched(batches, self.sources):
            size, step = int(inputs[0].shape[0]), self.train_steps[tuple(inputs[0].shape[1:])]
            losses, count = losses + float(step(inputs, targets)) * size, count + size
            advance(0, note=pace.step(size))
        return losses / count

    def _validate(self, samples: Source) -> list[float]:
        # In a fixed order of the task's own: what learns from pairs is judged on pairs.
        order = self.heads.tasks[0].order(samples.truths[0], np.random.default_rng(0))
        loss, sums = 0.0, list[Array]()
        for inputs, targets in ordered_batches(samples, batch_size=EVALUATION_BATCH, order=order):
            part, *statistics = self.validation_step(inputs, targets)
            loss += float(part) * len(inputs[0])
            found = [np.asarray(one, np.float64) for one in statistics]
            sums = [a + b for a, b in zip(sums, found, strict=True)] if sums else found
        return [loss / len(order), *self.heads.values(sums)]

    def _sized(self, training: Source) -> tuple[tuple[Source, ...], dict[tuple[int, ...], Callable[[Any, Any], Any]]]:
        """The training samples by size, and the step of each by the shape of the first input."""
        full, made, steps = tuple(training.batch(np.arange(1))[0][0].shape[1:]), list[Source](), {}
        if not self.recipe.sizes:
            return (training,), {full: self._compile(self._train_step, training)}
        models = [self.model] if self.hooks.teacher is None else [self.model, self.hooks.teacher]
        for size in input_sizes(self.model, self.spec, self.recipe.sizes):
            samples = training if size == full[:2] else training.at(size)
            step = self._compile(self._train_step, samples)
            # Traced at once: what a network does not take is known before the first epoch.
            try:
                with any_size(models):
                    step.get_concrete_function()
            except (ValueError, TypeError, tensorflow().errors.InvalidArgumentError) as error:
                raise refused(self.model, size, error) from error
            made.append(samples)
            steps[(*size, *full[2:])] = step
        return tuple(made), steps

    def _compile(self, step: Callable[[Any, Any], Any], samples: Source) -> Any:
        return tensorflow().function(step, input_signature=signature(samples), autograph=False)

    def _call(self, model: Any, inputs: Any, *, training: bool) -> list[Any]:
        return call(model, in_order(inputs, self.inputs), training=training)

    def _train_step(self, inputs: Any, targets: Any) -> Any:
        tf = tensorflow()
        with tf.GradientTape() as tape:
            outputs = self._call(self.model, inputs, training=True)
            loss = tf.add_n([self._loss(inputs, targets, outputs), *self.model.losses])
        variables = self.model.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.hooks.after_step()
        if self.average is not None:
            self.average.update()
        return loss

    def _loss(self, inputs: Any, targets: Any, outputs: list[Any]) -> Any:
        loss = self.heads.loss(targets, outputs)
        if self.hooks.teacher is None:
            return loss
        share = self.recipe.teacher_weight
        answers = self._call(self.hooks.teacher, inputs, training=False)
        return (1.0 - share) * loss + share * self.heads.follow(answers, outputs)

    def _validation_step(self, inputs: Any, targets: Any) -> tuple[Any, ...]:
        outputs = self._call(self.model, inputs, training=False)
        return (self.heads.plain_loss(targets, outputs), *self.heads.statistics(targets, outputs))


def _class_weights(spec: ModelSpec, recipe: TrainRecipe, training: Source) -> Array | None:
    if recipe.class_weights != "balanced":
        return None
    return task_of(spec.head).training(spec.head).class_weights(training.truths[0])


def _optimizer(recipe: TrainRecipe) -> Any:
    optimizers = keras().optimizers
    rate = recipe.learning_rate
    options: dict[str, Any] = {"jit_compile": False}
    if recipe.weight_decay:
        options["weight_decay"] = recipe.weight_decay
    if recipe.clip_norm:
        options["global_clipnorm"] = recipe.clip_norm
    if recipe.optimizer == "sgd":
        return optimizers.SGD(rate, momentum=0.9, nesterov=True, **options)
    kinds = {"rmsprop": optimizers.RMSprop, "adam": optimizers.Adam, "adamw": optimizers.AdamW}
    return kinds[recipe.optimizer](rate, **options)
