from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edgecv.graphs import read_tflite
from edgecv.targets import inspect
from edgecv.targets.gpu import SOFTWARE_NOTE, judge_on_gpu
from edgecv.targets.gpu_probe import ask, parse
from edgecv.targets.verdict import Request
from edgecv.targets.vulkan import Driver, activate, drivers
from edgecv.values import profiles
from tests.graphs.tiny import N, Net, T, build, lenet, options

SOFTWARE = "I0000 00:00 1 environment.cc:532] Selected adapter: SwiftShader Device (Subzero), arch=swiftshader, " \
    "vendor=google, backend=Vulkan, adapterType=CPU / Software\n"  # fmt: skip
REAL = "I0000 00:00 1 environment.cc:532] Selected adapter: NVIDIA X, arch=ada, adapterType=Discrete GPU\n"
FULL = "edgecv: compiled\nedgecv: relative difference: 1.5e-07\n"
PARTLY = (
    "ERROR: Following operations are not supported by GPU delegate:\n"
    "MATRIX_DIAG: Operation is not supported.\n"
    "SUM: Unknown layout.\n"
    "{n} operations will run on the GPU, and the remaining {rest} operations will run on the CPU.\n"
    "edgecv: compiled\n"
)
NAMED = (
    "ERROR: Following operations are not supported by GPU delegate:\n"
    "TANH: Tensor dimensions must be less than 5. t2\n"
    "No operations will run on the GPU, and all 3 operations will run on the CPU.\n"
    "edgecv: compiled\n"
)
WRONG = "edgecv: compiled\nedgecv: relative difference: {}\n"
ABORT = "F0000 00:00:17.2 25697 model.cc:218] Check failed: !IsInput(consumer, value) Node 0 is a consumer already\n"
DYNAMIC = (
    "WARNING: Attempting to use a delegate that only supports static-sized tensors with a graph that has "
    "dynamic-sized tensors (tensor#9 is a dynamic-sized tensor).\nRuntimeError: ERROR: [x]\n"
)
ANY = (Driver(origin="a test", environment={}),)


def chain(*ops: str) -> Net:
    tensors = {f"t{i}": T((1, 4), "float32", None) for i in range(len(ops) + 1)}
    nodes = [N(op, [f"t{i}"], [f"t{i + 1}"]) for i, op in enumerate(ops)]
    return Net(tensors, nodes, ["t0"], [f"t{len(ops)}"])


CHAIN = chain("TANH", "MATRIX_DIAG", "SUM", "TANH", "ROUND", "FLOOR", "TANH")


@pytest.fixture
def judge(tmp_path):
    def run(net: Net, log: str, code: int = 0, found=ANY):
        path = tmp_path / "m.tflite"
        path.write_bytes(build(net))
        request = Request(path=path, graph=read_tflite(path), profile=profiles.target("gpu"))
        reply = subprocess.CompletedProcess([], code, stdout=log, stderr="")
        return judge_on_gpu(request, found=found, run=lambda *a, **k: reply)

    return run


@pytest.mark.parametrize(("adapter", "kind"), [(SOFTWARE, "simulated"), (REAL, "measured")])
def test_kind_follows_the_adapter(judge, adapter, kind) -> None:
    verdict = judge(chain("TANH"), adapter + FULL)
    assert verdict.kind == kind
    assert verdict.findings[0].certainty == "accelerator"
    assert (SOFTWARE_NOTE in verdict.notes) == (kind == "simulated")


def test_refused_kinds_are_mapped_to_operators(judge) -> None:
    verdict = judge(CHAIN, SOFTWARE + PARTLY.format(n=4, rest=3))
    assert [f.mapped for f in verdict.findings] == [False, False, False, True, True, True, True]
    assert verdict.findings[1].reason == "Operation is not supported."
    assert verdict.findings[2].reason == "Unknown layout."
    assert "outside the one part" in verdict.findings[0].reason
    assert {f.certainty for f in verdict.findings} == {"accelerator"}


def test_a_count_that_does_not_fit_is_doubt_not_certainty(judge) -> None:
    verdict = judge(CHAIN, SOFTWARE + PARTLY.format(n=5, rest=2))
    assert {f.certainty for f in verdict.findings} == {"unknown"}
    assert any("counts 5" in note for note in verdict.notes)


def test_a_reason_that_names_a_tensor_is_about_its_operators_only(judge) -> None:
    verdict = judge(chain("TANH", "TANH", "TANH"), SOFTWARE + NAMED)
    refused = [f.status == "Not supported by the GPU delegate" for f in verdict.findings]
    assert refused == [False, True, True], "t2 leaves the second and enters the third"
    assert verdict.findings[1].reason == "Tensor dimensions must be less than 5."


