"""Searches that are killed, interrupted and limited: what was found stands, and nothing is made twice."""

from __future__ import annotations

import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET
from edgecv.jobs.optimize import engine, summing_up, writing
from edgecv.jobs.optimize.candidates import AS_IT_IS, candidate
from edgecv.jobs.optimize.driver import Search, Searched
from edgecv.jobs.optimize.records import Task
from edgecv.jobs.optimize.serving import served
from edgecv.jobs.trials.asking import Limits
from edgecv.jobs.trials.executor import Local
from edgecv.jobs.trials.records import Blob
from edgecv.values.search import Cost, Finding
from tests.jobs.optimize import made_up


class Killed(BaseException):
    """As sudden as a signal."""


class Counting:
    """Does tasks, tells which, and is killed at a given one, before or after it is done."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.done: list[str] = []
        self.kill_at = kill_at

    def __call__(self, task: Task) -> Cost | Finding:
        if self.kill_at == len(self.done):
            raise Killed
        self.done.append(made_up.key(task))
        return made_up.perform(task)


def run(folder: Path, perform: Counting, **more: object) -> Searched:
    stock = [one for one in made_up.CANDIDATES if one.id == candidate({"quantize.scheme": "int8"}).id]
    return Search(
        made_up.CANDIDATES, made_up.SOUGHT, Local(perform, made_up.records(folder)), first=stock, **more,  # type: ignore[arg-type]
    ).run()  # fmt: skip


def test_it_is_the_same_after_being_killed_at_ten_random_moments(tmp_path: Path) -> None:
    whole = Counting()
    straight = run(tmp_path / "straight", whole)
    best = engine.winner(straight.study)
    assert best is not None
    moments = np.random.default_rng(7).choice(len(whole.done), size=10, replace=False)
    made: list[str] = []
    for moment in sorted(moments):
        perform = Counting(kill_at=int(moment) - len(made))
        with pytest.raises(Killed):
            run(tmp_path / "killed", perform)
        made += perform.done
    last = Counting()
    again = run(tmp_path / "killed", last)
    made += last.done
    assert made == whole.done
    assert len(set(made)) == len(made)
    assert engine.winner(again.study) == best
    assert {one.candidate for one in again.study.findings} == {one.candidate for one in straight.study.findings}
    assert again.made == sum(name.startswith("accuracy") for name in last.done)


def test_a_second_run_makes_nothing(tmp_path: Path) -> None:
    run(tmp_path, Counting())
    again = Counting()
    done = run(tmp_path, again)
    assert not again.done
    assert done.made == 0
    assert done.stopped in ("done", "small gains")


def test_limits_end_it_with_the_best_so_far_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    few = run(tmp_path, Counting(), limits=Limits(trials=3))
    assert few.stopped == "trial budget"
    assert len(few.study.findings) == 3
    more = Counting()
    done = run(tmp_path, more, limits=Limits(trials=100))
    assert done.stopped != "trial budget"
    assert len(done.study.findings) > 3
    assert sum(name.startswith("accuracy") for name in more.done) == len(done.study.findings) - 3
    ticks = iter(range(0, 100_000, 7))
    timed = run(tmp_path / "timed", Counting(), limits=Limits(seconds=30.0), clock=lambda: float(next(ticks)))
    assert timed.stopped == "time budget"


class Slowly(Counting):
    """Each timing takes a second of the device."""

    def __call__(self, task: Task) -> Cost | Finding:
        result = super().__call__(task)
        return replace(result, seconds=1.0) if isinstance(result, Cost) else result


def test_the_time_of_devices_is_bounded(tmp_path: Path) -> None:
    shapes = len({one.shape for one in made_up.CANDIDATES})
    few = run(tmp_path / "few", Slowly(), limits=Limits(device_seconds=5.0))
    untimed = [cost for cost in few.study.costs.values() if cost.failure == "not timed: device time budget"]
    assert summing_up.timed(few.study) == 5
    assert untimed
    assert few.stopped == "device time budget"
    enough = run(tmp_path / "more", Slowly(), limits=Limits(device_seconds=shapes + 2.0))
    assert summing_up.timed(enough.study) == shapes
    assert enough.stopped == "device time budget"
    assert sum(found.level == "full" for found in enough.study.findings) == 2
    again = Slowly()
    later = run(tmp_path / "more", again, limits=Limits(device_seconds=shapes + 2.0))
    assert (later.stopped, again.done) == ("device time budget", []), "what earlier runs timed counts"


def test_the_model_as_it_is_is_no_trial(tmp_path: Path) -> None:
    found = Search(
        made_up.CANDIDATES, made_up.SOUGHT, Local(Counting(), made_up.records(tmp_path)), first=[AS_IT_IS],
        limits=Limits(trials=2),
    ).run()  # fmt: skip
    assert found.stopped == "trial budget"
    assert len(found.study.findings) == 3
    assert found.study.finding(AS_IT_IS.id, "full") is not None


def test_ctrl_c_ends_it_with_what_is_known(tmp_path: Path) -> None:
    class Interrupted(Counting):
        def __call__(self, task: Task) -> Cost | Finding:
            if sum(name.startswith("accuracy") for name in self.done) == 4:
                raise KeyboardInterrupt
            return super().__call__(task)

    done = run(tmp_path, Interrupted())
    assert done.stopped == "interrupted"
    assert len(done.study.findings) == 4
    assert run(tmp_path, Counting()).stopped != "interrupted"


def test_a_failed_file_is_told_and_the_search_goes_on(tmp_path: Path) -> None:
    class Refusing(Counting):
        def __call__(self, task: Task) -> Cost | Finding:
            result = super().__call__(task)
            if task.kind == "shape" and task.candidate["slim.macs"] == 0.3:
                return Cost(ratio=None, ratio_ci95=None, size_bytes=None, failure="out of reach")
            if task.kind == "accuracy" and task.candidate["slim.macs"] == 0.65:
                return Finding(candidate=task.candidate.id, level="full", n=9, value=None, drop=None, drop_ci95=None,
                               failure="does not converge")  # fmt: skip
            return result

    done = run(tmp_path, Refusing())
    why = engine.reasons(done.study)
    assert all(why[one.id] == "out of reach" for one in made_up.CANDIDATES if one["slim.macs"] == 0.3)
    best = engine.winner(done.study)
    assert best is not None
    assert best["slim.macs"] not in (0.3, 0.65)


def test_a_damaged_record_is_an_error_that_names_it(tmp_path: Path) -> None:
    records = made_up.records(tmp_path)
    task = Task(kind="accuracy", candidate=made_up.CANDIDATES[0])
    records.remember(task, made_up.finding(task.candidate))
    file = next((tmp_path / "trials").iterdir())
    file.write_text('{"candidate": "x"}')
    with pytest.raises(ConfigError, match=file.name):
        records.known(task)
    file.write_text("{")
    with pytest.raises(ConfigError, match=file.name):
        records.known(task)


def test_files_from_elsewhere_are_kept_under_their_content(tmp_path: Path) -> None:
    records = made_up.records(tmp_path)
    kept = records.keep(Blob(name="a.tflite", sha256="ab" * 32, data=b"file"))
    assert records.received("ab" * 32) == kept
    assert kept.read_bytes() == b"file"
    assert records.received("cd" * 32) is None


def test_a_shape_that_cannot_be_made_is_not_counted_as_timed() -> None:
    out = next(one for one in made_up.CANDIDATES if one["slim.macs"] == 0.3)
    failed = Cost(ratio=None, ratio_ci95=None, size_bytes=None, failure="the budget is out of reach")
    costs = {one.id: failed if one.shape == out.shape else made_up.cost(one) for one in made_up.CANDIDATES}
    study = engine.Study(candidates=made_up.CANDIDATES, costs=costs, objective=made_up.SOUGHT)
    assert summing_up.timed(study) == len({one.shape for one in made_up.CANDIDATES}) - 1
    assert summing_up.timed(replace(study, costs={})) == 0


def test_a_winner_that_is_slower_than_float_is_called_so() -> None:
    cost = Cost(ratio=1.04, ratio_ci95=(1.03, 1.05), size_bytes=1)
    assert writing.slower_than_float(cost) == "takes 1.04 [1.03, 1.05] of the float32 file's time"
    assert not writing.slower_than_float(replace(cost, ratio_ci95=(0.99, 1.09)))
    assert not writing.slower_than_float(replace(cost, kind="predicted"))


def test_ctrl_c_while_shapes_are_timed_leaves_a_study_that_can_be_told(tmp_path: Path) -> None:
    class Interrupted(Counting):
        def __call__(self, task: Task) -> Cost | Finding:
            if len(self.done) == 3:
                raise KeyboardInterrupt
            return super().__call__(task)

    done = run(tmp_path, Interrupted())
    assert done.stopped == "interrupted"
    assert engine.winner(done.study) is None
    assert sum(why == "not timed: interrupted" for why in engine.reasons(done.study).values()) > 0


def test_the_page_of_a_search_is_shown_on_the_loopback_only_while_it_lasts(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    with served(page, 0, QUIET) as address:
        assert address.startswith("http://127.0.0.1:")
        assert b"being timed" in urllib.request.urlopen(address, timeout=10).read()
        page.write_text("<p>two trials</p>")
        assert urllib.request.urlopen(f"{address}../../etc/passwd", timeout=10).read() == b"<p>two trials</p>"
        with pytest.raises(ConfigError, match="cannot be used"), served(page, int(address[17:-1]), QUIET):
            pass
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=10)
