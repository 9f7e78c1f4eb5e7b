import dataclasses

import numpy as np
import pytest

from edgecv.calibration.observers import ESTIMATORS
from edgecv.convert import convert, quantize
from edgecv.convert.tflite import ranges
from edgecv.core.errors import ConfigError, ConversionError, UnsupportedModelError
from edgecv.graphs import read_tflite
from edgecv.modelio import env, manifest_for
from edgecv.runtime import load, preprocess, read_manifest, replay
from edgecv.values import profiles
from edgecv.values.manifest import unpack_array
from tests.convert.conftest import loaded


@pytest.fixture
def make(tmp_path, source, dataset, spec, minmax):
    def build(scheme, model=source, **options):
        settings = {
            "format": "tflite",
            "out": tmp_path / f"{scheme}.tflite",
            "method": "ptq",
            "calibration": minmax,
            "dataset": dataset,
            "spec": spec,
            "force": True,
        }
        return convert(model, scheme=scheme, **{**settings, **options})

    return build


def accuracy(path, dataset):
    test = dataset.split("test")
    with load(path) as predictor:
        hits = [predictor.predict(image).label == dataset.labels[label] for image, label in test]
    return np.mean(hits)


def constants(path):
    return {t.dtype for t in read_tflite(path).tensors if t.is_constant}


@pytest.mark.parametrize("scheme", ["float32", "float16", "int8"])
def test_scheme_converts_and_its_file_is_checked(make, dataset, scheme):
    artifact = make(scheme)
    assert artifact.manifest == read_manifest(artifact.path)
    assert artifact.size_bytes == artifact.path.stat().st_size
    assert accuracy(artifact.path, dataset) == 1.0
    with load(artifact.path) as predictor:
        result = replay(predictor)
    assert result.passed
    assert result.n == 4
    assert artifact.manifest.method == {"int8": "ptq"}.get(scheme, "none")
    assert artifact.check.samples == 16


def test_dynamic_stores_int8_weights_of_large_layers(make, dataset, source, spec):
    keras = env.keras()
    image = keras.layers.Input((12, 12, 1), name="image")
    x = keras.layers.Dense(32, activation="relu")(keras.layers.Flatten()(image))
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(x))
    artifact = make("dynamic", loaded(model))
    assert "int8" in constants(artifact.path)
    assert artifact.manifest.method == "ptq"


def test_dynamic_of_a_model_too_small_is_refused(make, source, tmp_path):
    keras = env.keras()
    image = keras.layers.Input((12, 12, 1), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(pooled))
    with pytest.raises(ConversionError, match="no weights became int8"):
        make("dynamic", loaded(model))
    assert list(tmp_path.iterdir()) == []


def test_float16_stores_half_weights(make):
    assert "float16" in constants(make("float16").path)


def test_int8_is_integer_throughout(make):
    graph = read_tflite(make("int8").path)
    used = {i for op in graph.ops for i in (*op.inputs, *op.outputs) if i >= 0}
    assert {graph.tensors[i].dtype for i in used} == {"int8", "int32"}
    assert all(t.is_static for t in graph.tensors)


@pytest.mark.parametrize("io_dtype", ["int8", "uint8", "float32"])
def test_int8_boundary(make, dataset, io_dtype):
    artifact = make("int8", io_dtype=io_dtype)
    (taken,), (given,) = artifact.manifest.inputs, artifact.manifest.outputs
    assert taken.dtype == given.dtype == io_dtype
    assert (taken.scale is None) == (io_dtype == "float32")
    assert (taken.name, given.name) == ("image", "side")
    assert accuracy(artifact.path, dataset) == 1.0
    assert artifact.manifest.layer_map[-1] == "side"


def test_input_range_is_known_from_the_preprocessing(make):
    (info,) = make("int8").manifest.inputs
    assert info.scale == pytest.approx(1 / 255, rel=1e-6)
    assert info.zero_point == -128


def test_softmax_and_tanh_have_their_fixed_scales(make):
    artifact = make("int8")
    graph = read_tflite(artifact.path)
    scales = {op.op: graph.outputs_of(op)[0].scales[0] for op in graph.ops}
    assert scales["SOFTMAX"] == 1 / 256
    assert scales["TANH"] == 1 / 128


