"""What is told inside an epoch."""

from edgecv.train.pace import Pace


def test_rate_and_what_is_left_are_of_the_steps_after_the_first() -> None:
    seconds = iter([100.0, 102.0, 104.0])
    pace = Pace(10, clock=lambda: next(seconds))
    assert pace.step(32) == "step 1/10"
    assert pace.step(32) == "step 2/10, 16 samples/s, epoch ends in 16 s"
    assert pace.step(16) == "step 3/10, 12 samples/s, epoch ends in 14 s"


def test_long_epochs_have_minutes_and_hours() -> None:
    seconds = iter([0.0, 1.5])
    pace = Pace(5_002, clock=lambda: next(seconds))
    pace.step(1)
    assert pace.step(1).endswith("epoch ends in 2:05:00")
    seconds = iter([0.0, 1.0])
    pace = Pace(92, clock=lambda: next(seconds))
    pace.step(1)
    assert pace.step(1).endswith("epoch ends in 1:30")


def test_a_clock_that_stands_still_gives_no_rate() -> None:
    pace = Pace(1, clock=lambda: 5.0)
    pace.step(4)
    assert pace.step(4) == "step 2/2"
