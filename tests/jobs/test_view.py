"""`edgecv view` from files to a page, and the command at its end."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.data import open_dataset
from edgecv.jobs import build, convert, models, view
from edgecv.modelio import env, load_keras, manifest_for, save_keras
from edgecv.values.specs import Head, Preprocessing, one_input
from tests.cli.conftest import edgecv

DIGITS = tuple(map(str, range(10)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small classifier of digits with two dead channels and one that another stands for; its int8 files; a six."""
    found = tmp_path_factory.mktemp("view")
    keras = env.keras()
    keras.utils.set_random_seed(4)
    given = keras.Input((16, 16, 1), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="one")(given)
    x = keras.layers.MaxPooling2D(name="pool")(x)
    x = keras.layers.Conv2D(6, 3, activation="relu", name="two")(x)
    x = keras.layers.GlobalAveragePooling2D(name="gap")(x)
    model = keras.Model(given, keras.layers.Dense(10, activation="softmax", name="output")(x), name="small")
    kernel, bias = model.get_layer("one").get_weights()
    bias[:] = 0.05
    kernel[..., [2, 5]], bias[[2, 5]] = 0, -1
    kernel[..., 7], bias[7] = 3 * kernel[..., 0], 3 * bias[0]
    model.get_layer("one").set_weights([kernel, bias])
    head = Head("output", "classification", "probabilities", DIGITS)
    spec = one_input("small", (16, 16, 1), (head,), Preprocessing("gray"))
    save_keras(model, found / "m.keras", manifest_for(spec, recipe={"step": "train"}, dataset="digits"))
    save_keras(model, found / "own.keras", manifest_for(spec, recipe={"step": "train"}))
    for name in ("m8.tflite", "m8.onnx"):
        convert.make(models.Source(path=found / "m.keras"), convert.Plan(scheme="int8"), out=found / name)
    Image.fromarray(open_dataset("digits").split("test").image(3)).save(found / "digit.png")
    return found


def seen(folder, *names, out="page.html", **plan):
    settings = view.ViewPlan(**{"samples": 20, **plan})
    return view.view([folder / name for name in names], folder / "digit.png", settings, out=folder / out, force=True)


def test_a_keras_model_alone(folder):
    found = seen(folder, "m.keras")
    assert found.samples == 21
    shapes = {one.layer: one.shape for one in found.layers}
    assert shapes == {"one": (16, 16, 8), "pool": (8, 8, 8), "two": (6, 6, 6), "gap": (6,), "output": (10,)}
    channels = {(one.layer, one.channel): one.why for one in found.removable if one.layer == "one"}
    assert channels == {("one", 2): "dead", ("one", 5): "dead", ("one", 0): "duplicate"}
    assert found.heat == ("m.keras, occlusion", "m.keras, Grad-CAM")
    page = (folder / "page.html").read_text()
    assert "channels" in page
    assert shlex.quote(str(folder / "m.keras")) in page


def test_the_command_takes_the_channels_out(folder, monkeypatch):
    monkeypatch.chdir(folder)
    found = seen(folder, "m.keras", heat=False)
    program, *arguments = shlex.split(found.command)
    assert program == "edgecv"
    done = edgecv(*arguments, "--force")
    assert done.code == 0, done.err
    small = load_keras(folder / "m-slim.keras").model
    gone = {layer: sum(one.layer == layer for one in found.removable) for layer in ("one", "two")}
    assert small.get_layer("one").filters == 8 - gone["one"] < 6
    assert small.get_layer("two").filters == 6 - gone["two"]


@pytest.mark.parametrize("name", ["m8.tflite", pytest.param("m8.onnx", marks=pytest.mark.slow)])
def test_int8_beside_float(folder, name):
    found = seen(folder, "m.keras", name)
    noise = {one.layer: one.sqnr_db for one in found.layers if one.compared}
    assert {"one", "pool", "two"} <= set(noise)
    assert all(value is None or 15 < value < 80 for value in noise.values())
    assert found.heat == ("m.keras, occlusion", "m.keras, Grad-CAM", f"{name}, occlusion")
    assert any("float file" in caution for caution in found.cautions)
    page = (folder / "page.html").read_text()
    assert f"{name}: in the same greys" in page
    assert "where they differ" in page


def test_a_file_alone_has_no_command(folder):
    found = seen(folder, "m8.tflite", heat=False)
    assert (found.command, found.removable, found.heat) == ("", (), ())
    assert {channel.why for channel in found.layers[0].silent} >= {"dead"}
    assert "view the .keras" in (folder / "page.html").read_text()


