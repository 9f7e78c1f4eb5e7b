"""The histogram of a latency's raw samples, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

from edgecv.report import figures as show
from edgecv.report.axes import Axis, make_axis
from edgecv.report.markup import Markup, el
from edgecv.values.latency import Latency

WIDTH, HEIGHT, BASE, BINS = 460, 132, 100, 40
_TAIL = 1.15


def histogram(latency: Latency, name: str) -> Markup:
    """Return the histogram with marks at p50, p90 and p99, or a sentence when there are no samples.

    The axis ends a little beyond p99, so that one outlier does not squash the rest; a note counts what lies beyond.
    """
    if not latency.samples:
        return el("p", "No raw samples were kept.", class_="note")
    shown = [s for s in latency.samples if s <= _TAIL * latency.p99] or list(latency.samples)
    marks = (latency.p50, latency.p90, latency.p99)
    axis = make_axis("ms", [*shown, *marks], start=6, end=WIDTH - 6, label=lambda v: f"{v:.4g}")
    title = f"{name}: {len(latency.samples)} samples, {', '.join(map(show.milliseconds, marks))} at p50, p90, p99"
    body = [_bars(shown, axis), _marks(latency, axis), _scale(axis)]
    drawing = el("svg", *body, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title, class_="histogram")
    return el("figure", drawing, el("figcaption", _note(latency, len(shown))))


def _bars(samples: Sequence[float], axis: Axis) -> Markup:
    counts = [0] * BINS
    for sample in samples:
        share = (sample - axis.low) / (axis.high - axis.low)
        counts[min(BINS - 1, max(0, int(share * BINS)))] += 1
    width, top = (axis.end - axis.start) / BINS, max(counts)
    bars = [
        el(
            "rect",
            x=round(axis.start + i * width, 2),
            y=BASE - _tall(n, top),
            width=round(width - 1, 2),
            height=_tall(n, top),
        )
        for i, n in enumerate(counts)
        if n
    ]
    return el("g", *bars, class_="bins")


def _tall(count: int, top: int) -> float:
    return round(max(1.5, 78 * count / top), 1)


def _marks(latency: Latency, axis: Axis) -> Markup:
    parts: list[Markup] = []
    previous = -100.0
    for name, value in (("p50", latency.p50), ("p90", latency.p90), ("p99", latency.p99)):
        at = round(axis.place(value), 1)
        parts.append(el("line", x1=at, x2=at, y1=16, y2=BASE))
        if at - previous >= 28:
            parts.append(el("text", name, x=min(max(at, 14), WIDTH - 14), y=12, text_anchor="middle"))
            previous = at
    return el("g", *parts, class_="quantiles")


def _scale(axis: Axis) -> Markup:
    parts = [el("line", x1=axis.start, x2=axis.end, y1=BASE + 0.5, y2=BASE + 0.5)]
    for tick in axis.ticks():
        at = round(axis.place(tick), 1)
        if axis.start + 16 <= at <= axis.end - 20:
            parts.append(el("text", axis.label(tick), x=at, y=BASE + 16, text_anchor="middle"))
    parts.append(el("text", "ms", x=axis.end, y=BASE + 16, text_anchor="end"))
    return el("g", *parts, class_="scale")


def _note(latency: Latency, shown: int) -> str:
    beyond = len(latency.samples) - shown
    tail = f"; {beyond} beyond the right edge, the slowest {show.milliseconds(max(latency.samples))}" if beyond else ""
    return f"{len(latency.samples)} raw samples{tail}"
