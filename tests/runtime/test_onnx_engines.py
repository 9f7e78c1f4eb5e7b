"""ONNX Runtime: which provider runs which node, on the real package and on a stand-in for a host with CUDA."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, DeviceError, PartialAccelerationError
from edgecv.runtime import open_session
from edgecv.runtime.engines import onnx as engine

onnxruntime = pytest.importorskip("onnxruntime")
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def test_the_real_package_names_every_node_and_its_provider(files):
    opened = engine.open_inference(str(files.onnx), 1, [CPU], record=True)
    nodes = engine.nodes_of(opened)
    assert nodes is not None
    assert [node.op for node in nodes] == ["Flatten", "Gemm", "Softmax"]
    assert {node.provider for node in nodes} == {CPU}


def test_int8_products_are_summed_exactly(tmp_path):
    """A pair of 255 * 127 is more than 16 bits hold, which x86 without VNNI adds such pairs in."""
    onnx = pytest.importorskip("onnx")
    helper, of = onnx.helper, onnx.numpy_helper.from_array
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "s", "weight_zero"], ["weights"]),
        helper.make_node("MatMul", ["d", "weights"], ["sum"]),
        helper.make_node("QuantizeLinear", ["sum", "step", "zero"], ["qs"]),
        helper.make_node("DequantizeLinear", ["qs", "step", "zero"], ["y"]),
    ]
    constants = [
        of(np.float32(1), "s"), of(np.uint8(0), "zero"), of(np.int8(0), "weight_zero"), of(np.float32(10000), "step"),
        of(np.full((64, 8), 127, np.int8), "w"),
    ]  # fmt: skip
    float32 = onnx.TensorProto.FLOAT
    given, found = (helper.make_tensor_value_info(name, float32, [1, n]) for name, n in (("x", 64), ("y", 8)))
    graph = helper.make_graph(nodes, "sums", [given], [found], constants)
    path = tmp_path / "sums.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    session = engine.open_inference(str(path), 1, [CPU])
    (sums,) = session.run(None, {"x": np.full((1, 64), 255, np.float32)})
    assert sums.tolist() == [[2070000.0] * 8]  # 64 * 255 * 127 = 2,072,640, in steps of 10,000


def test_without_cuda_it_is_an_error_and_never_the_cpu(files):
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(DeviceError, match="no CUDA support") as raised:
        open_session(files.onnx, accelerator="gpu")
    assert "onnxruntime-gpu" in raised.value.hint


def test_float16_is_the_files_affair(files):
    with pytest.raises(ConfigError, match="in the file's own type"):
        open_session(files.onnx, accelerator="gpu", precision="float16")


class FakeSession:
    """An InferenceSession on a host with CUDA: `left` are the operators that run on the CPU."""

    left: tuple[str, ...] = ()
    started = True
    opened: ClassVar[list[tuple[object, dict[str, str]]]] = []

    def __init__(self, path, options, providers):
        self.opened.append((providers, dict(options.entries)))
        if options.entries.get("session.disable_cpu_ep_fallback") and self.left:
            raise RuntimeError("This session contains graph nodes that are assigned to the default CPU EP")

    def get_providers(self):
        return [CUDA, CPU] if self.started else [CPU]

    def get_inputs(self):
        return [SimpleNamespace(name="x", type="tensor(float)", shape=[1, 4])]

    get_outputs = get_inputs

    def get_provider_graph_assignment_info(self):
        ops = [("conv1/Conv", "Conv"), ("nms/Nms", "NonMaxSuppression"), ("", "Shape")]
        parts = {True: CPU, False: CUDA}
        return [
            SimpleNamespace(
                ep_name=parts[op in self.left], get_nodes=lambda n=name, o=op: [SimpleNamespace(name=n, op_type=o)]
            )
            for name, op in ops
        ]


class Options:
    def __init__(self):
        self.entries = {}

    def add_session_config_entry(self, key, value):
        self.entries[key] = value


@pytest.fixture
def cuda(monkeypatch):
    """Make the engine see a host with CUDA; returns the session class, whose attributes a test may set."""

    def play(base=FakeSession, **attributes):
        cls = type("Session", (base,), {"opened": [], **attributes})
        runtime = SimpleNamespace(
            __version__="1.0", SessionOptions=Options, InferenceSession=cls, get_available_providers=lambda: [CUDA, CPU]
        )
        monkeypatch.setattr(engine, "require", lambda *a, **k: runtime)
        return cls

    return play


def test_all_on_cuda(cuda):
    cls = cuda()
    session = engine.open_cuda("m.onnx", 1, True)
    assert session.fully_accelerated
    assert (session.accelerator, session.adapter, session.precision) == ("gpu", "CUDA device 0", "tf32")
    assert cls.opened[0][0] == [CUDA, CPU]


def test_float32_keeps_out_of_tf32(cuda):
    cls = cuda()
    assert engine.open_cuda("m.onnx", 1, True, "float32").precision == "float32"
    assert cls.opened[0][0][0] == (CUDA, {"use_tf32": "0"})


def test_nodes_on_the_cpu_are_named(cuda):
    cuda(left=("NonMaxSuppression", "Shape"))
    with pytest.raises(PartialAccelerationError, match="2 of 3 nodes") as raised:
        engine.open_cuda("m.onnx", 1, True)
    assert "NonMaxSuppression 'nms/Nms', Shape" in raised.value.message


def test_allowed_in_part_it_counts_them(cuda):
    cuda(left=("Shape",))
    session = engine.open_cuda("m.onnx", 1, False)
    assert not session.fully_accelerated
    assert (session.n_accelerated, session.n_operators) == (2, 3)


def test_an_old_one_only_refuses(cuda, monkeypatch):
    monkeypatch.setattr(engine, "nodes_of", lambda session: None)
    cuda()
    assert engine.open_cuda("m.onnx", 1, True).fully_accelerated
    cuda(left=("Shape",))
    with pytest.raises(PartialAccelerationError, match="CPU EP"):
        engine.open_cuda("m.onnx", 1, True)


def test_cuda_that_does_not_start(cuda):
    cuda(started=False)
    with pytest.raises(DeviceError, match="fell back to the CPU"):
        engine.open_cuda("m.onnx", 1, True)
