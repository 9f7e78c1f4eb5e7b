"""The page of a search: the winner and its reason, every trial, what each knob was worth. One file, offline."""

from __future__ import annotations

from collections.abc import Sequence

from edgecv.report.html_parts import badge, definitions, for_both, scrolling
from edgecv.report.markup import Markup, el, join
from edgecv.report.page import page
from edgecv.report.parallel import Scale, Thread, parallel
from edgecv.report.scatter import Chart, Point
from edgecv.values.search import Finding, Judged, Outcome, Part, TrialReport, Winner

NAMED_TRIALS = 200
"""Rows of the table of trials that were not judged; outcome.json has all."""
CARDS = 24
"""Rows of a table that becomes cards on a phone; a longer one scrolls."""
NEUTRAL = "–"

_CSS = """
.parallel { display: block; width: 100%; min-width: 760px; max-width: 1100px; height: auto; }
.thread { fill: none; stroke: var(--c); stroke-width: 1; opacity: .35; }
.thread.strong { stroke-width: 3.5; opacity: 1; } .thread:hover { stroke-width: 3; opacity: 1; }
.parallel .grid line { stroke: var(--guide); } .parallel .tick { paint-order: stroke; stroke: var(--bg); stroke-width: 3px; fill: var(--text); font-size: 11px; }
td.good { color: var(--good); } td.bad { color: var(--bad); }
"""  # noqa: E501


def render(done: Outcome, *, refresh_s: int | None = None) -> str:
    """Return the page of a search, finished or under way."""
    title = f"edgecv optimize, {done.dataset}"
    header = el("header", el("h1", title), el("p", _sentence(done), class_="baseline"))
    parts = [
        el("h2", "The file to ship"), _winner(done), el("h2", "Time against accuracy"), _pareto(done),
        el("h2", "Every candidate"), _parallel(done), el("h2", "What each knob was worth"), _worth(done),
        el("h2", "Trials"), _trials(done), el("h2", "Left out before any look"), _rules(done),
    ]  # fmt: skip
    return page(title, header, join(parts), css=_CSS, refresh_s=refresh_s)


def _sentence(done: Outcome) -> str:
    limits = [
        f"{text} {value:g}{unit}" for text, value, unit in (
            ("loses at most", done.objective.max_drop, f" {done.unit}"),
            ("takes at most", done.objective.latency_ms, " ms"),
            ("is at most", done.objective.size_bytes, " bytes"),
        ) if value is not None
    ]  # fmt: skip
    sought = {"fastest": "the fastest file", "smallest": "the smallest file", "accurate": "the most accurate file",
              "front": "the files that no other one beats"}[done.objective.goal]  # fmt: skip
    looked = (
        f"{len(done.trials)} candidates, {done.shapes} shapes timed on {done.device}, {done.accuracies} accuracies "
        f"looked at; stopped: {done.stopped}. The float model has {done.metric} {done.baseline:.4f} on {done.n:,} "
        f"validation samples. Times are relative to {done.reference}."
    )
    return f"Looked for {sought}{' that ' + ' and '.join(limits) if limits else ''}. {looked}"


def _winner(done: Outcome) -> Markup:
    best = done.winner
    if best is None:
        return el("p", "No candidate was judged in full.")
    rows = [("file", best.path), ("recipe", best.recipe), ("bytes", f"{best.size_bytes:,}"),
            ("times as small as the float32 file", f"{best.smaller:.2f}")]  # fmt: skip
    if best.faster is not None:
        rows.insert(0, ("times as fast as the float32 file", _faster(best)))
    elif best.cost.latency_ms is not None:
        rows.insert(0, ("time", f"{best.cost.latency_ms:.3g} ms, {best.cost.kind}"))
    title = "" if best.shown else "Nothing is shown to keep the limit; the nearest miss: "
    tied = [el("p", "Passed as well, and not shown to be slower: ", "; ".join(best.tied), class_="note")]
    return join(
        [
            el("p", title, el("strong", best.label), " ", badge(best.cost.kind), class_="ship"), definitions(rows),
            _judgements(done, [one for one in (best.validation, best.test) if one is not None]),
            *(tied if best.tied else []), el("h3", "What gave it"), _trail(done, best.trail),
        ]
    )  # fmt: skip


