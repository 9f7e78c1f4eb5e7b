"""A detector starts from a classifier of the same first layers, which stand still while the rest learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from edgecv.jobs.train import TrainPlan, train
from edgecv.modelio import load_keras
from edgecv.train import TrainRecipe, backbone_recipe, take_backbone
from tests.jobs.test_teachers import PLAN, boxes_on_disk
from tests.train.small import Listener

FROZEN = """
epochs = 1
learning_rate = 1e-3

[[stages]]
epochs = 1
freeze = ["stem*", "stage*"]
"""


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "classifier.keras"
    train(TrainPlan(name="yolo_small_gray_classifier", epochs=1, width=0.25, input_size=32), out=path)
    return path


@pytest.mark.slow
def test_frozen_layers_are_the_classifiers_and_the_heads_learn(classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "frozen.toml").write_text(FROZEN)
    out, listener = tmp_path / "detector.keras", Listener()
    plan = replace(PLAN, width=0.25, data=boxes_on_disk(tmp_path / "boxes", 0), backbone=classifier)
    train(replace(plan, recipe=str(tmp_path / "frozen.toml")), out=out, reporter=listener)
    detector, donor = load_keras(out), load_keras(classifier)
    for layer in (one for one in donor.model.layers[:-1] if one.weights):
        for own, given in zip(detector.model.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
            assert np.array_equal(own, given)
    fresh, _ = zoo.build("yolo_small_gray", labels=("wide", "tall"), width=0.25, input_shape=(32, 32, 1))
    kernels = [net.get_layer("boxes_0").get_weights()[0] for net in (detector.model, fresh)]
    assert not np.array_equal(*kernels)
    assert listener.remarks[0].startswith("28 layers start from")
    assert "neck0" in listener.remarks[0]
    assert [parent["sha256"] for parent in detector.manifest.provenance.parents] == [donor.sha256]


def test_without_stages_of_its_own_a_recipe_freezes_the_backbone_first() -> None:
    made = backbone_recipe(TrainRecipe(epochs=20, learning_rate=1e-2), ("stem1", "stem2"))
    assert [(stage.epochs, stage.freeze) for stage in made.stages] == [(5, ("stem1", "stem2")), (15, ())]
    assert made.stages[1].learning_rate == pytest.approx(3e-3)


def test_what_is_no_backbone_of_a_network_is_refused() -> None:
    detector, spec = zoo.build("yolo_small_gray", width=0.25)
    wide, wide_spec = zoo.build("yolo_small_gray_classifier", width=0.5)
    with pytest.raises(ConfigError, match=r"layer 'stem2' has weights of .*\n.*same --width"):
        take_backbone(detector, spec, wide, wide_spec)
    other, other_spec = zoo.build("lenet5")
    with pytest.raises(ConfigError, match="no layer of 'yolo_small_gray' is called like one of 'lenet5'"):
        take_backbone(detector, spec, other, other_spec)
    scaled = replace(zoo.get("lenet5").spec("book").input, shape=spec.input_shape)
    with pytest.raises(ConfigError, match="another colour or scale"):
        take_backbone(detector, spec, other, replace(other_spec, inputs=(scaled,)))


def test_an_own_model_has_its_backbone_already(classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--backbone belongs to an architecture"):
        train(TrainPlan(source=classifier, backbone=classifier), out=tmp_path / "m.keras")
