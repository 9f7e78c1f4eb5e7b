"""`edgecv slim` and the further ways of `edgecv prune`, from files to files that convert and quantise."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv.compress.slim import plan as plans
from edgecv.core import codec
from edgecv.core.errors import ConfigError
from edgecv.jobs import convert as artifacts
from edgecv.jobs import models, stopwatch
from edgecv.jobs import prune as pruning
from edgecv.jobs import slim as slimming
from edgecv.jobs import train as training_job
from edgecv.modelio import load_keras
from edgecv.zoo.profiling import profile
from tests.jobs.killing import finish, kill_when
from tests.train.small import Listener


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> models.Source:
    out = tmp_path_factory.mktemp("dense") / "lenet5.keras"
    training_job.train(training_job.TrainPlan(name="lenet5", epochs=3), out=out)
    return models.Source(path=out)


def asked(**changes: Any) -> slimming.SlimPlan:
    return slimming.SlimPlan(**{"epochs": 1, "rounds": 1, "samples": 64, **changes})


@pytest.fixture(scope="module")
def narrow(dense: models.Source) -> tuple[Path, slimming.SlimResult]:
    out = dense.path.with_name("narrow.keras")
    return out, slimming.slim(dense, asked(macs=0.5, rounds=2, epochs=2, multiple=2), out=out)


def test_the_result_says_what_it_cost_and_costs(dense: models.Source, narrow: tuple[Path, slimming.SlimResult]) -> None:
    out, made = narrow
    parent, child = load_keras(dense.path).model, load_keras(out).model
    assert (made.before.macs, made.before.parameters) == (profile(parent).macs, parent.count_params())
    assert (made.after.macs, made.after.parameters) == (profile(child).macs, child.count_params())
    assert made.after.macs <= 0.5 * made.before.macs
    assert made.after.value > made.before.value - 0.15
    json.dumps(codec.encode(made))
    assert not list(out.parent.glob(".*state*"))


def test_the_plan_beside_it_rebuilds_the_widths(dense: models.Source, narrow: tuple[Path, slimming.SlimResult]) -> None:
    out, made = narrow
    assert made.plan == str(slimming.plan_path(out))
    plan = plans.load(Path(made.plan))
    again = dense.path.with_name("again.keras")
    followed = slimming.slim(dense, asked(plan=Path(made.plan)), out=again)
    assert (followed.after.macs, followed.after.parameters) == (made.after.macs, made.after.parameters)
    parent, child = load_keras(dense.path), load_keras(again)
    assert plan.parent_sha256 == parent.sha256
    kept = list(plan.layers["c1"].kept)
    ours, theirs = child.model.get_layer("c1").get_weights(), parent.model.get_layer("c1").get_weights()
    np.testing.assert_array_equal(ours[0], theirs[0][..., kept])


def test_a_plan_of_another_file_is_followed_with_a_warning(
    dense: models.Source, narrow: tuple[Path, slimming.SlimResult]
) -> None:
    plan = plans.load(Path(narrow[1].plan or ""))
    other = dense.path.with_name("other.json")
    plans.save(replace(plan, parent_sha256="0" * 64), other)
    listener = Listener()
    slimming.slim(dense, asked(plan=other), out=dense.path.with_name("other.keras"), reporter=listener)
    assert any("another file" in warning for warning in listener.warnings)


def test_what_a_killed_run_left_is_not_in_its_way(dense: models.Source) -> None:
    out = dense.path.with_name("killed.keras")
    plan = slimming.plan_path(out)
    plan.write_text("half")
    with pytest.raises(ConfigError, match="already exists"):
        slimming.slim(dense, asked(macs=0.8, score="l1"), out=out)
    out.with_name(".killed.keras.state.1").write_text("half")
    slimming.slim(dense, asked(macs=0.8, score="l1"), out=out)
    assert plans.load(plan).model
    assert not list(out.parent.glob(".killed*"))


@pytest.mark.slow
def test_a_run_under_sigkill_ends_with_the_same_bytes(
    dense: models.Source, narrow: tuple[Path, slimming.SlimResult], tmp_path: Path
) -> None:
    """Killed in training, in the second round: the first is not trained again, and no channel is chosen again."""
    options = {"macs": 0.5, "rounds": 2, "epochs": 2, "multiple": 2, "samples": 64, "out": tmp_path / "narrow.keras"}
    command = ["slim", str(dense.path), *(str(part) for name in options for part in (f"--{name}", options[name]))]
    kill_when(command, lambda said: "slim 2/2" in said, log=tmp_path / "log")
    assert (tmp_path / ".narrow.keras.state.1").exists()
    assert not (tmp_path / "narrow.keras").exists()
    said = finish(command)
    assert "round 1 of 2" not in said
    assert "round 2 of 2" not in said
    whole, _ = narrow
    assert (tmp_path / "narrow.keras").read_bytes() == whole.read_bytes()
    assert slimming.plan_path(tmp_path / "narrow.keras").read_text() == slimming.plan_path(whole).read_text()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_a_latency_budget_outlives_a_killed_converter(
    dense: models.Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are real, converted in a process that is killed once; their sizes stand for their times."""
    killed: list[int] = []

    def share(self: Any, candidate: Any, name: str) -> float:
        if not killed:
            assert self.converter.pid is not None
            killed.append(self.converter.pid)
            os.kill(killed[0], signal.SIGKILL)
        return self.converted(candidate, name).stat().st_size / Path(self.baseline.path).stat().st_size

    monkeypatch.setattr(stopwatch._Stopwatch, "share", share)
    listener = Listener()
    made = slimming.slim(dense, asked(latency=0.7, score="l1"), out=tmp_path / "fast.keras", reporter=listener)
    assert killed
    assert listener.warnings == ["the process that converts candidates ended by SIGKILL; once more"]
    assert made.after.weight_bytes < 0.75 * made.before.weight_bytes


