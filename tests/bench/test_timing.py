from __future__ import annotations

from edgecv.runtime.timing import is_stable, time_block, time_each, warm_up


class Counter:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1


def test_blocks_call_as_often_as_they_say():
    call = Counter()
    timed = time_block(call, 5, settle=2)
    assert call.calls == 7
    assert timed.iterations == 5
    assert timed.wall_ns > 0


def test_single_calls_add_up_to_no_more_than_the_block():
    call = Counter()
    timed = time_each(call, 6, settle=3)
    assert call.calls == 9
    assert timed.each_ns is not None
    assert len(timed.each_ns) == 6
    assert min(timed.each_ns) > 0


def test_settling_is_not_timed():
    import time

    pauses = iter([0.05, 0.0])
    timed = time_block(lambda: time.sleep(next(pauses)), 1, settle=1)
    assert timed.wall_ns < 50_000_000


def test_stable_is_when_the_best_block_gets_no_faster():
    assert is_stable([10, 10, 10, 10, 10, 9.9, 10, 10, 10, 10])
    assert not is_stable([10, 10, 10, 10, 10, 10, 9.7, 10, 10, 10])
    assert is_stable([9, 10, 10, 10, 10, 50, 9, 80, 70, 60]), "interruptions are not warming up"
    assert is_stable([3, 3, 3, 3]), "slow models have few blocks"
    assert not is_stable([3, 3])
    assert not is_stable([])


def test_warm_up_ends_and_counts():
    call = Counter()
    done = warm_up(call, min_ns=0, max_ns=10_000_000_000, block_ns=1000)
    assert done.stable
    assert done.blocks >= 4
    assert done.first_ns > 0
    assert done.iteration_ns > 0


def test_warm_up_gives_up():
    done = warm_up(Counter(), min_ns=0, max_ns=0, block_ns=1000)
    assert not done.stable
    assert done.blocks == 1
