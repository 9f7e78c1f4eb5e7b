"""The scatter section of report.html: a view per latency setting and one for size, switched by CSS."""

from __future__ import annotations

from collections.abc import Iterable

from edgecv.report import figures as show
from edgecv.report.html_parts import for_both
from edgecv.report.markup import Markup, el
from edgecv.report.scatter import Chart, Point, Shape, legend_mark
from edgecv.values.latency import Latency
from edgecv.values.report import ArtifactResult, Report

SHAPES: dict[str, Shape] = {"tflite": "circle", "onnx": "diamond", "keras": "square"}
_LONGEST_LABEL = 30


def section(report: Report) -> Markup:
    """Return the views with their switch and legend, or a sentence when nothing can be drawn."""
    charts = [chart for metric in show.metrics(report) for chart in _charts(report, metric)]
    if not charts:
        return el("p", "There is nothing to draw: no artifact has a metric.", class_="note")
    inputs: list[Markup] = []
    views: list[Markup] = []
    for i, (name, chart) in enumerate(charts):
        inputs.append(el("input", type="radio", name="view", id=f"view-{i}", checked=i == 0, class_="view-switch"))
        inputs.append(el("label", name, for_=f"view-{i}"))
        views.append(el("figure", for_both(chart), el("figcaption", f"{name}. {_note(report, chart)}")))
    style = el("style", Markup(_switch_css(len(charts))))
    return el("div", style, *inputs, el("div", *views, class_="views"), _legend(report), class_="charts")


def _switch_css(count: int) -> str:
    shown = ",".join(f"#view-{i}:checked~.views>:nth-child({i + 1})" for i in range(count))
    return f"@media screen{{.views>figure{{display:none}}{shown}{{display:block}}}}"


def _note(report: Report, chart: Chart) -> str:
    bars = "Bars are 95 % intervals: of the drop (vertical)"
    across = " and of the ratio to the baseline (horizontal)" if any(p.x_bar for p in chart.points) else ""
    lines = f" Dashed lines: {show.baseline_short(report)}." if chart.y_guide is not None else ""
    missing = len(report.artifacts) - len(chart.points)
    left_out = (
        f" Not shown, since a figure is unknown or of another kind: {missing} of {len(report.artifacts)}."
        if missing
        else ""
    )
    return f"{bars}{across}.{lines}{left_out}"


def _charts(report: Report, metric: show.Judged) -> Iterable[tuple[str, Chart]]:
    known = [a for a in report.artifacts if show.metric_of(a) == metric and a.value is not None]
    label = _labeller([a.name for a in report.artifacts])
    for setting in show.settings(report):
        pairs = [(a, x) for a in known for x in show.latencies_in(a, setting)]
        if pairs:
            name = f"{metric.title} against latency ({setting.kind}, {setting.place})"
            yield name, _latency_chart(report, metric, name, pairs, label)
    if known:
        yield f"{metric.title} against size", _size_chart(report, metric, known, label)


class _labeller:
    """Shortens names by the part that all of them share."""

    def __init__(self, names: list[str]) -> None:
        self.prefix = _shared_prefix(names)

    def __call__(self, name: str) -> str:
        short = name[len(self.prefix) :]
        return short if len(short) <= _LONGEST_LABEL else short[: _LONGEST_LABEL - 1] + "…"


def _shared_prefix(names: list[str]) -> str:
    if len(names) < 2:
        return ""
    low, high = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[: max(low.rfind(separator, 0, same) for separator in "-_. /") + 1]


def _latency_chart(
    report: Report, metric: show.Judged, name: str, pairs: list[tuple[ArtifactResult, Latency]], label: _labeller
) -> Chart:
    # Ratios carry an interval and travel between machines better; milliseconds when there is no baseline.
    with_ratio = [(a, x) for a, x in pairs if x.ratio_to_baseline is not None]
    use_ratio = bool(with_ratio)
    points = tuple(
        _point(
            a,
            label(a.name),
            x.ratio_to_baseline or 0.0,
            x.ratio_ci95,
            f"{show.ratio(x.ratio_to_baseline)} × baseline, ",
        )
        if use_ratio
        else _point(a, label(a.name), x.p50, None, f"p50 {show.milliseconds(x.p50)}, ")
        for a, x in (with_ratio if use_ratio else pairs)
    )
    return Chart(
        title=f"Scatter: {name}",
        x_title="latency ÷ baseline's (left is faster)" if use_ratio else "p50 latency, ms (left is faster)",
        y_title=metric.with_unit,
        x_label=lambda v: f"{v:.4g}",
        y_label=lambda v: f"{v:.4g}",
        points=points,
        x_log=_spread(p.x for p in points) > 8,
        x_guide=1.0 if use_ratio else None,
        y_guide=_baseline_value(report, metric),
    )


def _size_chart(report: Report, metric: show.Judged, known: list[ArtifactResult], label: _labeller) -> Chart:
    return Chart(
        title=f"Scatter: {metric.name} against size",
        x_title="file size, KiB (left is smaller)",
        y_title=metric.with_unit,
        x_label=lambda v: f"{v:,.4g}",
        y_label=lambda v: f"{v:.4g}",
        points=tuple(
            _point(a, label(a.name), a.size_bytes / 1024, None, f"{show.size(a.size_bytes)}, ") for a in known
        ),
        x_log=_spread(a.size_bytes for a in known) > 4,
        y_guide=_baseline_value(report, metric),
    )


def _spread(values: Iterable[float]) -> float:
    found = list(values)
    return max(found) / min(found) if min(found) > 0 else 1.0


def _baseline_value(report: Report, metric: show.Judged) -> float | None:
    baseline = report.baseline
    return baseline.value if baseline is not None and baseline.metric == metric.metric else None


def _point(artifact: ArtifactResult, label: str, x: float, x_bar: tuple[float, float] | None, x_words: str) -> Point:
    name = artifact.metric.name if artifact.metric else ""
    return Point(
        label=label,
        title=f"{artifact.name}: {x_words}{name} {show.decimal(artifact.value)}",
        x=x,
        y=artifact.value or 0.0,
        x_bar=x_bar,
        y_bar=_value_interval(artifact),
        shape=SHAPES.get(artifact.format, "square"),
        tone=tone(artifact.scheme),
        hollow=bool(artifact.sparsity),
    )


def _value_interval(artifact: ArtifactResult) -> tuple[float, float] | None:
    """Return where the value can be: the baseline on the same samples, moved by the drop's interval."""
    if artifact.metric is None or artifact.value is None or artifact.drop is None or artifact.drop_ci95 is None:
        return None
    low, high = artifact.drop_ci95
    if artifact.metric.better == "higher":
        base = artifact.value + artifact.drop
        return base - high, base - low
    base = artifact.value - artifact.drop
    return base + low, base + high


def tone(scheme: str) -> str:
    """Return the CSS class of a scheme's colour."""
    return f"s-{scheme}" if scheme.isalnum() else "s-other"


def _legend(report: Report) -> Markup:
    items = [
        el("li", legend_mark("square", tone(scheme)), f" {scheme}")
        for scheme in dict.fromkeys(a.scheme for a in report.artifacts)
    ]
    items += [
        el("li", legend_mark(SHAPES.get(name, "square"), "s-other"), f" {name}")
        for name in dict.fromkeys(a.format for a in report.artifacts)
    ]
    if any(a.sparsity for a in report.artifacts):
        items.append(el("li", legend_mark("circle", "s-other", hollow=True), " outline: pruned"))
    return el("ul", *items, class_="legend", aria_label="Legend: colour is the scheme, shape the format")