@pytest.mark.parametrize(
    ("log", "code", "word"), [(ABORT, -6, "Check failed: !IsInput"), ("", -11, "SIGSEGV"), ("", -4, "SIGILL")]
)
def test_native_code_that_gives_up_takes_nothing(judge, log, code, word) -> None:
    verdict = judge(chain("TANH"), SOFTWARE + log, code)
    assert (verdict.kind, verdict.findings[0].mapped) == ("simulated", False)
    assert word in verdict.findings[0].reason


@pytest.mark.parametrize(("difference", "wrong"), [("3e-07", False), ("0.2", False), ("0.86", True), ("inf", True)])
def test_wrong_answers_are_told(judge, difference, wrong) -> None:
    verdict = judge(chain("TANH"), SOFTWARE + WRONG.format(difference))
    assert any("WRONG ANSWERS" in note for note in verdict.notes) == wrong
    assert verdict.findings[0].certainty == ("unknown" if wrong else "accelerator")
    assert any("differ from the CPU's by" in note for note in verdict.notes)


@pytest.mark.parametrize(
    ("kernel", "stride", "dtype", "mapped"),
    [(1, 2, "int8", False), (1, 1, "int8", True), (3, 2, "int8", True), (1, 2, "float32", True)],
)
def test_strided_pointwise_convolutions_in_8_bits_are_known_to_be_wrong(judge, kernel, stride, dtype, mapped) -> None:
    tensors = {
        "x": T((1, 8, 8, 8), dtype),
        "w": T((8, kernel, kernel, 8), dtype, data=b"\0" * 64 * kernel**2 * (4 if dtype == "float32" else 1)),
        "y": T((1, 8 // stride, 8 // stride, 8), dtype),
    }
    conv = options("Conv2DOptions", strideW=stride, strideH=stride)
    finding = judge(Net(tensors, [N("CONV_2D", ["x", "w"], ["y"], conv)]), SOFTWARE + FULL).findings[0]
    assert finding.mapped == mapped
    assert ("1x1 convolution" in finding.reason) == (not mapped)
    by_table = judge(Net(tensors, [N("CONV_2D", ["x", "w"], ["y"], conv)]), "", found=()).findings[0]
    assert by_table.mapped == mapped


def test_an_8_bit_file_may_saturate_on_the_cpu_alone(judge) -> None:
    net = Net({"x": T((1, 4)), "y": T((1, 4))}, [N("TANH", ["x"], ["y"])])
    verdict = judge(net, SOFTWARE + WRONG.format("0.9"))
    assert not any("WRONG ANSWERS" in note for note in verdict.notes)
    assert any("saturation" in note for note in verdict.notes)
    assert verdict.findings[0].certainty == "accelerator"


@pytest.mark.parametrize(("per_group", "mapped"), [(2, False), (4, True)])
def test_wrong_answers_are_blamed_on_grouped_convolutions(judge, per_group, mapped) -> None:
    tensors = {
        "x": T((1, 4, 4, 2 * per_group), "float32", None),
        "w": T((4, 3, 3, per_group), "float32", None, data=b"\0" * 4 * 36 * per_group),
        "y": T((1, 4, 4, 4), "float32", None),
    }
    net = Net(tensors, [N("CONV_2D", ["x", "w"], ["y"])], ["x"], ["y"])
    finding = judge(net, SOFTWARE + WRONG.format("0.9")).findings[0]
    assert finding.mapped == mapped
    assert ("grouped convolution" in finding.reason) == (not mapped)


def test_dynamic_shapes_are_refused_as_a_whole(judge) -> None:
    verdict = judge(CHAIN, SOFTWARE + DYNAMIC, 1)
    assert not any(f.mapped for f in verdict.findings)
    assert "static" in verdict.findings[0].reason


@pytest.mark.parametrize(
    ("log", "code", "word"),
    [
        ("Warning: Couldn't load Vulkan: libvulkan.so.1\nERROR: No adapters found\n", 1, "no Vulkan adapter"),
        (SOFTWARE, -9, "signal 9"),
        (SOFTWARE + "RuntimeError: something else\n", 1, "something else"),
        ("ModuleNotFoundError: No module named 'ai_edge_litert'", 1, "not installed"),
    ],
)
def test_without_an_answer_the_table_decides_and_says_so(judge, log, code, word) -> None:
    verdict = judge(chain("TANH", "MATRIX_DIAG"), log, code)
    assert verdict.kind == "predicted"
    assert [(f.mapped, f.certainty) for f in verdict.findings] == [(True, "likely"), (False, "likely")]
    assert word in verdict.notes[0]


def test_without_a_driver_the_table_decides(judge) -> None:
    verdict = judge(chain("TANH"), "", found=())
    assert "no Vulkan driver was found" in verdict.notes[0]


def test_next_driver_is_tried_when_one_fails(tmp_path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(build(chain("TANH")))
    replies = {"0": "No adapters found", "1": SOFTWARE + FULL}

    def run(command, env, **_):
        return subprocess.CompletedProcess(command, 0, stdout=replies[env["TRY"]], stderr="")

    request = Request(path=path, graph=read_tflite(path), profile=profiles.target("gpu"))
    found = tuple(Driver(origin=key, environment={"TRY": key}) for key in replies)
    assert judge_on_gpu(request, found=found, run=run).kind == "simulated"


def test_a_hanging_accelerator_is_reported(tmp_path) -> None:
    def run(*_, timeout, **__):
        raise subprocess.TimeoutExpired("x", timeout)

    assert "within 3 s" in ask(tmp_path / "m.tflite", ANY[0], run=run, timeout_s=3).failure


def test_errors_in_the_log_become_notes() -> None:
    answer = parse(SOFTWARE + "E0000 00:00:1 8087 gpu_model_builder.cc:4114] TopK requires more.\n" + FULL, 0)
    assert answer.errors == ("TopK requires more.",)
    assert answer.fully


def test_table_checks_types_and_custom_operators(judge) -> None:
    net = chain("TANH", "TANH", "MyOp")
    net.tensors["t1"] = T((1, 4), "int64", None)
    reasons = [f.reason for f in judge(net, "", found=()).findings]
    assert "int64" in reasons[0]
    assert "custom" in reasons[2]


def test_drivers_in_order(tmp_path) -> None:
    chromium = tmp_path / "usr/lib/chromium"
    chromium.mkdir(parents=True)
    (chromium / "vk_swiftshader_icd.json").write_text("{}")
    assert [d.environment for d in drivers({}, tmp_path)] == [
        {"VK_ICD_FILENAMES": str(chromium / "vk_swiftshader_icd.json")}
    ]
    (chromium / "libvulkan.so.1").write_text("")
    assert drivers({"LD_LIBRARY_PATH": "/a"}, tmp_path)[0].environment["LD_LIBRARY_PATH"] == f"/a:{chromium}"
    system = tmp_path / "usr/share/vulkan/icd.d"
    system.mkdir(parents=True)
    (system / "nvidia.json").write_text("{}")
    assert drivers({}, tmp_path)[0].origin == "the system's Vulkan drivers"
    chosen = drivers({"VK_DRIVER_FILES": "/x/icd.json"}, tmp_path)
    assert len(chosen) == 1
    assert "VK_DRIVER_FILES" in chosen[0].origin
    assert drivers({}, tmp_path / "empty") == ()


@pytest.mark.gpu
def test_real_accelerator_takes_lenet_and_names_what_it_refuses(tmp_path) -> None:
    if not drivers():
        pytest.skip("no Vulkan driver on this host")
    path = tmp_path / "m.tflite"
    path.write_bytes(build(lenet()))
    found = inspect(path, "gpu")
    if found.kind == "predicted":
        pytest.skip(found.notes[0])
    assert found.n_mapped == found.n_ops
    path.write_bytes(build(Net(
        {"x": T((1, 4), "float32", None), "a": T((1, 4), "float32", None), "y": T((1, 4, 4), "float32", None)},
        [N("TANH", ["x"], ["a"]), N("MATRIX_DIAG", ["a"], ["y"])],
    )))  # fmt: skip
    found = inspect(path, "gpu")
    assert [op.mapped for op in found.ops] == [True, False]
    assert found.ops[1].reason
    assert {op.certainty for op in found.ops} == {"accelerator"}


def test_activating_a_driver_sets_its_variables_and_survives_a_loader_that_does_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "libvulkan.so.1").write_text("no library")
    monkeypatch.setenv("VK_ICD_FILENAMES", "before")
    monkeypatch.setenv("LD_LIBRARY_PATH", "before")
    environment = {"VK_ICD_FILENAMES": "icd.json", "LD_LIBRARY_PATH": str(tmp_path)}
    activate(Driver(origin="test", environment=environment))
    assert os.environ["VK_ICD_FILENAMES"] == "icd.json"
    assert os.environ["LD_LIBRARY_PATH"] == str(tmp_path)
