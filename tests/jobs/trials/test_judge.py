"""The judge: a file against its float model on the same samples, on all or on a part of them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")

from edgecv.data import open_dataset
from edgecv.evaluate import assess, drop_between
from edgecv.jobs import convert as artifacts
from edgecv.jobs import models
from edgecv.jobs import train as training_job
from edgecv.jobs.evaluate import open_artifact
from edgecv.jobs.trials.judge import VALIDATION, Judge
from edgecv.modelio import load_keras


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("judge")
    model, file = folder / "lenet5.keras", folder / "int8.tflite"
    training_job.train(training_job.TrainPlan(name="lenet5", epochs=1), out=model)
    artifacts.make(models.Source(path=model), artifacts.Plan(scheme="int8", data="digits"), out=file)
    return model, file


def test_it_agrees_with_two_evaluations(files: tuple[Path, Path]) -> None:
    data = open_dataset("digits")
    judge = Judge(load_keras(files[0]), data)
    found = judge.judged(files[1], name="int8")
    with open_artifact(files[1]) as predictor:
        other = assess(predictor, data, VALIDATION)
    drop = drop_between(judge.baseline, other)
    assert (found.n, found.before, found.value) == (len(data.split(VALIDATION)), judge.baseline.value, other.value)
    assert judge.unit == "points"
    assert found.drop.value == pytest.approx(100 * drop.value)
    assert found.drop.ci95 == pytest.approx(tuple(100 * end for end in drop.ci95))


def test_a_first_look_takes_the_same_samples_for_both_and_each_time(files: tuple[Path, Path]) -> None:
    judge = Judge(load_keras(files[0]), open_dataset("digits"))
    found = judge.judged(files[1], name="int8", n=40)
    assert found == judge.judged(files[1], name="again", n=40)
    assert found.n == 40
    low, high = found.drop.ci95
    assert low <= found.drop.value <= high
    assert found.drop.value == pytest.approx(100 * (found.before - found.value))
    # Every answer of the part is one of the whole: its shares are whole fortieths.
    assert 40 * found.before == pytest.approx(round(40 * found.before))
    assert judge.samples(None) == judge.samples(10**9) == judge.baseline.n
