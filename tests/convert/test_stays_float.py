"""Operators without an integer kernel stay in float by themselves, and the file says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")
pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.convert import convert
from edgecv.convert.check.structure import sqnr_db
from edgecv.core.errors import ConfigError, ConversionError
from edgecv.core.optional import require
from edgecv.graphs import read_tflite
from edgecv.modelio import env, manifest_for
from edgecv.runtime import load
from edgecv.runtime.host import host_facts
from edgecv.values import profiles
from edgecv.values.specs import Head, Preprocessing, one_input
from tests.convert.conftest import LABELS, loaded
from tests.reporters import Told

GRAY = Preprocessing(color="gray", mean=(0.0,), std=(255.0,))
SPEC = one_input("net", (12, 12, 1), (Head("side", "classification", "logits", LABELS),), GRAY)


@dataclass(frozen=True)
class Kind:
    """A layer, and which operators of it compute in float in files of two schemes."""

    build: Any
    int8: tuple[str, ...] = ()
    int16x8: tuple[str, ...] = ()


def layers() -> Any:
    return env.keras().layers


def function(name: str, *arguments: Any) -> Any:
    tf = env.tensorflow()
    return layers().Lambda(lambda x: getattr(tf.math, name)(x, *arguments), name="mid")


KINDS = {
    "elu": Kind(lambda: layers().ELU(name="mid"), (), ("ELU",)),
    "groups": Kind(lambda: layers().GroupNormalization(2, name="mid"), (), ("SQUARED_DIFFERENCE", "RSQRT")),
    "layer_norm": Kind(
        lambda: layers().LayerNormalization(scale=False, center=False, name="mid"), (), ("SQUARED_DIFFERENCE", "RSQRT")
    ),
    "threshold": Kind(lambda: layers().ReLU(threshold=0.3, name="mid"), ("CAST",), ("GREATER", "CAST")),
    "leaky_threshold": Kind(
        lambda: layers().ReLU(threshold=0.3, negative_slope=0.2, name="mid"), ("CAST",), ("GREATER", "CAST")
    ),
    "sine": Kind(lambda: function("sin"), ("SIN",), ("SIN",)),
    "floor": Kind(lambda: function("floor"), ("FLOOR",), ("FLOOR",)),
    "selu": Kind(lambda: layers().Activation("selu", name="mid"), (), ("GREATER", "SELECT")),
    "prelu": Kind(lambda: layers().PReLU(name="mid"), (), ("PRELU",)),
    "unit": Kind(lambda: layers().UnitNormalization(name="mid"), (), ("L2_NORMALIZATION",)),
}


def network(kind: str) -> Any:
    """A network with the layer between two convolutions, and weights that make its answers differ."""
    keras = env.keras()
    keras.utils.set_random_seed(2)
    image = keras.Input((12, 12, 1), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", name="stem")(image)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="after")(KINDS[kind].build()(x))
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return moved(keras.Model(image, keras.layers.Dense(3, name="side")(x), name="net"))


def moved(model: Any, spread: float = 0.2) -> Any:
    rng = np.random.default_rng(2)
    model.set_weights([w + rng.normal(0, spread, w.shape) for w in model.get_weights()])
    return model


def made(model: Any, dataset: Any, folder: Any, **options: Any) -> Any:
    settings = {"format": "tflite", "scheme": "int8", "method": "ptq", "calibration": profiles.calibration("minmax")}
    source = loaded(model, manifest_for(SPEC, recipe={"step": "test"}))
    out = folder / f"out.{options.get('format', 'tflite')}"
    return convert(source, dataset=dataset, out=out, force=True, **{**settings, **options})


def inputs_of(dataset: Any, split: str) -> Any:
    return np.stack(list(dataset.split(split).images))[..., None].astype(np.float32) / 255


def noise_of(path: Any, model: Any, dataset: Any) -> float:
    """Signal to quantisation noise of a file on images that did not calibrate it, in decibels."""
    images = inputs_of(dataset, "test")
    with load(path) as predictor:
        answers = np.concatenate([predictor.run([image[None]])[0] for image in images])
    return sqnr_db(np.asarray(model(images, training=False)), answers)


def noise_of_stock(model: Any, dataset: Any) -> float:
    """The same of TensorFlow's own int8 conversion, calibrated with the same images."""
    tf, litert = env.tensorflow(), require("ai_edge_litert.interpreter", why="to run a file")
    given = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(given)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in inputs_of(dataset, "train"))
    interpreter = litert.Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    place, images, rows = interpreter.get_input_details()[0]["index"], inputs_of(dataset, "test"), []
    for image in images:
        interpreter.set_tensor(place, image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].copy())
    return sqnr_db(np.asarray(model(images, training=False)), np.stack(rows))


