"""What a drop and its interval say against what is allowed."""

from __future__ import annotations

import pytest

from edgecv.values.scores import Drop


@pytest.mark.parametrize(
    ("value", "high", "verdict", "needed"),
    [
        (0.0, 0.8, "passed", 152),
        (0.5, 1.0, "passed", 152),  # on the edge
        (0.0, 5.0, "not shown", 25 * 152),  # an interval of a fifth takes 25 times the samples
        (0.5, 5.5, "not shown", 100 * 152),
        (1.0, 2.0, "not shown", None),  # all that is allowed: no number of samples narrows it to nothing
        (1.1, 2.0, "failed", None),
        (-2.0, -1.0, "passed", 152),
    ],
)
def test_against_one_point(value: float, high: float, verdict: str, needed: int | None) -> None:
    drop = Drop(value=value, ci95=(value - 1, high))
    assert drop.against(1.0) == verdict
    assert drop.samples_to_show(1.0, 152) == needed
