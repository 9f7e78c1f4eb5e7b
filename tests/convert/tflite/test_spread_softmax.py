"""Softmax that 8 bits do not hold: which operators it is, that they stay in float, and what that is worth."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")
pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.convert import convert
from edgecv.convert.freeze import freeze
from edgecv.convert.tflite import converter, mixed, ranges
from edgecv.convert.tflite.int16 import quantize_mixed
from edgecv.convert.tflite.spread_softmax import spread_softmax
from edgecv.core.progress import QUIET
from edgecv.graphs import read_tflite
from edgecv.modelio import LoadedModel, env, manifest_for
from edgecv.runtime import load
from edgecv.values import profiles
from edgecv.values.specs import Head, Preprocessing, one_input
from tests.convert.conftest import LABELS
from tests.reporters import Told


def layers():
    return env.keras().layers


def function(call):
    return layers().Lambda(call)


def written_out(x):
    tf = env.tensorflow()

    def softmax(a):
        powers = tf.exp(a - tf.reduce_max(a, axis=[1, 2], keepdims=True))
        return powers / tf.reduce_sum(powers, axis=[1, 2], keepdims=True)

    return function(softmax)(x)


def by_reshape(x, size=20):
    rows = layers().Reshape((size * size, 4))(x)
    return layers().Permute((2, 1))(layers().Softmax(axis=1)(rows))


def float_graph(make, shape):
    env.keras().utils.set_random_seed(0)
    x = env.keras().Input(shape)
    h = layers().Conv2D(4, 1, name="conv")(x)
    return read_tflite(converter.convert_float(freeze(env.keras().Model(x, make(h))), "float32"))


def summed(x):
    """Let something compute with a softmax, as soft-argmax and attention do."""
    return layers().GlobalAveragePooling2D()(layers().Conv2D(3, 2)(x))


SPREAD = {
    "two axes": (lambda x: summed(layers().Softmax(axis=[1, 2])(x)), {"EXP", "SUM", "LOG"}),
    "all three axes": (lambda x: summed(layers().Softmax(axis=[1, 2, 3])(x)), {"EXP", "SUM", "LOG"}),
    "at the end": (lambda x: layers().Softmax(axis=(1, 2))(x), {"EXP", "SUM", "LOG"}),
    "written out": (lambda x: summed(written_out(x)), {"EXP", "SUM", "DIV"}),
    "over 400 positions": (lambda x: layers().Dense(2)(by_reshape(x)), {"SOFTMAX"}),
}
HELD = {
    "last axis": lambda x: layers().Softmax()(x),
    "one other axis": lambda x: summed(layers().Softmax(axis=1)(x)),
    "1001 classes at the end": lambda x: layers().Dense(1001, activation="softmax")(layers().Flatten()(x)),
    "the same, given another shape": lambda x: layers().Reshape((7, 143))(
        layers().Dense(1001, activation="softmax")(layers().Flatten()(x))
    ),
    "exponentials alone": lambda x: function(lambda a: env.tensorflow().exp(a))(x),
    "a sum of squares": lambda x: function(lambda a: env.tensorflow().reduce_sum(a * a, axis=[1, 2]))(x),
}


@pytest.mark.parametrize("case", SPREAD)
def test_it_is_found(case) -> None:
    make, wanted = SPREAD[case]
    graph = float_graph(make, (20, 20, 2))
    found = spread_softmax(graph)
    kinds = {graph.ops[index].op for index in found}
    assert wanted <= kinds
    assert not kinds & {"CONV_2D", "MEAN", "FULLY_CONNECTED"}


@pytest.mark.parametrize("case", HELD)
def test_what_8_bits_hold_is_left(case) -> None:
    assert not spread_softmax(float_graph(HELD[case], (6, 6, 2)))


def test_what_is_left_of_a_map_of_probabilities() -> None:
    """Keras' softmax over height and width of a weak signal: 8 bits hold 8 dB of it, float behind int8 logits 37."""
    env.keras().utils.set_random_seed(0)
    x = env.keras().Input((8, 8, 3))
    weak = env.keras().initializers.RandomNormal(stddev=0.1)
    h = layers().Conv2D(4, 3, padding="same", kernel_initializer=weak)(x)
    model = env.keras().Model(x, layers().Softmax(axis=[1, 2])(h))
    data = converter.convert_float(freeze(model), "float32")
    noise = np.random.default_rng(0).normal(size=(24, 1, 8, 8, 3)).astype(np.float32)
    found = ranges.observe(data, ([one] for one in noise), profiles.calibration("minmax"), total=24, reporter=QUIET)
    how = mixed.How(io_dtype="float32", per_channel=True, name="map")
    kept = tuple(spread_softmax(read_tflite(data)))
    wanted = np.concatenate([np.asarray(model(one)) for one in noise])
    plain, ours = (
        decibels(wanted, np.concatenate([answer(one) for one in noise]))
        for answer in map(
            interpreted,
            (
                ranges.quantize(data, found, io_dtype="float32", per_channel=True, name="map"),
                quantize_mixed(data, found, how, kept=kept, wide=()),
            ),
        )
    )
    assert plain < 12
    assert ours > 30


