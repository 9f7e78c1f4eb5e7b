from __future__ import annotations

import subprocess
import sys

import pytest

from edgecv.core import codec
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.graphs import read_tflite
from edgecv.graphs.layers import layer_names
from edgecv.targets import inspect, summarize
from edgecv.targets.verdict import PROCEDURES
from edgecv.values import profiles
from tests.graphs.tiny import N, Net, T, build, lenet


@pytest.fixture
def write(tmp_path):
    def put(net: Net):
        path = tmp_path / "m.tflite"
        path.write_bytes(build(net))
        return path

    return put


def test_json_has_the_promised_keys(write) -> None:
    found = codec.encode(inspect(write(lenet()), "edgetpu"))
    promised = {"target", "n_ops", "n_mapped", "ops", "parameter_bytes", "size_bytes", "arena_bytes", "latency"}
    assert promised <= set(found)
    assert set(found["ops"][0]) == {"index", "op", "layer", "status", "mapped", "certainty", "reason"}
    assert set(found["parameter_bytes"]) == {"on_chip", "streamed", "on_chip_memory"}
    assert found["size_bytes"] == len(build(lenet()))


def test_summary_keeps_the_reasons(write) -> None:
    summary = summarize(inspect(write(Net({"x": T((1, 4)), "y": T((1, 4))}, [N("ELU", ["x"], ["y"])])), "edgetpu"))
    assert (summary.n_ops, summary.n_mapped) == (1, 0)
    assert summary.unmapped[0].op == "ELU"
    assert "ELU" in summary.unmapped[0].reason


def test_layer_names_prefer_the_manifests_map() -> None:
    graph = read_tflite(build(lenet()))
    assert layer_names(graph, ()) == ("c1", "c1", "s2", "c3", "s4", "flatten", "f5", "f6", "")
    assert layer_names(graph, ("conv", *[""] * 8))[:2] == ("conv", "c1")
    assert layer_names(graph, ("of", "another", "file"))[0] == "c1"


def test_unknown_target_names_the_nearest(write) -> None:
    with pytest.raises(ConfigError, match="did you mean 'edgetpu'"):
        inspect(write(lenet()), "edge_tpu")


def test_unknown_key_and_verdict_in_a_target_file(write, tmp_path) -> None:
    text = (profiles.data_folder("targets") / "gpu.toml").read_text()
    own = tmp_path / "own.toml"
    own.write_text(text.replace("title =", "titel ="))
    with pytest.raises(ConfigError, match="did you mean 'title'"):
        inspect(write(lenet()), str(own))
    own.write_text(text.replace("litert_gpu", "op_tabel"))
    with pytest.raises(ConfigError, match="did you mean 'op_table'"):
        inspect(write(lenet()), str(own))


def test_operator_without_its_inputs_is_a_corrupt_file(write) -> None:
    net = Net({"x": T((1, 4, 4, 2)), "y": T((1, 4, 4, 2))}, [N("CONV_2D", ["x"], ["y"])])
    with pytest.raises(UnsupportedModelError, match="operator 0, CONV_2D that writes 'y', lacks the inputs"):
        inspect(write(net), "edgetpu")


@pytest.mark.parametrize("name", profiles.target_names())
def test_every_target_in_the_data_loads_and_has_its_procedure(name) -> None:
    profile = profiles.target(name)
    assert profile.verdict in PROCEDURES
    assert profile.sources
    assert profile.formats


def test_onnx_on_tflite_targets_says_why(tmp_path) -> None:
    onnx = pytest.importorskip("onnx")
    h = onnx.helper
    value = h.make_tensor_value_info
    graph = h.make_graph([h.make_node("Relu", ["x"], ["y"])], "g", [value("x", 1, [1])], [value("y", 1, [1])])
    path = tmp_path / "m.onnx"
    path.write_bytes(h.make_model(graph).SerializeToString())
    for target in ("edgetpu", "gpu"):
        found = inspect(path, target)
        assert found.n_mapped == 0
        assert ".tflite" in found.ops[0].reason
    assert inspect(path, "cpu").n_mapped == 1


def test_inspection_imports_no_tensorflow(write) -> None:
    path = write(lenet())
    code = (
        "import sys; from edgecv.targets import inspect; inspect(sys.argv[1], 'edgetpu'); inspect(sys.argv[1], 'cpu');"
        "sys.exit('tensorflow' in sys.modules or 'tf_keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
