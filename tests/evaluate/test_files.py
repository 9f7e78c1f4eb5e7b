"""A keras model with a head of each kind through what `edgecv evaluate` and `edgecv predict` call."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.cli import render_answer
from edgecv.cli.main import main
from edgecv.core import codec
from edgecv.jobs.evaluate import EvaluationRequest, evaluate_file
from edgecv.modelio import env, manifest_for, save_keras
from edgecv.values.specs import Head, one_input

HEADS = (
    Head(name="age", task="regression", activation="linear", labels=("years",)),
    Head(name="kind", task="classification", activation="probabilities", labels=("a", "b")),
    Head(name="marks", task="multilabel", activation="logits", labels=("u", "v")),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("heads")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 5)).astype(np.float32)
    np.savez(
        path / "people.npz", x=x, y_age=x[:, 0], y_kind=(x[:, 1] > 0).astype(int), y_marks=x[:, 2:4] > 0,
        class_names_kind=["a", "b"], class_names_marks=["u", "v"],
    )  # fmt: skip
    keras = env.keras()
    keras.utils.set_random_seed(0)
    vector = keras.layers.Input((5,))
    # These weights copy what each head should say, with half a unit of error for age.
    outputs = [
        keras.layers.Dense(1, name="age")(vector),
        keras.layers.Dense(2, activation="softmax", name="kind")(vector),
        keras.layers.Dense(2, name="marks")(vector),
    ]
    model = keras.Model(vector, outputs)
    eye = np.eye(5, dtype=np.float32)
    model.get_layer("age").set_weights([eye[:, :1], np.array([0.5])])
    model.get_layer("kind").set_weights([np.stack([-eye[1], eye[1]], axis=1), np.zeros(2)])
    model.get_layer("marks").set_weights([eye[:, 2:4], np.zeros(2)])
    save_keras(
        model, path / "people.keras", manifest_for(one_input(name="p", input_shape=(5,), heads=HEADS), recipe={})
    )
    return path


def test_every_head_is_in_the_result(folder):
    request = EvaluationRequest(data=f"npz:{folder / 'people.npz'}")
    found = evaluate_file(folder / "people.keras", request)
    assert (found.metric.name, found.value) == ("mae", pytest.approx(0.5, abs=1e-6))
    assert [(head.metric.name, head.value) for head in found.heads[1:]] == [("top1", 1.0), ("exact_match", 1.0)]
    document = json.loads(json.dumps(codec.encode(found.document)))
    assert document["heads"][2]["per_label"]["u"]["f1"] == 1.0


def test_the_command_prints_every_head(folder, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(folder / "people.keras"), "--data", f"npz:{folder / 'people.npz'}"])
    assert not stop.value.code
    shown = capsys.readouterr().out
    assert "mae 0.5000 (unit: label) on 60 samples of people (all)" in shown
    assert "head kind: top1 1.0000" in shown
    assert "head marks: exact_match 1.0000" in shown


def test_an_answer_of_several_heads_names_them(capsys):
    rows = {"age": [{"label": "years", "score": 3.5}], "kind": [{"label": "b", "score": 0.9}]}
    render_answer.answer({"heads": {name: {"labels": found} for name, found in rows.items()}})
    assert capsys.readouterr().out == "age:\n  3.5000  years\nkind:\n  0.9000  b\n"
