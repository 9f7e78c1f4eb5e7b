"""Layers kept in float, int16 activations, int4 weights, and chosen integers: what the files hold and answer."""

from dataclasses import replace

import numpy as np
import pytest

from edgecv.compress import PtqRecipe, prepare
from edgecv.compress.weight_grid import largest
from edgecv.convert import Preparation, convert
from edgecv.convert.check.kernels import computed_by
from edgecv.convert.tflite import int4
from edgecv.core.errors import ConfigError, ConversionError
from edgecv.graphs import read_tflite
from edgecv.graphs.ir import constant
from edgecv.graphs.pool_windows import is_window
from edgecv.modelio import env, manifest_for
from edgecv.runtime import load
from edgecv.values import profiles
from tests.convert.conftest import loaded


@pytest.fixture(scope="module", name="source")
def source_with_manifest(source, spec):
    return loaded(source.model, manifest_for(spec, recipe={"step": "test"}))


@pytest.fixture(scope="module")
def inputs(dataset):
    return np.stack(list(dataset.split("train").images))[..., None].astype(np.float32) / 255


def made(source, dataset, folder, **options):
    settings = {"format": "tflite", "scheme": "int8", "method": "ptq", "calibration": profiles.calibration("minmax")}
    return convert(source, dataset=dataset, out=folder / "out.tflite", force=True, **{**settings, **options})


def ops(path):
    graph = read_tflite(path)
    return [(op.op, graph.tensors[op.outputs[0]].dtype) for op in graph.ops]


def right(path, dataset):
    with load(path) as predictor:
        answers = [predictor.predict(image).heads["side"][0][0] for image in dataset.split("test").images]
    names = dataset.targets[0].labels
    return np.mean(
        [answer == names[label] for answer, label in zip(answers, dataset.split("test").labels, strict=True)]
    )


def test_a_named_layer_is_float_between_conversions(source, dataset, tmp_path):
    artifact = made(source, dataset, tmp_path, keep_float=("inner",))
    assert artifact.manifest.scheme == "mixed"
    assert artifact.manifest.provenance.recipe["keep_float"] == ["inner"]
    kinds = ops(artifact.path)
    at = [op for op, _ in kinds].index("DEQUANTIZE")
    assert kinds[at : at + 2] == [("DEQUANTIZE", "float32"), ("CONV_2D", "float32")]
    assert [d for op, d in kinds if op == "CONV_2D"] == ["int8", "float32"]
    assert right(artifact.path, dataset) == 1


def test_neighbours_kept_in_float_hand_float_on(source, dataset, tmp_path):
    artifact = made(source, dataset, tmp_path, keep_float=("hidden", "sid?"))
    kinds = [op for op, _ in ops(artifact.path)]
    # One way in and one way out: nothing is rounded between the two layers.
    assert kinds.count("DEQUANTIZE") == 1
    assert kinds.count("QUANTIZE") == 1
    assert kinds[-1] == "QUANTIZE"
    assert ("FULLY_CONNECTED", "float32") in ops(artifact.path)


def test_an_activation_inside_an_operator_names_it(source, dataset, tmp_path):
    artifact = made(source, dataset, tmp_path, keep_float=("clip",))
    assert [d for op, d in ops(artifact.path) if op == "CONV_2D"] == ["float32", "int8"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_float": ("iner",)}, "unknown layer with an operator of its own 'iner'"),
        ({"keep_float": ("x*",)}, "no layer with an operator of its own matches 'x\\*'"),
        ({"keep_float": ("*",)}, "every layer was asked to stay float"),
        ({"scheme": "mixed"}, "needs layers to keep in float"),
        ({"scheme": "int16x8", "keep_float": ("inner",)}, "cannot be kept in float in a int16x8 file"),
        ({"scheme": "int16x8", "io_dtype": "int8"}, "of a int16x8 file are float32"),
    ],
)
def test_requests_that_cannot_be_met(source, dataset, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        made(source, dataset, tmp_path, **options)
    assert not (tmp_path / "out.tflite").exists()


def test_int16_activations(source, dataset, tmp_path):
    plain, wide = made(source, dataset, tmp_path), made(source, dataset, tmp_path, scheme="int16x8")
    graph = read_tflite(wide.path)
    inner = [t for t in graph.tensors if t.dtype == "int16"]
    assert inner
    assert all(t.zero_points in ((), (0,)) for t in inner)
    assert not any(t.dtype == "int8" and not t.is_constant for t in graph.tensors)
    assert all(t.dtype == "int64" for op in graph.ops if op.op == "CONV_2D" for t in [graph.tensors[op.inputs[2]]])
    assert wide.check.sqnr_db > plain.check.sqnr_db
    assert right(wide.path, dataset) == 1


def test_a_kernel_that_is_missing_for_int16_stays_float(spec, dataset, tmp_path):
    """LiteRT prepares HARD_SWISH of int16, and would give up when it runs."""
    keras = env.keras()
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 1), name="image")
    x = keras.layers.Conv2D(4, 3)(image)
    x = keras.layers.GlobalAveragePooling2D()(x * keras.layers.ReLU(6.0)(x + 3.0) / 6.0)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax", name="side")(x))
    source = loaded(model, manifest_for(spec, recipe={"step": "test"}))
    artifact = made(source, dataset, tmp_path, scheme="int16x8")
    assert [one.op for one in artifact.stays_float.operators] == ["HARD_SWISH"]
    assert artifact.check.sqnr_db > 35  # int8 has less
    with pytest.raises(ConversionError, match="no int16x8 kernel for HARD_SWISH"):
        made(source, dataset, tmp_path, scheme="int16x8", strict_int8=True)


