"""The per-artifact sections of report.html."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from edgecv.core import codec
from edgecv.report import figures as show
from edgecv.report import tables
from edgecv.report.histogram import histogram
from edgecv.report.markup import Markup, el, join
from edgecv.values.latency import Latency
from edgecv.values.manifest import Provenance
from edgecv.values.report import ArtifactResult, HeadResult, Report

# A matrix of more classes is no longer readable; the list of most confused pairs says the same.
LARGEST_MATRIX = 30
_PAIRS = 8


def artifact(report: Report, result: ArtifactResult, provenance: Provenance | None, index: int) -> Markup:
    """Return one artifact's section, folded."""
    metric = "metric unknown" if result.value is None else f"{result.metric} {show.decimal(result.value)}"
    summary = el(
        "summary",
        el("h3", result.name),
        el("span", f"{result.format} · {result.scheme} · {show.size(result.size_bytes)} · {metric}", class_="note"),
    )
    parts = [summary, _facts(report, result), _latencies(result), _confusion(report, result), _provenance(provenance)]
    return el("details", *parts, id=f"artifact-{index}", class_="artifact")


def _facts(report: Report, result: ArtifactResult) -> Markup:
    rows = [
        ("Path", result.path),
        ("SHA-256", result.sha256),
        ("Size", f"{result.size_bytes:,} bytes ({show.size(result.size_bytes)})"),
        ("Size ratio", f"{show.ratio(show.size_ratio(report, result))} of the float32 file of its format"),
        ("Format, scheme, method", f"{result.format}, {result.scheme}, {result.method}"),
        ("Sparsity", "not pruned" if result.sparsity is None else show.percent(result.sparsity)),
        ("Target", result.target),
        (result.metric or "Metric", _value(result)),
        ("Drop, with 95 % interval", tables.drop(result).line),
    ]
    rows += [row for head in result.heads for row in _head(head)]
    rows += [(f"Top-{k}", show.decimal(share)) for k, share in result.top_k.items()]
    rows += [
        (f"Mapped on {m.target}", f"{m.n_mapped} of {m.n_ops} operators ({m.kind})") for m in show.mappings_of(result)
    ]
    return definitions(rows)


def _head(head: HeadResult) -> list[tuple[str, str]]:
    figures = [(name, show.decimal(value)) for name, value in head.figures.items() if name != head.metric]
    drop = "" if head.drop is None else f", drop {show.signed(head.drop)}"
    return [
        (f"Head {head.head}: {head.metric}", f"{show.decimal(head.value)}{drop}"),
        *((f"Head {head.head}: {name}", text) for name, text in figures),
    ]


def _value(result: ArtifactResult) -> str:
    if result.value is None:
        return show.UNKNOWN
    return f"{show.decimal(result.value)} ({result.metric_kind or 'kind unknown'})"


def definitions(rows: Sequence[tuple[str, str]]) -> Markup:
    """Return a list of terms and values."""
    return el("dl", *(el("div", el("dt", term), el("dd", value, class_=_hash(value))) for term, value in rows))


def _hash(value: str) -> str | None:
    return "hash" if re.fullmatch("[0-9a-f]{64}", value) else None


def _latencies(result: ArtifactResult) -> Markup:
    if not result.latency:
        return el("p", "Latency: unknown; the warnings say why.", class_="note")
    return join(_latency(latency, result.name) for latency in result.latency)


def _latency(latency: Latency, name: str) -> Markup:
    place = show.setting_of(latency).place
    rows = [
        ("Load", show.milliseconds(latency.load_ms)),
        ("First inference", show.milliseconds(latency.first_ms)),
        ("Steady p50, p90, p99", ", ".join(show.milliseconds(v) for v in (latency.p50, latency.p90, latency.p99))),
        ("Ratio to baseline", tables.ratio(latency).line),
        ("Peak RSS", show.size(latency.peak_rss_bytes)),
        ("Arena", show.size(latency.arena_bytes)),
    ]
    heading = el("h4", f"Latency on {place}, {latency.engine}", " ", badge(latency.kind))
    return el("div", heading, definitions(rows), histogram(latency, name), class_="latency")


def badge(kind: str) -> Markup:
    """Return the mark that says whether a figure was measured, simulated or predicted."""
    return el("span", kind, class_=f"badge {kind}")


def _confusion(report: Report, result: ArtifactResult) -> Markup:
    matrix = result.confusion
    if not matrix:
        return el("p", "Confusion matrix: none was recorded.", class_="note")
    labels = report.dataset.labels if report.dataset else ()
    if len(labels) != len(matrix):
        labels = tuple(str(i) for i in range(len(matrix)))
    heading = el("h4", "Confusion")
    drawn = _matrix(matrix, labels, result.name) if len(matrix) <= LARGEST_MATRIX else Markup("")
    return el("div", heading, drawn, _most_confused(matrix, labels))


def _matrix(matrix: Sequence[Sequence[int]], labels: Sequence[str], name: str) -> Markup:
    head = el(
        "tr", el("td", "true ↓ predicted →", class_="corner"), *(el("th", label, scope="col") for label in labels)
    )
    rows = [
        el("tr", el("th", label, scope="row"), *(_matrix_cell(n, sum(row), i == j) for j, n in enumerate(row)))
        for i, (label, row) in enumerate(zip(labels, matrix, strict=True))
    ]
    caption = el("caption", "Rows: true class; columns: predicted class; counts of samples.")
    table = el("table", caption, el("thead", head), el("tbody", *rows), class_="confusion")
    return el("div", table, class_="scroll", tabindex=0, role="group", aria_label=f"Confusion matrix of {name}")


def _matrix_cell(count: int, total: int, right: bool) -> Markup:
    share = count / total if total else 0.0
    class_ = "right" if right else "wrong"
    if not count:
        return el("td", "·", class_="zero")
    # Wrong answers are few: a square root keeps a single one visible.
    strength = share if right else max(0.18, share**0.5)
    return el("td", str(count), class_=f"{class_} strong" if strength > 0.5 else class_, style=f"--a:{strength:.2f}")


def _most_confused(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Markup:
    pairs = [(n, labels[i], labels[j]) for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j and n]
    if not pairs:
        return el("p", "No sample was confused.", class_="note")
    pairs.sort(key=lambda pair: -pair[0])
    listed = "; ".join(f"{true} taken for {predicted}: {n}" for n, true, predicted in pairs[:_PAIRS])
    more = f"; {len(pairs) - _PAIRS} more pairs" if len(pairs) > _PAIRS else ""
    return el("p", f"Most confused: {listed}{more}.", class_="note")


def _provenance(provenance: Provenance | None) -> Markup:
    if provenance is None:
        return el("p", "Provenance: the file was not at hand, or carries none.", class_="note")
    rows = [
        ("Recipe", _compact(provenance.recipe)),
        ("Tools", ", ".join(f"{name} {version}" for name, version in provenance.tools.items())),
        ("Seed", "none" if provenance.seed is None else str(provenance.seed)),
        ("Source SHA-256", provenance.source_sha256 or "none"),
        ("Data SHA-256", provenance.dataset_sha256 or "none"),
        ("Earlier stages", "; ".join(_compact(parent) for parent in provenance.parents) or "none"),
    ]
    return el("div", el("h4", "Provenance"), definitions(rows))


def _compact(mapping: Mapping[str, object]) -> str:
    return ", ".join(f"{key}: {_plain(value)}" for key, value in mapping.items())


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(codec.encode(value), ensure_ascii=False)
