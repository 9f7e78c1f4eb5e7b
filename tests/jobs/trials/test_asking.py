"""The loop of trials: how many are under way, what ends it, and what a killed run goes on from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgecv.core.errors import ConfigError
from edgecv.jobs.trials.asking import DEVICE_BUDGET, Limits, asked, rest
from edgecv.jobs.trials.executor import Done, Local
from edgecv.jobs.trials.records import Blob, Records, blob, put


@dataclass(frozen=True)
class Square:
    value: int


class Pair:
    """An executor of two slots, whose last task ends first."""

    slots = 2

    def __init__(self) -> None:
        self.busy: list[int] = []
        self.most = 0

    def known(self, task: int) -> Square | None:
        return None

    def start(self, task: int) -> None:
        self.busy.append(task)
        self.most = max(self.most, len(self.busy))

    def finished(self) -> Done[int, Square]:
        task = self.busy.pop()
        return Done(task=task, result=Square(task * task))


def test_slots_are_kept_full_and_what_follows_is_done_at_once() -> None:
    pair, left, told = Pair(), iter([1, 2, 3]), []

    def tell(done: Done[int, Square]) -> Sequence[int]:
        told.append((done.task, done.result.value))
        return (done.task + 100,) if done.task == 2 else ()

    assert asked(pair, lambda: next(left, "done"), tell, first=[7]) == "done"
    assert sorted(told) == [(1, 1), (2, 4), (3, 9), (7, 49), (102, 102 * 102)]
    assert pair.most == 2


def test_a_budget_ends_it_though_something_is_under_way_and_another_reason_may_pass() -> None:
    pair, reasons = Pair(), iter([1, "nothing promises enough", 2, "trial budget"])
    told: list[int] = []
    stopped = asked(pair, lambda: next(reasons), lambda done: told.append(done.task) or ())
    assert (stopped, sorted(told)) == ("trial budget", [1, 2])


def test_limits_say_which_is_reached() -> None:
    limits = Limits(trials=3, seconds=10.0, device_seconds=5.0)
    assert limits.over(trials=2, seconds=9.9, device_seconds=4.9) == ""
    assert limits.over(trials=3, seconds=99.0) == "trial budget"
    assert limits.over(trials=2, seconds=10.0) == "time budget"
    assert limits.over(trials=2, seconds=0.0, device_seconds=5.0) == DEVICE_BUDGET
    assert Limits().over(trials=10**6, seconds=1e9, device_seconds=1e9) == ""


def test_the_rest_is_told_from_the_mean_so_far() -> None:
    assert rest(4, []) == "4 left at most, about 0 s"
    assert rest(4, [10.0, 20.0]) == "4 left at most, about 60 s"
    assert rest(10, [60.0]) == "10 left at most, about 10 min"


def test_a_record_that_no_longer_holds_is_made_again(tmp_path: Path) -> None:
    gone: set[int] = set()
    records: Records[int, Square] = Records(
        lambda task: tmp_path / f"{task}.json", lambda task: Square, lambda task, result: task not in gone
    )
    made: list[int] = []

    def results() -> list[tuple[int, bool]]:
        def perform(task: int) -> Square:
            made.append(task)
            return Square(task * task)

        left, found = iter([3, 4]), []
        asked(Local(perform, records), lambda: next(left, "done"), lambda done: found.append(done) or ())
        return [(done.result.value, done.made) for done in found]

    assert results() == [(9, True), (16, True)]
    assert results() == [(9, False), (16, False)]
    gone.add(4)
    assert results() == [(9, False), (16, True)]
    assert made == [3, 4, 4]
    (tmp_path / "3.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        results()


def test_a_file_travels_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "a.tflite"
    file.write_bytes(b"one")
    told = blob(file)
    assert told == Blob(name="a.tflite", sha256=told.sha256, data=b"one")
    there = put(told, tmp_path / "far")
    assert (there.name, there.read_bytes(), there.parent.name) == ("a.tflite", b"one", told.sha256[:24])
