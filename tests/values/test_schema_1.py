"""Files that edgecv wrote before inputs and outputs had names load, verify, evaluate and run as they did.

The code of then made the fixtures: a classifier of 8x8 digits, and a network whose heads ("flags", "value") were
bound by place to outputs of other names ("z_flags", "a_value"); `answers.json` holds what they answered to `image.npy`.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from edgecv import runtime
from edgecv.data import Dataset, Split, Target, open_dataset
from edgecv.data.sources import ArrayImages
from edgecv.evaluate import KerasPredictor, assess
from edgecv.jobs.evaluate import EvaluationRequest, evaluate_file
from edgecv.jobs.verify import verify
from edgecv.modelio import load_keras
from edgecv.values.manifest import SCHEMA, from_json, to_json

FOLDER = Path(__file__).parent / "data" / "schema1"
ANSWERS = json.loads((FOLDER / "answers.json").read_text())
FILES = sorted(ANSWERS)


@pytest.mark.parametrize("name", FILES)
def test_runs_as_it_did(name: str) -> None:
    with runtime.load(FOLDER / name) as model:
        prediction = model.predict(np.load(FOLDER / "image.npy"))
    assert set(prediction.heads) == set(ANSWERS[name])
    for head, expected in ANSWERS[name].items():
        assert [label for label, _ in prediction.heads[head].labels] == [label for label, _ in expected]
        scores = [score for _, score in prediction.heads[head].labels]
        np.testing.assert_allclose(scores, [score for _, score in expected], atol=1e-4)


@pytest.mark.parametrize("name", FILES)
def test_verifies(name: str) -> None:
    found = verify(FOLDER / name)
    assert found.passed
    assert found.n >= 1


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("classifier")] + ["classifier.keras"])
def test_evaluates(name: str) -> None:
    found = evaluate_file(FOLDER / name, EvaluationRequest(data="digits"))
    assert found.metric.name == "top1"
    assert found.value > 0.9
    assert found.n == 364


def two_targets() -> Dataset:
    digits = open_dataset("digits")
    split = digits.split("test")
    images = np.stack([split.image(i) for i in range(len(split))])
    flags = np.stack([split.labels % 2 == 0, split.labels < 5], axis=1).astype(np.float32)
    values = (split.labels[:, None] / 9).astype(np.float32)
    only = Split(name="test", images=ArrayImages(images, np.arange(len(images))), targets=(flags, values))
    targets = (
        Target(name="flags", task="multilabel", labels=("even", "small")),
        Target(name="value", task="regression", labels=("value",)),
    )
    return Dataset(name="two", uri="two", targets=targets, splits={"test": only})


@pytest.mark.parametrize("name", ["two_heads.tflite", "two_heads.keras"])
def test_heads_that_were_bound_by_place_answer_for_their_own_targets(name: str) -> None:
    """The wrong output would give a label accuracy of about a half, and a mean absolute error that no digit allows."""
    path = FOLDER / name
    with runtime.load(path) if name.endswith(".tflite") else KerasPredictor(load_keras(path)) as predictor:
        assert [head.outputs for head in predictor.spec.heads] == [("z_flags",), ("a_value",)]
        flags, value = assess(predictor, two_targets(), "test").heads
    assert flags.figures["label_accuracy"] > 0.8
    assert value.value < 0.2


@pytest.mark.parametrize("name", FILES)
def test_a_manifest_written_again_is_of_todays_schema(name: str) -> None:
    manifest = runtime.read_manifest(FOLDER / name)
    assert manifest is not None
    text = to_json(manifest)
    assert json.loads(text)["schema"] == SCHEMA
    assert from_json(text, where=name) == dataclasses.replace(manifest)
