"""The moving average of weights: by hand, kept as the best, through a kill, and with weights that a mask holds at 0."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv.compress import PruneRecipe, QatRecipe, prune, quantize_aware
from edgecv.core.errors import ConfigError
from edgecv.data import Dataset
from edgecv.modelio import env
from edgecv.train import TrainRecipe, train
from edgecv.train.average import Average
from edgecv.train.loop import Hooks
from edgecv.train.recipes import recipe_facts
from edgecv.train.training import run_stage
from tests.train.killing import killed_and_whole
from tests.train.small import RECIPE, SPEC, Listener, dataset, model
from tests.train.test_training import same

EMA = replace(RECIPE, ema=0.9)
KILLED = """
import sys, numpy as np
from pathlib import Path
from dataclasses import replace
from edgecv.data import open_divided
from edgecv.train import train
from tests.train.killing import killed_and_whole
from tests.train.small import RECIPE, SPEC
from tests.train.test_average import normed
folder = Path(sys.argv[1])
data = open_divided(f"npz:{folder / 'small.npz'}")
done = train(normed(), SPEC, data, replace(RECIPE, epochs=30, ema=0.99), state=folder / "state")
np.savez(folder / sys.argv[2], *done.model.get_weights())
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(tmp_path_factory.mktemp("data"))


def normed() -> Any:
    keras = env.keras()
    keras.utils.set_random_seed(0)
    x = image = keras.Input(SPEC.input_shape, name="image")
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(4, 3, strides=2, name="conv")(x))
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.Model(image, keras.layers.Dense(10, activation="softmax", name="output")(x), name="normed")


def test_by_hand() -> None:
    keras = env.keras()
    image = keras.Input((1,))
    net = keras.Model(image, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="d")(image))
    average = Average(net, 0.25)
    found = []
    for value in (1.0, 2.0, 3.0):
        net.set_weights([np.array([[value]])])
        average.update()
        found.append(float(average.values()[1][0, 0]))
    # Decays of 1/10, 2/11 and 0.25, which 3/12 equals.
    first = 0.9 * 1.0
    second = first + 9 / 11 * (2.0 - first)
    assert found == pytest.approx([first, second, second + 0.75 * (3.0 - second)])
    average.put()
    assert float(net.get_weights()[0][0, 0]) == pytest.approx(found[-1])
    again = Average(net, 0.25)
    again.restore(average.values())
    assert all(np.array_equal(a, b) for a, b in zip(again.values(), average.values(), strict=True))


def test_what_is_kept_is_the_average_of_every_steps_weights_and_statistics(digits: Dataset) -> None:
    tf, net, seen = env.tensorflow(), normed(), list[list[np.ndarray]]()
    start = net.get_weights()

    def record() -> None:
        def kept(*values: np.ndarray) -> np.int64:
            seen.append([value.copy() for value in values])
            return np.int64(0)

        tf.numpy_function(kept, list(net.weights), tf.int64)

    recipe, listener = replace(EMA, epochs=1), Listener()
    run_stage(net, SPEC, digits, recipe, Hooks(stage="t", after_step=record), state=None, reporter=listener)
    steps = -(-len(digits.split("train")) // recipe.batch_size)
    expected = [weight.astype(np.float64) for weight in start]
    for count, weights in enumerate(seen[:steps]):
        decay = min(0.9, (1 + count) / (10 + count))
        expected = [mean + (1 - decay) * (weight - mean) for mean, weight in zip(expected, weights, strict=True)]
    for found, mean, last in zip(net.get_weights(), expected, seen[steps - 1], strict=True):
        np.testing.assert_allclose(found, mean, rtol=1e-4, atol=1e-6)
        assert not np.array_equal(found, last)


def test_the_average_is_what_is_judged_and_the_weights_train_on(digits: Dataset) -> None:
    # The same steps are taken, whatever is judged: losses are equal, validation values are not.
    plain, averaged = (train(normed(), SPEC, digits, recipe) for recipe in (RECIPE, replace(RECIPE, ema=0.95)))
    assert [epoch.loss for epoch in plain.history] == [epoch.loss for epoch in averaged.history]
    assert [epoch.val_loss for epoch in plain.history] != [epoch.val_loss for epoch in averaged.history]
    assert averaged.best_value == max(epoch.val_value for epoch in averaged.history)


@pytest.mark.slow
def test_a_killed_run_resumes_with_its_average(tmp_path: Path) -> None:
    dataset(tmp_path)
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    assert same(*killed_and_whole(command, tmp_path))


def test_resume_files_from_before_still_fit(digits: Dataset, tmp_path: Path) -> None:
    """They say nothing of an average, in their counts and in what they were fingerprinted by."""
    path = tmp_path / "state"
    first = train(model(), SPEC, digits, RECIPE, state=path).model.get_weights()
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    meta = json.loads(bytes(arrays.pop("meta")).decode())
    assert meta["counts"].pop("average") == 0
    with path.open("wb") as stream:
        np.savez(stream, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    listener = Listener()
    assert same(first, train(model(), SPEC, digits, RECIPE, state=path, reporter=listener).model.get_weights())
    assert "resuming after epoch 4" in listener.remarks[0]
    assert set(asdict(RECIPE)) - set(recipe_facts(RECIPE)) == {"ema", "sizes"}
    assert set(asdict(RECIPE.augmentation)) - set(recipe_facts(RECIPE)["augmentation"]) == {"mosaic"}
    assert recipe_facts(EMA)["ema"] == 0.9


def test_pruned_weights_are_zero_in_the_average(digits: Dataset) -> None:
    recipe = PruneRecipe(epochs=4, sparsity=0.5, learning_rate=5e-3, ema=0.99)
    pruned = prune(model(), SPEC, digits, recipe)
    kernel = pruned.model.get_layer("output").get_weights()[0]
    assert np.mean(kernel == 0) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ConfigError, match="ema must be > 0 and < 1"):
        TrainRecipe(ema=decay)


def test_quantisation_aware_training_keeps_zeros_and_ranges_on_the_average(digits: Dataset) -> None:
    source = model()
    kernel, bias = source.get_layer("output").get_weights()
    kernel[::2] = 0.0
    source.get_layer("output").set_weights([kernel, bias])
    first, second = source.get_layer("c1").get_weights()
    first.reshape(-1)[::2] = 0.0
    source.get_layer("c1").set_weights([first, second])
    # Raises ConversionError where a zero is lost.
    done = quantize_aware(source, SPEC, digits, QatRecipe(epochs=1, preserve_sparsity=True, ema=0.9))
    assert done.sparsity.zeros >= 0.5 * sum(done.sparsity.size_by_layer.values())
    assert np.isfinite([epoch.val_loss for epoch in done.history]).all()
