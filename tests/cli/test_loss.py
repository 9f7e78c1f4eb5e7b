"""A file of integers is held against the float model on real data, and one that loses much ends with exit 1."""

import json

import numpy as np
import pytest

from edgecv import data
from edgecv.core.errors import GateFailure
from edgecv.jobs import convert, loss, models
from edgecv.modelio import env, load_keras, manifest_for, save_keras
from edgecv.values.scores import Drop
from edgecv.values.specs import Head, one_input
from tests.cli.conftest import edgecv
from tests.reporters import Told

keras = env.keras()
SPEC = one_input(
    name="columns",
    input_shape=(4,),
    heads=(Head(name="class", task="classification", activation="probabilities", labels=("0", "1")),),
)


@pytest.fixture(scope="module")
def columns(tmp_path_factory):
    """Features of which one is ten thousand times as large as those that matter: one scale buries these."""
    folder = tmp_path_factory.mktemp("columns")
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (900, 3)), rng.uniform(0, 20_000, (900, 1))], 1).astype(np.float32)
    y = (x[:, 0] + x[:, 1] > 0).astype(np.int64)
    np.savez(folder / "d.npz", x_train=x[:600], y_train=y[:600], x_test=x[600:], y_test=y[600:])
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,), name="features"), keras.layers.Dense(2, "softmax", name="class")])
    model.layers[0].set_weights([np.array([[-4, 4], [-4, 4], [0, 0], [0, 0]], np.float32), np.zeros(2, np.float32)])
    save_keras(model, folder / "m.keras", manifest_for(SPEC, recipe={}))
    return folder


def quantized(folder, *options):
    line = ("quantize", folder / "m.keras", "--data", f"npz:{folder / 'd.npz'}", "--force")
    return edgecv(*line, "--out", folder / "m.tflite", *options)


def test_training_with_quantisation_that_loses_the_model_fails(columns):
    result = quantized(columns, "--method", "qat", "--epochs", "1")
    assert result.code == 1
    assert "points of top1 against the float model (1.0000 to 0." in result.err
    assert "allowed 10" in result.err
    assert (columns / "m.tflite").exists()


def test_the_loss_is_part_of_the_output(made, tmp_path):
    result = edgecv("quantize", made.keras, "--data", "digits", "--out", tmp_path / "m.tflite", "--json")
    (head,) = json.loads(result.out)["loss"]["heads"]
    assert head["unit"] == "points"
    assert head["drop"] == pytest.approx(100 * (head["before"] - head["after"]))
    assert head["drop_ci95"][0] <= head["drop"] <= head["drop_ci95"][1]


def test_a_limit_of_ones_own(made, tmp_path):
    source, plan = models.Source(path=made.keras), convert.Plan(scheme="int8", data="digits")
    strict = convert.make(source, plan, out=tmp_path / "m.tflite", judge=True, max_drop=-100.0)
    with pytest.raises(GateFailure, match="allowed -100"):
        loss.require_small(strict.loss)
    loss.require_small(convert.make(source, plan, out=tmp_path / "n.tflite", judge=True).loss)


def test_budgets_belong_to_the_ladder(made, tmp_path):
    result = edgecv("quantize", made.keras, "--method", "qat", "--budget-seconds", "5", "--out", tmp_path / "m.tflite")
    assert result.code == 2
    assert "--budget-seconds is of the ladder" in result.err


def test_what_the_samples_cannot_show_is_said(columns):
    """Nothing is lost on 300 samples that a tenth of a point could hide in: 1/300 is a third of one."""
    told, file = Told(), columns / "float.tflite"
    convert.make(models.Source(path=columns / "m.keras"), convert.Plan(scheme="float32"), out=file)
    whole = data.open_divided(f"npz:{columns / 'd.npz'}")
    found = loss.measured(load_keras(columns / "m.keras"), file, whole, reporter=told)
    assert (found.heads[0].verdict, found.seen, told.warnings) == ("passed", None, [])
    drop = Drop(value=0.0, ci95=(-1.0, 1.0))
    said = loss.not_shown(drop, 0.5, 152, metric="top1", unit="points")
    assert said == (
        "152 samples do not show that top1 loses no more than 0.5 points: it may lose 1.00; "
        "about 608 samples would, if the loss stays 0.00"
    )


def test_what_a_model_was_trained_on_is_known_by_content(made):
    digits, manifest = data.open_dataset("digits"), load_keras(made.keras).manifest
    assert [models.has_seen(manifest, digits, split) for split in ("train", "validation", "test")] == [
        True, False, False,
    ]  # fmt: skip
    assert models.has_seen(None, digits, "train") is None
    result = edgecv("evaluate", made.keras, "--data", "digits", "--split", "train")
    assert "trained or calibrated on train of digits" in " ".join(result.err.split())
