"""The page of `edgecv view`: what every layer answers to an image. One file, offline, no JavaScript."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.diagnose.views import Sight, Silent, ViewedLayer
from edgecv.report import tiles
from edgecv.report.html_parts import scrolling
from edgecv.report.markup import Markup, el, join

Array = np.ndarray[Any, Any]

LOW_DB, FAIR_DB = 15.0, 25.0
"""Signal to noise below which a layer is marked as bad, and as doubtful: noise of 18 % and 6 % of the signal."""
NAMED = 24
"""Channels of a layer that a sentence names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """One heat map.

    Attributes:
        title: Of which model, and how it was made.
        note: What hot means there.
        values: (h, w); what is 0 or less is cold.
    """

    title: str
    note: str
    values: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPage:
    """What the page shows.

    Attributes:
        title: Of the page.
        models: Name of each model to a sentence on it.
        image: uint8 (H, W) or (H, W, 3).
        image_name: Of its file.
        answers: Name of each model to its answer, drawn on the image: uint8 (H, W, 3).
        heats: On the image.
        sights: All layers, for the table.
        pictured: Those of them that are shown.
        samples: How many the figures are over, the image included; `source` what they are.
        removal: Sentences on channels that may go.
        command: That takes them out; "" when there is none.
        cautions: What a reader should know.
    """

    title: str
    models: Mapping[str, str]
    image: Array
    image_name: str
    answers: Mapping[str, Array]
    heats: Sequence[Heat]
    sights: Sequence[Sight]
    pictured: Sequence[Sight]
    samples: int
    source: str
    removal: Sequence[str] = ()
    command: str = ""
    cautions: Sequence[str] = field(default_factory=tuple)


