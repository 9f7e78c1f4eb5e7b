"""report.html: one file that works offline, without JavaScript, on a phone, in the dark and on paper."""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path

from edgecv.report import figures as show
from edgecv.report import head_tables, html_charts, html_details, html_tables, html_targets, html_verdict, tables
from edgecv.report.html_parts import definitions
from edgecv.report.markup import Markup, el, escape, join
from edgecv.values.manifest import Provenance
from edgecv.values.report import Report


def render(
    report: Report, *, provenance: Mapping[str, Provenance] | None = None, pictures: Mapping[str, str] | None = None
) -> str:
    """Return the page: the verdict first, then what it rests on, the host's facts last.

    Args:
        report: What to show; everything in it is escaped.
        provenance: Of artifacts by name, as far as it is known.
        pictures: Path of an exhibit to its data URI, as far as it is at hand.
    """
    template = Path(__file__).with_name("template.html").read_text(encoding="utf-8")
    return string.Template(template).substitute(
        title=escape(_title(report)),
        baseline=escape(show.baseline_sentence(report)),
        verdict=html_verdict.cards(report, _links(report)),
        facts=_facts(report),
        overview=html_tables.table(tables.overview(report, mapped=False), links=_links(report)),
        charts=html_charts.section(report),
        differ=html_verdict.differing(report, pictures or {}),
        targets=html_targets.sections(report),
        slower=html_targets.slower(report),
        # On paper a single head says again what the artifacts' table says.
        heads_class="" if any(len(artifact.heads) > 1 for artifact in report.artifacts) else "screen",
        heads=join(html_tables.table(table) for table in head_tables.heads(report)) or _no_heads(),
        details=_details(report, provenance or {}, pictures or {}),
        warnings=_warnings(report),
    )


def _title(report: Report) -> str:
    return f"edgecv report, {report.dataset.name}" if report.dataset else "edgecv report"


def _facts(report: Report) -> Markup:
    rows = [("Created", report.created)]
    if report.dataset:
        data = report.dataset
        rows += [
            ("Data set", f"{data.name}, {data.n} samples of the {data.split} split"),
            ("Data SHA-256", data.sha256),
        ]
    rows += show.host_rows(report)
    return definitions(rows)


def _links(report: Report) -> dict[str, str]:
    return {artifact.name: f"#artifact-{i}" for i, artifact in enumerate(report.artifacts)}


def _no_heads() -> Markup:
    return el("p", "Heads: no artifact was evaluated; the warnings say why.", class_="note")


def _details(report: Report, provenance: Mapping[str, Provenance], pictures: Mapping[str, str]) -> Markup:
    above = html_verdict.drawn(report)
    return join(
        html_details.artifact(
            report, artifact, provenance.get(artifact.name), None if artifact is above else pictures, i
        )
        for i, artifact in enumerate(report.artifacts)
    )


def _warnings(report: Report) -> Markup:
    if not report.warnings:
        return el("p", "None.")
    return el("ul", *(el("li", warning) for warning in report.warnings))
