"""Galleries from the command line: a float model enrols, its float32 file asks, and another network is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgecv import zoo
from edgecv.modelio import manifest_for, save_keras

from .conftest import edgecv


def encoder(path: Path, seed: int) -> Path:
    model, spec = zoo.build("siamese_mnist", seed=seed)
    return save_keras(model, path, manifest_for(spec, recipe={"step": "train"}, dataset="digits"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """encoder.keras, float32.tflite made of it, other.keras, and people/ with two identities of three images."""
    from PIL import Image

    made = tmp_path_factory.mktemp("gallery")
    encoder(made / "encoder.keras", 0)
    encoder(made / "other.keras", 1)
    assert edgecv("convert", made / "encoder.keras", "--out", made / "float32.tflite").code == 0
    rng = np.random.default_rng(0)
    for name in ("ada", "bob"):
        (made / "people" / name).mkdir(parents=True)
        base = rng.integers(0, 200, (28, 28))
        for number in range(3):
            pixels = (base + rng.integers(0, 20, (28, 28))).astype(np.uint8)
            Image.fromarray(pixels).save(made / "people" / name / f"{number}.png")
    return made


def test_enrol_calibrate_identify_remove(folder: Path) -> None:
    gallery, model = folder / "known.npz", folder / "encoder.keras"
    done = json.loads(edgecv("gallery", "enrol", gallery, model, folder / "people", "--json").out)
    assert (done["added"], done["vectors"]) == ({"ada": 3, "bob": 3}, 6)
    again = edgecv("gallery", "enrol", gallery, model, folder / "people")
    assert "6 images were enrolled already" in again.err
    assert "2 labels, 6 vectors" in again.out

    chosen = edgecv("gallery", "calibrate", gallery, "--far", 0.2, "--json")
    assert json.loads(chosen.out)["impostor"] == 9
    assert "too few to know a rate of 0.2" in chosen.err

    asked = edgecv("gallery", "identify", gallery, folder / "float32.tflite", folder / "people" / "bob", "--json")
    answers = json.loads(asked.out)["answers"]
    assert [(row["label"], row["known"]) for row in answers] == [("bob", True)] * 3
    shown = edgecv("gallery", "identify", gallery, folder / "float32.tflite", folder / "people" / "ada" / "0.png").out
    assert "ada" in shown
    assert all(len(line) <= 80 for line in edgecv("gallery", "list", gallery).out.splitlines()[1:])

    assert edgecv("gallery", "remove", gallery, "ada", "eve").code == 2
    assert "ada" in edgecv("gallery", "list", gallery).out
    assert edgecv("gallery", "remove", gallery, "ada").code == 0
    assert json.loads(edgecv("gallery", "list", gallery, "--json").out)["labels"] == {"bob": 3}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("enrol", "g.npz", "encoder.keras", "people/ada"), "whom the images of"),
        (("enrol", "g.npz", "encoder.keras", ".", "--label", "x"), "no images in"),
        (("identify", "none.npz", "encoder.keras", "people/ada"), "does not exist"),
        (("calibrate", "g.npz", "--data", "digits"), "needs the model"),
        (("list", "encoder.keras"), "is no gallery"),
    ],
)
def test_wrong_requests_say_what_is_wrong(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(folder)
    result = edgecv("gallery", *arguments)
    assert result.code == 2
    assert said in result.err


def test_vectors_of_another_network_and_classifiers_are_refused(folder: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "g.npz"
    assert edgecv("gallery", "enrol", gallery, folder / "encoder.keras", folder / "people").code == 0
    before = gallery.read_bytes()
    for action in ("enrol", "identify"):
        result = edgecv("gallery", action, gallery, folder / "other.keras", folder / "people" / "ada", *(
            ("--label", "eve") if action == "enrol" else ()
        ))  # fmt: skip
        assert result.code == 2
        assert "cannot be compared" in result.err
    assert gallery.read_bytes() == before
    model, spec = zoo.build("lenet5")
    save_keras(model, tmp_path / "lenet5.keras", manifest_for(spec, recipe={"step": "train"}))
    refused = edgecv("gallery", "enrol", gallery, tmp_path / "lenet5.keras", folder / "people")
    assert refused.code == 2
    assert "is for classification" in refused.err


def test_mixing_a_file_with_the_one_it_was_made_of_costs_nothing(folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 6)
    x = rng.integers(0, 120, (4, 28, 28))[y] + rng.integers(0, 120, (24, 28, 28))
    np.savez(tmp_path / "few.npz", x=x.astype(np.uint8), y=y)
    data = ("--data", f"npz:{tmp_path / 'few.npz'}")
    result = edgecv("evaluate", folder / "float32.tflite", "--gallery-model", folder / "encoder.keras", *data, "--json")
    assert result.code == 0, result.err
    ways = json.loads(result.out)["gallery"]["mixing"]["ways"]
    assert [(way["enrolled"], way["asked"]) for way in ways] == [
        ("gallery", "gallery"), ("asking", "asking"), ("gallery", "asking"),
    ]  # fmt: skip
    assert abs(ways[2]["drops"]["auc"]["value"]) < 1e-4
    other = edgecv("evaluate", folder / "float32.tflite", "--gallery-model", folder / "other.keras", *data)
    assert "do not stem from one trained file" in other.err
    assert "mixed" in other.out
