import numpy as np
import pytest

from edgecv.convert import embed_onnx, embed_tflite
from edgecv.convert.freeze import freeze
from edgecv.convert.tflite import flatbuffer
from edgecv.convert.tflite.converter import convert_float, name_boundary
from edgecv.core.errors import UnsupportedModelError
from edgecv.graphs import read_tflite
from edgecv.runtime import read_manifest
from edgecv.values.manifest import Manifest, Provenance


@pytest.fixture(scope="module")
def plain(source):
    return convert_float(freeze(source.model), "float32")


def manifest(spec, **changes):
    provenance = Provenance(recipe={"step": "convert", "note": "é"}, tools={"edgecv": "0"})
    return Manifest(spec=spec, format="tflite", scheme="float32", provenance=provenance, **changes)


def run(data):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="litert is missing").Interpreter(
        model_content=data
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    interpreter.set_tensor(source["index"], np.full(source["shape"], 0.3, np.float32))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_tflite_round_trip(tmp_path, plain, spec):
    path = tmp_path / "m.tflite"
    path.write_bytes(embed_tflite(plain, manifest(spec)))
    assert read_manifest(path) == manifest(spec)
    np.testing.assert_array_equal(run(path.read_bytes()), run(plain))


def test_tflite_again_replaces_and_keeps_the_rest(tmp_path, plain, spec):
    path = tmp_path / "m.tflite"
    path.write_bytes(embed_tflite(embed_tflite(plain, manifest(spec)), manifest(spec, target="gpu")))
    assert read_manifest(path).target == "gpu"
    names = [entry.name for entry in flatbuffer.unpack(path.read_bytes()).metadata]
    before = [entry.name for entry in flatbuffer.unpack(plain).metadata]
    assert names == [*before, b"edgecv"]
    assert b"min_runtime_version" in names


def test_embedding_leaves_the_graph_alone(plain, spec):
    before, after = read_tflite(plain), read_tflite(embed_tflite(plain, manifest(spec)))
    assert before.ops == after.ops
    assert before.tensors == after.tensors


def test_buffers_are_aligned_to_16_bytes(plain, spec):
    data = embed_tflite(plain, manifest(spec))
    model = flatbuffer.schema().Model.GetRootAs(data, 0)
    starts = []
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        if buffer.DataLength():
            starts.append(buffer._tab.Vector(buffer._tab.Offset(4)))
    assert len(starts) > 5
    assert [start % flatbuffer.ALIGNMENT for start in starts] == [0] * len(starts)


def test_packing_shares_what_is_equal(plain):
    model = flatbuffer.unpack(plain)
    for tensor in model.subgraphs[0].tensors:
        tensor.name = b"the same name for every tensor" * 10
    size = len(flatbuffer.pack(model))
    for index, tensor in enumerate(model.subgraphs[0].tensors):
        tensor.name = b"%2d another name for every tensor" % index * 10
    assert size < len(flatbuffer.pack(model)) - 200 * (len(model.subgraphs[0].tensors) - 1)


def test_pack_is_stable_and_leaves_its_argument(plain):
    model = flatbuffer.unpack(plain)
    assert flatbuffer.pack(model) == flatbuffer.pack(model)


def test_signature_and_names(plain):
    data = name_boundary(plain, ("image",), ("side",))
    graph = read_tflite(data)
    assert [graph.tensors[i].name for i in (*graph.inputs, *graph.outputs)] == ["image", "side"]
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="litert is missing")
    signatures = litert.Interpreter(model_content=data).get_signature_list()
    assert signatures == {"serving_default": {"inputs": ["image"], "outputs": ["side"]}}


def test_onnx_round_trip_keeps_other_entries(tmp_path, spec):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    tensor = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    other = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [tensor], [other])
    model = onnx.helper.make_model(graph)
    model.metadata_props.add(key="author", value="someone")
    path = tmp_path / "m.onnx"
    path.write_bytes(embed_onnx(embed_onnx(model.SerializeToString(), manifest(spec)), manifest(spec, target="gpu")))
    assert read_manifest(path).target == "gpu"
    kept = onnx.load(path)
    assert [p.key for p in kept.metadata_props] == ["author", "edgecv"]
    assert kept.graph == model.graph


@pytest.mark.parametrize("embed", [embed_tflite, embed_onnx])
def test_foreign_bytes_are_refused(embed, spec):
    pytest.importorskip("onnx", reason="onnx is not installed")
    with pytest.raises(UnsupportedModelError, match="not a"):
        embed(b"hello, this is no model", manifest(spec))
