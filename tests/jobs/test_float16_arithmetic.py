"""float16 files that processors with float16 arithmetic may compute in it: marked, and only where the values fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.graphs import read_tflite
from edgecv.graphs.reduced_precision import is_half
from edgecv.jobs import convert, float16_arithmetic, models, verify
from edgecv.modelio import load_keras, save_keras
from edgecv.modelio.model_file import model_file
from edgecv.runtime import read_manifest
from edgecv.targets import inspect
from tests.cli.conftest import edgecv

pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")

HALF = convert.Plan(scheme="float16", arithmetic="float16", data="digits")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("half") / "m.keras"
    done = edgecv("zoo", "build", "lenet5", "--out", out)
    assert done.code == 0, done.err
    return out


@pytest.fixture(scope="module")
def half(model: Path) -> Path:
    out = model.with_name("half.tflite")
    done = edgecv("convert", model, "--arithmetic", "float16", "--data", "digits", "--out", out)
    assert done.code == 0, done.err
    assert "--device DEVICE" in done.err
    return out


def test_the_file_is_a_float16_one_with_a_mark(model: Path, half: Path) -> None:
    plain = model.with_name("plain.tflite")
    convert.make(models.Source(path=model), convert.Plan(scheme="float16", data="digits"), out=plain)
    graphs = read_tflite(half.read_bytes()), read_tflite(plain.read_bytes())
    assert [graph.half for graph in graphs] == [True, False]
    assert graphs[0].ops == graphs[1].ops
    assert read_manifest(half).provenance.recipe["arithmetic"] == "float16"
    assert "arithmetic" not in read_manifest(plain).provenance.recipe


@pytest.mark.parametrize(
    ("content", "half"),
    [
        (b"fp16accfp16", True),
        (b"fp16bf16accfp16\0", True),
        (b"fp16accfp32", False),
        (b"bf16accfp32", False),
        (b"", False),
    ],
)
def test_only_sums_in_float16_count(content: bytes, half: bool) -> None:
    assert is_half(content) == half


def test_kernels_are_those_of_cpus_with_float16_arithmetic(half: Path) -> None:
    there = inspect(half, "arm64-dotprod")
    assert any(note.startswith("float16 arithmetic, ") and ": fast" in note for note in there.notes)
    assert "NEON FP16" in next(op.status for op in there.ops if op.op == "CONV_2D")
    for name in ("arm64", "x86-avx2"):
        found = inspect(half, name)
        assert any(note.startswith("float16, ") and "widened" in note for note in found.notes)


def test_values_beyond_float16_are_refused_with_their_layer(model: Path, tmp_path: Path) -> None:
    loaded = load_keras(model)
    layer = next(
        layer for layer in loaded.model.layers if layer.get_weights() and "dense" in type(layer).__name__.lower()
    )
    kernel, *rest = layer.get_weights()
    layer.set_weights([np.full_like(kernel, 1e5), *rest])
    source = tmp_path / "large.keras"
    save_keras(loaded.model, source, loaded.manifest)
    out = tmp_path / "large.tflite"
    done = edgecv("convert", source, "--scheme", "float16", "--arithmetic", "float16", "--data", "digits", "--out", out)
    assert done.code == 2
    assert "infinite" in done.err
    assert layer.name in done.err
    assert not out.exists()


def test_without_data_the_range_was_seen_on_noise_only(model: Path, tmp_path: Path) -> None:
    done = edgecv("convert", model, "--scheme", "float16", "--arithmetic", "float16", "--out", tmp_path / "m.tflite")
    assert done.code == 0
    assert "on noise only" in done.err


@pytest.mark.parametrize(
    ("scheme", "format_"), [("float32", "tflite"), ("dynamic", "tflite"), ("float16", "onnx")], ids=str
)
def test_other_files_have_no_such_arithmetic(model: Path, tmp_path: Path, scheme: str, format_: str) -> None:
    plan = convert.Plan(scheme=scheme, arithmetic="float16", data="digits")
    with pytest.raises(ConfigError, match=r"is for \.tflite files of scheme float16"):
        convert.make(models.Source(path=model), plan, out=tmp_path / f"m.{format_}")


def test_a_bundle_has_no_such_arithmetic(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not of a bundle's parts"):
        convert.make(models.Source(path=model), HALF, out=tmp_path / "m.edgecv")


def test_this_host_answers_within_the_golden_tolerance(half: Path) -> None:
    found = verify.verify(half)
    assert found.passed
    assert found.tolerance == pytest.approx(5e-3)


def test_an_accuracy_found_here_is_that_of_float32_arithmetic(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, plain = model_file(half), model_file(half.with_name("m.keras"))
    for here, device, told in ((False, "local", True), (True, "local", False), (False, "arm64", False)):
        monkeypatch.setattr("edgecv.targets.cpu.computes_half", lambda target, here=here: here)
        assert ("float32 arithmetic" in float16_arithmetic.otherwise_elsewhere(opened, device)) == told
        assert not float16_arithmetic.otherwise_elsewhere(plain, device)


def test_evaluate_says_so(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecv.targets.cpu.computes_half", lambda target: False)
    done = edgecv("evaluate", half, "--data", "digits")
    assert done.code == 0, done.err
    assert "accuracy of float32 arithmetic" in " ".join(done.err.split())
