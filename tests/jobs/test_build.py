"""edgecv zoo build: a network without training, and a filter from the zoo to an answer."""

import json

import numpy as np
import pytest
from PIL import Image

from edgecv.core.errors import ConfigError
from edgecv.jobs import build, convert, models, run, verify
from edgecv.runtime.container import read_manifest
from tests.cli.conftest import edgecv


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(12):
        coarse = rng.integers(0, 256, (6, 6), np.uint8)
        Image.fromarray(np.kron(coarse, np.ones((4, 4), np.uint8))).save(folder / f"{index}.png")
    return folder


def test_a_pattern_is_found_by_float_and_integers(tmp_path, pictures):
    pattern = np.random.default_rng(9).integers(0, 2, (5, 5)) * 255
    np.save(tmp_path / "t.npy", pattern.astype(np.float32))
    image = np.full((24, 24), 90, np.uint8)
    image[11:16, 7:12] = pattern
    Image.fromarray(image).save(tmp_path / "scene.png")
    out = tmp_path / "match.keras"
    plan = build.BuildPlan(name="pattern_match", variant="centred", input_size="24", weights=str(tmp_path / "t.npy"))
    made = build.build(plan, out=out)
    assert (made.is_fixed, made.output_shapes, made.parameters) == (True, ((20, 20, 1),), 25)
    source = models.Source(path=out)
    plans = {
        "f.tflite": convert.Plan(scheme="float32"),
        "i.tflite": convert.Plan(scheme="int8", data=f"folder:{pictures}"),
        "i.onnx": convert.Plan(scheme="int8", data=f"folder:{pictures}"),
    }
    for name, plan in plans.items():
        convert.make(source, plan, out=tmp_path / name)
        assert verify.verify(tmp_path / name).passed
        (found,) = run.run(tmp_path / name, [tmp_path / "scene.png"])["heads"]["response"]["maps"]
        assert found["peak"]["box"] == [7, 11, 12, 16], name


def test_the_command_writes_a_filter_and_says_that_it_is_ready(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = edgecv(*"zoo build sobel --input-size 48x64 --out sobel.keras --json".split())
    document = json.loads(told.out)
    assert (document["input_shape"], document["output_shapes"]) == ([48, 64, 1], [[46, 62, 2]])
    assert document["is_fixed"] is True
    assert "random" not in told.err
    assert read_manifest(tmp_path / "sobel.keras").spec.head.task == "response"
    again = edgecv(*"zoo build sobel --out sobel.keras".split())
    assert (again.code, "--force" in again.err) == (2, True)


def test_random_weights_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = edgecv(*"zoo build lenet5 --out l.keras".split())
    assert told.code == 0
    assert "random" in told.err
    assert "untrained" in told.out


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "sobell"}, "sobel"),
        ({"name": "sobel", "variant": "book"}, "variant of sobel"),
        ({"name": "sobel", "weights": "t.npy"}, "no option 'weights'"),
        ({"name": "sobel", "input_size": "2"}, "cannot be built"),
        ({"name": "pattern_match", "weights": "missing.png"}, "no template"),
    ],
)
def test_what_cannot_be_built_is_refused(tmp_path, options, text):
    with pytest.raises(ConfigError, match=text):
        build.build(build.BuildPlan(**options), out=tmp_path / "m.keras")
    with pytest.raises(ConfigError, match=r"\.keras"):
        build.build(build.BuildPlan(name="sobel"), out=tmp_path / "m.tflite")