def test_it_converts_and_quantises(narrow: tuple[Path, slimming.SlimResult]) -> None:
    out, _ = narrow
    sizes = {}
    for scheme in ("float32", "int8"):
        made = artifacts.make(
            models.Source(path=out), artifacts.Plan(scheme=scheme), out=out.with_name(f"{scheme}.tflite")
        )
        sizes[scheme] = made.size_bytes
    assert sizes["int8"] < 0.5 * sizes["float32"]


def test_low_rank_keeps_the_name_of_the_layer_in_the_file(dense: models.Source) -> None:
    out = dense.path.with_name("thin.keras")
    made = slimming.slim(dense, asked(low_rank=0.8), out=out)
    assert made.ranks
    assert made.after.parameters < made.before.parameters
    assert {f"{name}..low" for name in made.ranks} <= {layer.name for layer in load_keras(out).model.layers}
    artifact = artifacts.make(models.Source(path=out), artifacts.Plan(scheme="int8"), out=out.with_suffix(".tflite"))
    assert artifact.sqnr_db is not None
    assert artifact.sqnr_db > 10


def test_one_way_at_a_time(dense: models.Source) -> None:
    for plan in (asked(), asked(macs=0.5, low_rank=0.9)):
        with pytest.raises(ConfigError, match="one way at a time"):
            slimming.slim(dense, plan, out=dense.path.with_name("none.keras"))
    for wrong in (pruning.PrunePlan(), pruning.PrunePlan(sparsity=0.5, clusters=4)):
        with pytest.raises(ConfigError, match="one way at a time"):
            pruning.prune(dense, wrong, out=dense.path.with_name("none.keras"))
    with pytest.raises(ConfigError, match="no pattern"):
        pruning.prune(dense, pruning.PrunePlan(pattern="half"), out=dense.path.with_name("none.keras"))


@pytest.mark.slow
def test_clusters_and_patterns_compress(dense: models.Source) -> None:
    few = pruning.prune(dense, pruning.PrunePlan(clusters=16, epochs=1), out=dense.path.with_name("few.keras"))
    blocks = pruning.prune(dense, pruning.PrunePlan(pattern="2:4", epochs=1), out=dense.path.with_name("b.keras"))
    assert few.clusters is not None
    assert few.clusters <= 16
    assert few.gzip_weight_bytes is not None
    assert blocks.gzip_weight_bytes is not None
    assert few.gzip_weight_bytes < 0.3 * 4 * few.parameters < blocks.gzip_weight_bytes
    assert blocks.sparsity is not None
    assert 0.4 < blocks.sparsity <= 0.5
