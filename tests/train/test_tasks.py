"""Heads of every task, several heads, auxiliary classifiers, class weights and teachers."""

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, DataError
from edgecv.data import Dataset, Split, Target
from edgecv.data.sources import ArrayImages
from edgecv.modelio import env
from edgecv.tasks.learning import LossOptions
from edgecv.tasks.registry import task_of
from edgecv.train import Augmentation, TrainRecipe, train
from edgecv.train.losses import Heads
from edgecv.values.specs import Head, one_input

keras = env.keras()
N, D = 800, 6
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, D)).astype(np.float32)
CLASS = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0).astype(np.int64)
FLAGS = (X[:, :3] > 0).astype(np.float32)
VALUE = (X[:, :1] * 2 - X[:, 1:2] + 3).astype(np.float32)
HEADS = {
    "class": (Head(name="class", task="classification", activation="probabilities", labels=("a", "b", "c")), CLASS),
    "flags": (
        Head(name="flags", task="multilabel", activation="probabilities", labels=("x", "y", "z")),
        FLAGS,
    ),
    "value": (Head(name="value", task="regression", activation="linear", labels=("v",)), VALUE),
}
RECIPE = TrainRecipe(epochs=25, batch_size=32, learning_rate=1e-2, schedule="constant")


def spec_of(*names):
    return one_input(name="vectors", input_shape=(D,), heads=tuple(HEADS[name][0] for name in names))


def dataset_of(*names):
    targets = tuple(Target(name=n, task=HEADS[n][0].task, labels=HEADS[n][0].labels) for n in names)
    bounds = {"train": (0, 600), "validation": (600, 700), "test": (700, N)}
    splits = {
        name: Split(
            name=name,
            images=ArrayImages(X, np.arange(*bound)),
            targets=tuple(HEADS[n][1][slice(*bound)] for n in names),
        )
        for name, bound in bounds.items()
    }
    return Dataset(name="vectors", uri="vectors", targets=targets, splits=splits)


def learner(name):
    return task_of(HEADS[name][0]).training(HEADS[name][0])


def net(*names, auxiliary=False):
    keras.utils.set_random_seed(0)
    kinds = {"class": "softmax", "flags": "sigmoid", "value": "linear"}
    x = image = keras.Input((D,))
    x = keras.layers.Dense(16, activation="relu", name="hidden")(x)
    outputs = [keras.layers.Dense(len(HEADS[n][0].labels), activation=kinds[n], name=n)(x) for n in names]
    if auxiliary:
        outputs.append(
            keras.layers.Dense(3, activation="softmax", name="aux")(keras.layers.Dense(8, name="aux_in")(image))
        )
    return keras.Model(image, outputs if len(outputs) > 1 else outputs[0])


@pytest.mark.parametrize(("name", "least", "most"), [("class", 0.9, 1), ("flags", 0.85, 1), ("value", 0, 0.3)])
def test_each_task_learns(name, least, most):
    done = train(net(name), spec_of(name), dataset_of(name), RECIPE)
    assert least <= done.best_value <= most


def test_several_heads_learn_together_whatever_the_order_of_the_targets():
    names = ("value", "class", "flags")
    done = train(net(*names), spec_of(*names), dataset_of("flags", "value", "class"), RECIPE)
    error, accuracy, match = done.history[done.best_epoch].head_values
    assert (error < 0.6, accuracy > 0.8, match > 0.7) == (True, True, True)
    assert done.best_value == error


def test_head_weights_choose_what_is_learnt():
    recipe = TrainRecipe(epochs=14, learning_rate=1e-2, head_weights={"value": 0.0})
    done = train(net("class", "value"), spec_of("class", "value"), dataset_of("class", "value"), recipe)
    accuracy, error = done.history[-1].head_values
    assert accuracy > 0.85
    assert error > 1.5
    wrong = TrainRecipe(epochs=1, head_weights={"klass": 1.0})
    with pytest.raises(ConfigError, match="head_weights names klass"):
        train(net("class"), spec_of("class"), dataset_of("class"), wrong)


def test_auxiliary_classifiers_learn_the_first_target():
    model = net("class", auxiliary=True)
    before = model.get_layer("aux").kernel.numpy().copy()
    train(model, spec_of("class"), dataset_of("class"), TrainRecipe(epochs=3))
    assert np.any(model.get_layer("aux").kernel.numpy() != before)
    still = net("class", auxiliary=True)
    train(still, spec_of("class"), dataset_of("class"), TrainRecipe(epochs=3, auxiliary_weight=0.0))
    assert np.array_equal(still.get_layer("aux").kernel.numpy(), before)


def test_data_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match=r"head 'class' is for classification; .* value \(regression\)"):
        train(net("class"), spec_of("class"), dataset_of("value"), TrainRecipe(epochs=1))


