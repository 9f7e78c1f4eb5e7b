from __future__ import annotations

import numpy as np
import pytest

from edgecv.graphs import read_tflite
from edgecv.runtime import host
from edgecv.targets import cpu, inspect
from edgecv.targets.kernel_kinds import kind_of
from edgecv.values import profiles
from tests.graphs.tiny import N, Net, T, build, lenet, options

pytest.importorskip("ai_edge_litert")

ISAS = ("x86-avx2", "x86-vnni", "arm64", "arm64-dotprod", "arm64-i8mm", "armv7")
KINDS = {"float32", "float16", "dynamic", "int8", "uint8", "int16x8", "int4"}
IMAGE = (1, 4, 4, 2)


@pytest.fixture
def lenet_file(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(build(lenet()))
    return path


def layer_and_pool() -> Net:
    """Return an int8 depthwise layer, and an average pool in a depthwise convolution's form, which is no layer."""
    how = options("DepthwiseConv2DOptions", padding=0, strideH=1, strideW=1, depthMultiplier=1)
    weights = {name: T((1, 2, 2, 2), scale=0.25, data=np.ones((1, 2, 2, 2), np.int8)) for name in ("k", "pool/window")}
    nothing = T((2,), "int32", 0.125, np.zeros(2, np.int32))
    tensors = {"x": T(IMAGE), **weights, "b": nothing, "h": T(IMAGE), "y": T(IMAGE)}
    layers = [N("DEPTHWISE_CONV_2D", ["x", "k", "b"], ["h"], how, 3)]
    return Net(tensors, [*layers, N("DEPTHWISE_CONV_2D", ["h", "pool/window", "b"], ["y"], how, 3)])


def test_tells_xnnpack_from_builtin_kernels(lenet_file) -> None:
    found = inspect(lenet_file, "cpu")
    status = {op.op: op.status for op in found.ops}
    assert found.n_mapped == found.n_ops
    assert {op.certainty for op in found.ops} == {"accelerator"}
    assert found.kind == "measured"
    assert status["CONV_2D"].startswith("Delegated to XNNPACK")
    assert status["SOFTMAX"].startswith("Builtin kernel")  # XNNPACK has no int8 softmax
    assert "no int8 kernel" in status["SOFTMAX"]


def test_custom_operator_is_not_mapped(tmp_path) -> None:
    path = tmp_path / "m.tflite"
    tensors = {n: T((1, 4), "float32", None) for n in "xay"}
    path.write_bytes(build(Net(tensors, [N("FlexErf", ["x"], ["a"]), N("TANH", ["a"], ["y"])])))
    found = inspect(path, "cpu")
    assert [op.mapped for op in found.ops] == [False, True]
    assert "TensorFlow (select)" in found.ops[0].reason
    assert any("FlexErf" in note for note in found.notes)


def test_file_that_the_interpreter_refuses_is_reported(tmp_path) -> None:
    path = tmp_path / "m.tflite"
    net = Net({"x": T((1, 4)), "y": T((1, 5))}, [N("SOFTMAX", ["x"], ["y"], options("SoftmaxOptions", beta=1.0), 2)])
    path.write_bytes(build(net))
    found = inspect(path, "cpu")
    assert found.kind == "predicted"
    assert any("refuses" in note for note in found.notes)


@pytest.mark.parametrize("isa", ISAS)
def test_the_kernels_are_those_of_the_instruction_set(lenet_file, isa, monkeypatch) -> None:
    monkeypatch.setattr(host, "cpu_isa", lambda: isa)
    rule = profiles.target(isa).kernels["int8"]
    found = inspect(lenet_file, "cpu")
    conv = next(op for op in found.ops if op.op == "CONV_2D")
    assert conv.status == f"Delegated to XNNPACK: int8, {rule.kernels}"
    assert any(profiles.target(isa).title.removeprefix("CPU: ") in note for note in found.notes)
    assert any(note.startswith(f"int8, 4 layers: {rule.pace}") for note in found.notes)


@pytest.mark.parametrize("isa", ISAS)
def test_depthwise_layers_have_a_note_of_their_own_where_their_kernels_are_slow(tmp_path, isa, monkeypatch) -> None:
    monkeypatch.setattr(host, "cpu_isa", lambda: isa)
    path = tmp_path / "m.tflite"
    path.write_bytes(build(layer_and_pool()))
    notes = [note for note in inspect(path, "cpu").notes if note.startswith("int8")]
    rule = profiles.target(isa).kernels["int8"]
    assert len(notes) == 1
    assert notes[0].startswith(
        f"int8 depthwise, 1 layers: {rule.depthwise_pace}: " if rule.depthwise_pace else "int8, 1 layers: "
    )
    assert bool(rule.depthwise_pace) == isa.startswith("x86")


@pytest.mark.parametrize("isa", [name for name in ISAS if name.startswith("arm")])
def test_what_is_said_of_an_arm_cpu_on_another_host_is_predicted(lenet_file, isa, monkeypatch) -> None:
    monkeypatch.setattr(host, "cpu_isa", lambda: "x86-vnni")
    found = inspect(lenet_file, isa)
    assert found.kind == "predicted"
    assert {op.certainty for op in found.ops} == {"likely"}
    assert any("nothing ran on" in note for note in found.notes)
    monkeypatch.setattr(host, "cpu_isa", lambda: isa)
    assert inspect(lenet_file, isa).kind == "measured"


def test_a_cpu_without_a_name_still_says_what_xnnpack_takes(lenet_file, monkeypatch) -> None:
    monkeypatch.setattr(host, "cpu_isa", lambda: None)
    found = inspect(lenet_file, "cpu")
    assert found.kind == "measured"
    assert next(op for op in found.ops if op.op == "CONV_2D").status == "Delegated to XNNPACK"
    assert any("no kernel data" in note for note in found.notes)


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set_has_its_kernels_threads_and_sources(isa) -> None:
    profile = profiles.target(isa)
    assert profile.isa == isa
    assert set(profile.kernels) - {"half"} == KINDS
    assert profile.threads
    assert all(rule.why for rule in profile.kernels.values() if rule.pace != "fast"), "a slow kernel needs its reason"
    assert any("gemm-config.c" in source for source in profile.sources)
    assert "measured" not in profile.notes or "nothing here was measured" in profile.notes


def test_a_report_does_not_cover_single_instruction_sets() -> None:
    assert {"cpu", "gpu"} <= set(profiles.report_target_names())
    assert not set(ISAS) & set(profiles.report_target_names())


@pytest.mark.parametrize(
    ("data", "weights", "kind"),
    [
        ("float32", "float32", "float32"),
        ("float32", "int8", "dynamic"),
        ("int8", "int8", "int8"),
        ("uint8", "uint8", "uint8"),
        ("int16", "int8", "int16x8"),
    ],
)
def test_kind_of_a_convolution(data, weights, kind) -> None:
    tensors = {"x": T(IMAGE, data), "w": T((2, 1, 1, 2), weights, data=b"\0" * 16), "y": T(IMAGE, data)}
    graph = read_tflite(build(Net(tensors, [N("CONV_2D", ["x", "w"], ["y"])])))
    assert kind_of(graph, graph.ops[0]) == kind


def test_float16_weights_pass_a_dequantize() -> None:
    tensors = {
        "x": T(IMAGE, "float32", None),
        "h": T((2, 1, 1, 2), "float16", None, data=b"\0" * 8),
        "w": T((2, 1, 1, 2), "float32", None),
        "y": T(IMAGE, "float32", None),
    }
    graph = read_tflite(build(Net(tensors, [N("DEQUANTIZE", ["h"], ["w"]), N("CONV_2D", ["x", "w"], ["y"])])))
    assert [kind_of(graph, op) for op in graph.ops] == ["", "float16"]


def test_onnx_runtime_is_asked_which_nodes_it_made(tmp_path) -> None:
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    h, value = onnx.helper, onnx.helper.make_tensor_value_info
    graph = h.make_graph([h.make_node("Relu", ["x"], ["y"], name="act")], "g", [value("x", 1, [1])],
                         [value("y", 1, [1])])  # fmt: skip
    path = tmp_path / "m.onnx"
    path.write_bytes(h.make_model(graph, ir_version=8, opset_imports=[h.make_opsetid("", 13)]).SerializeToString())
    found = inspect(path, "cpu")
    assert (found.kind, found.ops[0].certainty) == ("measured", "accelerator")
    assert any("1 Relu" in note for note in found.notes)
    assert inspect(path, "x86-avx2" if host.cpu_isa() != "x86-avx2" else "arm64").n_mapped in (0, 1)


def test_the_hosts_delegated_operators_do_not_depend_on_the_target(lenet_file) -> None:
    request = cpu.Request(path=lenet_file, graph=read_tflite(lenet_file), profile=profiles.target("armv7"))
    delegated = cpu.xnnpack_ops(request)
    said = {op.index for op in inspect(lenet_file, "armv7").ops if op.status.startswith("Delegated")}
    assert said == delegated


@pytest.mark.parametrize(
    ("isa", "target", "computes"),
    [
        ("x86-vnni", "cpu", False),
        ("arm64-dotprod", "cpu", True),
        ("arm64", "cpu", False),
        (None, "cpu", False),
        ("x86-vnni", "arm64-dotprod", True),
        ("x86-vnni", "arm64-i8mm", True),
        ("arm64-dotprod", "arm64", False),
        ("arm64-dotprod", "gpu", False),
        ("arm64-dotprod", "edgetpu", False),
    ],
)
def test_which_targets_are_cpus_that_compute_in_float16(isa, target, computes, monkeypatch) -> None:
    monkeypatch.setattr(host, "cpu_isa", lambda: isa)
    assert cpu.computes_half(target) == computes