@pytest.fixture(scope="module")
def int4_made(source, inputs, dataset, tmp_path_factory):
    done = prepare(source.model, inputs, PtqRecipe(adaround=True, bits=4, int8=(), iterations=60))
    preparation = Preparation(reference=source.model, integers=done.integers, facts={"steps": ["adaround"]})
    folder = tmp_path_factory.mktemp("int4")
    prepared = replace(source, model=done.model)
    return done, made(prepared, dataset, folder, scheme="int4", preparation=preparation)


def test_int4_holds_the_chosen_integers_and_answers(int4_made, dataset):
    _done, artifact = int4_made
    assert artifact.manifest.scheme == "int4"
    assert artifact.manifest.provenance.recipe["preparation"] == {"steps": ["adaround"]}
    graph = read_tflite(artifact.path)
    ops = [op for op in graph.ops if op.op in int4.VERSIONS]
    ops = [op for op in ops if not is_window(graph, op.inputs[1])]
    weights = [graph.tensors[op.inputs[1]] for op in ops]
    assert [t.dtype for t in weights] == ["int4"] * 4
    assert {t.size_bytes for t in weights} == {(t.elements + 1) // 2 for t in weights}
    versions = {op.op: op.version for op in ops}
    assert all(version >= int4.VERSIONS[kind] for kind, version in versions.items())
    assert right(artifact.path, dataset) == 1
    kernels = computed_by(artifact.path)
    assert kernels.own.get("CONV_2D") == 2
    assert sum(kernels.own.values()) + sum(kernels.delegated.values()) == 4


def test_int4_biases_are_those_of_the_model(int4_made, source):
    done, artifact = int4_made
    graph = read_tflite(artifact.path)
    op = next(op for op in graph.ops if op.op == "CONV_2D")
    tensor = graph.tensors[op.inputs[2]]
    real = constant(graph, tensor.index).astype(np.float64) * np.array(tensor.scales)
    assert np.allclose(real, done.model.get_layer("stem").get_weights()[1], atol=max(tensor.scales))


def test_weights_off_a_4_bit_grid_are_refused(source, dataset, tmp_path):
    with pytest.raises(ConversionError, match="no weights lie on a 4-bit grid"):
        made(source, dataset, tmp_path, scheme="int4")


@pytest.mark.parametrize("granularity", ["per_channel", "per_tensor"])
def test_learned_integers_are_in_the_int8_file(source, inputs, dataset, tmp_path, granularity):
    recipe = PtqRecipe(adaround=True, iterations=60, per_channel=granularity == "per_channel")
    done = prepare(source.model, inputs, recipe)
    preparation = Preparation(reference=source.model, integers=done.integers, facts={})
    calibration = replace(profiles.calibration("minmax"), granularity=granularity)
    prepared = replace(source, model=done.model)
    artifact = made(prepared, dataset, tmp_path, preparation=preparation, calibration=calibration)
    assert right(artifact.path, dataset) == 1
    wrong = {name: values.copy() for name, values in done.integers.items()}
    wrong["stem"].flat[0] += 1 if wrong["stem"].flat[0] < 0 else -1
    with pytest.raises(ConversionError, match="1 of 36 weights of layer 'stem'"):
        made(prepared, dataset, tmp_path, preparation=replace(preparation, integers=wrong), calibration=calibration)


def test_packing_is_low_half_first_and_one_to_one():
    values = np.array([1, -1, 7, -7, 3], np.int8)
    assert int4.packed(values).tolist() == [0xF1, 0x97, 0x03]
    assert int4.unpacked(int4.packed(values), 5).tolist() == values.tolist()
    every = np.arange(-largest(4), largest(4) + 1, dtype=np.int8)
    assert np.array_equal(int4.unpacked(int4.packed(every), 15), every)
