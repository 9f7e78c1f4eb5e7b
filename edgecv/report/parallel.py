"""Parallel coordinates, as SVG: one axis per knob and figure, one line per candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecv.report.axes import Axis, make_axis
from edgecv.report.markup import Markup, el

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1100, 380, 90, 90, 46, 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """One axis.

    Attributes:
        title: Above it.
        choices: What stands at it, lowest first; empty for an axis of numbers.
        log: Whether numbers are on a logarithmic axis.
    """

    title: str
    choices: tuple[str, ...] = ()
    log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """One candidate.

    Attributes:
        values: On each axis: the text of a choice, or a number; None ends the line there.
        tone: CSS class of its colour; `title` is shown on hover.
        strong: Whether it stands out.
    """

    values: tuple[str | float | None, ...]
    tone: str
    title: str
    strong: bool = False


def parallel(scales: Sequence[Scale], threads: Sequence[Thread], *, title: str) -> Markup:
    """Return the drawing; candidates that stand out are drawn last."""
    step = (WIDTH - LEFT - RIGHT) / max(1, len(scales) - 1)
    places = [LEFT + step * index for index in range(len(scales))]
    axes = [_axis(scale, [thread.values[index] for thread in threads]) for index, scale in enumerate(scales)]
    lines = [_line(thread, axes, scales, places) for thread in sorted(threads, key=lambda one: one.strong)]
    drawn = [_drawn(scale, axis, place, index) for index, (scale, axis, place) in
             enumerate(zip(scales, axes, places, strict=True))]  # fmt: skip
    return el("svg", *lines, *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title, class_="parallel")


def _axis(scale: Scale, values: Sequence[str | float | None]) -> Axis | None:
    numbers = [value for value in values if isinstance(value, int | float)]
    if scale.choices or not numbers:
        return None
    return make_axis(
        scale.title, numbers, start=HEIGHT - BOTTOM, end=TOP, label=lambda value: f"{value:g}", log=scale.log
    )


def _height(value: str | float, axis: Axis | None, scale: Scale) -> float:
    if axis is not None and isinstance(value, int | float):
        return axis.place(value)
    count, span = len(scale.choices), HEIGHT - BOTTOM - TOP
    if str(value) not in scale.choices:
        return float(HEIGHT - BOTTOM)
    return HEIGHT - BOTTOM - span * (scale.choices.index(str(value)) + 0.5) / count


def _line(thread: Thread, axes: Sequence[Axis | None], scales: Sequence[Scale], places: Sequence[float]) -> Markup:
    points = []
    for value, axis, scale, place in zip(thread.values, axes, scales, places, strict=True):
        if value is None:
            break
        points.append(f"{place:.1f},{_height(value, axis, scale):.1f}")
    class_ = f"thread {thread.tone}{' strong' if thread.strong else ''}"
    return el("polyline", el("title", thread.title), points=" ".join(points), class_=class_)


def _drawn(scale: Scale, axis: Axis | None, place: float, index: int) -> Markup:
    anchor, beside = ("end", -8) if index == 0 else ("start", 8)
    parts = [el("line", x1=place, x2=place, y1=TOP, y2=HEIGHT - BOTTOM)]
    parts.append(el("text", scale.title, x=place, y=TOP - 22, text_anchor="middle", class_="axis"))
    ticks = [(axis.label(tick), axis.place(tick)) for tick in axis.ticks(5)] if axis is not None else [
        (choice, _height(choice, None, scale)) for choice in scale.choices]  # fmt: skip
    for text, at in ticks:
        parts.append(el("line", x1=place - 3, x2=place + 3, y1=round(at, 1), y2=round(at, 1)))
        parts.append(el("text", text, x=place + beside, y=round(at + 4, 1), text_anchor=anchor, class_="tick"))
    return el("g", *parts, class_="grid")