def floats(artifact: Any) -> tuple[str, ...]:
    found = artifact.stays_float
    return () if found is None else tuple(one.op for one in found.operators)


@pytest.mark.parametrize("kind", KINDS)
def test_an_int8_file_is_made(kind, dataset, tmp_path):
    model = network(kind)
    artifact = made(model, dataset, tmp_path)
    assert (artifact.manifest.scheme, floats(artifact)) == ("int8", KINDS[kind].int8)
    assert noise_of(artifact.path, model, dataset) > (15 if kind == "floor" else 25)


@pytest.mark.parametrize("kind", ["elu", "groups", "layer_norm", "threshold", "floor"])
def test_an_int8_file_is_as_good_as_that_of_stock(kind, dataset, tmp_path):
    """A decibel and a half is what the rounding of a scale moves, either way."""
    model = network(kind)
    artifact = made(model, dataset, tmp_path)
    assert noise_of(artifact.path, model, dataset) > noise_of_stock(model, dataset) - 1.5


@pytest.mark.parametrize("kind", ["elu", "threshold", "floor"])
def test_int8_onnx_says_what_its_tflite_twin_has_in_float(kind, dataset, tmp_path):
    model = network(kind)
    artifact = made(model, dataset, tmp_path, format="onnx")
    assert floats(artifact) == KINDS[kind].int8
    assert noise_of(artifact.path, model, dataset) > (15 if kind == "floor" else 25)


@pytest.mark.parametrize("kind", ["elu", "layer_norm", "threshold", "selu", "prelu", "unit"])
def test_int16_activations_leave_what_has_no_such_kernel_in_float(kind, dataset, tmp_path):
    model = network(kind)
    artifact = made(model, dataset, tmp_path, scheme="int16x8", io_dtype=None)
    assert floats(artifact) == KINDS[kind].int16x8
    assert noise_of(artifact.path, model, dataset) > 30


def test_the_cost_is_told_and_kept(dataset, tmp_path):
    """Five operators; the stem takes 12 * 12 * 8 * 9 of the multiply-accumulates, the sine none."""
    told = Told()
    artifact = made(network("sine"), dataset, tmp_path, reporter=told)
    found = artifact.stays_float
    assert [(one.op, one.layer, one.asked) for one in found.operators] == [("SIN", "mid", False)]
    assert (found.of, found.macs_share, found.quantize, found.dequantize) == (5, 0.0, 1, 1)
    kept = artifact.manifest.provenance.recipe["stays_float"]
    assert kept["operators"] == [{"op": "SIN", "layer": "mid", "asked": False}]
    (warning,) = [text for text in told.warnings if "stays in float" in text]
    assert "SIN (mid)" in warning
    assert "1 of 5 operators, 0.0% of the multiply-accumulates, 1 DEQUANTIZE and 1 QUANTIZE" in warning


def test_layers_kept_in_float_by_wish_are_told_apart(dataset, tmp_path):
    """By hand: stem 12*12*8*9 = 10368, after 5*5*8*72 = 14400, side 8*3 = 24 multiply-accumulates."""
    told = Told()
    artifact = made(network("sine"), dataset, tmp_path, keep_float=("after",), reporter=told)
    found = artifact.stays_float
    assert artifact.manifest.scheme == "mixed"
    assert {(one.op, one.asked) for one in found.operators} == {("SIN", False), ("CONV_2D", True)}
    assert found.macs_share == pytest.approx(14400 / (10368 + 14400 + 24))
    assert not any("CONV_2D" in text for text in told.warnings)


