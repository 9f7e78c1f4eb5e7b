"""A Keras 3 model that edgecv did not write, on the command line: quiet, and with the contract of its files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras as keras3
import pytest

from tests.cli.conftest import edgecv

ROOT = Path(__file__).resolve().parents[2]
SPEC = """name = "m"
input_shape = [8, 8, 1]
[[heads]]
name = "class"
task = "classification"
activation = "probabilities"
labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
[preprocessing]
color = "gray"
mean = [0.0]
std = [255.0]
"""


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    image = keras3.Input((8, 8, 1))
    x = keras3.layers.Flatten(name="flat")(keras3.layers.Conv2D(4, 3, activation="relu", name="stem")(image))
    keras3.Model(image, keras3.layers.Dense(10, activation="softmax", name="out")(x)).save(folder / "m.keras")
    (folder / "spec.toml").write_text(SPEC)
    return folder


def test_conversion_in_a_fresh_process_says_nothing_of_tensorflow(foreign):
    """AutoGraph's warnings would print the whole environment."""
    line = ["cli.py", "convert", foreign / "m.keras", "--spec", foreign / "spec.toml", "--out", foreign / "m.tflite"]
    done = subprocess.run(
        [sys.executable, *map(str, line), "--force"], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "SECRET_OF_THE_USER": "do-not-print"},
    )  # fmt: skip
    assert done.stderr.splitlines() == [
        f"convert {foreign / 'm.keras'}, to {foreign / 'm.tflite'} …",
        "converting m to tflite float32",
        f"wrote {foreign / 'm.tflite'}: " + size(foreign),
    ]


def size(folder):
    return f"{(folder / 'm.tflite').stat().st_size} bytes"


@pytest.mark.parametrize("given", [(), pytest.param(("--spec", "spec.toml"), marks=pytest.mark.slow)])
def test_a_baseline_takes_the_contract_of_its_files(foreign, given):
    file, model = foreign / "f.tflite", foreign / "m.keras"
    assert edgecv("convert", model, "--spec", foreign / "spec.toml", "--out", file, "--force").code == 0
    options = [foreign / one if one.endswith(".toml") else one for one in given]
    result = edgecv("bench", file, "--baseline", model, "--plan", "quick", "--json", *options)
    assert result.code == 0, result.err
    assert json.loads(result.out)["baseline"]["latency_ms"]["p50"] > 0
    out = foreign / f"report{len(given)}"
    result = edgecv("report", file, "--baseline", model, "--data", "digits", "--out", out, "--target", "cpu", *options)
    assert result.code == 0, result.err


def test_split_and_transfer_take_a_spec(foreign, tmp_path):
    spec = ("--spec", foreign / "spec.toml")
    assert edgecv("split", foreign / "m.keras", "--at", "flat", "--out", tmp_path / "parts", *spec).code == 0
    result = edgecv("train", "--from", foreign / "m.keras", "--out", tmp_path / "t.keras", "--epochs", 2, *spec)
    assert result.code == 0, result.err
