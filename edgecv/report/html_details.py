"""The per-artifact sections of report.html."""

from __future__ import annotations

import json
from collections.abc import Mapping

from edgecv.core import codec
from edgecv.report import figures as show
from edgecv.report import html_heads, pictures, tables
from edgecv.report.histogram import histogram
from edgecv.report.html_parts import badge, definitions
from edgecv.report.markup import Markup, el, join
from edgecv.values.latency import Latency
from edgecv.values.manifest import Provenance
from edgecv.values.report import ArtifactResult, Report


def artifact(
    report: Report, result: ArtifactResult, provenance: Provenance | None, uris: Mapping[str, str] | None, index: int
) -> Markup:
    """Return one artifact's section, folded; without its pictures where `uris` is None, since the page has them above.

    Args:
        report: That it is of.
        result: The artifact.
        provenance: As far as it is known.
        uris: Path of an exhibit to its data URI.
        index: Of the artifact in the report.
    """
    metric = "metric unknown" if result.value is None else f"{_name(result)} {show.decimal(result.value)}"
    summary = el(
        "summary",
        el("h3", result.name),
        el("span", f"{result.format} · {result.scheme} · {show.size(result.size_bytes)} · {metric}", class_="note"),
    )
    parts = [
        summary,
        _facts(report, result),
        html_heads.section(result),
        el("p", el("a", "Its pictures", href="#differ"), class_="note")
        if uris is None
        else pictures.section(result, uris),
        _latencies(result),
        _provenance(provenance),
    ]
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
        ("Arena", f"{show.size(result.arena_bytes)} (predicted from the file)" if result.arena_bytes else show.UNKNOWN),
        (_name(result), _value(result)),
        ("Drop, with 95 % interval", tables.drop(result).line),
    ]
    rows += [
        (f"Mapped on {m.target}", f"{m.n_mapped} of {m.n_ops} operators ({m.kind})") for m in show.mappings_of(result)
    ]
    return definitions(rows)


def _name(result: ArtifactResult) -> str:
    return result.metric.name if result.metric else "Metric"


def _value(result: ArtifactResult) -> str:
    if result.value is None:
        return show.UNKNOWN
    return f"{show.decimal(result.value)} ({result.metric_kind or 'kind unknown'})"


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
