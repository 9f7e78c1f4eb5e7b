"""A network with one layer broken on purpose: a channel 1000 times as large, undone in the next layer."""

import dataclasses

import numpy as np
import pytest

from edgecv.convert.debug_pair import draft
from edgecv.core.errors import DataError, UnsupportedModelError
from edgecv.data import open_dataset
from edgecv.diagnose.layer_cost import LayerCost, _excuse, layer_costs
from edgecv.diagnose.quantised_layers import match
from edgecv.diagnose.rounding import rounded
from edgecv.evaluate.evaluating import judge_of
from edgecv.graphs import read_tflite
from edgecv.modelio import env, manifest_for, save_keras
from edgecv.modelio.keras_files import load_keras
from edgecv.runtime import load
from edgecv.runtime.image import preprocess
from edgecv.values import profiles
from edgecv.values.scores import Drop
from edgecv.values.specs import Head, Preprocessing, one_input

SPEC = one_input(
    name="broken",
    input_shape=(8, 8, 1),
    heads=(
        Head(name="digit", task="classification", activation="probabilities", labels=tuple(str(i) for i in range(10))),
    ),
    preprocessing=Preprocessing(color="gray"),
)
COUNT = 96


def network():
    keras = env.keras()
    keras.utils.set_random_seed(0)
    x = image = keras.Input(SPEC.input_shape, name="image")
    for name in ("first", "second", "third"):
        x = keras.layers.Conv2D(12, 3, padding="same", activation="relu", name=name)(x)
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    x = keras.layers.Flatten(name="flat")(x)
    return keras.Model(image, keras.layers.Dense(10, activation="softmax", name="digit")(x), name="net")


def break_channel(model, layer, following, factor=1000.0):
    """Scale one channel of a layer and take the factor back in the next one: the same function of the input."""
    kernel, bias = model.get_layer(layer).get_weights()
    kernel[..., 0] *= factor
    bias[0] *= factor
    model.get_layer(layer).set_weights([kernel, bias])
    kernel, bias = model.get_layer(following).get_weights()
    kernel[:, :, 0] /= factor
    model.get_layer(following).set_weights([kernel, bias])


@pytest.fixture(scope="module")
def data():
    return open_dataset("digits")


@pytest.fixture(scope="module")
def inputs(data):
    split = data.split("validation")
    return [[preprocess(split.image(i), SPEC)] for i in range(COUNT)]


@pytest.fixture(scope="module")
def judge(data):
    split = data.split("validation")
    part = dataclasses.replace(
        split, targets=(split.targets[0][:COUNT],), images=[split.image(i) for i in range(COUNT)]
    )
    return judge_of(SPEC, part, "digits", outputs=["digit"])


@pytest.fixture(scope="module")
def make(tmp_path_factory, data):
    """Return a function that trains once, breaks a copy as asked, and gives its float32 and int8 files."""
    split = data.split("train")
    x = np.concatenate([preprocess(split.image(i), SPEC) for i in range(len(split))])
    model = network()
    model.compile(env.keras().optimizers.legacy.Adam(0.003), "sparse_categorical_crossentropy")
    model.fit(x, split.targets[0], epochs=6, batch_size=32, verbose=0)
    healthy = model.get_weights()

    def build(name, damage=lambda model: None, granularity="per_channel"):
        folder = tmp_path_factory.mktemp(name)
        model.set_weights(healthy)
        damage(model)
        source = load_keras(save_keras(model, folder / "m.keras", manifest_for(SPEC, recipe={"step": "test"})))
        model.set_weights(healthy)
        recipe = dataclasses.replace(profiles.calibration("minmax"), granularity=granularity)
        return draft(source, folder, calibration=recipe, dataset=data)

    return build


@pytest.fixture(scope="module")
def healthy(make):
    return make("healthy")


@pytest.fixture(scope="module")
def broken(make):
    return make("broken", lambda model: break_channel(model, "second", "third"))


def answers(data, inputs):
    from ai_edge_litert import interpreter as litert

    interpreter = litert.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    rows = []
    for sample in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], *sample)
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].copy())
    return np.array(rows)


