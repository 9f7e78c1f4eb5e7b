"""Parallel coordinates: every candidate is a line through its values, and the one that stands out is drawn last."""

from __future__ import annotations

import re

from edgecv.report.parallel import BOTTOM, HEIGHT, TOP, Scale, Thread, parallel
from edgecv.report.search_page import NEUTRAL

SCALES = (Scale(title="type", choices=(NEUTRAL, "int8")), Scale(title="time", log=True), Scale(title="drop"))
THREADS = (
    Thread(values=("int8", 0.3, 1.5), tone="s-int8", title="winner <1>", strong=True),
    Thread(values=(NEUTRAL, 1.0, 0.0), tone="s-float32", title="as it is"),
    Thread(values=("int8", 0.4, None), tone="s-int8", title="not judged"),
)


def lines() -> list[tuple[str, list[tuple[float, float]]]]:
    drawn = str(parallel(SCALES, THREADS, title="all"))
    found = re.findall(r"<polyline points=\"([^\"]*)\" class=\"([^\"]*)\"", drawn)
    return [(class_, [tuple(map(float, pair.split(","))) for pair in points.split()]) for points, class_ in found]  # type: ignore[misc]


def test_each_candidate_is_one_line_that_ends_where_nothing_is_known() -> None:
    drawn = lines()
    assert [len(points) for _, points in drawn] == [3, 2, 3]
    assert drawn[-1][0] == "thread s-int8 strong"


def test_larger_numbers_lie_higher_and_choices_apart_within_the_frame() -> None:
    as_it_is, _, winner = (points for _, points in lines())
    assert winner[1][1] > as_it_is[1][1], "less time lies lower"
    assert winner[2][1] < as_it_is[2][1], "a larger drop lies higher"
    assert winner[0][1] < as_it_is[0][1]
    assert all(TOP <= y <= HEIGHT - BOTTOM for _, points in lines() for _, y in points)


def test_what_is_written_is_escaped() -> None:
    assert "winner &lt;1&gt;" in str(parallel(SCALES, THREADS, title="all"))