def test_a_hidden_penalty_of_the_model_is_part_of_the_loss():
    image = keras.Input((D,))
    penalty = keras.regularizers.L2(10.0)
    x = keras.layers.Dense(8, activation="relu", activity_regularizer=penalty, name="hidden")(image)
    model = keras.Model(image, keras.layers.Dense(1, name="value")(x))
    done = train(model, spec_of("value"), dataset_of("value"), TrainRecipe(epochs=2))
    assert done.history[0].loss > 2 * done.history[0].val_loss


def test_balanced_weights_by_hand():
    assert learner("class").class_weights([0, 0, 0, 1]).tolist() == pytest.approx([4 / 9, 4 / 3, 0])
    assert learner("value").class_weights([[1.0], [2.0]]) is None


def test_class_weights_scale_the_loss_of_each_class():
    labels = np.array([0, 1], np.int64)
    outputs = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]], np.float32)
    weights = LossOptions(class_weights=np.array([2.0, 0.0, 1.0], np.float32))
    assert float(learner("class").loss([labels], [outputs], weights)) == pytest.approx(np.log(2), rel=1e-5)


def test_binary_losses_and_metrics_by_hand():
    flags = learner("flags")
    targets = np.array([[1, 0, 1], [0, 0, 1]], np.float32)
    outputs = np.array([[0.9, 0.2, 0.8], [0.6, 0.1, 0.9]], np.float32)
    right = [0.9, 0.8, 0.8, 0.4, 0.9, 0.9]
    assert float(flags.loss([targets], [outputs], LossOptions())) == pytest.approx(-np.mean(np.log(right)), rel=1e-4)
    assert flags.value(np.asarray(flags.statistics([targets], [outputs]))) == 0.5


@pytest.mark.parametrize("name", list(HEADS))
def test_the_validation_value_is_the_tasks_own_however_samples_are_batched(name):
    head, truths = HEADS[name]
    rng = np.random.default_rng(1)
    outputs = rng.random((30, len(head.labels))).astype(np.float32)
    own, task = learner(name), task_of(head)
    sums = sum(np.asarray(own.statistics([truths[a:b]], [outputs[a:b]])) for a, b in ((0, 7), (7, 8), (8, 30)))
    scores = task.score(task.judge(list(truths[:30]), [outputs], head, [None] * 30), head)
    assert own.value(sums) == pytest.approx(scores.value, rel=1e-5)


@pytest.mark.parametrize(("kind", "expected"), [("mse", 2.5), ("mae", 1.5), ("huber", 1.0)])
def test_regression_losses_by_hand(kind, expected):
    targets, outputs = np.array([[1.0], [2.0]], np.float32), np.array([[2.0], [4.0]], np.float32)
    assert float(learner("value").loss([targets], [outputs], LossOptions(regression=kind))) == expected


def test_the_loss_of_a_model_is_the_weighted_sum_of_its_heads():
    """The outputs of the model stand in another order than the heads; what no head reads learns the first target."""
    model, spec = net("value", "class", auxiliary=True), spec_of("class", "value")
    recipe = TrainRecipe(head_weights={"value": 3.0}, auxiliary_weight=0.25)
    value, likely, extra = [np.asarray(output) for output in model(X[:5])]
    own = Heads(model, spec, recipe)
    by_class, by_value = (CLASS[:5],), (VALUE[:5],)
    parts = [
        float(learner("class").loss(by_class, [likely], LossOptions())),
        float(learner("value").loss(by_value, [value], LossOptions())),
        float(learner("class").loss(by_class, [extra], LossOptions())),
    ]
    found = float(own.loss([CLASS[:5], VALUE[:5]], [value, likely, extra]))
    assert found == pytest.approx(parts[0] + 3 * parts[1] + 0.25 * parts[2], rel=1e-5)


def test_distillation_loss_is_least_at_the_teachers_answers():
    own, options = learner("class"), LossOptions(temperature=2.0)
    teacher = np.array([[0.7, 0.2, 0.1]], np.float32)
    soft = np.sqrt(teacher) / np.sqrt(teacher).sum()
    least = float(own.distil([teacher], [teacher], options))
    assert least == pytest.approx(-4 * np.sum(soft * np.log(soft)), rel=1e-4)
    assert float(own.distil([teacher], [teacher[:, ::-1]], options)) > least


def test_a_student_follows_its_teacher():
    spec, data = spec_of("class"), dataset_of("class")
    teacher = train(net("class"), spec, data, RECIPE).model
    student = net("class")
    recipe = TrainRecipe(epochs=20, learning_rate=1e-2, teacher_weight=1.0, temperature=2.0)
    train(student, spec, data, recipe, teacher=teacher)
    alike = np.mean(np.argmax(student(X), -1) == np.argmax(teacher(X), -1))
    assert alike > 0.9


def test_vectors_are_not_augmented():
    with pytest.raises(ConfigError, match="feature vectors cannot be moved"):
        train(net("class"), spec_of("class"), dataset_of("class"), TrainRecipe(augmentation=Augmentation(shift=1.0)))


def test_a_target_that_is_missing_is_named():
    data = dataset_of("class")
    with pytest.raises((ConfigError, DataError), match="head"):
        train(net("class", "value"), spec_of("class", "value"), data, TrainRecipe(epochs=1))
