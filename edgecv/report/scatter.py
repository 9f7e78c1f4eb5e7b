"""The scatter of accuracy against latency or size, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from edgecv.report.axes import Axis, make_axis
from edgecv.report.labels import Box, place_labels
from edgecv.report.markup import Markup, el, join

Shape = Literal["circle", "diamond", "square"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The size of a drawing and its margins, in pixels.

    Attributes:
        numbered: Whether labels are the points' numbers, from 1: names have no room on a phone.
    """

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    ticks: int = 6
    numbered: bool = False

    @property
    def x_end(self) -> int:
        """The right end of the x axis."""
        return self.width - self.right

    @property
    def y_start(self) -> int:
        """The lower end of the y axis."""
        return self.height - self.bottom


WIDE = Canvas(width=960, height=500, left=78, right=24, top=20, bottom=58)
NARROW = Canvas(width=362, height=330, left=56, right=10, top=10, bottom=52, ticks=4, numbered=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One artifact.

    Attributes:
        label: Beside the point; "" for none.
        title: Shown on hover and read aloud.
        x_bar: 95 % interval of x, None when unknown.
        y_bar: 95 % interval of y, None when unknown.
        tone: CSS class that gives the colour.
        hollow: Drawn as an outline.
    """

    label: str
    title: str
    x: float
    y: float
    x_bar: tuple[float, float] | None
    y_bar: tuple[float, float] | None
    shape: Shape
    tone: str
    hollow: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What a scatter shows.

    Attributes:
        title: For screen readers.
        x_log: Whether x is logarithmic.
        x_guide: The baseline's x, drawn as a line.
        y_guide: The baseline's y, drawn as a line.
    """

    title: str
    x_title: str
    y_title: str
    x_label: Callable[[float], str]
    y_label: Callable[[float], str]
    points: tuple[Point, ...]
    x_log: bool = False
    x_guide: float | None = None
    y_guide: float | None = None


def scatter(chart: Chart, canvas: Canvas = WIDE) -> Markup:
    """Return the chart as one SVG element with an accessible name; colours come from the page's CSS."""
    x, y = _axes(chart, canvas)
    bars = [_bars(point, x, y) for point in chart.points]
    body = [
        _grid(x, y, canvas),
        _guides(chart, x, y, canvas),
        *(el("g", *_bar_lines(b), class_=f"bars {p.tone}") for p, b in zip(chart.points, bars, strict=True)),
    ]
    body += [_labels(chart.points, bars, canvas)]
    body += [_mark(point, x, y) for point in chart.points]
    box = f"0 0 {canvas.width} {canvas.height}"
    return el("svg", *body, viewBox=box, role="img", aria_label=chart.title, class_="scatter")


def _axes(chart: Chart, canvas: Canvas) -> tuple[Axis, Axis]:
    xs = [v for p in chart.points for v in (p.x, *(p.x_bar or ()))] + _known(chart.x_guide)
    ys = [v for p in chart.points for v in (p.y, *(p.y_bar or ()))] + _known(chart.y_guide)
    x = make_axis(chart.x_title, xs, start=canvas.left, end=canvas.x_end, label=chart.x_label, log=chart.x_log)
    y = make_axis(chart.y_title, ys, start=canvas.y_start, end=canvas.top, label=chart.y_label)
    return x, y


def _known(value: float | None) -> list[float]:
    return [] if value is None else [value]


def _grid(x: Axis, y: Axis, canvas: Canvas) -> Markup:
    lines: list[Markup] = []
    bottom, right, left, top = canvas.y_start, canvas.x_end, canvas.left, canvas.top
    for tick in x.ticks(canvas.ticks):
        at = round(x.place(tick), 1)
        lines += [_line(at, top, at, bottom), el("text", x.label(tick), x=at, y=bottom + 20, text_anchor="middle")]
    for tick in y.ticks(canvas.ticks):
        at = round(y.place(tick), 1)
        lines += [_line(left, at, right, at), el("text", y.label(tick), x=left - 8, y=at + 4, text_anchor="end")]
    middle = (top + bottom) / 2
    lines.append(el("text", x.title, x=(left + right) / 2, y=canvas.height - 12, text_anchor="middle", class_="axis"))
    turned = f"rotate(-90 14 {middle:g})"
    lines.append(el("text", y.title, x=14, y=middle, text_anchor="middle", transform=turned, class_="axis"))
    return el("g", *lines, class_="grid")


def _guides(chart: Chart, x: Axis, y: Axis, canvas: Canvas) -> Markup:
    lines: list[Markup] = []
    if chart.x_guide is not None:
        at = round(x.place(chart.x_guide), 1)
        lines.append(_line(at, canvas.top, at, canvas.y_start))
    if chart.y_guide is not None:
        at = round(y.place(chart.y_guide), 1)
        lines.append(_line(canvas.left, at, canvas.x_end, at))
    return el("g", *lines, class_="guide")


def _line(x1: float, y1: float, x2: float, y2: float, class_: str | None = None) -> Markup:
    return el("line", x1=round(x1, 1), y1=round(y1, 1), x2=round(x2, 1), y2=round(y2, 1), class_=class_)


@dataclass(frozen=True, slots=True)
class _Bars:
    x: float
    y: float
    across: tuple[float, float] | None
    up: tuple[float, float] | None


def _bars(point: Point, x: Axis, y: Axis) -> _Bars:
    across = (x.place(point.x_bar[0]), x.place(point.x_bar[1])) if point.x_bar else None
    up = (y.place(point.y_bar[1]), y.place(point.y_bar[0])) if point.y_bar else None
    return _Bars(x.place(point.x), y.place(point.y), across, up)


def _bar_lines(bars: _Bars) -> list[Markup]:
    lines: list[Markup] = []
    if bars.across:
        lines.append(_line(bars.across[0], bars.y, bars.across[1], bars.y))
        lines += [_line(end, bars.y - 3, end, bars.y + 3) for end in bars.across]
    if bars.up:
        lines.append(_line(bars.x, bars.up[0], bars.x, bars.up[1]))
        lines += [_line(bars.x - 3, end, bars.x + 3, end) for end in bars.up]
    return lines


def _obstacles(bars: Sequence[_Bars]) -> list[Box]:
    boxes: list[Box] = []
    for bar in bars:
        if bar.across:
            boxes.append(Box(bar.across[0], bar.y - 1, bar.across[1] - bar.across[0], 2))
        if bar.up:
            boxes.append(Box(bar.x - 1, bar.up[0], 2, bar.up[1] - bar.up[0]))
    return boxes


def _labels(points: Sequence[Point], bars: Sequence[_Bars], canvas: Canvas) -> Markup:
    anchors = [(bar.x, bar.y) for bar in bars]
    wide, tall = canvas.x_end - canvas.left, canvas.y_start - canvas.top
    frame = Box(canvas.left + 2, canvas.top, wide - 2, tall - 2)
    texts = [str(i) if canvas.numbered and p.label else p.label for i, p in enumerate(points, start=1)]
    boxes = place_labels(anchors, texts, frame, _obstacles(bars))
    parts: list[Markup] = []
    for text, anchor, box in zip(texts, anchors, boxes, strict=True):
        if box is not None and text:
            nearer = any(_apart(other, box) <= _apart(anchor, box) for other in anchors if other != anchor)
            parts.append(_leader(anchor, box, needed=nearer))
            middle = round(box.x + box.width / 2, 1)
            parts.append(el("text", text, x=middle, y=round(box.y + 11, 1), text_anchor="middle"))
    return el("g", *parts, class_="labels")


def _leader(anchor: tuple[float, float], box: Box, *, needed: bool) -> Markup:
    """Return a line from a point to the nearest edge of its label; none where the label touches that point alone."""
    x, y = box.edge(anchor)
    return _line(anchor[0], anchor[1], x, y) if needed or _apart(anchor, box) > 14**2 else Markup("")


def _apart(anchor: tuple[float, float], box: Box) -> float:
    """Return the squared distance of a point from a label."""
    x, y = box.edge(anchor)
    return (x - anchor[0]) ** 2 + (y - anchor[1]) ** 2


def _mark(point: Point, x: Axis, y: Axis) -> Markup:
    at_x, at_y = round(x.place(point.x), 1), round(y.place(point.y), 1)
    title = el("title", point.title)
    class_ = f"mark {point.tone}{' hollow' if point.hollow else ''}"
    if point.shape == "circle":
        return el("circle", title, cx=at_x, cy=at_y, r=5, class_=class_)
    turn = f"rotate(45 {at_x:g} {at_y:g})" if point.shape == "diamond" else None
    return el("rect", title, x=at_x - 4.5, y=at_y - 4.5, width=9, height=9, transform=turn, class_=class_)


def legend_mark(shape: Shape, tone: str, *, hollow: bool = False) -> Markup:
    """Return a mark on its own, for a legend."""
    class_ = f"mark {tone}{' hollow' if hollow else ''}"
    if shape == "circle":
        mark = el("circle", cx=8, cy=8, r=5, class_=class_)
    else:
        turn = "rotate(45 8 8)" if shape == "diamond" else None
        mark = el("rect", x=3.5, y=3.5, width=9, height=9, transform=turn, class_=class_)
    return el("svg", join([mark]), viewBox="0 0 16 16", width=16, height=16, aria_hidden="true")
