"""Pictures and what they should become, scenes under noise, and data whose truths are a model's answers."""

import numpy as np
import pytest
from PIL import Image

from edgecv.core.errors import ConfigError, DataError
from edgecv.data import open_dataset
from edgecv.evaluate import assess
from edgecv.modelio import load_keras, manifest_for, save_keras
from edgecv.modelio.predictor import KerasPredictor
from tests.conformance.networks import network


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("images", "targets"):
        (tmp_path / name).mkdir()
        for index in range(12):
            side = 12 if name == "images" else 24
            Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(
                tmp_path / name / f"{index}.png"
            )
    return tmp_path


def test_targets_belong_to_their_images_and_say_their_scale(folder):
    found = open_dataset(f"pictures:{folder}")
    assert (found.targets[0].task, dict(found.targets[0].settings)) == ("imaging", {"scale": 2})
    split = found.split("all")
    record = split.record(3)
    name = split.images.paths[3].name
    np.testing.assert_array_equal(record.truths[0], np.asarray(Image.open(folder / "targets" / name)))
    divided = found.divided()
    assert sum(len(each) for each in divided.splits.values()) == 12
    assert len({each.sha256 for each in divided.splits.values()}) == 3


def test_what_is_wrong_with_a_folder_is_named(folder):
    (folder / "targets" / "5.png").unlink()
    with pytest.raises(DataError, match=r"5\.png has no target"):
        open_dataset(f"pictures:{folder}")
    Image.new("RGB", (12, 12)).save(folder / "targets" / "5.png")
    with pytest.raises(DataError, match="12x12 pixels, expected 24x24"):
        open_dataset(f"pictures:{folder}")
    with pytest.raises(ConfigError):
        open_dataset(f"pictures:{folder / 'no'}")


def test_noisy_scenes_are_the_scenes_under_noise():
    noisy, clean = open_dataset("scenes:noisy").split("test"), open_dataset("scenes").split("test")
    np.testing.assert_array_equal(noisy.targets[0][7], clean.image(7))
    difference = np.stack([noisy.image(i).astype(float) - noisy.targets[0][i] for i in range(50)])
    inside = np.stack([noisy.targets[0][i] for i in range(50)])
    steady = (inside > 90) & (inside < 165)  # where noise is not cut
    assert difference[steady].std() == pytest.approx(25, rel=0.05)
    assert open_dataset("scenes:noisy", seed=0).split("test").sha256 == noisy.sha256


@pytest.mark.parametrize("row", ["imaging", "classification", "multilabel", "regression", "segmentation", "detection"])
def test_a_model_agrees_with_its_own_answers(row, tmp_path):
    model, spec = network(row, 1)
    path = tmp_path / "m.keras"
    save_keras(model, path, manifest_for(spec, recipe={"step": "train"}, dataset="scenes"))
    found = open_dataset(f"answers:{path}:scenes")
    assert found.uri == f"answers:{path}:scenes"
    part = found.split("test").take(np.arange(24))
    whole = type(found)(name=found.name, uri=found.uri, targets=found.targets, splits={"test": part}, notes=found.notes)
    figures = assess(KerasPredictor(load_keras(path)), whole, "test")
    best = {"regression": 0.0}.get(row, 1.0)
    if row != "detection":  # where nothing is found above the score there is nothing to find again
        assert figures.value == pytest.approx(best, abs=1e-5)
    assert len(part.sha256) == 64


def test_pairs_are_no_truths(tmp_path):
    model, spec = network("embedding", 1)
    save_keras(model, tmp_path / "m.keras", manifest_for(spec, recipe={"step": "train"}))
    found = open_dataset(f"answers:{tmp_path / 'm.keras'}:scenes")
    with pytest.raises(ConfigError, match="no truths for embedding"):
        found.split("test").record(0)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("answers:", "not a data set address"),
        ("answers:m.keras", "names no model"),
        ("answers:no.keras:scenes", "exist"),
    ],
)
def test_wrong_addresses_of_answers(address, message):
    with pytest.raises(ConfigError, match=message):
        open_dataset(address)
