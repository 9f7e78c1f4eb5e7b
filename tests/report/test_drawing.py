import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.report.axes import linear_ticks, log_ticks, make_axis
from edgecv.report.labels import Box, place_labels
from edgecv.report.markup import Markup, el, escape

FRAME = Box(0, 0, 900, 450)


def test_linear_ticks_by_hand():
    assert linear_ticks(0.0, 1.0) == pytest.approx((0.0, 0.2, 0.4, 0.6, 0.8, 1.0))
    assert log_ticks(1.0, 100.0) == pytest.approx((1, 2, 5, 10, 20, 50, 100))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.booleans())
def test_axes_hold_all_values_and_ticks(values, log):
    axis = make_axis("x", values, start=0, end=100, label=str, log=log)
    assert all(0 <= axis.place(v) <= 100 for v in values)
    assert all(math.isfinite(axis.place(t)) and axis.low <= t * (1 + 1e-9) + 1e-9 for t in axis.ticks())
    assert 1 <= len(axis.ticks()) < 20


def test_an_axis_of_zeros_is_no_axis_of_rounding_errors():
    axis = make_axis("drop", [0.0, 0.0], start=0, end=100, label=str)
    assert (axis.low, axis.high) == (-1, 1)


@given(st.lists(st.tuples(st.floats(0, 900), st.floats(0, 450)), max_size=20))
def test_labels_never_overlap(anchors):
    boxes = [b for b in place_labels(anchors, ["int8-qat-tflite"] * len(anchors), FRAME) if b]
    assert all(FRAME.holds(b) for b in boxes)
    assert all(a.overlap(b) == 0 for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_label_stands_nearer_to_its_own_point_where_there_is_room():
    anchors = [(400.0, 200.0), (440.0, 200.0), (480.0, 200.0)]
    boxes = place_labels(anchors, ["int8-qat"] * 3, FRAME)
    apart = [[math.dist(anchor, box.edge(anchor)) for anchor in anchors] for box in boxes]
    assert [row.index(min(row)) for row in apart] == [0, 1, 2]


def test_a_crowd_is_still_labelled():
    anchors = [(400.0 + i, 200.0) for i in range(14)]
    assert all(place_labels(anchors, ["int8-qat-tflite"] * 14, FRAME))


def test_elements_escape_children_and_attributes():
    assert el("b", "<i>", title='"') == '<b title="&quot;">&lt;i&gt;</b>'
    assert el("b", Markup("<i></i>")) == "<b><i></i></b>"
    assert el("input", checked=True, disabled=False, value=None) == "<input checked>"
    assert escape("a\x00b") == "a\ufffdb"
