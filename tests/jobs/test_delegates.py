"""A GPU through the pipeline, on a software renderer: refusals name layers, float16 is audited, starts are reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgecv.core.errors import PartialAccelerationError
from edgecv.jobs import delegates
from edgecv.jobs.inspect import inspect_file
from edgecv.targets.gpu import APART
from edgecv.targets.vulkan import drivers
from edgecv.values.inspection import OpVerdict
from tests.graphs.tiny import N, Net, T, build, options

ROOT = Path(__file__).parents[2]


def verdict(index: int, **changes: object) -> OpVerdict:
    base = OpVerdict(index=index, op="LOCAL_RESPONSE_NORMALIZATION", layer="lrn1", status="Not supported",
                     mapped=False, certainty="accelerator", reason="Operation is not supported.")  # fmt: skip
    return replace(base, **changes)


def test_refused_operators_are_described_with_their_layers_and_the_cut_off_ones_counted():
    left = [verdict(0), verdict(1, op="TOPK_V2", layer="", reason="no"), verdict(2, op="CONV_2D", status=APART)]
    said = delegates.describe(left)
    assert "LOCAL_RESPONSE_NORMALIZATION of layer 'lrn1' (Operation is not supported); TOPK_V2 (no)" in said
    assert "1 supported operators are cut off" in said
    assert "and 2 more" in delegates.describe([verdict(i) for i in range(delegates.SHOWN + 2)])


def test_an_error_without_details_stays_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(delegates, "left_out", lambda file: "")
    with pytest.raises(PartialAccelerationError, match="as it was"), delegates.naming_layers(tmp_path):
        raise PartialAccelerationError("as it was")


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory) -> Path:
    """A keras classifier with local response normalisation between two convolutions, as AlexNet has, in a .tflite."""
    from edgecv.convert import convert
    from edgecv.modelio import LoadedModel, env, manifest_for, save_keras
    from edgecv.values.specs import Head, Preprocessing, one_input
    from edgecv.zoo.families.alexnet import ResponseNorm, _response_norm

    keras = env.keras()
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((28, 28, 1))
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv1")(image)
    x = _response_norm(x, ResponseNorm(), name="lrn1")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv2")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(10, activation="softmax", name="class")(x))
    head = Head(name="class", task="classification", activation="probabilities", labels=tuple("0123456789"))
    spec = one_input(name="tiny", input_shape=(28, 28, 1), heads=(head,), preprocessing=Preprocessing(color="gray"))
    folder = tmp_path_factory.mktemp("alexnet")
    save_keras(model, folder / "m.keras", manifest_for(spec, recipe={}))
    loaded = LoadedModel(model=model, manifest=None, path=folder / "m.keras", sha256="0" * 64)
    return convert(loaded, format="tflite", scheme="float32", out=folder / "m.tflite", spec=spec, target="gpu").path


def edgecv(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgecv.cli.main", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


@pytest.fixture(scope="module")
def renderer() -> None:
    if not drivers():
        pytest.skip("no Vulkan driver: make swiftshader installs a software one")


@pytest.mark.gpu
def test_evaluate_names_the_refused_layer_and_exits_3(alexnet, renderer):
    done = edgecv("evaluate", alexnet, "--data", "digits", "--accelerator", "gpu")
    assert done.returncode == 3
    assert "LOCAL_RESPONSE_NORMALIZATION of layer 'lrn1' (Operation is not supported)" in done.stderr
    assert "--allow-partial" in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
@pytest.mark.gpu
def test_allowed_in_part_evaluate_says_so(alexnet, renderer):
    arguments = ("evaluate", alexnet, "--data", "digits", "--json")
    done = edgecv(*arguments, "--accelerator", "gpu", "--allow-partial", "--precision", "float32")
    assert done.returncode == 0, done.stderr
    found, here = json.loads(done.stdout), json.loads(edgecv(*arguments).stdout)
    assert (found["accelerator"], found["precision"], found["fully_accelerated"]) == ("gpu", "float32", False)
    assert (here["accelerator"], here["precision"], here["kind"]) == ("cpu", None, "measured")
    assert "only a part runs on the GPU" in done.stderr
    assert found["value"] == here["value"]


@pytest.mark.slow
@pytest.mark.gpu
def test_bench_reports_starts_apart_and_names_refused_layers(alexnet, renderer, tmp_path):
    refused = edgecv("bench", alexnet, "--accelerator", "gpu", "--plan", "quick")
    assert refused.returncode == 3
    assert "of layer 'lrn1'" in refused.stderr
    done = edgecv("bench", alexnet, "--accelerator", "gpu", "--allow-partial", "--plan", "quick", "--json")
    assert done.returncode == 0, done.stderr
    (latency,) = json.loads(done.stdout)["artifacts"][0]["latency"]
    startup = latency["startup"]
    assert startup["cache_bytes"] > 0
    assert all(startup[way]["load_ms"] >= startup[way]["compile_ms"] > 0 for way in ("cold", "storing", "warm"))
    assert latency["precision"] in ("float16", "float32")


@pytest.mark.gpu
def test_inspect_holds_activations_against_float16(alexnet, renderer):
    found = inspect_file(alexnet, "gpu")
    assert found.float16 is not None
    assert (found.float16.samples > 0, found.float16.source, found.float16.near) == (True, "golden inputs", ())
    assert 0 < found.float16.largest < 65504
    data = inspect_file(alexnet, "gpu", data="digits", samples=3).float16
    assert data is not None
    assert (data.samples, data.source) == (3, "digits (validation)")
    assert inspect_file(alexnet, "cpu").float16 is None


class Said(list):
    def warn(self, message):
        self.append(message)


@pytest.mark.parametrize(("stride", "accelerator", "told"), [(2, "gpu", 1), (1, "gpu", 0), (2, "cpu", 0)])
def test_layers_that_a_gpu_computes_wrongly_are_named(tmp_path, stride, accelerator, told):
    side = 8 // stride
    tensors = {
        "x": T((1, 8, 8, 8), "int8"),
        "w": T((8, 1, 1, 8), "int8", data=b"\0" * 64),
        "y": T((1, side, side, 8), "int8"),
    }
    conv = options("Conv2DOptions", strideW=stride, strideH=stride)
    path = tmp_path / "strided.tflite"
    path.write_bytes(build(Net(tensors, [N("CONV_2D", ["x", "w"], ["y"], conv)])))
    said = Said()
    delegates.warn_wrong(path, accelerator, said)
    assert len(said) == told
    assert all("strided.tflite: the GPU takes 1 layers and computes them wrongly" in message for message in said)