@lru_cache
def spatial():
    """A classifier by where something is: a softmax over height and width, and a dense layer on it."""
    env.keras().utils.set_random_seed(1)
    x = env.keras().Input((12, 12, 1), name="image")
    wide = env.keras().initializers.RandomNormal(stddev=0.1)
    h = layers().Conv2D(4, 3, kernel_initializer=wide, name="conv")(3 * x)
    h = layers().Softmax(axis=[1, 2], name="where")(h)
    out = layers().Dense(3, kernel_initializer="random_normal", name="side")(layers().Flatten()(10 * h))
    return env.keras().Model(x, out, name="spatial")


def made(dataset, out, told, **more):
    head = Head(name="side", task="classification", activation="logits", labels=LABELS)
    spec = one_input(name="spatial", input_shape=(12, 12, 1), heads=(head,), preprocessing=Preprocessing(color="gray"))
    manifest = manifest_for(spec, recipe={"step": "test"})
    source = LoadedModel(model=spatial(), manifest=manifest, path=Path("spatial.keras"), sha256="ab" * 32)
    settings = {"scheme": "int8", "method": "ptq", "calibration": profiles.calibration("minmax")}
    return convert(source, dataset=dataset, out=out, reporter=told, format=out.suffix[1:], **{**settings, **more})


def images(dataset):
    return [image[None, ..., None].astype(np.float32) / 255 for image in dataset.split("validation").images]


def decibels(wanted, answers):
    """Return the signal to noise ratio of answers, the mean of each output taken out."""
    return 10 * np.log10(np.var(wanted - wanted.mean(axis=0)) / np.mean((answers - wanted) ** 2))


def interpreted(file):
    """Return what answers with a file of float inputs and outputs."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    interpreter = litert.Interpreter(model_content=file)
    interpreter.allocate_tensors()

    def answer(x):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return answer


def sqnr(dataset, answer):
    wanted = np.concatenate([np.asarray(spatial()(x)) for x in images(dataset)])
    return decibels(wanted, np.concatenate([answer(x) for x in images(dataset)]))


def everything_in_int8(dataset):
    """Return the decibels of the file that stock makes."""
    data = converter.convert_float(freeze(spatial()), "float32")
    inputs = ([image[None, ..., None].astype(np.float32) / 255] for image in dataset.split("train").images)
    found = ranges.observe(data, inputs, profiles.calibration("minmax"), total=90, reporter=QUIET)
    return sqnr(
        dataset, interpreted(ranges.quantize(data, found, io_dtype="float32", per_channel=True, name="spatial"))
    )


def gained(dataset, path):
    """Return by how many decibels a file is better than the one that stock makes."""
    with load(path) as predictor:
        return sqnr(dataset, lambda x: predictor.run([x])[0]) - everything_in_int8(dataset)


def test_the_layer_stays_in_float_and_is_told(dataset, tmp_path) -> None:
    told = Told()
    artifact = made(dataset, tmp_path / "spatial.tflite", told)
    assert artifact.manifest.scheme == "mixed"
    assert artifact.manifest.provenance.recipe["keep_float"] == ["where"]
    assert any("softmax of layer where stays in float" in text for text in told.warnings)
    graph = read_tflite(artifact.path)
    kinds = {op.op: graph.tensors[op.outputs[0]].dtype for op in graph.ops}
    assert (kinds["CONV_2D"], kinds["FULLY_CONNECTED"], kinds["EXP"], kinds["SUM"]) == (
        "int8", "int8", "float32", "float32"
    )  # fmt: skip
    assert gained(dataset, artifact.path) > 6


def test_an_onnx_file_keeps_it_too(dataset, tmp_path) -> None:
    told = Told()
    artifact = made(dataset, tmp_path / "spatial.onnx", told)
    assert artifact.manifest.scheme == "int8"
    assert any("stays in float" in text for text in told.warnings)
    assert gained(dataset, artifact.path) > 6
    with load(artifact.path) as predictor:
        assert predictor.spec.head.activation == "logits"


def test_layers_that_the_user_names_stay_float_as_well(dataset, tmp_path) -> None:
    artifact = made(dataset, tmp_path / "spatial.tflite", Told(), keep_float=("conv",))
    assert artifact.manifest.provenance.recipe["keep_float"] == ["conv", "where"]
    graph = read_tflite(artifact.path)
    assert {op.op: graph.tensors[op.outputs[0]].dtype for op in graph.ops}["CONV_2D"] == "float32"