def render(page: ViewPage) -> str:
    """Return the page, in the style of report.html."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        Markup(
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        ),
        el("title", page.title),
        el("style", Markup(_style())),
    )
    header = el(
        "header",
        el("h1", page.title),
        *(el("p", f"{name}: {told}", class_="baseline") for name, told in page.models.items()),
    )
    body = el("main", _cautions(page), _answer(page), _table(page), _layers(page), _removal(page))
    return f"<!DOCTYPE html>\n{el('html', head, el('body', header, body), lang='en')}\n"


def _style() -> str:
    page, own = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("template.html", "view.css"))
    return page.split("<style>", 1)[1].split("</style>", 1)[0] + own


def _cautions(page: ViewPage) -> Markup:
    if not page.cautions:
        return Markup("")
    return el("div", el("ul", *(el("li", one) for one in page.cautions)), class_="warnings")


def _figure(pixels: Array, alt: str, caption: str) -> Markup:
    return el("figure", el("img", src=tiles.data_uri(pixels), alt=alt), el("figcaption", caption))


def _answer(page: ViewPage) -> Markup:
    shown = [
        _figure(pixels, f"answer of {name}", f"{name} on {page.image_name}") for name, pixels in page.answers.items()
    ]
    heats = [
        _figure(tiles.overlay(page.image, heat.values), heat.title, f"{heat.title}. {heat.note}") for heat in page.heats
    ]
    return join((el("h2", "What it answers, and from where"), el("div", *shown, *heats, class_="looks")))


def _table(page: ViewPage) -> Markup:
    compared = any(one.figures.compared for one in page.sights)
    columns = ["layer", "operator", "shape", "range", "dead", "constant", "duplicates"]
    columns += ["signal to noise"] if compared else []
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in columns)))
    pictured = {id(one) for one in page.pictured}
    rows = [
        _row(one.figures, columns, compared, f"#layer-{i}" if id(one) in pictured else "")
        for i, one in enumerate(page.sights)
    ]
    table = el("table", head, el("tbody", *rows), class_="cards")
    told = (
        f"Over {page.samples} samples: {page.source}." if page.samples > 1 else f"Over the image alone: {page.source}."
    )
    return join((el("h2", "Layers"), el("p", told, class_="note"), scrolling(table, "layers")))


def _row(figures: ViewedLayer, columns: Sequence[str], compared: bool, link: str) -> Markup:
    counts = [sum(one.why == why for one in figures.silent) for why in ("dead", "constant", "duplicate")]
    told = len(figures.shape) == 3
    values: list[str | Markup] = [
        figures.op,
        "x".join(map(str, figures.shape)) or "scalar",
        f"{figures.range[0]:.3g} … {figures.range[1]:.3g}",
        *(str(count) if told else "" for count in counts),
    ]
    values += [_decibels(figures)] if compared else []
    name = el("a", figures.layer, href=link) if link else figures.layer
    cells = [el("td", value, data_label=column) for column, value in zip(columns[1:], values, strict=True)]
    return el("tr", el("th", name, scope="row"), *cells)


def _decibels(figures: ViewedLayer) -> str | Markup:
    if not figures.compared:
        return "not there"
    if figures.sqnr_db is None:
        return "equal"
    mark = "bad" if figures.sqnr_db < LOW_DB else "fair" if figures.sqnr_db < FAIR_DB else None
    return el("span", f"{figures.sqnr_db:.1f} dB", class_=mark)


def _layers(page: ViewPage) -> Markup:
    if not page.pictured:
        return Markup("")
    place = {id(one): index for index, one in enumerate(page.sights)}
    swatches = [
        el("span", Markup(f'<i class="swatch" style="background:rgb{color}"></i>'), text)
        for (why, color), text in zip(
            tiles.MARKS.items(),
            ("dead: always zero", "constant: never changes", "duplicate of another map"),
            strict=True,
        )
    ]
    hidden = len(page.sights) - len(page.pictured)
    rest = f" {hidden} further layers are in the table alone; --layer NAME shows them." if hidden else ""
    note = f"Each map is black at its own smallest value and white at its largest; frames tell what it is worth.{rest}"
    sections = [_layer(one, f"layer-{place[id(one)]}", list(page.models)) for one in page.pictured]
    return join((el("h2", "Maps"), el("p", note, class_="note"), el("p", *swatches, class_="key-line"), *sections))


def _layer(sight: Sight, anchor: str, names: Sequence[str]) -> Markup:
    figures, maps = sight.figures, sight.maps
    parts: list[Markup] = []
    if maps.ndim == 3:
        marks = {one.channel: one.why for one in figures.silent}
        parts.append(el("div", *_sheets(sight, marks, names), class_="sheets"))
    if sight.before is not None and sight.before.ndim == 3:
        parts.append(_pool(sight.before, maps))
    if sight.kernel is not None:
        parts.append(_kernels(sight, names))
    facts = [figures.op, "x".join(map(str, figures.shape)), f"{figures.range[0]:.4g} to {figures.range[1]:.4g}"]
    facts += [silent_words(figures.silent)] if figures.silent else []
    noise = join(("signal to noise ", _decibels(figures))) if figures.compared else None
    line = join([*facts, *([noise] if noise else [])], "; ")
    return el("section", el("h3", figures.layer), el("p", line, class_="facts"), *parts, class_="layer", id=anchor)


def _sheets(sight: Sight, marks: Mapping[int, str], names: Sequence[str]) -> list[Markup]:
    maps, limits, layer = sight.maps, tiles.own_limits(sight.maps), sight.figures.layer
    first = (
        f"the first {tiles.MOST} of {maps.shape[-1]} maps" if maps.shape[-1] > tiles.MOST else f"{maps.shape[-1]} maps"
    )
    found = [_figure(tiles.sheet(maps, limits, marks), f"maps of {layer} in {names[0]}", f"{names[0]}: {first}")]
    if sight.other is None:
        return found
    found.append(
        _figure(
            tiles.sheet(sight.other, limits, marks), f"maps of {layer} in {names[1]}", f"{names[1]}: in the same greys"
        )
    )
    error = np.abs(sight.other - maps)
    span, most = float(maps.max() - maps.min()), float(error[..., : tiles.MOST].max())
    told = f"{100 * most / span:.2g} % of the layer's range" if span > 0 else f"{most:.3g}"
    scale = np.tile([0.0, max(most, tiles.SMALLEST_SHARE)], (maps.shape[-1], 1))
    caption = f"where they differ: white is {told}" if most > 0 else "they do not differ"
    found.append(_figure(tiles.sheet(error, scale), f"differences in {layer}", caption))
    return found


def _pool(before: Array, after: Array) -> Markup:
    shown = min(after.shape[-1], 8)
    limits = tiles.own_limits(before)
    pair = [
        _figure(tiles.sheet(maps, limits, most=shown), title, f"{title}: {maps.shape[0]}x{maps.shape[1]}")
        for title, maps in (("before the pool", before), ("behind it", after))
        if maps.shape[-1] == after.shape[-1]
    ]
    return el(
        "details", el("summary", f"What the pool keeps of the first {shown} maps"), el("div", *pair, class_="sheets")
    )


def _kernels(sight: Sight, names: Sequence[str]) -> Markup:
    kernel = sight.kernel
    assert kernel is not None
    height, width, inputs, outputs = kernel.shape
    pairs = [(names[0], kernel)]
    if sight.other_kernel is not None and sight.other_kernel.shape == kernel.shape:
        pairs.append((names[1], sight.other_kernel))
    figures = [
        _figure(tiles.kernel_sheet(values), f"kernels of {sight.figures.layer} in {name}", f"{name}: grey is zero")
        for name, values in pairs
    ]
    order = " in colours" if inputs == 3 else "" if inputs == 1 else ": a row per input, the first ones"
    summary = f"{outputs} kernels of {height}x{width} over {inputs} inputs{order}"
    return el("details", el("summary", summary), el("div", *figures, class_="sheets"))


def silent_words(silent: Sequence[Silent]) -> str:
    """Return which channels say nothing: "dead: 3, 7; duplicates: 5 (like 9, 0.998)"."""
    groups = {"dead": "dead", "constant": "constant", "duplicate": "duplicates"}
    found = []
    for why, title in groups.items():
        own = [one for one in silent if one.why == why]
        told = [
            str(one.channel) if one.like is None else f"{one.channel} (like {one.like}, {one.correlation:.3f})"
            for one in own
        ]
        more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
        if told:
            found.append(f"{title}: {', '.join(told[:NAMED])}{more}")
    return "; ".join(found)


def _removal(page: ViewPage) -> Markup:
    if not page.removal:
        return Markup("")
    lines = [el("p", line) for line in page.removal]
    command = [el("pre", page.command, class_="command")] if page.command else []
    return join((el("h2", "Channels that may go", id="removal"), *lines, *command))
