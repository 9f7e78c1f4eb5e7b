"""Searches on a real scheduler with real workers on the loopback, one of which is killed in mid-trial."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="dask.distributed is not installed")

from edgecv.core.errors import ConfigError
from edgecv.jobs.optimize import cluster, engine
from edgecv.jobs.optimize.driver import Search, Searched
from tests.jobs.optimize import made_up, slept
from tests.jobs.trials import clusters

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[clusters.Running]:
    folder = tmp_path_factory.mktemp("cluster")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGECV_TEST_LOG", str(folder / "log"))
        patch.setenv("EDGECV_TEST_SLEEP", "0.6")
        with clusters.running(folder, ["train=1", "train=1", "device:local=1"]) as found:
            yield found


def search(address: str, folder: Path) -> Searched:
    records = made_up.records(folder)
    with cluster.executor(address, records, None, devices=("local",), work=slept.WORK) as executor:
        return Search(made_up.CANDIDATES, made_up.SOUGHT, executor).run()


def shape_of(done: Searched) -> str:
    """Return the winner's shape: candidates of one shape take the same time, and which is first depends on workers."""
    best = engine.winner(done.study)
    assert best is not None
    return best.shape


def lines(running: clusters.Running, word: str) -> list[list[str]]:
    log = running.folder / "log"
    return [line.split() for line in log.read_text().splitlines() if line.startswith(word)] if log.exists() else []


def test_a_worker_that_is_killed_costs_only_its_trial(running: clusters.Running, tmp_path: Path) -> None:
    def kill_in_mid_trial() -> None:
        while len(lines(running, "end")) < 2 or not open_by(running.workers[0].pid):
            time.sleep(0.01)
        time.sleep(0.3)  # in the middle: what ended before has come home
        running.workers[0].kill()

    def open_by(pid: int) -> bool:
        mine = [line for line in lines(running, "") if line[2] == str(pid)]
        return bool(mine) and mine[-1][0] == "begin"

    killer = threading.Thread(target=kill_in_mid_trial, daemon=True)
    killer.start()
    done = search(running.address, tmp_path)
    killer.join(timeout=5)
    assert not killer.is_alive(), "no worker was killed"
    assert shape_of(done) == made_up.optimum().shape
    began, ended = ([line[1] for line in lines(running, word)] for word in ("begin", "end"))
    lost = [line for line in lines(running, "begin") if line[2] == str(running.workers[0].pid)][-1][1]
    # The killed one began twice; every other one began and ended once.
    assert began.count(lost) == 2
    assert set(ended) == {one.candidate for one in done.study.findings}
    assert sorted(one for one in ended if one != lost) == sorted(set(ended) - {lost})
    assert sorted(one for one in began if one != lost) == sorted(set(ended) - {lost})
    # Files came back by their content.
    assert all(made_up.records(tmp_path).received(f"{one:0<64}") for one in ended)

    again = search(running.address, tmp_path)
    assert again.made == 0
    assert shape_of(again) == made_up.optimum().shape
    assert len(lines(running, "begin")) == len(began)


def test_what_a_cluster_lacks_is_said_with_the_way_out(
    running: clusters.Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecv.jobs.trials.cluster.CONNECT_S", 0.5)
    with pytest.raises(ConfigError, match=r"no worker at .* has the resource 'device:pi5'") as error:  # noqa: SIM117
        with cluster.executor(running.address, made_up.records(tmp_path), None, devices=("pi5",)):
            pass
    assert "--resources 'device:pi5=1'" in error.value.hint
    with pytest.raises(ConfigError, match="no dask scheduler answers"):  # noqa: SIM117
        with cluster.executor("tcp://127.0.0.1:9", made_up.records(tmp_path), None, devices=("local",)):
            pass


def test_what_workers_need_is_held_by_all_of_them(running: clusters.Running, tmp_path: Path) -> None:
    with cluster.executor(running.address, made_up.records(tmp_path), None, devices=("local",)) as executor:
        (holders,) = executor._client.who_has([executor._given]).values()
        assert len(holders) == len(executor._client.scheduler_info(n_workers=-1)["workers"]) > 1


def test_workers_do_the_real_work(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    from edgecv.core.files import sha256
    from edgecv.jobs import compress, models
    from edgecv.jobs import train as training_job
    from edgecv.jobs.optimize import job

    model, space = tmp_path / "lenet5.keras", tmp_path / "space.toml"
    training_job.train(training_job.TrainPlan(name="lenet5", epochs=2), out=model)
    space.write_text("[slim]\nmacs = [1.0, 0.8]\nrounds = [1]\nepochs = [1]\n[quantize]\nscheme = ['int8']\n")
    plan = dict(space=space, max_drop=10.0, target="edgetpu", thorough=True)
    with clusters.running(tmp_path, ["train=1", "device:local=1"]) as running:
        far = job.optimize(
            models.Source(path=model), job.OptimizePlan(**plan, cluster=running.address), out=tmp_path / "far"
        )
    near = job.optimize(models.Source(path=model), job.OptimizePlan(**plan), out=tmp_path / "near")
    assert far.winner is not None
    assert near.winner is not None
    assert (far.accuracies, far.made) == (2, 2)
    assert far.winner.sha256 == near.winner.sha256, "a worker makes the bytes that this machine makes"
    again = tmp_path / "again.tflite"
    compress.compress(models.Source(path=model), Path(far.winner.recipe), out=again)
    assert sha256(again) == far.winner.sha256