def test_one_image_is_a_caution_and_data_a_gap_in_the_command(folder):
    found = seen(folder, "own.keras", heat=False)
    assert (found.samples, found.data) == (1, None)
    assert "--data DATA" in found.command
    assert len(found.cautions) == 2
    given = seen(folder, "own.keras", heat=False, data="digits")
    assert given.samples == 21
    assert "--data digits" in given.command
    assert given.cautions == ()


def test_layers_are_chosen_by_name(folder):
    seen(folder, "m.keras", heat=False, layers=("t*",))
    page = (folder / "page.html").read_text()
    assert page.count('class="layer"') == 1
    with pytest.raises(ConfigError, match="unknown layer 'twoo'"):
        seen(folder, "m.keras", heat=False, layers=("twoo",))


def test_a_filter_has_energy_for_heat(folder):
    build.build(build.BuildPlan(name="sobel", input_size="16"), out=folder / "sobel.keras", force=True)
    found = seen(folder, "sobel.keras")
    assert found.heat == ("sobel.keras, activation energy",)
    assert found.command == ""


def test_the_command_line_prints_one_document(folder, monkeypatch):
    monkeypatch.chdir(folder)
    told = edgecv(
        "view", "m.keras", "m8.tflite", "digit.png", "--samples", 4, "--no-heat", "--out", "cli.html", "--json"
    )
    document = json.loads(told.out)
    assert (told.code, document["page"], len(document["models"])) == (0, "cli.html", 2)
    assert document["layers"][0]["sqnr_db"] > 10
    again = edgecv("view", "m.keras", "digit.png", "--out", "cli.html")
    assert (again.code, "--force" in again.err) == (2, True)
    shown = edgecv("view", "m.keras", "digit.png", "--samples", 4, "--no-heat", "--out", "cli.html", "--force")
    assert "edgecv slim m.keras --channels one=" in shown.out


@pytest.mark.parametrize("labels", [("even", "odd"), ()])
def test_one_unit_speaks_for_two_classes(labels, folder, tmp_path):
    keras = env.keras()
    given = keras.Input((16, 16, 1), name="image")
    maps = keras.layers.Conv2D(4, 3, activation="relu", name="maps")(given)
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    for bias, best in ((9.0, "odd"), (-9.0, "even")):
        unit = keras.layers.Dense(
            1, activation="sigmoid", name="output", bias_initializer=keras.initializers.Constant(bias)
        )
        model = keras.Model(given, unit(pooled), name="one")
        head = Head("output", "classification", "probabilities", labels)
        spec = one_input("one", (16, 16, 1), (head,), Preprocessing("gray"))
        save_keras(model, tmp_path / "one.keras", manifest_for(spec, recipe={"step": "train"}), force=True)
        found = view.view(
            [tmp_path / "one.keras"], folder / "digit.png", view.ViewPlan(), out=tmp_path / "page.html", force=True
        )
        assert found.heat == ("one.keras, occlusion", "one.keras, Grad-CAM")
        told = best if labels else str(("even", "odd").index(best))
        assert f"that raise &#x27;{told}&#x27;" in (tmp_path / "page.html").read_text()


def test_what_cannot_be_viewed_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="one model or two, got 3"):
        seen(folder, "m.keras", "m8.tflite", "m8.onnx")
    with pytest.raises(ConfigError, match="one model or two, got 0"):
        seen(folder)
    with pytest.raises(ConfigError, match=r"an \.html file"):
        seen(folder, "m.keras", out="page.png")
    with pytest.raises(ConfigError, match=r"an \.html file") as refused:
        view.view([folder / "m.keras"], folder / "digit.png", view.ViewPlan(), out=Path())
    assert refused.value.hint == "--out view.html"
    with pytest.raises(ConfigError, match="alike"):
        seen(folder, "m.keras", alike=0)
    build.build(build.BuildPlan(name="sobel", input_size="24"), out=tmp_path / "other.keras")
    with pytest.raises(ConfigError, match="do not take the same input"):
        seen(folder, "m.keras", tmp_path / "other.keras")
    build.build(build.BuildPlan(name="mlp_bodysize"), out=tmp_path / "mlp.keras")
    with pytest.raises(UnsupportedModelError, match="models of one image"):
        seen(folder, tmp_path / "mlp.keras")
    (tmp_path / "broken.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(range(200)))
    with pytest.raises((ConfigError, UnsupportedModelError)):
        seen(folder, tmp_path / "broken.tflite")
    missing = view.ViewPlan(heat=False)
    with pytest.raises(ConfigError, match="does not exist"):
        view.view([folder / "m.keras"], folder / "none.png", missing, out=tmp_path / "p.html")
    with pytest.raises(ConfigError):
        view.view([folder / "none.keras"], folder / "digit.png", missing, out=tmp_path / "p.html")
    assert not np.any([path.suffix == ".html" for path in tmp_path.iterdir()])
