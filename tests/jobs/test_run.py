"""Asking files about images: one, several, folders, and the pictures that are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.jobs.run import run
from edgecv.modelio import env, manifest_for, save_keras
from edgecv.values.specs import Head, InputSpec, ModelSpec, Preprocessing, one_input

GRAY = Preprocessing(color="gray")
WEIGHTS = [np.array([[-9.0, 9.0]]), np.array([4.5, -4.5])]
PIL = pytest.importorskip("PIL.Image", reason="Pillow draws")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "photos").mkdir()
    for value in (0, 100, 250):
        PIL.fromarray(np.full((12, 10), value, np.uint8)).save(folder / "photos" / f"{value}.png")
    (folder / "photos" / "notes.txt").write_text("no image")
    keras = env.keras()
    image = keras.Input((4, 4, 1), name="image")
    mean = keras.layers.GlobalAveragePooling2D()(image)
    bright = keras.layers.Dense(2, activation="softmax", name="output", weights=WEIGHTS)
    spec = one_input(
        "bright", (4, 4, 1), (Head("output", "classification", "probabilities", ("dark", "bright")),), GRAY
    )
    save_keras(keras.Model(image, bright(mean)), folder / "bright.keras", manifest_for(spec, recipe={}))
    one, two = (keras.Input((4, 4, 1), name=name) for name in ("one", "two"))
    pools = [keras.layers.GlobalAveragePooling2D()(part) for part in (one, two)]
    pair = keras.Model([one, two], keras.layers.Subtract(name="output")(pools))
    inputs = tuple(InputSpec(name, (4, 4, 1), GRAY) for name in ("two", "one"))
    spec = ModelSpec("pair", inputs, (Head("output", "regression", "linear", ("difference",)),))
    save_keras(pair, folder / "pair.keras", manifest_for(spec, recipe={}))
    return folder


def test_one_image(folder: Path) -> None:
    found = run(folder / "bright.keras", [folder / "photos" / "250.png"])
    assert found["labels"][0]["label"] == "bright"
    assert found["heads"]["output"]["labels"] == found["labels"]
    assert found["image"].endswith("250.png")


def test_a_folder_is_answered_image_by_image_and_drawn(folder: Path, tmp_path: Path) -> None:
    found = run(folder / "bright.keras", [folder / "photos"], out=tmp_path / "drawn")
    assert {Path(one["image"]).stem: one["labels"][0]["label"] for one in found["answers"]} == {
        "0": "dark", "100": "dark", "250": "bright",
    }  # fmt: skip
    for one in found["answers"]:
        with PIL.open(one["drawn"]) as picture:
            assert picture.mode == "RGB"
            assert min(picture.size) >= 100
    with pytest.raises(ConfigError, match="already exists"):
        run(folder / "bright.keras", [folder / "photos"], out=tmp_path / "drawn")


def test_a_model_of_two_inputs_takes_two_images_in_the_order_of_its_spec(folder: Path) -> None:
    bright, dark = folder / "photos" / "250.png", folder / "photos" / "0.png"
    # The network gives "one" minus "two"; the spec names "two" first.
    found = run(folder / "pair.keras", [dark, bright])
    assert found["heads"]["output"]["labels"][0]["score"] == pytest.approx(250 / 255, abs=1e-5)


@pytest.mark.parametrize("names", [["0.png"], ["0.png", "100.png", "250.png"], ["."]])
def test_another_number_of_images_is_refused(folder: Path, names: list[str]) -> None:
    with pytest.raises(ConfigError, match="takes 2 images at once"):
        run(folder / "pair.keras", [folder / "photos" / name for name in names])


def test_an_empty_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no images"):
        run(folder / "bright.keras", [tmp_path])
