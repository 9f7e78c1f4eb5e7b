"""Frozen layers, cached features, heads on trained backbones, and logs."""

import csv

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio import env
from edgecv.train import (
    NewHead,
    Stage,
    TrainRecipe,
    adjusted,
    split_at,
    split_specs,
    train,
    transfer_recipe,
    with_new_head,
)
from tests.train.small import SPEC, Listener, dataset

keras = env.keras()
L = keras.layers


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data"))


def net():
    keras.utils.set_random_seed(0)
    x = image = keras.Input(SPEC.input_shape, name="image")
    x = L.BatchNormalization(name="norm")(L.Conv2D(4, 3, name="conv")(x))
    x = L.GlobalAveragePooling2D(name="pool")(L.ReLU(name="relu")(x))
    x = L.Dense(8, activation="relu", name="fc")(x)
    return keras.Model(image, L.Dense(len(SPEC.labels), activation="softmax", name="output")(x), name="staged")


def weights(model, layer):
    return [weight.copy() for weight in model.get_layer(layer).get_weights()]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_frozen_layers_keep_weights_and_statistics(data):
    model = net()
    before = {name: weights(model, name) for name in ("conv", "norm", "fc", "output")}
    recipe = TrainRecipe(stages=(Stage(epochs=2, freeze=("conv", "n*")),))
    train(model, SPEC, data, recipe)
    assert same(before["conv"], weights(model, "conv"))
    assert same(before["norm"], weights(model, "norm"))
    assert not same(before["fc"], weights(model, "fc"))
    assert all(layer.trainable for layer in model.layers)


def test_the_next_stage_trains_what_was_frozen(data):
    model = net()
    before = {name: weights(model, name) for name in ("conv", "norm")}
    recipe = TrainRecipe(stages=(Stage(epochs=1, train_last=1), Stage(epochs=1, learning_rate=1e-4)))
    train(model, SPEC, data, recipe)
    assert not same(before["conv"], weights(model, "conv"))
    assert not same(before["norm"], weights(model, "norm"))


def test_cached_features_train_as_the_whole_model_does(data):
    plain, quick = net(), net()
    stage = {"epochs": 3, "freeze": ("conv", "norm")}
    whole = train(plain, SPEC, data, TrainRecipe(stages=(Stage(**stage),)))
    cached = train(quick, SPEC, data, TrainRecipe(stages=(Stage(**stage, cache_features=True),)))
    for a, b in zip(whole.history, cached.history, strict=True):
        assert (a.loss, a.val_loss) == pytest.approx((b.loss, b.val_loss), rel=1e-4)
    for a, b in zip(plain.get_weights(), quick.get_weights(), strict=True):
        assert a == pytest.approx(b, abs=1e-4)


def test_stages_resume(data, tmp_path):
    recipe = TrainRecipe(stages=(Stage(epochs=2, train_last=2), Stage(epochs=2, learning_rate=1e-4)))
    straight = train(net(), SPEC, data, recipe)
    train(net(), SPEC, data, recipe, state=tmp_path / "state")
    assert (tmp_path / "state.1").exists()
    listener = Listener()
    again = train(net(), SPEC, data, recipe, state=tmp_path / "state", reporter=listener)
    assert sum("resuming" in remark for remark in listener.remarks) == 2
    assert same(straight.model.get_weights(), again.model.get_weights())


def test_unfreezing_at_the_same_rate_is_warned_of(data):
    listener = Listener()
    recipe = TrainRecipe(stages=(Stage(epochs=1, freeze=("conv",)), Stage(epochs=1)))
    train(net(), SPEC, data, recipe, reporter=listener)
    assert any("no lower than" in warning for warning in listener.warnings)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (Stage(epochs=1, freeze=("cnov",)), "no layer of 'staged' is called 'cnov'"),
        (Stage(epochs=1, freeze=("*",)), "every layer with weights is frozen"),
        (Stage(epochs=1, cache_features=True), "cannot be cut at 'conv'"),
    ],
)
def test_impossible_stages_are_refused(data, stage, message):
    with pytest.raises(ConfigError, match=message):
        train(net(), SPEC, data, TrainRecipe(stages=(stage,)))


