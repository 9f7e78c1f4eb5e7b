import numpy as np
import pytest

from edgecv.convert import convert
from edgecv.convert.onnx.names import canonicalize
from edgecv.core.errors import ConfigError, ConversionError
from edgecv.graphs import read_graph, read_tflite
from edgecv.runtime import load, preprocess, read_manifest, replay

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


@pytest.fixture
def make(tmp_path, source, dataset, spec, minmax):
    def build(scheme, model=source, **options):
        settings = {
            "format": "onnx",
            "out": tmp_path / f"{scheme}.onnx",
            "method": "ptq",
            "calibration": minmax,
            "dataset": dataset,
            "spec": spec,
            "force": True,
        }
        return convert(model, scheme=scheme, **{**settings, **options})

    return build


def initializers(path):
    return {onnx.TensorProto.DataType.Name(t.data_type) for t in onnx.load(path).graph.initializer}


@pytest.mark.parametrize("scheme", ["float32", "float16", "int8"])
def test_scheme_converts_and_its_file_is_checked(make, scheme):
    artifact = make(scheme)
    onnx.checker.check_model(onnx.load(artifact.path), full_check=True)
    assert artifact.manifest == read_manifest(artifact.path)
    session = onnxruntime.InferenceSession(artifact.path)
    assert [(i.name, i.shape, i.type) for i in session.get_inputs()] == [("image", [1, 12, 12, 1], "tensor(float)")]
    assert [o.name for o in session.get_outputs()] == ["side"]
    with load(artifact.path) as predictor:
        assert replay(predictor).passed
    assert {"float32": "FLOAT", "float16": "FLOAT16", "int8": "INT8"}[scheme] in initializers(artifact.path)
    assert {"stem", "inner", "hidden", "side"} <= set(artifact.manifest.layer_map)
    assert artifact.manifest.layer_map[-1] == "side"


@pytest.mark.parametrize("method", ["ptq", "qat"])
def test_int8_has_the_tflite_files_numbers(make, tmp_path, source, qat_source, dataset, spec, method):
    model = qat_source if method == "qat" else source
    ours = make("int8", model, method=method)
    twin = make("int8", model, method=method, format="tflite", out=tmp_path / "twin.tflite")
    images = [preprocess(image, spec) for image, _ in dataset.split("test")]
    with load(ours.path) as left, load(twin.path) as right:
        differences = [np.abs(left.run([image])[0] - right.run([image])[0]).max() for image in images]
    assert max(differences) <= 3 / 256 + 1e-6


def test_int8_runs_in_integer_kernels(make, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(make("int8").path, options)
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert "QLinearConv" in kinds
    assert "Conv" not in kinds


def test_int8_boundary_on_request(make):
    artifact = make("int8", io_dtype="int8")
    assert artifact.manifest.inputs[0].dtype == "int8"
    assert artifact.manifest.inputs[0].scale == pytest.approx(1 / 255, rel=1e-6)
    with load(artifact.path) as predictor:
        assert replay(predictor).passed


@pytest.mark.parametrize("scheme", ["float32", "float16", "dynamic", "int8"])
def test_same_arguments_give_the_same_bytes(make, scheme):
    assert make(scheme).sha256 == make(scheme).sha256


def test_dynamic_stores_8_bit_weights(make, dataset, spec):
    artifact = make("dynamic")
    graph = read_graph(artifact.path)
    kernels = {op.op for op in graph.ops}
    assert {"ConvInteger", "MatMulInteger"} <= kernels
    assert not kernels & {"Conv", "MatMul", "Gemm"}
    assert artifact.size_bytes < 0.75 * make("float32").size_bytes
    assert artifact.check.sqnr_db > 20


def test_what_does_not_exist_says_what_does(make):
    with pytest.raises(ConfigError, match="no int4 for onnx") as error:
        make("int4")
    assert "onnx: float32, float16, dynamic, int8" in error.value.hint
    with pytest.raises(ConfigError, match="io dtype of int8 onnx"):
        make("int8", io_dtype="uint8")


def value(name):
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1])


def graph_of(nodes, constants=()):
    tensors = [onnx.numpy_helper.from_array(np.ones(1, np.float32), name) for name in constants]
    graph = onnx.helper.make_graph(nodes, "anything", [value("in__1")], [value("out__9")], tensors)
    return onnx.helper.make_model(graph)


