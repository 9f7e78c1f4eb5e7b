"""Ethos-U targets: Vela itself where it is installed (`make ethos-u`), and the reading of what it writes everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, ConversionError, MissingDependencyError
from edgecv.graphs import read_tflite
from edgecv.targets import compile_file, inspect
from edgecv.targets.vela import CUSTOM, PROGRAM, VARIABLE, Answer, ask, figures, verdict_of
from edgecv.targets.vendor import Finished, find_tool
from edgecv.targets.verdict import Request
from edgecv.values import profiles
from tests.graphs.tiny import N, Net, T, build, constant, lenet, options

TARGETS = ["ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512", "ethos-u85-256"]
LOG = """
Warning (supported operators) operator: RESIZE_BILINEAR, ofm: 'y;with, quotes'
Reason: Scaling matches and operation has unsupported scale-factor=16
IF not (IFM H == IFM W == 1) AND not IFM Shape == OFM Shape:
  - IF W Scale-factor != H Scale-factor:

Network summary for model
"""
SUMMARY = {
    "inference_time": "0.0025", "core_clock": "500000000.0", "cycles_npu": "1000000", "cycles_sram_access": "250000",
    "cycles_dram_access": "0", "cycles_total": "1250000", "sram_memory_used": "2.5", "nn_macs": "42",
}  # fmt: skip


@pytest.fixture
def installed() -> str:
    found = find_tool(PROGRAM, VARIABLE)
    if found is None:
        pytest.skip("Vela is not installed: make ethos-u")
    return found


@pytest.fixture
def write(tmp_path: Path):
    def put(net: Net) -> Path:
        path = tmp_path / "m.tflite"
        path.write_bytes(build(net))
        return path

    return put


def resized(factor: int) -> Net:
    """A convolution, then a resize by `factor`."""
    side = 4 * factor
    conv = options("Conv2DOptions", strideW=1, strideH=1, dilationWFactor=1, dilationHFactor=1)
    resize = options("ResizeBilinearOptions", halfPixelCenters=factor == 2)
    return Net(
        {
            "x": T((1, 4, 4, 4)),
            "w": T((4, 1, 1, 4), "int8", (0.1,) * 4, np.ones((4, 1, 1, 4), np.int8)),
            "b": T((4,), "int32", (0.05,) * 4, np.ones(4, np.int32)),
            "h": T((1, 4, 4, 4)),
            "s": constant([side, side]),
            "y": T((1, side, side, 4)),
        },
        [N("CONV_2D", ["x", "w", "b"], ["h"], conv, 3), N("RESIZE_BILINEAR", ["h", "s"], ["y"], resize, 3)],
    )


def half_compiled() -> Net:
    """What Vela leaves of `resized(16)` with the names of LOG."""
    net = resized(16)
    net.tensors = {"y;with, quotes" if name == "y" else name: t for name, t in net.tensors.items()}
    net.ops = [N(CUSTOM, ["x"], ["h"]), N("RESIZE_BILINEAR", ["h", "s"], ["y;with, quotes"], net.ops[1].options, 3)]
    net.outputs = ["y;with, quotes"]
    return net


def test_reasons_and_estimates_are_read() -> None:
    before = half_compiled()
    before.ops[0] = resized(16).ops[0]
    answer = Answer(data=build(half_compiled()), log=LOG, summary=SUMMARY, version="5.2.0")
    found = verdict_of(read_tflite(build(before)), answer, profiles.target("ethos-u55-128"))
    assert [f.mapped for f in found.findings] == [True, False]
    assert {f.certainty for f in found.findings} == {"accelerator"}
    assert found.findings[1].reason == "Scaling matches and operation has unsupported scale-factor=16"
    assert found.latency is not None
    assert (found.latency.ms, found.latency.kind) == (2.5, "predicted")
    assert found.latency.parts_ms == {"npu": 2.0, "sram": 0.5}
    (advice,) = found.advice
    assert (advice.ops, advice.would_map) == ((1,), None)
    assert "2, 4 or 8 times" in advice.text
    assert figures(SUMMARY) == {"cycles": 1_250_000, "sram_bytes": 2560, "macs": 42}


def test_without_a_summary_the_latency_is_unknown() -> None:
    answer = Answer(data=build(half_compiled()), log="", summary={}, version="5.2.0")
    found = verdict_of(read_tflite(build(half_compiled())), answer, profiles.target("ethos-u55-128"))
    assert found.latency is None
    assert any("latency is unknown" in note for note in found.notes)
    assert "does not say why" in found.findings[1].reason


@pytest.mark.parametrize(
    ("said", "hint"),
    [("Fatal: no config section\nmore", "--list-configs"), ("Error: broken model", "--verbose-all"), ("", "--verbose")],
)
def test_a_failing_vela_is_an_error_with_its_words(write, monkeypatch, tmp_path, said, hint) -> None:
    program = tmp_path / "vela"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(program))
    path = write(lenet())
    request = Request(path=path, graph=read_tflite(path), profile=profiles.target("ethos-u55-128"))
    with pytest.raises(ConversionError) as caught:
        ask(request, run=lambda command, folder, seconds: Finished(returncode=1, output=said))
    assert (said.splitlines() or ["nothing"])[0] in caught.value.message
    assert hint in caught.value.hint


def test_without_vela_the_table_judges_and_says_so(write, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    found = inspect(write(lenet()), "ethos-u55-128")
    assert found.n_mapped == found.n_ops
    assert {op.certainty for op in found.ops} == {"likely"}
    assert found.latency is None
    assert any("pip install 'edgecv[ethos-u]'" in note for note in found.notes)
    with pytest.raises(MissingDependencyError, match="vela"):
        compile_file(write(lenet()), "ethos-u55-128", tmp_path)


def test_newer_generations_take_more(write, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    net = Net({"x": T((1, 4)), "y": T((1, 4))}, [N("DIV", ["x", "x"], ["y"])])
    assert [inspect(write(net), name).n_mapped for name in ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")] == [
        0,
        0,
        1,
    ]


def test_target_without_settings_is_a_config_error(write, tmp_path, installed) -> None:
    own = tmp_path / "own.toml"
    text = (profiles.data_folder("targets") / "ethos-u55-128.toml").read_text()
    own.write_text(text.replace("memory-mode", "memory-node"))
    with pytest.raises(ConfigError, match="memory-mode"):
        inspect(write(lenet()), str(own))


@pytest.mark.parametrize("name", TARGETS)
def test_vela_maps_lenet_and_estimates_its_time(installed, write, name) -> None:
    found = inspect(write(lenet()), name)
    assert (found.n_mapped, found.n_ops) == (9, 9)
    assert {op.certainty for op in found.ops} == {"accelerator"}
    assert found.latency is not None
    assert found.latency.kind == "predicted"
    assert 0 < found.latency.ms < 10
    assert any(profiles.target(name).options["accelerator-config"] in note for note in found.notes)


def test_vela_says_why_it_leaves_an_operator(installed, write) -> None:
    found = inspect(write(resized(16)), "ethos-u55-128")
    assert [op.mapped for op in found.ops] == [True, False]
    assert "scale-factor" in found.ops[1].reason
    assert inspect(write(resized(2)), "ethos-u55-128").n_mapped == 2


def test_compiled_file_and_disagreements_with_the_table(installed, write, tmp_path) -> None:
    found = compile_file(write(resized(16)), "ethos-u65-256", tmp_path / "out")
    made = found.compilation
    assert made is not None
    assert made.tool.startswith("ethos-u-vela 5")
    compiled = read_tflite(Path(made.path).read_bytes())
    assert [op.op for op in compiled.ops] == [CUSTOM, "RESIZE_BILINEAR"]
    assert made.figures["cycles"] > 0
    assert made.figures["sram_bytes"] + made.figures["dram_bytes"] > 0
    (line,) = made.disagreements
    assert line.startswith("1 RESIZE_BILINEAR: predicted on the accelerator")
    assert "scale-factor" in Path(made.log).read_text()
