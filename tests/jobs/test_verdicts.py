"""Every file that is made ends with its targets' verdicts, predicted, and what does not map is warned of."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")
pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.graphs import read_tflite
from edgecv.jobs import convert as artifacts
from edgecv.jobs import ladder, models
from edgecv.modelio import env
from edgecv.runtime.container import read_manifest
from edgecv.targets import gpu, vela
from tests.cli.conftest import edgecv
from tests.reporters import Told

SPEC = """name = "net"
[[inputs]]
name = "image"
shape = [16, 16, 1]
preprocessing = {color = "gray", mean = [127.5], std = [127.5]}
[[heads]]
name = "out"
task = "classification"
activation = "probabilities"
labels = ["0", "1", "2"]
"""


def _tell_apart(model, features, images, kinds):
    """Let the last layer name the nearest of three means along the line from dark to bright features."""
    found = np.asarray(features(images.astype(np.float32)))
    means = np.stack([found[kinds == kind].mean(0) for kind in range(3)])
    line = (means[2] - means[0]) / np.linalg.norm(means[2] - means[0])
    along = means @ line
    sharp = 20 / np.ptp(along) ** 2
    model.get_layer("out").set_weights([sharp * 2 * np.outer(line, along), -sharp * along**2])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A network with a transposed convolution and its ReLU, and an operator that no Edge TPU compiler takes."""
    folder = tmp_path_factory.mktemp("verdicts")
    keras = env.keras()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    x = keras.Input((16, 16, 1), name="image")
    h = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="down")(x)
    h = layers.BatchNormalization(beta_initializer="normal")(
        layers.Conv2DTranspose(4, 3, strides=2, padding="same", name="up")(h)
    )
    h = layers.LeakyReLU(name="leak")(layers.ReLU()(h))
    pooled = layers.GlobalAveragePooling2D(name="pool")(h)
    model = keras.Model(x, layers.Dense(3, activation="softmax", name="out")(pooled), name="net")
    kinds = np.arange(60) % 3
    images = np.random.default_rng(0).integers(0, 40, (60, 16, 16, 1)) + 100 * kinds[:, None, None, None]
    _tell_apart(model, keras.Model(x, pooled), images / 127.5 - 1, kinds)
    model.save(folder / "net.h5")
    (folder / "spec.toml").write_text(SPEC)
    np.savez(folder / "net.npz", x=images.astype(np.uint8), y=kinds)
    return folder


def source(place):
    return models.Source(path=place / "net.h5", spec=place / "spec.toml")


def data(place):
    return f"npz:{place / 'net.npz'}"


@pytest.fixture(autouse=True)
def nobody_is_asked(monkeypatch):
    """An accelerator or a compiler would cost seconds: a verdict on what was just made is predicted."""

    def refuse(*arguments, **more):
        raise AssertionError("asked")

    monkeypatch.setattr(gpu, "ask", refuse)
    monkeypatch.setattr(vela, "ask", refuse)
    monkeypatch.setattr(subprocess, "run", refuse)


def test_each_target_says_what_it_runs(place) -> None:
    told = Told()
    plan = artifacts.Plan(
        scheme="int8", data=data(place), target="edgetpu", further_targets=("cpu", "gpu", "ethos-u55-128", "edgetpu")
    )
    made = artifacts.make(source(place), plan, out=place / "several.tflite", reporter=told)
    found = {one.target: one for one in made.verdicts}
    assert list(found) == ["edgetpu", "cpu", "gpu", "ethos-u55-128"]
    assert {found[name].n_mapped for name in ("cpu", "gpu")} == {found["cpu"].n_ops}
    tpu = found["edgetpu"]
    assert (tpu.unmapped[0].op, tpu.unmapped[0].layer) == ("LEAKY_RELU", "leak")
    assert "not in the compiler's table" in tpu.unmapped[0].reason
    assert "ReLU6" in tpu.advice[0].text
    (warning,) = [text for text in told.warnings if "do not map" in text]
    assert "edgetpu" in warning
    assert "LEAKY_RELU (leak)" in warning
    assert "ReLU6" in warning
    assert read_manifest(place / "several.tflite").target == "edgetpu"


def test_one_target_among_several_decides_the_operators(place) -> None:
    for targets, version in ((("cpu",), 4), (("cpu", "edgetpu"), 3), (("edgetpu-runtime13",), 3)):
        plan = artifacts.Plan(scheme="int8", data=data(place), target=targets[0], further_targets=targets[1:])
        made = artifacts.make(source(place), plan, out=place / "op.tflite", force=True)
        assert [op.version for op in read_tflite(made.path).ops if op.op == "TRANSPOSE_CONV"] == [version]


@pytest.mark.parametrize(("scheme", "suffix", "target"), [
    ("float32", "tflite", "cpu"), ("float16", "tflite", "gpu"), ("float32", "onnx", "cpu"), ("int8", "onnx", "cpu"),
])  # fmt: skip
def test_every_kind_of_file_has_a_verdict(place, scheme, suffix, target) -> None:
    plan = artifacts.Plan(scheme=scheme, data=data(place), target=target)
    made = artifacts.make(source(place), plan, out=place / f"kind.{suffix}", force=True)
    (verdict,) = made.verdicts
    assert (verdict.target, verdict.n_mapped) == (target, verdict.n_ops)


def test_a_float_file_for_an_edge_tpu_is_warned_of(place) -> None:
    told = Told()
    made = artifacts.make(
        source(place), artifacts.Plan(scheme="float32", target="edgetpu"), out=place / "f.tflite", reporter=told
    )
    assert made.verdicts[0].n_mapped == 0
    assert any("do not map to edgetpu" in text for text in told.warnings)


def run(place, command, out, *more):
    given = ("--spec", place / "spec.toml", "--out", place / out, "--data", data(place), "--force")
    result = edgecv(command, place / "net.h5", *given, *more)
    assert result.code == 0, result.err
    return result.out


def test_the_command_ends_with_the_verdicts(place) -> None:
    shown = run(place, "quantize", "c.tflite", "--target", "edgetpu", "--target", "cpu", "--max-drop", "100")
    lines = shown.strip().splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("edgetpu: "))
    assert "operators run there (predicted)" in lines[at]
    assert "LEAKY_RELU, layer leak" in lines[at + 1]
    assert any("to map more: LEAKY_RELU" in line for line in lines[at:])
    assert any(line.startswith("cpu: ") for line in lines[at:])
    assert "interval" in lines[-1]  # the accuracy has the last word


def test_json_has_them_too(place) -> None:
    found = json.loads(run(place, "convert", "j.tflite", "--target", "cpu", "--target", "gpu", "--json"))
    assert [one["target"] for one in found["verdicts"]] == ["cpu", "gpu"]


def test_the_ladder_ends_with_them(place) -> None:
    plan = artifacts.Plan(scheme="int8", data=data(place), target="edgetpu")
    done = ladder.climb(source(place), ladder.LadderPlan(max_drop=100, plan=plan), out=place / "ladder.tflite")
    assert [one.target for one in done.verdicts] == ["edgetpu"]


def test_a_recipe_ends_with_them(place) -> None:
    (place / "recipe.toml").write_text('[[step]]\nmethod = "quantize"\ntarget = "edgetpu"\nfurther_targets = ["cpu"]\n')
    shown = run(place, "compress", "r.tflite", "--recipe", str(place / "recipe.toml"))
    assert [line.split(":")[0] for line in shown.splitlines() if "run there" in line] == ["edgetpu", "cpu"]