def diamond(numbers, backwards):
    a, b, c, k, unused = (f"{name}__{number}" for name, number in zip("abcku", numbers, strict=True))
    node = onnx.helper.make_node
    nodes = [
        node("Relu", ["in__1"], [a], name=f"n/{a}"),
        node("Add", [a, k], [b], name=f"n/{b}"),
        node("Neg", [a], [c], name=f"n/{c}"),
        node("Mul", [b, c], ["out__9"], name="n/out__9"),
    ]
    return graph_of(nodes[::-1] if backwards else nodes, (k, unused))


def test_equal_graphs_get_one_form():
    one, other = diamond((1, 2, 3, 4, 5), backwards=False), diamond((61, 25, 8, 7, 6), backwards=True)
    for proto in (one, other):
        canonicalize(proto, ("image",), ("side",))
        onnx.checker.check_model(proto, full_check=True)
    assert one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)
    assert [n.name for n in one.graph.node] == ["n/a", "n/b", "n/c", "n/out"]
    assert len(one.graph.initializer) == 1


def test_boundary_must_match():
    with pytest.raises(ConversionError, match="expected"):
        canonicalize(diamond((1, 2, 3, 4, 5), backwards=False), ("image",), ("a", "b"))


def test_a_grouped_convolution_is_one_operator():
    from edgecv.convert.converted import converted_tflite
    from edgecv.convert.freeze import freeze
    from edgecv.convert.onnx.converter import convert
    from edgecv.convert.tflite import converter as tflite
    from edgecv.modelio import env

    layers, image = env.keras().layers, env.keras().Input((8, 8, 4))
    model = env.keras().Model(image, layers.Conv2D(6, 3, groups=2, activation="relu", name="grouped")(image))
    built = convert(converted_tflite(tflite.convert_float(freeze(model), "float32")), "float32")
    (node,) = [n for n in onnx.load_from_string(built.data).graph.node if n.op_type == "Conv"]
    assert [a.i for a in node.attribute if a.name == "group"] == [2]
    x = np.random.default_rng(0).random((1, 8, 8, 4), dtype=np.float32)
    (answer,) = onnxruntime.InferenceSession(built.data).run(None, {built.inputs[0].name: x})
    np.testing.assert_allclose(answer, model(x), atol=1e-5)


@pytest.mark.parametrize("scheme", ["float32", "int8"])
def test_a_dense_layer_that_flattens_its_input_keeps_its_bias(scheme):
    """tf2onnx forgets it, and int8 files of LeNet-5 were 14 steps off for it."""
    from edgecv.convert.converted import converted_tflite
    from edgecv.convert.freeze import freeze
    from edgecv.convert.onnx.converter import convert
    from edgecv.convert.tflite import converter as tflite
    from edgecv.convert.tflite import ranges
    from edgecv.core.progress import QUIET
    from edgecv.modelio import env
    from edgecv.values import profiles

    layers, image = env.keras().layers, env.keras().Input((4, 4, 2), name="image")
    x = layers.Flatten()(layers.Conv2D(6, 4, activation="tanh")(image))
    bias = env.keras().initializers.RandomUniform(-2.0, 2.0, seed=0)
    model = env.keras().Model(image, layers.Dense(3, bias_initializer=bias, name="dense")(x))
    data = tflite.convert_float(freeze(model), "float32")
    x = np.random.default_rng(0).random((1, 4, 4, 2), dtype=np.float32)
    if scheme == "int8":
        found = ranges.observe(data, [[x]], profiles.calibration("minmax"), reporter=QUIET, total=1)
        data = ranges.quantize(data, found, io_dtype="float32", per_channel=True, name="dense")
    twin = converted_tflite(data)
    ops = {op.op: op for op in read_tflite(data).ops}
    assert len(read_tflite(data).tensors[ops["FULLY_CONNECTED"].inputs[0]].shape) == 4
    built = convert(twin, scheme)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # as edgecv's runtime opens it
    (answer,) = onnxruntime.InferenceSession(built.data, options).run(None, {built.inputs[0].name: x})
    np.testing.assert_allclose(answer, model(x), atol=1e-5 if scheme == "float32" else 0.03)
