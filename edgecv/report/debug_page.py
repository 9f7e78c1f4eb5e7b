"""A page of `edgecv debug`: what each layer of an int8 file costs, and what helps. One file, offline, no JavaScript."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.report.axes import Axis, make_axis
from edgecv.report.markup import Markup, el, join
from edgecv.report.page import page
from edgecv.values.scores import Drop

if TYPE_CHECKING:
    from edgecv.diagnose.layer_cost import LayerCost, Ranking
    from edgecv.diagnose.layer_noise import LayerNoise

WIDTH, LEFT, RIGHT, TOP, ROW, BOTTOM = 960, 250, 150, 8, 24, 44
SHOWN = 30
"""Layers in the chart; the table has all."""


def render(int8_file: str, float_file: str, ranking: Ranking, noise: Sequence[LayerNoise]) -> str:
    """Return the page, in the style of report.html.

    Args:
        int8_file: Its name, shown.
        float_file: Likewise.
        ranking: Dearest layer first.
        noise: By layer, shown beside the costs.
    """
    title = f"edgecv debug, {Path(int8_file).name}"
    header = el("header", el("h1", title), el("p", _sentence(ranking, float_file), class_="baseline"))
    chart = el("figure", el("div", _chart(ranking), class_="scroll"), el("figcaption", _caption(ranking)))
    body = join((el("h2", "What each layer costs"), chart, _table(ranking, noise), _left_out(ranking)))
    return page(title, header, body, css=_CSS)


_CSS = """
.costs { display: block; width: 100%; min-width: 640px; max-width: 1100px; height: auto; }
.costs .bar { fill: var(--int8); } .costs .bar.gain { fill: var(--good); }
.costs .interval { stroke: var(--text); opacity: .6; } .costs .zero { stroke: var(--guide); }
"""


def _sentence(ranking: Ranking, float_file: str) -> str:
    return (
        f"{ranking.metric} {ranking.int8_value:.4g} against {ranking.value:.4g} of {Path(float_file).name}, measured "
        f"on {ranking.n} samples of the validation split. With every layer rounded in the float file: "
        f"{ranking.simulated:.4g}; with the actions below: {ranking.cured:.4g} (simulated)."
    )


def _caption(ranking: Ranking) -> str:
    hidden = len(ranking.layers) - min(len(ranking.layers), SHOWN)
    rest = f" {hidden} more layers are in the table." if hidden else ""
    return (
        f"How much {ranking.metric} gets worse when one layer alone rounds as in the int8 file; lines are paired 95 % "
        f"intervals over {ranking.n} samples. Simulated.{rest}"
    )


def _chart(ranking: Ranking) -> Markup:
    rows = ranking.layers[:SHOWN]
    bottom = TOP + ROW * len(rows)
    ends = [value for row in rows for value in (0.0, *row.drop.ci95)]
    axis = make_axis(f"{ranking.metric} lost", ends, start=LEFT, end=WIDTH - RIGHT, label=lambda value: f"{value:g}")
    return el(
        "svg",
        _grid(axis, bottom),
        *(_bar(row, axis, TOP + ROW * i) for i, row in enumerate(rows)),
        viewBox=f"0 0 {WIDTH} {bottom + BOTTOM}",
        role="img",
        aria_label=f"{ranking.metric} lost by layer",
        class_="costs",
    )


def _grid(axis: Axis, bottom: int) -> Markup:
    lines = [el("line", x1=x, x2=x, y1=TOP, y2=bottom) for x in map(axis.place, axis.ticks())]
    labels = [
        el("text", axis.label(tick), x=axis.place(tick), y=bottom + 16, text_anchor="middle") for tick in axis.ticks()
    ]
    title = el("text", axis.title, x=(axis.start + axis.end) / 2, y=bottom + 36, text_anchor="middle", class_="axis")
    zero = el("line", x1=axis.place(0), x2=axis.place(0), y1=TOP, y2=bottom, class_="zero")
    return el("g", *lines, *labels, title, zero, class_="grid")


def _bar(row: LayerCost, axis: Axis, top: int) -> Markup:
    zero, end = axis.place(0), axis.place(row.drop.value)
    low, high = (axis.place(value) for value in row.drop.ci95)
    middle = top + ROW / 2
    return el(
        "g",
        el("title", f"{row.layer}: {_drop(row.drop)}; {row.reason}"),
        el("text", _short(row.layer), x=LEFT - 10, y=middle + 4, text_anchor="end"),
        el(
            "rect",
            x=min(zero, end), y=top + 5, width=abs(end - zero), height=ROW - 10,
            class_="bar gain" if row.drop.value < 0 else "bar",
        ),
        el("line", x1=low, x2=high, y1=middle, y2=middle, class_="interval"),
        el("text", "" if row.action == "none" else row.action, x=WIDTH - RIGHT + 10, y=middle + 4),
    )  # fmt: skip


def _short(name: str, limit: int = 34) -> str:
    return name if len(name) <= limit else f"…{name[1 - limit :]}"


def _drop(drop: Drop) -> str:
    return f"{drop.value:.4g} ({drop.ci95[0]:.3g} … {drop.ci95[1]:.3g})"


def _table(ranking: Ranking, noise: Sequence[LayerNoise]) -> Markup:
    by_layer = {record.layer: record for record in noise}
    columns = (
        "layer", "operator", "operators in the file", f"{ranking.metric} lost alone", "won back in float",
        "answer, dB", "noise here, dB", "remedies tried, what it then costs", "action",
    )  # fmt: skip
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in columns)))
    rows = [_row(cost, by_layer.get(cost.layer)) for cost in ranking.layers]
    return el("div", el("table", head, el("tbody", *rows)), class_="scroll")


def _row(cost: LayerCost, noise: LayerNoise | None) -> Markup:
    tried = ", ".join(f"{trial.remedy} {trial.drop.value:.4g}" for trial in cost.trials)
    here = _decibels(noise.sqnr_db) if noise is not None else "not compared"
    return el(
        "tr",
        el("th", cost.layer, scope="row"),
        el("td", cost.op),
        el("td", ", ".join(map(str, cost.ops))),
        el("td", _drop(cost.drop), class_="number"),
        el("td", _drop(cost.regained) if cost.regained else "not tried", class_="number"),
        el("td", _decibels(cost.answer_sqnr_db), class_="number"),
        el("td", here, class_="number"),
        el("td", tried),
        el("td", el("strong", cost.action), f": {cost.reason}", class_="prose"),
    )


def _decibels(value: float | None) -> str:
    return "equal" if value is None else f"{value:.1f}"


def _left_out(ranking: Ranking) -> Markup:
    if not ranking.left_out:
        return Markup("")
    items = [el("li", f"{layer}: {reason}") for layer, reason in ranking.left_out.items()]
    return join((el("h2", "Layers that are not in the ranking"), el("ul", *items)))
