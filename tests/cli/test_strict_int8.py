"""`edgecv quantize` on a layer that TFLite has no integer kernel for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.modelio import env, manifest_for, save_keras
from edgecv.runtime.container import read_manifest
from edgecv.values.specs import Head, Preprocessing, one_input

from .conftest import edgecv

DIGITS = tuple("0123456789")
SPEC = one_input("net", (28, 28, 1), (Head("digit", "classification", "logits", DIGITS),), Preprocessing(color="gray"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    keras = env.keras()
    keras.utils.set_random_seed(0)
    image = keras.Input((28, 28, 1), name="image")
    x = keras.layers.Conv2D(8, 3, strides=2, name="stem")(image)
    x = keras.layers.Flatten(name="flat")(keras.layers.ReLU(threshold=0.2, name="gate")(x))
    made = keras.Model(image, keras.layers.Dense(10, name="digit")(x), name="net")
    return save_keras(made, tmp_path_factory.mktemp("net") / "net.keras", manifest_for(SPEC, recipe={"step": "test"}))


def test_the_file_is_made_and_its_float_operators_are_told(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "edge.tflite"
    done = edgecv("convert", model, "--scheme", "int8", "--data", "digits", "--target", "edgetpu", "-o", out, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["stays_float"]["operators"] == [{"op": "CAST", "layer": "gate", "asked": False}]
    (verdict,) = told["verdicts"]
    assert verdict["target"] == "edgetpu"
    assert verdict["n_mapped"] < verdict["n_ops"]
    assert "CAST" in {op["op"] for op in verdict["unmapped"]}
    manifest = read_manifest(out)
    assert manifest is not None
    assert manifest.provenance.recipe["stays_float"]["operators"][0]["layer"] == "gate"
    shown = edgecv("convert", model, "--scheme", "int8", "--data", "digits", "-o", tmp_path / "cpu.tflite")
    assert "in float: CAST (gate)" in shown.out


def test_strict_int8_refuses_and_writes_nothing(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "strict.tflite"
    done = edgecv("quantize", model, "--strict-int8", "--data", "digits", "-o", out)
    assert done.code != 0
    assert "CAST (gate)" in done.err
    assert "leave --strict-int8 out" in done.err
    assert not out.exists()
