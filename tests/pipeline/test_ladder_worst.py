"""Which layers a mixed file keeps out of int8: those that cost the metric most, where finding out is affordable."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")

from edgecv import profiles
from edgecv.convert.draft import draft
from edgecv.data import open_dataset
from edgecv.evaluate.layer_cost import LayerCost
from edgecv.modelio import env, load_keras, manifest_for, save_keras
from edgecv.pipeline import artifacts
from edgecv.pipeline.ladder import worst
from edgecv.progress import QUIET
from edgecv.results import Drop
from edgecv.runtime.image import preprocess
from tests.evaluate.test_layer_cost import SPEC, break_channel, network

PLAN = artifacts.Plan(scheme="int8", data="digits")


@pytest.fixture(scope="module")
def digits():
    return open_dataset("digits")


@pytest.fixture(scope="module")
def broken(digits, tmp_path_factory):
    """A network of which `second` costs the accuracy and `third` shows the noise, and its int8 file."""
    folder, split = tmp_path_factory.mktemp("worst"), digits.split("train")
    model = network()
    images = np.concatenate([preprocess(split.image(i), SPEC) for i in range(len(split))])
    model.compile(env.keras().optimizers.legacy.Adam(0.003), "sparse_categorical_crossentropy")
    model.fit(images, split.targets[0], epochs=4, batch_size=32, verbose=0)
    break_channel(model, "second", "third")
    loaded = load_keras(save_keras(model, folder / "m.keras", manifest_for(SPEC, recipe={"step": "test"})))
    _, int8 = draft(loaded, folder, calibration=profiles.calibration("minmax"), dataset=digits)
    return loaded, int8


def rank(broken, digits):
    return worst.ranked(*broken, PLAN, digits, needed=0.25, reporter=QUIET)


def test_the_metric_finds_the_layer_that_noise_does_not(broken, digits, monkeypatch):
    found = rank(broken, digits)
    assert (found.layers[0], found.by) == ("second", "task metric")
    count = len(digits.split("validation"))
    assert found.reason == f"4 of 6 layers by top1 of {count} labelled samples, simulated"
    assert replace(rank(broken, digits), seconds=found.seconds) == found
    monkeypatch.setattr(worst, "WORK", 10**6)
    noisy = rank(broken, digits)
    assert (noisy.layers[0], noisy.by) == ("third", "noise")
    assert "64 samples per layer" in noisy.reason
    assert sorted(noisy.layers) == sorted(found.layers)


def test_an_equalised_file_is_ranked_against_the_equalised_model(broken, digits, tmp_path):
    """Its weights are not the plain model's: the float file to compare with is made of the same ones."""
    loaded, _ = broken
    plan = replace(PLAN, equalise=True, adaround=True)
    file = artifacts.built(loaded, plan, digits, out=tmp_path / "even.tflite").path
    found = worst.ranked(loaded, file, plan, digits, needed=0.25, reporter=QUIET)
    assert "cannot be rounded" not in found.reason
    assert "labelled samples" in found.reason


def test_effort_falls_with_the_size_of_the_network(broken, monkeypatch):
    loaded, _ = broken
    macs = worst.profile(loaded.model).macs
    assert worst.effort(loaded, 300, 10, needed=2) == worst.Effort(layers=10, samples=256)
    assert worst.effort(loaded, 100, 60, needed=2) == worst.Effort(layers=worst.MOST_RANKED, samples=100)
    monkeypatch.setattr(worst, "WORK", macs * 64 * 2 * 5)
    assert worst.effort(loaded, 300, 10, needed=2) == worst.Effort(layers=4, samples=64)
    assert worst.effort(loaded, 300, 10, needed=4) == worst.Effort(layers=0, samples=0)
    monkeypatch.setattr(worst, "WORK", 10**12)
    monkeypatch.setattr(worst, "HELD", 63 * 74)
    assert worst.effort(loaded, 300, 10, needed=2).layers == 0


def cost(layer, alone, back, answer_db):
    return LayerCost(
        layer=layer, op="CONV_2D", ops=(0,), answer_sqnr_db=answer_db, drop=Drop(value=alone, ci95=(0, 0)),
        regained=Drop(value=back, ci95=(0, 0)),
    )  # fmt: skip


def test_equal_costs_fall_back_on_noise():
    costs = [cost("a", 0.0, 0.0, 30.0), cost("b", 0.1, 0.1, 40.0), cost("c", 0.0, 0.2, 20.0), cost("d", 0.0, 0.0, 30.0)]
    found = worst.merged(costs, ("e", "d", "a", "b", "c"), metric="top1", samples=64)
    # c and b win the same; c's noise reaches the answer. Neither d nor a costs anything, and d adds more noise.
    assert found.layers == ("c", "b", "d", "a", "e")
    assert found.by == "task metric"
    equal = worst.merged([cost("a", 0.0, 0.0, 30.0), cost("b", 0.0, 0.0, 20.0)], ("a", "b"), metric="top1", samples=64)
    assert (equal.layers, equal.by) == (("b", "a"), "noise")
    assert equal.reason == "no layer costs more than another in top1 of 64 labelled samples"
