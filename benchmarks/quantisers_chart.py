"""The chart of `quantisers.py`: per network and tool, what accuracy is lost and how much of the float time is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgecv.report.axes import Axis, make_axis
from edgecv.report.markup import Markup, el

WIDTH, LEFT, GAP, RIGHT, TOP, LINE, HEAD = 1080, 190, 40, 20, 46, 15, 22
CLIP = 8.0
"""Points of loss at which the axis ends: one tool's failure would hide all other differences."""

COLOURS = {"tflite": "#888", "ai-edge-quantizer": "#b8860b", "onnxruntime": "#a0522d"}
OURS = {"ptq": "#1f77b4", "ptq-onnx": "#6baed6", "ladder": "#2ca02c", "qat": "#7b3fa0"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One column of the chart: what it shows of a way, and its interval."""

    title: str
    value: Callable[[Mapping[str, Any]], float | None]
    interval: Callable[[Mapping[str, Any]], Sequence[float] | None]
    guides: tuple[float, ...]
    log: bool = False


PANELS = (
    Panel(
        "drop against float, points, with 95 % interval",
        lambda way: way.get("drop"),
        lambda way: way.get("drop_ci95"),
        guides=(0.0, 0.5),
    ),
    Panel(
        "time of one inference, share of float .tflite",
        lambda way: way.get("ratio_to_baseline"),
        lambda way: way.get("ratio_ci95"),
        guides=(1.0,),
        log=True,
    ),
)


def chart(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> str:
    """Return the chart as an SVG document; values beyond the axis stand at its end with their figure."""
    colours = COLOURS | OURS
    height = TOP + len(rows) * (HEAD + LINE * len(colours)) + 30
    width = (WIDTH - LEFT - GAP - RIGHT) / 2
    starts = (LEFT, LEFT + width + GAP)
    axes = [_axis(panel, rows, start, start + width) for panel, start in zip(PANELS, starts, strict=True)]
    parts = [_frame(panel, axis, height) for panel, axis in zip(PANELS, axes, strict=True)]
    top = TOP
    for row in rows:
        parts.append(el("text", f"{row['title']} ({row['kind']})", x=8, y=top + 14, font_weight="bold"))
        for index, (name, colour) in enumerate(colours.items()):
            y = top + HEAD + LINE * index + 4
            parts.append(el("text", titles[name], x=LEFT - 10, y=y + 4, text_anchor="end", fill=colour))
            way = row["ways"][name]
            parts += [_mark(panel, axis, way, y, colour) for panel, axis in zip(PANELS, axes, strict=True)]
        top += HEAD + LINE * len(colours)
    ground = el("rect", width=WIDTH, height=height, fill="#fff")
    return el(
        "svg", ground, *parts, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height}",
        font_family="sans-serif", font_size=11, role="img", aria_label="Quantisers side by side",
    ) + "\n"  # fmt: skip


def _axis(panel: Panel, rows: Sequence[Mapping[str, Any]], start: float, end: float) -> Axis:
    found = [panel.interval(way) for row in rows for name, way in row["ways"].items() if name != "float32"]
    values = [min(max(v, -CLIP), CLIP) for pair in found if pair for v in pair]
    return make_axis(panel.title, [*values, *panel.guides], start=start, end=end, label=_label, log=panel.log)


def _label(value: float) -> str:
    return f"{value:g}"


def _frame(panel: Panel, axis: Axis, height: int) -> Markup:
    lines = [el("text", panel.title, x=axis.start, y=14, font_weight="bold")]
    for tick in axis.ticks():
        x = round(axis.place(tick), 1)
        lines.append(el("line", x1=x, y1=TOP - 12, x2=x, y2=height - 20, stroke="#e4e4e4"))
        lines.append(el("text", axis.label(tick), x=x, y=TOP - 16, text_anchor="middle", fill="#555"))
    for guide in panel.guides:
        x = round(axis.place(guide), 1)
        lines.append(el("line", x1=x, y1=TOP - 12, x2=x, y2=height - 20, stroke="#c33", stroke_dasharray="4 3"))
    return el("g", *lines)


def _mark(panel: Panel, axis: Axis, way: Mapping[str, Any], y: float, colour: str) -> Markup:
    value, interval = panel.value(way), panel.interval(way)
    if value is None:
        return el("text", "failed" if way["exit"] else "", x=axis.start + 4, y=y + 4, fill=colour)
    x = round(axis.place(value), 1)
    parts = [el("circle", cx=x, cy=y, r=3.5, fill=colour)]
    if interval:
        low, high = (round(axis.place(bound), 1) for bound in interval)
        parts.append(el("line", x1=low, y1=y, x2=high, y2=y, stroke=colour, stroke_width=1.5))
    if not axis.low <= value <= axis.high:
        parts.append(el("text", f"{value:.1f}", x=x - 6, y=y + 4, text_anchor="end", fill=colour))
    return el("g", *parts)
