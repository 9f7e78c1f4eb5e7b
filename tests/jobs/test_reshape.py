"""`edgecv reshape`: a classifier's file becomes one that answers for every window of a larger image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import edgecv as library
from edgecv import zoo
from edgecv.core.errors import ConfigError, ConversionError
from edgecv.core.progress import QUIET
from edgecv.jobs.models import Source
from edgecv.jobs.reshape import ReshapePlan, reshape
from edgecv.modelio import env, load_keras, manifest_for, save_keras
from edgecv.runtime import load
from edgecv.values.presets import preset
from edgecv.values.specs import Head, one_input
from tests.cli.conftest import edgecv
from tests.compress.slim.networks import randomised


def saved(folder: Path, name: str, dataset: str | None = "digits") -> Path:
    model, spec = zoo.build(name, input_shape=zoo.get(name).small_shape, seed=0)
    manifest = manifest_for(spec, recipe={"step": "train"}, dataset=dataset)
    return save_keras(randomised(model), folder / f"{name}.keras", manifest)


def plan(size: str, **changes: Any) -> ReshapePlan:
    return ReshapePlan(**{"fully_convolutional": True, "input_size": size, **changes})


def test_a_file_that_answers_for_every_window_converts_and_predicts(tmp_path: Path) -> None:
    source = saved(tmp_path, "lenet5")
    told = json.loads(edgecv("reshape", source, "--fully-convolutional", "--input-size", "48x64", "--json").out)
    out = tmp_path / "lenet5-48x64.keras"
    assert told["path"] == str(out)
    assert (told["window"], told["stride"], told["cells"]) == ([32, 32], [4, 4], [5, 9])
    assert told["differs"] == {}
    assert told["max_abs_diff"] < 1e-5
    assert (told["checked"], told["checked_on"], told["agreement"]) == (40, "digits", 1.0)
    assert told["window_macs"] == 45 * 416_520
    assert told["parameters"] == 61_706
    assert edgecv("convert", out, "--out", tmp_path / "map.tflite").code == 0
    image = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)
    with load(tmp_path / "map.tflite") as model:
        answer = model.predict(image)
    assert answer.mask.shape == (48, 64)
    assert answer.outputs[0].shape == (5, 9, 10)
    assert answer.labels == tuple("0123456789")


@pytest.mark.slow
def test_what_pads_is_said_with_how_much_it_differs(tmp_path: Path) -> None:
    class Heard:
        bar, info = QUIET.bar, QUIET.info
        said: ClassVar[list[str]] = []

        def warn(self, message: str) -> None:
            self.said.append(message)

    source = saved(tmp_path, "resnet8", dataset=None)
    made = reshape(Source(path=source), plan("48"), out=tmp_path / "map.keras", reporter=Heard())
    assert made.checked_on == "synthetic"
    assert made.max_abs_diff > 1e-6
    assert "stem pads" in Heard.said[0]
    assert f"{made.max_abs_diff:.3g}" in Heard.said[0]
    provenance = load_keras(tmp_path / "map.keras").manifest.provenance
    assert [parent["step"] for parent in provenance.parents] == ["train"]
    assert provenance.dataset is None


def test_in_python_it_prints_as_the_command_does(tmp_path: Path) -> None:
    made = library.reshape(saved(tmp_path, "lenet5"), input_size=40, quiet=True)
    assert made.path == str(tmp_path / "lenet5-40.keras")
    assert "3x3 answers in one run" in str(made)
    assert "4 pixels away" in str(made)


def test_a_layer_that_looks_over_the_whole_map_in_secret_is_found_out(tmp_path: Path) -> None:
    keras = env.keras()
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.GroupNormalization(2, name="group")(keras.layers.Conv2D(4, 3, name="c1")(image))
    x = keras.layers.Dense(3, activation="softmax", name="output")(keras.layers.Flatten(name="flatten")(x))
    head = Head("output", "classification", "probabilities", ("a", "b", "c"))
    spec = one_input("secret", (8, 8, 1), (head,), preset("unit", 1))
    path = save_keras(
        randomised(keras.Model(image, x, name="secret")), tmp_path / "s.keras", manifest_for(spec, recipe={})
    )
    with pytest.raises(ConversionError, match="answers its windows differently"):
        reshape(Source(path=path), plan("12"))
    assert not (tmp_path / "s-12.keras").exists()


def test_requests_that_have_no_answer_are_refused(tmp_path: Path) -> None:
    source = Source(path=saved(tmp_path, "lenet5"))
    with pytest.raises(ConfigError, match="no way to another size"):
        reshape(source, plan("96", fully_convolutional=False))
    with pytest.raises(ConfigError, match="is no input size"):
        reshape(source, plan("large"))
    with pytest.raises(ConfigError, match="no whole number of windows"):
        reshape(source, plan("97"))
    with pytest.raises(ConfigError, match="keras models are written"):
        reshape(source, plan("96"), out=tmp_path / "map.tflite")