def _faster(best: Winner) -> str:
    interval = best.cost.ratio_ci95
    around = f" (95 %: {1 / interval[1]:.2f} … {1 / interval[0]:.2f})" if interval else ""
    return f"{best.faster:.2f}{around}"


def _judgements(done: Outcome, found: Sequence[Judged]) -> Markup:
    why = {"validation": "chosen by it: of many candidates the best looks better here than it is",
           "test": "nothing was chosen by it; looked at once"}  # fmt: skip
    rows = [
        (_where(one), f"{one.n:,}", f"{one.before:.4f}", f"{one.after:.4f}", f"{one.drop:+.2f}",
         _interval(one.drop_ci95), _verdict(one), why.get(one.split, ""))
        for one in found
    ]  # fmt: skip
    columns = ("split", "samples", "float", "this file", f"drop, {done.unit}", "95 %", "verdict", "")
    return _table(columns, rows, numbers=(1, 2, 3, 4, 5), label="The winner's accuracy")


def _where(one: Judged) -> str:
    return one.split if one.device is None else f"{one.split}, on {one.device}"


def _verdict(one: Judged) -> str:
    return "" if one.verdict is None else one.verdict + (
        f", needs about {one.needed:,} samples" if one.verdict == "not shown" and one.needed else "")  # fmt: skip


def _trail(done: Outcome, parts: Sequence[Part]) -> Markup:
    rows = [
        (part.label, _times(part.faster), _times(part.smaller), NEUTRAL if part.drop is None else f"{part.drop:+.2f}",
         _interval(part.drop_ci95))
        for part in parts
    ]  # fmt: skip
    columns = ("done so far", "times as fast", "times as small", f"drop, {done.unit}", "95 %")
    return _table(columns, rows, numbers=(1, 2, 3, 4), label="What each part gave")


def _pareto(done: Outcome) -> Markup:
    judged = [one for one in done.trials if one.full is not None and one.full.drop is not None and _x(one) is not None]
    if not judged:
        return el("p", "Nothing was judged in full yet.")
    chart = Chart(
        title="drop against time", x_title=_time_title(done), y_title=f"drop, {done.unit}",
        x_label=lambda value: f"{value:.3g}", y_label=lambda value: f"{value:g}",
        points=tuple(_point(one, one.full) for one in judged if one.full is not None), x_log=True,
        y_guide=done.objective.max_drop,
    )  # fmt: skip
    said = "Filled: shown to keep the limit; hollow: not. Bars are 95 % intervals; the dashed line is the limit."
    return el("figure", for_both(chart), el("figcaption", said))


def _time_title(done: Outcome) -> str:
    return "time, ms, predicted" if done.kind == "predicted" else f"time, of the float32 file's ({done.kind})"


def _x(one: TrialReport) -> float | None:
    return one.cost.ratio if one.cost is not None else None


def _point(one: TrialReport, found: Finding) -> Point:
    good = one.standing in ("winner", "front", "passed", "judged")
    return Point(
        label=one.label if one.standing in ("winner", "front") else "", title=f"{one.label}: {one.standing}",
        x=_x(one) or 0.0, y=found.drop or 0.0, x_bar=one.cost.ratio_ci95 if one.cost else None, y_bar=found.drop_ci95,
        shape="diamond" if one.standing == "winner" else "circle", tone=_tone(one), hollow=not good,
    )  # fmt: skip


def _tone(one: TrialReport) -> str:
    return f"s-{one.settings.get('quantize.scheme', 'float32')}"


def _parallel(done: Outcome) -> Markup:
    knobs = list(dict.fromkeys(worth.knob for worth in done.worth))
    scales = [Scale(title=knob.replace(".", " "), choices=_choices(done, knob)) for knob in knobs]
    scales += [Scale(title=_time_title(done), log=True), Scale(title=f"drop, {done.unit}")]
    threads = [
        Thread(
            values=(*(str(one.settings.get(knob, NEUTRAL)) for knob in knobs), _x(one), _drop(one)), tone=_tone(one),
            title=f"{one.label}: {one.standing}", strong=one.standing == "winner",
        )
        for one in done.trials
    ]  # fmt: skip
    said = (
        "One line per candidate, coloured by type; it ends at its time where accuracy was not looked at. "
        f"The thick line is the winner. {NEUTRAL}: left as it is."
    )
    drawing = el("div", parallel(scales, threads, title="all candidates"), class_="scroll")
    return el("figure", drawing, el("figcaption", said))