def test_the_broken_layer_is_first_and_the_remedy_is_the_right_one(broken, inputs, judge):
    found = layer_costs(*broken, inputs, judge, top=2)
    worst = found.layers[0]
    assert worst.layer == "second"
    assert worst.drop.ci95[0] > 0.2
    assert worst.action == "equalise"
    assert [trial.remedy for trial in worst.trials] == ["clip_outliers", "equalise"]
    assert worst.regained.value > 0.2
    assert found.layers[1].drop.value < worst.drop.value / 4
    assert found.simulated < 0.5 < found.value - 0.05 <= found.cured
    assert found.int8_value < 0.5
    assert (found.metric, found.n, found.kind) == ("top1", COUNT, "simulated")


def test_a_healthy_network_needs_nothing(healthy, inputs, judge):
    found = layer_costs(*healthy, inputs, judge, top=1)
    assert found.value > 0.9
    assert max(cost.drop.value for cost in found.layers) <= 0.04
    assert abs(found.simulated - found.int8_value) <= 2 / COUNT
    assert {cost.action for cost in found.layers} == {"none"}
    assert found.cured == found.simulated


@pytest.mark.parametrize(
    ("lost", "beside", "words"),
    [(0.01, 0.0, "9 samples cannot tell"), (0.0, 0.3, "nothing alone, 0.3 beside"), (0.0, 0.0, "nothing on these")],
)
def test_layers_that_need_nothing_say_why(lost, beside, words):
    cost = LayerCost(
        layer="a", op="ADD", ops=(), drop=Drop(value=lost, ci95=(-0.1, 0.1)), answer_sqnr_db=None,
        regained=Drop(value=beside, ci95=(0, 1)), reason="costs nothing on these samples",
    )  # fmt: skip
    assert words in _excuse(cost, 9)


def test_one_scale_for_all_channels_asks_for_one_each(make, inputs, judge):
    """The weights of a layer span three decades, its outputs do not: per_channel is enough."""

    def damage(model):
        kernel, bias = model.get_layer("second").get_weights()
        # A weight of the first layer's dead corner: large, and multiplied by nothing.
        first, first_bias = model.get_layer("first").get_weights()
        first[..., 0], first_bias[0] = 0, 0
        kernel[:, :, 0, 0] = 300
        model.get_layer("first").set_weights([first, first_bias])
        model.get_layer("second").set_weights([kernel, bias])

    found = layer_costs(*make("tensor", damage, granularity="per_tensor"), inputs, judge, top=1)
    worst = found.layers[0]
    assert (worst.layer, worst.action) == ("second", "per_channel")


def test_the_simulation_answers_like_the_int8_file(healthy, broken, inputs):
    for plain, quantised in (healthy, broken):
        simulated = answers(
            rounded(plain.read_bytes(), [layer.edit for layer in match(plain, quantised).layers]), inputs
        )
        with load(quantised) as predictor:
            real = np.concatenate([predictor.run(sample)[0] for sample in inputs])
        assert np.abs(simulated - real).mean() < 0.02
        assert (simulated.argmax(1) == real.argmax(1)).mean() > 0.95


def test_every_rounding_of_the_file_is_found_once(healthy):
    layers = {layer.layer: layer for layer in match(*healthy).layers}
    assert list(layers) == ["input", "first", "second", "third", "digit"], "pool and flat only move values"
    graph = read_tflite(healthy[1].read_bytes())
    for name in ("first", "second", "third", "digit"):
        assert len(layers[name].edit.constants) == 2, "weights and biases"
        assert {graph.ops[i].op for i in layers[name].int8_ops} <= {"CONV_2D", "FULLY_CONNECTED", "SOFTMAX"}
    (scales,) = layers["first"].weights.values()
    assert scales.shape == (12,)


def test_a_variant_without_edits_is_the_float_file(healthy, inputs):
    plain = healthy[0].read_bytes()
    np.testing.assert_array_equal(answers(rounded(plain, []), inputs[:4]), answers(plain, inputs[:4]))


def test_files_of_different_weights_are_refused(healthy, make, inputs, judge):
    def shuffle(model):
        model.set_weights([np.random.default_rng(0).permuted(w) for w in model.get_weights()])

    other = make("other", shuffle)
    with pytest.raises(UnsupportedModelError, match="are not the float file's, rounded"):
        layer_costs(healthy[0], other[1], inputs, judge)


def test_no_samples(healthy, judge):
    with pytest.raises(DataError, match="nothing to compare"):
        layer_costs(*healthy, [], judge)
