"""Conversions of the zoo here, apart, and on real workers of a cluster, one of which is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")

from edgecv.core.errors import ConfigError
from edgecv.jobs import conversions
from edgecv.jobs.conversions import Conversion, convert_apart
from edgecv.jobs.trials.asking import asked
from edgecv.jobs.zoo_check import WAYS, Cell
from tests.jobs.trials import clusters, telling

LENET = Conversion(name="lenet5", variant="canonical", input_shape=(32, 32, 1))


def untimed(cells: Sequence[Cell]) -> list[Cell]:
    return [replace(cell, seconds=0.0) for cell in cells]


def test_unknown_names_are_refused_before_any_work() -> None:
    with pytest.raises(ConfigError, match="lenet5"):
        conversions.check(["lenet6"])
    with pytest.raises(ConfigError, match="nowhere"):
        conversions.check(["lenet5"], variant="nowhere")


@pytest.mark.slow
def test_what_ends_a_process_apart_is_a_failure_and_no_exception() -> None:
    found = convert_apart(replace(LENET, ways=("float32",), formats=("tflite",)), 600.0)
    assert [(cell.way, cell.format, cell.error) for cell in found.cells] == [("float32", "tflite", "")]
    assert found.peak_bytes is not None
    assert found.peak_bytes > 10**8
    late = convert_apart(LENET, 0.5)
    assert late.cells == ()
    assert "took longer than 0.5 s" in late.failure


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_only_its_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    log = tmp_path / "log"
    monkeypatch.setenv(telling.LOG, str(log))

    def lines(word: str = "") -> list[list[str]]:
        return [line.split() for line in log.read_text().splitlines() if line.startswith(word)] if log.exists() else []

    def kill_in_mid_conversion(running: clusters.Running) -> None:
        first = running.workers[0]
        while [line[0] for line in lines() if line[2] == str(first.pid)][-1:] != ["begin"]:
            time.sleep(0.01)
        first.kill()

    monkeypatch.setattr(conversions, "convert", telling.convert)
    with clusters.running(tmp_path, ["train=1", "train=1"]) as running:
        killer = threading.Thread(target=kill_in_mid_conversion, args=(running,), daemon=True)
        killer.start()
        far = conversions.check(["lenet5"], cluster=running.address)
        killer.join(timeout=5)
        assert not killer.is_alive(), "no worker was killed"
        lost = next(line[1] for line in lines("begin") if line[2] == str(running.workers[0].pid))
    monkeypatch.undo()
    began, ended = ([line[1] for line in lines(word)] for word in ("begin", "end"))
    assert sorted(ended) == sorted(WAYS)
    assert sorted(began) == sorted([*WAYS, lost]), "only what the killed one was doing began twice"
    assert untimed(far) == untimed(conversions.check(["lenet5"])), "workers make what this machine makes"


@pytest.mark.slow
def test_a_cluster_without_workers_says_how_to_start_one(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    with clusters.running(tmp_path, ["device:pi5=1"]) as running:
        with pytest.raises(ConfigError, match="has the resource 'train'") as error:
            conversions.check(["lenet5"], cluster=running.address)
        assert "--resources 'train=1'" in error.value.hint


def test_conversions_here_come_in_the_order_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def convert(one: Conversion) -> conversions.Converted:
        made.append(one.label)
        return conversions.Converted(cells=())

    with conversions.executor(convert) as machines:
        left = iter([LENET, replace(LENET, ways=("dynamic", "float16"))])
        assert asked(machines, lambda: next(left, "done"), lambda done: ()) == "done"
    assert made == ["lenet5/canonical", "lenet5/canonical dynamic float16"]