def test_per_tensor_granularity_is_honoured(make, minmax):
    def weight_scales(recipe):
        graph = read_tflite(make("int8", calibration=recipe).path)
        kernels = [op for op in graph.ops if op.op in ("CONV_2D", "FULLY_CONNECTED")]
        return [len(graph.tensors[op.inputs[1]].scales) for op in kernels]

    assert set(weight_scales(dataclasses.replace(minmax, granularity="per_tensor"))) == {1}
    assert weight_scales(minmax)[0] == 4


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_reaches_the_file(make, dataset, estimator):
    artifact = make("int8", calibration=profiles.calibration(estimator))
    assert accuracy(artifact.path, dataset) == 1.0
    assert artifact.manifest.provenance.recipe["calibration"]["estimator"] == estimator


def test_estimators_give_different_scales(make):
    recipe = profiles.calibration("percentile")

    def scales(chosen):
        return [t.scales for t in read_tflite(make("int8", calibration=chosen).path).tensors if not t.is_constant]

    assert scales(dataclasses.replace(recipe, percentile=95.0)) != scales(recipe)


def test_layer_map_is_exact(make):
    artifact = make("float32")
    ops = [op.op for op in read_tflite(artifact.path).ops]
    assert list(zip(ops, artifact.manifest.layer_map, strict=True)) == [
        ("CONV_2D", "stem"),
        ("CONV_2D", "inner"),
        ("TANH", "inner"),
        ("ADD", "join"),
        ("AVERAGE_POOL_2D", "pool"),
        ("RESHAPE", "flat"),
        ("FULLY_CONNECTED", "hidden"),
        ("FULLY_CONNECTED", "side"),
        ("SOFTMAX", "side"),
    ]


@pytest.mark.parametrize("scheme", ["float32", "int8"])
def test_same_arguments_give_the_same_bytes(make, scheme):
    assert make(scheme).sha256 == make(scheme).sha256


def test_qat_file_answers_like_the_fake_quantised_model(make, qat_source, dataset):
    artifact = make("int8", qat_source, method="qat", calibration=None)
    assert artifact.manifest.method == "qat"
    assert artifact.manifest.layer_map[0] == "stem"
    assert artifact.manifest.layer_map[-1] == "side"
    assert artifact.manifest.outputs[0].name == "side"
    assert accuracy(artifact.path, dataset) == 1.0
    assert artifact.check.sqnr_db > 20


def partly_quantised(source):
    keras, quantization = env.keras(), env.tfmot().quantization.keras

    def annotate(layer):
        return quantization.quantize_annotate_layer(layer) if layer.name in ("stem", "side") else layer

    model = quantization.quantize_apply(keras.models.clone_model(source.model, clone_function=annotate))
    for weight in model.weights:  # training would find them
        if weight.name.endswith(("_min:0", "_max:0")):
            weight.assign(np.full(weight.shape, -1.0 if "_min" in weight.name else 1.0, np.float32))
    return loaded(model)


def test_qat_with_ranges_missing_needs_calibration_and_completes_with_it(make, source):
    partial = partly_quantised(source)
    with pytest.raises(ConversionError, match="have no range") as error:
        make("int8", partial, method="qat", calibration=None)
    assert "--calibration" in error.value.hint
    graph = read_tflite(make("int8", partial, method="qat").path)
    assert not any(t.dtype.startswith("float") for op in graph.ops for t in graph.outputs_of(op))


def test_method_must_fit_the_model(make, qat_source):
    with pytest.raises(ConfigError, match="carries fake quantisation"):
        make("int8", qat_source)
    with pytest.raises(ConfigError, match="carries fake quantisation"):
        make("float32", qat_source)
    with pytest.raises(ConfigError, match="needs a quantisation-aware model"):
        make("int8", method="qat")


