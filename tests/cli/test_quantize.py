"""`edgecv quantize` with steps, layers kept in float, small integers, and the ladder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecv.runtime.container import read_manifest

from .conftest import Made, edgecv


def test_a_layer_stays_float_and_the_file_says_so(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "mixed.tflite"
    done = edgecv("quantize", made.keras, "--keep-float", "c3*", "--keep-float", "f6", "-o", out, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["scheme"] == "mixed"
    manifest = read_manifest(out)
    assert manifest is not None
    assert manifest.provenance.recipe["keep_float"] == ["c3*", "f6"]
    wrong = edgecv("quantize", made.keras, "--keep-float", "c33", "-o", tmp_path / "no.tflite")
    assert wrong.code == 2
    assert "did you mean 'c3'" in wrong.err
    assert not (tmp_path / "no.tflite").exists()


def test_layers_with_int16_say_what_computes_them(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "wide.tflite"
    done = edgecv("quantize", made.keras, "--int16", "c3*", "--int16", "output", "-o", out, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["scheme"] == "mixed"
    assert told["kernels"] == {
        "delegated": {"CONV_2D": 2, "FULLY_CONNECTED": 1},
        "own": {"CONV_2D": 1, "FULLY_CONNECTED": 1},
    }
    assert edgecv("verify", out).code == 0


@pytest.mark.slow
def test_int4_says_what_computes_it(made: Made, tmp_path: Path) -> None:
    done = edgecv("quantize", made.keras, "--scheme", "int4", "-o", tmp_path / "int4.tflite", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["steps"] == ["adaround"]
    assert sum(told["kernels"]["own"].values()) + sum(told["kernels"]["delegated"].values()) >= 4
    # Half a byte for each weight, but for the fifth of them that keeps 8 bits; and the manifest, the same in both.
    assert (tmp_path / "int4.tflite").stat().st_size < 0.7 * made.int8.stat().st_size
    shown = edgecv("quantize", made.keras, "--scheme", "int4", "-o", tmp_path / "int4.tflite", "--force")
    assert "XNNPACK computes" in shown.out


def test_steps_are_for_integer_files_by_ptq(made: Made, tmp_path: Path) -> None:
    for options in (("--scheme", "float16"), ("--method", "qat")):
        done = edgecv("quantize", made.keras, "--adaround", *options, "-o", tmp_path / "x.tflite")
        assert done.code == 2
        assert "--adaround cannot be used" in done.err


def test_the_ladder_reports_every_step_and_fails_like_a_gate(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "l.tflite"
    done = edgecv("quantize", made.keras, "--max-drop", "5", "--data", "digits", "-o", out, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["passed"], told["chosen"], told["kind"]) == (True, "ptq", "measured")
    assert told["trials"][0]["size_bytes"] == out.stat().st_size
    assert edgecv("quantize", made.keras, "--max-drop", "-1", "-o", tmp_path / "n.tflite").code == 2
    spent = edgecv("quantize", made.keras, "--max-drop", "5", "--budget-seconds", "0.001", "-o", out, "--force")
    assert spent.code == 0, "a first step is always taken"
    assert "passed (allowed 5 points)" in spent.out