def test_a_model_in_two_parts_answers_like_the_whole():
    model = net()
    parts = split_at(model, "fc")
    image = np.random.default_rng(0).random((3, *SPEC.input_shape), dtype=np.float32)
    assert np.asarray(parts.head(parts.backbone(image))) == pytest.approx(np.asarray(model(image)), abs=1e-6)
    front, back = split_specs(parts, SPEC)
    assert (front.head.task, back.input_shape, back.preprocessing) == ("embedding", (4,), None)
    assert back.labels == SPEC.labels
    with pytest.raises(ConfigError, match="no layer 'ouput'"):
        split_at(model, "ouput")


def test_a_new_head_keeps_the_backbone(data):
    source = train(net(), SPEC, data, TrainRecipe(epochs=2)).model
    labels = tuple(SPEC.labels)
    model, spec = with_new_head(source, SPEC, NewHead(task="classification", labels=labels, units=6, dropout=0.1))
    assert spec.variant == "canonical_transfer"
    assert same(weights(source, "conv"), weights(model, "conv"))
    recipe = transfer_recipe(model, TrainRecipe(epochs=4))
    assert [stage.epochs for stage in recipe.stages] == [1, 3]
    assert recipe.stages[1].learning_rate == pytest.approx(3e-4)
    done = train(model, spec, data, recipe)
    assert len(done.history) == 3


