"""Which layers a mixed file keeps out of int8: those that cost the metric most, where finding out is affordable."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")

from edgecv.convert.debug_pair import draft
from edgecv.core.progress import QUIET
from edgecv.data import open_dataset
from edgecv.diagnose.layer_cost import LayerCost
from edgecv.evaluate import KerasPredictor, evaluate
from edgecv.jobs import convert as artifacts
from edgecv.jobs.evaluate import open_artifact
from edgecv.jobs.ladder import LadderPlan, Trial, worst
from edgecv.jobs.ladder.rungs import rungs
from edgecv.modelio import env, load_keras, manifest_for, save_keras
from edgecv.runtime.image import preprocess
from edgecv.values import profiles
from edgecv.values.scores import Drop
from tests.diagnose.test_layer_cost import SPEC, break_channel, network

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


@pytest.mark.slow
def test_the_metric_finds_the_layer_that_noise_does_not(broken, digits, monkeypatch):
    found = rank(broken, digits)
    assert (found.layers[0], found.by) == ("second", "task metric")
    count = len(digits.split("validation"))
    assert found.reason == f"4 of 6 layers by top1 of {count} labelled samples, simulated"
    assert replace(rank(broken, digits), seconds=found.seconds) == found
    assert found.wide == found.layers
    monkeypatch.setattr(worst, "KERNELS", frozenset({"CONV_2D"}))
    assert set(rank(broken, digits).wide) == {"first", "second", "third"}
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


def test_int16_where_the_ranking_says_saves_the_answers(broken, digits, tmp_path):
    """8 bits for `second` and what reads it lose the network; 16 bits there, and 8 elsewhere, do not."""
    loaded, int8 = broken
    with open_artifact(int8) as predictor:
        lost = evaluate(predictor, digits.split("validation"), "digits").value
    made = artifacts.built(loaded, replace(PLAN, int16=("second", "third")), digits, out=tmp_path / "wide.tflite")
    with open_artifact(made.path) as predictor:
        saved = evaluate(predictor, digits.split("validation"), "digits").value
    value = evaluate(KerasPredictor(loaded), digits.split("validation"), "digits").value
    assert lost < 0.5
    assert saved > value - 0.05


class Climb:
    """What the rungs ask of a ladder."""

    def __init__(self, target):
        self.request = LadderPlan(max_drop=0, plan=replace(PLAN, target=target))

    def file(self, step):
        return step

    def ranked(self, step, plan, *, needed):
        names = tuple(f"l{index}" for index in range(18))
        return worst.Ranked(layers=names, wide=names[2:], by="noise", reason="a test")


@pytest.mark.parametrize(("target", "has_int16"), [("cpu", True), ("gpu", False)])
def test_int16_comes_before_float_where_the_target_has_it(target, has_int16):
    trial = Trial(
        step="ptq", scheme="int8", method="ptq", steps=(), keep_float=(), value=0.5, drop=1.0, drop_ci95=(0, 2),
        size_bytes=1, seconds=0, sha256="", failure="",
    )  # fmt: skip
    found = {rung.step: rung.plan for rung in rungs(Climb(target), [trial, trial])}
    steps = [step for step in found if step.startswith("mixed")]
    # A step that cannot be taken is in the table with its reason.
    wide = ["mixed16 1", "mixed16 2", "mixed16 4"] if has_int16 else ["mixed16"]
    assert steps == [*wide, "mixed 1", "mixed 2", "mixed 4"]
    assert (found["mixed 2"].keep_float, found["mixed 2"].int16) == (("l0", "l1"), ())
    if has_int16:
        assert (found["mixed16 2"].keep_float, found["mixed16 2"].int16) == ((), ("l2", "l3"))


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
