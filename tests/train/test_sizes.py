"""Batches of several sizes: the same weights on every size, truths of that size, and a kill in between."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from edgecv.data import Dataset, Target
from edgecv.modelio import env
from edgecv.train import Augmentation, Stage, TrainRecipe, train
from edgecv.train.batches import Samples
from edgecv.train.loop import Hooks
from edgecv.train.sizes import any_size, input_sizes
from edgecv.train.training import run_stage
from edgecv.values.specs import ModelSpec, one_input
from tests.train.small import RECIPE, SPEC, Listener, dataset, model
from tests.train.test_mosaic import BOXES, CLASSES, MASK, SIDE, spec, split
from tests.train.test_training import same

keras = env.keras()
SIZED = TrainRecipe(epochs=3, batch_size=3, sizes=(0.5, 1.0, 1.5), ema=0.9, augmentation=Augmentation(mosaic=0.5))


def detector() -> Any:
    keras.utils.set_random_seed(0)
    x = image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Conv2D(4, 3, strides=4, padding="same", activation="relu", name="c1")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.SpatialDropout2D(0.2, name="drop")(x)
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu", name="c2")(x)
    boxes, scores = (keras.layers.Conv2D(n, 1, name=name)(x) for n, name in ((4, "boxes"), (3, "scores")))
    return keras.Model(image, [boxes, scores], name="detector")


@pytest.fixture(scope="module")
def scenes() -> Dataset:
    own = split(12, ((SIDE, SIDE),))
    own = replace(own, targets=own.targets[:1])
    targets = (Target(name="objects", task="detection", labels=CLASSES),)
    return Dataset(name="d", uri="d", targets=targets, splits={name: own for name in ("train", "validation", "test")})


def test_sizes_are_multiples_of_the_networks_stride() -> None:
    net = detector()
    assert input_sizes(net, spec(BOXES), (1.3, 0.5, 0.6, 1.0)) == ((32, 32), (64, 64), (80, 80))
    assert input_sizes(net, spec(BOXES), (0.01,)) == ((16, 16),)


def test_a_network_answers_at_another_size_as_one_that_was_built_for_it() -> None:
    (net, _), (other, _) = (zoo.build("yolo_small_gray", width=0.25, input_shape=(side, side, 1)) for side in (64, 96))
    other.set_weights(net.get_weights())
    image = np.random.default_rng(0).random((2, 96, 96, 1), dtype=np.float32)
    with pytest.raises(ValueError, match="incompatible"):
        net(image)
    with any_size([net]):
        found = net(image, training=False)
    for own, expected in zip(found, other(image, training=False), strict=True):
        np.testing.assert_array_equal(own, expected)
    with pytest.raises(ValueError, match="incompatible"):
        net(image)


def test_images_and_truths_are_of_the_size() -> None:
    samples = Samples(split(), spec(BOXES, MASK, resize="stretch"))
    large = samples.at((96, 96))
    for source, side in ((samples, 64), (large, 96), (samples.at((32, 32)), 32)):
        (images,), (rows, listed, masks) = source.batch(np.arange(12))
        assert images.shape == (12, side, side, 1)
        assert masks.shape == (12, side, side)
        assert rows.shape == (12, (side // 16) ** 2, 5)
        boxes = listed[listed[..., 4] >= 0][:, :4] * SIDE / side
        expected = samples.batch(np.arange(12))[1][1]
        np.testing.assert_allclose(boxes, expected[expected[..., 4] >= 0][:, :4], rtol=1e-5)
    # A shift is a share of the input at every size.
    how = Augmentation(shift=8.0)
    moved = [own.moved(np.arange(12), how, np.random.default_rng(0))[1][1] for own in (samples, large)]
    small, wide = (rows[rows[..., 4] >= 0][:, :4] for rows in moved)
    np.testing.assert_allclose(small * 1.5, wide, rtol=1e-4, atol=1e-3)


def test_every_size_is_trained_and_the_full_one_judged(scenes: Dataset) -> None:
    tf, seen, net = env.tensorflow(), set[int](), detector()

    def noted(x: Any) -> Any:
        return tf.numpy_function(lambda value: (seen.add(value.shape[1]), value)[1], [x], tf.float32)

    class Watch(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return tf.ensure_shape(noted(x), x.shape)

    image = keras.Input((SIDE, SIDE, 1), name="image")
    watched = keras.Model(image, net(Watch(name="watch")(image)), name="watched")
    watched.output_names = ["boxes", "scores"]
    train(watched, spec(BOXES), scenes, replace(SIZED, epochs=4, ema=None, batch_size=2))
    assert seen == {32, 64, 96}
    seen.clear()
    train(watched, spec(BOXES), scenes, replace(SIZED, epochs=1, ema=None, sizes=(0.5,)))
    assert seen == {32, 64}


@pytest.mark.slow
def test_the_full_size_alone_is_what_training_was(scenes: Dataset) -> None:
    plain, sized = (
        train(detector(), spec(BOXES), scenes, replace(SIZED, sizes=sizes, epochs=2)) for sizes in ((), (1.0,))
    )
    assert plain.history == sized.history
    assert same(plain.model.get_weights(), sized.model.get_weights())


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(scenes: Dataset, tmp_path: Path) -> None:
    """With an average, mosaics and dropout too."""

    class Interrupted(Exception):
        pass

    def interrupt(history: Any) -> None:
        raise Interrupted

    def run(state: Path | None, hooks: Hooks) -> list[np.ndarray]:
        net = detector()
        run_stage(net, spec(BOXES), scenes, SIZED, hooks, state=state, reporter=Listener())
        found: list[np.ndarray] = net.get_weights()
        return found

    with pytest.raises(Interrupted):
        run(tmp_path / "state", Hooks(stage="s", log=interrupt))
    resumed, whole = run(tmp_path / "state", Hooks(stage="s")), run(None, Hooks(stage="s"))
    assert same(resumed, whole)


def test_a_dense_layer_behind_a_map_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'small' takes no input of 6x6.*\"output\""):
        train(model(), SPEC, dataset(tmp_path), replace(RECIPE, sizes=(0.75,)))


def test_a_head_that_is_known_for_one_size_is_refused() -> None:
    covering = replace(MASK, settings={"covers": [4, 4, 60, 60]})
    with pytest.raises(ConfigError, match="covers a box of its input"):
        input_sizes(detector(), spec(covering), (0.5,))
    odd = replace(BOXES, settings={**BOXES.settings, "strides": [64 / 5]})
    with pytest.raises(ConfigError, match=r"a cell every 12\.8 pixels, of which a side of 80"):
        input_sizes(detector(), spec(odd), (1.25,))
    vectors: ModelSpec = one_input(name="v", input_shape=(4,), heads=SPEC.heads)
    with pytest.raises(ConfigError, match="sizes are of an image, and 'v' takes features"):
        input_sizes(detector(), vectors, (0.5,))


@pytest.mark.parametrize("factor", [0.0, -1.0, 4.1, float("nan")])
def test_factors_out_of_range_are_refused(factor: float) -> None:
    with pytest.raises(ConfigError, match="sizes must be > 0 and <= 4"):
        TrainRecipe(sizes=(1.0, factor))


def test_stages_on_cached_features_have_one_size(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    x = image = keras.Input(SPEC.input_shape, name="image")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.Conv2D(4, 3, name="conv")(x))
    net = keras.Model(image, keras.layers.Dense(10, activation="softmax", name="output")(x), name="pooled")
    listener = Listener()
    stages = (Stage(epochs=1, train_last=1, cache_features=True), Stage(epochs=1, learning_rate=1e-4))
    train(net, SPEC, dataset(tmp_path), TrainRecipe(sizes=(0.75, 1.0), stages=stages), reporter=listener)
    assert any("images have one size" in remark for remark in listener.remarks)


@pytest.mark.slow
def test_a_student_follows_its_teacher_at_every_size(scenes: Dataset) -> None:
    recipe = replace(SIZED, epochs=4, learning_rate=1e-2, ema=None, augmentation=Augmentation())
    teacher = train(detector(), spec(BOXES), scenes, recipe).model
    follows = replace(recipe, epochs=8, teacher_weight=1.0, schedule="constant")
    keras.utils.set_random_seed(5)
    student = keras.models.clone_model(teacher)
    images = Samples(scenes.split("train"), spec(BOXES)).batch(np.arange(12))[0][0]

    def apart() -> float:
        said, wanted = (1 / (1 + np.exp(-net(images)[1].numpy()[..., 0])) for net in (student, teacher))
        return float(np.abs(said - wanted).mean())

    before = apart()
    train(student, spec(BOXES), scenes, follows, teacher=teacher)
    assert apart() < 0.5 * before
