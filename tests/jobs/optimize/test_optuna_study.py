"""Optuna's samplers and storage: what they are told, and what a second run knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="optuna is not installed")

from edgecv.core.errors import ConfigError
from edgecv.jobs.optimize import engine, optuna_study
from edgecv.jobs.optimize.driver import Search, Searched
from edgecv.jobs.optimize.objective import objective
from edgecv.jobs.optimize.records import Task
from edgecv.jobs.optimize.space import space
from edgecv.jobs.trials.asking import Limits
from edgecv.jobs.trials.executor import Local
from edgecv.values.search import Cost, Finding, Objective
from tests.jobs.optimize import made_up


def search(
    folder: Path, storage: str, sampler: str, *, trials: int = 8, sought: Objective = made_up.SOUGHT
) -> tuple[Searched, list[str]]:
    made: list[str] = []

    def perform(task: Task) -> Cost | Finding:
        made.append(made_up.key(task))
        return made_up.perform(task)

    opened = optuna_study.opened(storage, made_up.SPACE, made_up.CANDIDATES, sought, sampler=sampler, seed=1)
    with opened as own:
        executor = Local(perform, made_up.records(folder))
        done = Search(made_up.CANDIDATES, sought, executor, sampler=own, limits=Limits(trials=trials)).run()
    return done, [name for name in made if name.startswith("accuracy")]


def stored(storage: str) -> list[Any]:
    import optuna

    backend = storage if "://" in storage else optuna_study._storage(optuna, storage)
    return list(optuna.load_study(study_name=optuna_study.NAME, storage=backend).trials)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_its_samplers_look_at_no_candidate_twice_and_go_on(tmp_path: Path, sampler: str) -> None:
    storage = str(tmp_path / "study.log")
    done, made = search(tmp_path, storage, sampler)
    assert len(done.study.findings) == len(set(made)) == 8
    known = {trial.user_attrs["candidate"] for trial in stored(storage) if "candidate" in trial.user_attrs}
    assert known >= {one.candidate for one in done.study.findings[:-1]}
    more, made = search(tmp_path, storage, sampler, trials=10)
    assert len(set(made)) == len(made)
    assert not set(made) & {f"accuracy-{one.candidate}-full" for one in done.study.findings}
    assert len(more.study.findings) == 10


def test_trials_of_our_own_search_are_in_the_study_with_their_constraint(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    done, _ = search(tmp_path, storage, "latency", trials=60)
    trials = {trial.user_attrs["candidate"]: trial for trial in stored(storage)}
    assert set(trials) == {one.candidate for one in done.study.findings}
    best = engine.winner(done.study)
    assert best is not None
    trial = trials[best.id]
    assert trial.values == [done.study.costs[best.id].ratio]
    assert trial.params["quantize.scheme"] == best["quantize.scheme"]
    assert trial.user_attrs["finding"]["drop"] == made_up.finding(best).drop
    assert search(tmp_path, storage, "latency", trials=60)[1] == []
    assert len(stored(storage)) == len(trials)


def test_a_front_has_two_values(tmp_path: Path) -> None:
    storage = str(tmp_path / "front.log")
    done, _ = search(tmp_path, storage, "nsga2", sought=objective(None), trials=8)
    found = [trial for trial in stored(storage) if "candidate" in trial.user_attrs]
    assert found
    one = found[0]
    own = done.study.finding(one.user_attrs["candidate"], "full")
    assert own is not None
    assert one.values == [done.study.costs[own.candidate].ratio, own.drop]


def test_a_study_of_another_space_and_a_file_of_something_else_are_refused(tmp_path: Path) -> None:
    storage = str(tmp_path / "study.log")
    search(tmp_path, storage, "latency", trials=2)
    with pytest.raises(ConfigError, match="another space"):  # noqa: SIM117
        with optuna_study.opened(
            storage, space({"slim.macs": [0.5]}), made_up.CANDIDATES, made_up.SOUGHT, sampler="tpe", seed=0
        ):
            pass
    (tmp_path / "text").write_text("this is no journal\n")
    with pytest.raises(ConfigError, match="cannot be opened"):  # noqa: SIM117
        with optuna_study.opened(
            str(tmp_path / "text"), made_up.SPACE, made_up.CANDIDATES, made_up.SOUGHT, sampler="tpe", seed=0
        ):
            pass