def test_a_dead_activation_still_converts(make, dataset):
    keras = env.keras()
    image = keras.layers.Input((12, 12, 1), name="image")
    dead = keras.layers.Conv2D(
        2, 3, activation="relu", kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(-1.0)
    )(image)
    x = keras.layers.Flatten()(dead)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(x))
    assert make("int8", loaded(model)).check.max_abs_diff < 0.01


def test_dynamic_shape_is_refused(make, spec, tmp_path):
    keras = env.keras()
    image = keras.layers.Input((None, None, 1), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    model = keras.Model(image, keras.layers.Dense(3)(pooled))
    with pytest.raises(UnsupportedModelError, match="dynamic shape"):
        make("float32", loaded(model))
    assert list(tmp_path.iterdir()) == []


def test_operator_that_tflite_lacks_is_refused(make, tmp_path):
    keras, tf = env.keras(), env.tensorflow()
    image = keras.layers.Input((12, 12, 1), name="image")
    x = keras.layers.Lambda(lambda t: tf.linalg.inv(tf.squeeze(t, -1) + tf.eye(12)))(image)
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    with pytest.raises(ConversionError, match="TFLite converter failed") as error:
        make("float32", loaded(model))
    assert "MatrixInverse" in error.value.message
    assert list(tmp_path.iterdir()) == []


def test_spec_must_be_there_and_fit(make, spec):
    with pytest.raises(ConfigError, match="no edgecv manifest") as error:
        make("float32", spec=None)
    assert "spec=" in error.value.hint
    with pytest.raises(
        ConfigError, match=r"spec's shape of input 'image' is .8, 8, 1., the model's input 'image' is .12, 12, 1."
    ):
        small = dataclasses.replace(spec.input, shape=(8, 8, 1))
        make("float32", spec=dataclasses.replace(spec, inputs=(small,)))
    other = dataclasses.replace(spec.head, name="other", outputs=())
    with pytest.raises(UnsupportedModelError, match=r"head .other. reads the output .other., and .* outputs are side"):
        make("float32", spec=dataclasses.replace(spec, heads=(*spec.heads, other)))


def test_provenance_continues_the_sources(make, source, spec):
    earlier = manifest_for(spec, recipe={"step": "train"}, sparsity=0.5)
    manifest = make("float32", loaded(source.model, earlier), spec=None).manifest
    assert manifest.provenance.parents == ({"sha256": "ab" * 32, "step": "train"},)
    assert manifest.provenance.source_sha256 == "ab" * 32
    assert manifest.sparsity == 0.5


def test_output_is_protected(make, tmp_path):
    make("float32")
    with pytest.raises(ConfigError, match="already exists"):
        make("float32", force=False)
    with pytest.raises(ConfigError, match="cannot write tflite to"):
        make("float32", out=tmp_path / "m.onnx")


def test_without_data_noise_checks_a_float_file(make):
    assert make("float32", dataset=None, calibration=None).check.max_abs_diff < 1e-5


def test_golden_images_go_through_the_preprocessing(make, source, spec):
    golden = make("float32").manifest.golden[0]
    image = unpack_array(golden.inputs[0])
    assert image.dtype == np.uint8
    expected = np.asarray(source.model(preprocess(image, spec)))[0]
    np.testing.assert_allclose(
        unpack_array(golden.outputs[0].values).reshape(golden.outputs[0].shape), expected, atol=1e-5
    )


def test_quantize_is_int8(tmp_path, source, dataset, spec, minmax):
    artifact = quantize(source, out=tmp_path / "q.tflite", calibration=minmax, dataset=dataset, spec=spec)
    assert artifact.manifest.scheme == "int8"


def test_a_file_that_no_interpreter_takes_is_the_conversions_failure(make, tmp_path, monkeypatch):
    observe = ranges.observe

    def squeezed(*arguments, **options):
        found = observe(*arguments, **options)
        return dict.fromkeys(found, (0.0, 1e-7))

    monkeypatch.setattr(ranges, "observe", squeezed)
    with pytest.raises(
        ConversionError, match="the converted file does not run: it cannot be run by the TFLite interpreter"
    ) as error:
        make("int8", out=tmp_path / "m.tflite")
    assert str(tmp_path) not in error.value.message
    assert not list(tmp_path.iterdir())