def test_logs_hold_every_epoch(data, tmp_path):
    train(net(), SPEC, data, TrainRecipe(epochs=3), log_dir=tmp_path / "logs")
    rows = list(csv.DictReader((tmp_path / "logs" / "train.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(0 <= float(row[f"val_{SPEC.head.name}_top1"]) <= 1 for row in rows)
    assert list((tmp_path / "logs" / "tensorboard" / "train").glob("events.*"))


def staged(*epochs, **first):
    rest = (Stage(epochs=count, learning_rate=1e-4) for count in epochs[1:])
    return TrainRecipe(learning_rate=1e-3, stages=(Stage(epochs=epochs[0], **first), *rest))


@pytest.mark.parametrize(
    ("recipe", "epochs", "expected"),
    [
        (staged(5, 10), 30, [10, 20]),
        (staged(5, 10), 3, [1, 2]),
        (staged(1, 99), 2, [1, 1]),
        (staged(99, 1), 10, [9, 1]),
        (staged(1, 1, 1), 7, [2, 3, 2]),
    ],
)
def test_epochs_are_shared_out_among_stages(recipe, epochs, expected):
    assert [stage.epochs for stage in adjusted(recipe, epochs=epochs).stages] == expected


def test_the_learning_rate_is_the_first_stages_and_moves_the_others():
    slower = adjusted(staged(1, 1), learning_rate=5e-4)
    assert slower.learning_rate == pytest.approx(5e-4)
    assert [stage.learning_rate for stage in slower.stages] == [None, pytest.approx(5e-5)]
    own = adjusted(staged(1, 1, learning_rate=2e-3), learning_rate=1e-3)
    assert [stage.learning_rate for stage in own.stages] == [pytest.approx(1e-3), pytest.approx(5e-5)]


def test_fewer_epochs_than_stages_are_refused():
    with pytest.raises(ConfigError, match="one for each of the recipe's stages"):
        adjusted(staged(2, 2), epochs=1)


def test_values_of_a_recipe_without_stages():
    assert adjusted(TrainRecipe(), epochs=3, learning_rate=0.1, batch_size=8, seed=4) == TrainRecipe(
        epochs=3, learning_rate=0.1, batch_size=8, seed=4
    )


def test_inner_layers_of_a_frozen_model_get_their_own_state_back(data):
    keras.utils.set_random_seed(0)
    inner = net()
    inner.get_layer("norm").trainable = False
    image = keras.Input(SPEC.input_shape, name="image")
    output = L.Dense(len(SPEC.labels), activation="softmax", name="outer")(inner(image))
    model = keras.Model(image, output, name="nested")
    before = [weight.copy() for weight in inner.get_weights()]
    train(model, SPEC, data, TrainRecipe(stages=(Stage(epochs=1, freeze=("staged",)),)))
    assert same(before, inner.get_weights())
    assert not inner.get_layer("norm").trainable
    assert inner.get_layer("conv").trainable


def test_the_last_layers_are_counted_among_those_that_can_train(data):
    model = net()
    model.get_layer("output").trainable = False
    before = {name: weights(model, name) for name in ("conv", "fc", "output")}
    train(model, SPEC, data, TrainRecipe(stages=(Stage(epochs=1, train_last=1),)))
    assert not same(before["fc"], weights(model, "fc"))
    assert same(before["conv"], weights(model, "conv"))
    assert same(before["output"], weights(model, "output"))


def linear():
    keras.utils.set_random_seed(0)
    image = keras.Input(SPEC.input_shape)
    return keras.Model(image, L.Dense(len(SPEC.labels), activation="softmax")(L.Flatten()(image)))


def test_a_later_stage_that_makes_it_worse_keeps_what_was(data):
    recipe = TrainRecipe(stages=(Stage(epochs=5, learning_rate=1e-2), Stage(epochs=1, learning_rate=30.0)))
    good = train(linear(), SPEC, data, TrainRecipe(stages=recipe.stages[:1]))
    done = train(linear(), SPEC, data, recipe)
    assert (done.best_epoch, done.best_value) == (-1, good.best_value)
    assert same(good.model.get_weights(), done.model.get_weights())


def test_a_cached_stage_of_another_backbone_does_not_resume(data, tmp_path):
    recipe = TrainRecipe(stages=(Stage(epochs=1, freeze=("conv", "norm"), cache_features=True),))
    train(net(), SPEC, data, recipe, state=tmp_path / "state")
    other = net()
    other.get_layer("conv").set_weights([weight * 2 for weight in weights(other, "conv")])
    listener = Listener()
    train(other, SPEC, data, recipe, state=tmp_path / "state", reporter=listener)
    assert any("belongs to another run" in warning for warning in listener.warnings)


def test_another_teacher_is_another_run(data, tmp_path):
    teacher, other = net(), net()
    other.get_layer("conv").set_weights([weight * 2 for weight in weights(other, "conv")])
    recipe = TrainRecipe(epochs=1)
    train(net(), SPEC, data, recipe, state=tmp_path / "state", teacher=teacher)
    listener = Listener()
    train(net(), SPEC, data, recipe, state=tmp_path / "state", teacher=other, reporter=listener)
    assert any("belongs to another run" in warning for warning in listener.warnings)


def test_a_backbone_keeps_all_its_layers():
    parts = split_at(net(), "output")
    front, _ = split_specs(parts, SPEC)
    model, spec = with_new_head(parts.backbone, front, NewHead(task="classification", labels=tuple(SPEC.labels)))
    assert same(weights(parts.backbone, "fc"), weights(model, "fc"))
    assert spec.head.task == "classification"


def test_a_model_whose_last_layer_gives_no_labels_is_refused():
    image = keras.Input(SPEC.input_shape)
    features = L.Dense(7)(L.Flatten()(L.Conv2D(2, 3)(image)))
    with pytest.raises(UnsupportedModelError, match="does not end in a layer of one value for each"):
        with_new_head(keras.Model(image, features), SPEC, NewHead(task="classification", labels=tuple(SPEC.labels)))


def test_a_model_of_one_layer_has_no_backbone():
    image = keras.Input(SPEC.input_shape)
    output = L.Dense(len(SPEC.labels))(L.Flatten()(image))
    with pytest.raises(UnsupportedModelError, match="nothing before its classifier"):
        with_new_head(keras.Model(image, output), SPEC, NewHead(task="classification", labels=tuple(SPEC.labels)))


@pytest.mark.parametrize(
    ("task", "activation"), [("multilabel", "sigmoid"), ("regression", "linear"), ("classification", "softmax")]
)
def test_the_new_head_is_that_of_the_datas_task(task, activation):
    parts = split_at(net(), "output")
    front, _ = split_specs(parts, SPEC)
    model, spec = with_new_head(parts.backbone, front, NewHead(task=task, labels=("u", "v")))
    assert (spec.head.task, spec.labels, model.output_shape) == (task, ("u", "v"), (None, 2))
    assert model.layers[-1].activation.__name__ == activation


@pytest.mark.parametrize(
    ("task", "labels", "message"),
    [
        ("segmentation", ("a", "b"), "no new head for segmentation"),
        ("detection", ("a", "b"), "no new head for"),
        ("classification", ("a",), "needs 2 or more labels, got a"),
    ],
)
def test_tasks_without_a_new_head_are_refused(task, labels, message):
    with pytest.raises(ConfigError, match=message):
        with_new_head(net(), SPEC, NewHead(task=task, labels=labels))
