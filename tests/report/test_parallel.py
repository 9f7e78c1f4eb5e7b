"""Parallel coordinates: every candidate is a line through its values, and the one that stands out is drawn last."""

from __future__ import annotations

import re

from edgecv.report.html_parts import for_both
from edgecv.report.parallel import BOTTOM, HEIGHT, TOP, Scale, Thread, parallel
from edgecv.report.scatter import Chart, Point
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


def test_on_a_phone_named_points_have_numbers_with_a_key_and_the_others_none() -> None:
    mark = {"x_bar": None, "y_bar": None, "shape": "circle", "tone": "", "hollow": False}
    points = [Point(label=name, title="", x=at, y=at, **mark) for name, at in (("", 1.0), ("best", 2.0), ("", 3.0))]
    text = "{:g}".format
    chart = Chart(title="drop", x_title="time", y_title="drop", x_label=text, y_label=text, points=tuple(points))
    drawn = str(for_both(chart))
    wide, narrow = drawn.split('class="narrow"')
    assert ">best</text>" in wide
    assert re.findall(r"<li>([^<]*)</li>", narrow) == ["best"]
    assert "best</text>" not in narrow
    assert re.findall(r">(\d)</text></g>", narrow) == ["1"]
