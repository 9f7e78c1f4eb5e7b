"""Models of every task from data to an int8 file, as the commands run them."""

import numpy as np
import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from edgecv.jobs import convert as artifacts
from edgecv.jobs import evaluate as assess
from edgecv.jobs import models
from edgecv.jobs import train as training_job

RNG = np.random.default_rng(0)
N = 300


def plan(name, data, **more):
    return training_job.TrainPlan(name=name, data=f"npz:{data}", epochs=3, **more)


def taken_to_int8(name, data, folder):
    keras, out = folder / "m.keras", folder / "m.tflite"
    training_job.train(plan(name, data), out=keras)
    artifacts.make(models.Source(path=keras), artifacts.Plan(scheme="int8", data=f"npz:{data}"), out=out)
    return assess.evaluate_file(out, assess.EvaluationRequest(data=f"npz:{data}"))


def test_regression(tmp_path):
    x = RNG.standard_normal((N, 13)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=x[:, :1] * 3 + 20)
    found = taken_to_int8("mlp_housing", tmp_path / "d.npz", tmp_path)
    assert (found.metric.name, found.first.head.task) == ("mae", "regression")
    assert 0 < found.value < 30


def test_multilabel(tmp_path):
    x = RNG.standard_normal((N, 3)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=np.concatenate([x, -x, x[:, :1]], axis=1) > 0)
    assert taken_to_int8("mlp_multilabel", tmp_path / "d.npz", tmp_path).metric.name == "exact_match"


def test_several_heads_with_labels_of_their_own(tmp_path):
    heads = zoo.get("mlp_multitask").heads
    x = RNG.standard_normal((N, 3)).astype(np.float32)
    arrays = {"x": x, "heads": np.array([head.name for head in heads])}
    for index, size in enumerate((4, 3)):
        arrays[f"y_{heads[index].name}"] = np.arange(N) % size
        arrays[f"class_names_{heads[index].name}"] = np.array([f"own_{index}_{n}" for n in range(size)])
    np.savez(tmp_path / "d.npz", **arrays)
    found = taken_to_int8("mlp_multitask", tmp_path / "d.npz", tmp_path)
    assert found.first.head.labels == ("own_0_0", "own_0_1", "own_0_2", "own_0_3")
    assert [each.head.name for each in found.heads] == [head.name for head in heads]


def test_a_net_of_two_heads_wants_two_targets(tmp_path):
    np.savez(tmp_path / "d.npz", x=RNG.standard_normal((N, 3)).astype(np.float32), y=np.arange(N) % 5)
    with pytest.raises(ConfigError, match="has the heads first, second"):
        training_job.train(plan("mlp_multitask", tmp_path / "d.npz"), out=tmp_path / "m.keras")


def test_a_new_head_or_an_architecture_not_both(tmp_path):
    with pytest.raises(ConfigError, match="one of the two"):
        training_job.train(training_job.TrainPlan(), out=tmp_path / "m.keras")
    with pytest.raises(ConfigError, match="one of the two"):
        training_job.train(training_job.TrainPlan(name="lenet5", source=tmp_path / "a.keras"), out=tmp_path / "m.keras")


def test_a_teacher_must_know_the_same_labels(tmp_path):
    x = RNG.standard_normal((N, 3)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=np.concatenate([x, -x, x[:, :1]], axis=1) > 0)
    training_job.train(plan("mlp_multilabel", tmp_path / "d.npz"), out=tmp_path / "teacher.keras")
    asked = training_job.TrainPlan(name="lenet5", data="digits", teacher=tmp_path / "teacher.keras", epochs=1)
    with pytest.raises(ConfigError, match="does not take the same inputs"):
        training_job.train(asked, out=tmp_path / "student.keras")