def _choices(done: Outcome, knob: str) -> tuple[str, ...]:
    found = {str(one.settings.get(knob, NEUTRAL)) for one in done.trials}
    return tuple(sorted(found, key=lambda text: (text != NEUTRAL, _number(text), text)))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _drop(one: TrialReport) -> float | None:
    found = one.full or one.coarse
    return None if found is None else found.drop


def _worth(done: Outcome) -> Markup:
    rows = [
        (one.knob.replace(".", " "), one.value, NEUTRAL if one.ratio is None else f"{one.ratio:.3f}",
         NEUTRAL if one.drop is None else f"{one.drop:+.2f}", str(one.judged))
        for one in done.worth
    ]  # fmt: skip
    columns = ("knob", "value", _time_title(done) + ", mean", f"drop, {done.unit}, median", "judged")
    said = "Over all candidates with that value; drops of those that were judged, which were not drawn at random."
    return join(
        [el("p", said, class_="note"), _table(columns, rows, numbers=(2, 3, 4), label="What each knob was worth")]
    )


def _trials(done: Outcome) -> Markup:
    shown = [one for one in done.trials if one.full or one.coarse]
    rest = [one for one in done.trials if not (one.full or one.coarse)]
    rows = [_trial(one) for one in (*shown, *rest[:NAMED_TRIALS])]
    columns = (
        "candidate",
        "time",
        "95 % time",
        "bytes",
        f"drop, {done.unit}",
        "95 %",
        "samples",
        "seconds",
        "standing",
    )
    table = _table(columns, rows, numbers=(1, 2, 3, 4, 5, 6, 7), label="Trials")
    if len(rest) > NAMED_TRIALS:
        return join([table, el("p", f"and {len(rest) - NAMED_TRIALS:,} more that were not judged: outcome.json")])
    return table


def _trial(one: TrialReport) -> tuple[str, ...]:
    found, cost = one.full or one.coarse, one.cost
    size = (found.size_bytes if found else None) or (cost.size_bytes if cost else None)
    standing = one.standing + (f", needs about {one.needed:,} samples" if one.needed else "")
    if one.full is None and one.coarse is not None:
        standing = f"first look only: {standing}"
    return (
        one.label, NEUTRAL if cost is None or cost.ratio is None else f"{cost.ratio:.3f}",
        NEUTRAL if cost is None or cost.ratio_ci95 is None else f"{cost.ratio_ci95[0]:.3f} … {cost.ratio_ci95[1]:.3f}",
        NEUTRAL if size is None else f"{size:,}",
        NEUTRAL if found is None or found.drop is None else f"{found.drop:+.2f}",
        _interval(found.drop_ci95 if found else None), NEUTRAL if found is None else f"{found.n:,}",
        NEUTRAL if found is None else f"{found.seconds:.1f}", standing,
    )  # fmt: skip


def _rules(done: Outcome) -> Markup:
    if not done.rules:
        return el("p", "Nothing: every combination of the space was a candidate.")
    items = [el("li", f"{one.combinations:,} of {done.combinations:,} combinations: {one.why}") for one in done.rules]
    return el("ul", *items)


def _interval(bounds: tuple[float, float] | None) -> str:
    return NEUTRAL if bounds is None else f"{bounds[0]:+.2f} … {bounds[1]:+.2f}"


def _times(value: float | None) -> str:
    return NEUTRAL if value is None else f"{value:.2f}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int], label: str) -> Markup:
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in columns)))
    last = len(columns) - 1
    body = [
        el("tr", el("th", row[0], scope="row"), *(
            el("td", cell, data_label=columns[index],
               class_="number" if index in numbers else "prose" if index == last else None)
            for index, cell in enumerate(row[1:], start=1)
        ))
        for row in rows
    ]  # fmt: skip
    return scrolling(el("table", head, el("tbody", *body), class_="cards" if len(rows) <= CARDS else None), label)