def test_a_wish_for_float_beats_an_integer_kernel(dataset, tmp_path):
    artifact = made(network("elu"), dataset, tmp_path, keep_float=("mid",))
    assert [(one.op, one.asked) for one in artifact.stays_float.operators] == [("ELU", True)]


def test_strict_int8_names_the_operator_and_a_way_out(dataset, tmp_path):
    with pytest.raises(ConversionError, match=r"no int8 kernel for CAST \(mid\)") as caught:
        made(network("threshold"), dataset, tmp_path, strict_int8=True)
    assert "ReLU without a threshold in place of CAST" in caught.value.hint
    assert "leave --strict-int8 out" in caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["elu", "groups"])
def test_strict_int8_takes_whole_files(kind, dataset, tmp_path):
    artifact = made(network(kind), dataset, tmp_path, strict_int8=True)
    graph = read_tflite(artifact.path)
    assert {"DEQUANTIZE", "QUANTIZE"}.isdisjoint(op.op for op in graph.ops)
    assert not any(tensor.dtype == "float32" for tensor in graph.tensors)
    assert artifact.manifest.provenance.recipe["strict_int8"] is True
    assert artifact.manifest.layer_map.count("mid") >= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "float32", "method": "none", "calibration": None}, "--strict-int8 is for files of integers"),
        ({"keep_float": ("mid",)}, "--strict-int8 refuses what --keep-float asks for"),
    ],
)
def test_strict_int8_where_it_means_nothing(options, message, dataset, tmp_path):
    with pytest.raises(ConfigError, match=message):
        made(network("elu"), dataset, tmp_path, strict_int8=True, **options)


def recurrent(layer: str, **options: Any) -> Any:
    keras = env.keras()
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 1), name="image")
    x = keras.layers.Conv2D(4, 3, strides=4, padding="same", activation="relu", name="stem")(image)
    x = keras.layers.Reshape((3, 12), name="rows")(x)
    x = getattr(keras.layers, layer)(6, name="steps", **options)(x)
    x = keras.layers.Flatten(name="flat")(x)
    return moved(keras.Model(image, keras.layers.Dense(3, name="side")(x), name="net"), 0.1)


@pytest.mark.parametrize(
    ("layer", "options"), [("LSTM", {}), ("GRU", {"return_sequences": True}), ("SimpleRNN", {"go_backwards": True})]
)
def test_loops_over_time_become_integers_step_by_step(layer, options, dataset, tmp_path):
    model = recurrent(layer, **options)
    first = made(model, dataset, tmp_path, strict_int8=True)
    assert noise_of(first.path, model, dataset) > 20
    assert read_tflite(first.path).n_subgraphs == 1
    if layer == "LSTM":  # its first step reads a part of a split only
        assert made(model, dataset, tmp_path, strict_int8=True).sha256 == first.sha256


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({"scheme": "float32", "method": "none", "calibration": None}, 100),
        ({"format": "onnx"}, 20),
        ({"scheme": "int16x8"}, 40),
    ],
)
def test_loops_over_time_in_other_files(options, least, dataset, tmp_path):
    model = recurrent("LSTM", return_sequences=True)
    if options.get("format") == "onnx" and host_facts().get("isa") != "x86-vnni":
        least = 10  # ONNX Runtime's sums of a file that shares zero points may overflow there
    assert noise_of(made(model, dataset, tmp_path, **options).path, model, dataset) > least


def test_a_loop_in_both_directions(dataset, tmp_path):
    keras = env.keras()
    one = recurrent("GRU")
    x = keras.layers.Bidirectional(keras.layers.GRU(4, name="gru"), name="both")(one.get_layer("rows").output)
    model = moved(keras.Model(one.input, keras.layers.Dense(3, name="side")(x), name="net"), 0.1)
    artifact = made(model, dataset, tmp_path, strict_int8=True)
    assert noise_of(artifact.path, model, dataset) > 20
