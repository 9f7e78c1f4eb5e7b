"""report.md: the report as Markdown tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

from edgecv.report import figures as show
from edgecv.report import head_tables, tables
from edgecv.report.sentences import CERTAINTY
from edgecv.report.verdict import targets
from edgecv.values.report import ArtifactResult, DatasetInfo, Report

LARGEST_TABLE = 20
"""Rows or columns of a table that Markdown still shows well."""


def render(report: Report) -> str:
    """Return the Markdown text; its first line says what the baseline is."""
    lines = [_text(show.baseline_sentence(report)), "", "# edgecv report", "", *_verdicts(report)]
    lines += ["## Artifacts", "", *_table(tables.overview(report)), ""]
    lines += [*_section("Heads", head_tables.heads(report))]
    lines += [*_section("Latency", tables.latency_tables(report)), *_predicted(report), *_slower(report)]
    lines += [*_section("Mapping", tables.mapping_tables(report)), *_unmapped(report), *_details(report)]
    lines += ["## Warnings", "", *_warnings(report), "", "## Data and host", "", *_facts(report)]
    return "\n".join(lines) + "\n"


def digest(report: Report) -> str:
    """Return the parts that a reader in a hurry wants: the verdict, the files and the warnings, without pictures."""
    lines = [_text(show.baseline_sentence(report)), "", *_verdicts(report), *_table(tables.overview(report)), ""]
    lines += ["Warnings:", "", *_warnings(report)] if report.warnings else []
    return "\n".join(lines) + "\n"


def _verdicts(report: Report) -> Iterator[str]:
    if not report.verdicts:
        return
    yield from ("## Verdict", "")
    for verdict in report.verdicts:
        ship = f"ship {_text(verdict.artifact)}" if verdict.artifact else "ship nothing"
        yield f"- **{_text(verdict.target)}: {ship}** ({CERTAINTY[verdict.certainty]})"
        yield from (f"  - {_text(sentence)}" for sentence in (*verdict.why, *verdict.instead))
    yield ""


def _predicted(report: Report) -> Iterator[str]:
    found = [table for target in targets(report) if (table := tables.predicted_table(report, target)) is not None]
    if found:
        yield from ("## Predicted time", "")
    for table in found:
        yield from (*_table(table), "")


def _slower(report: Report) -> Iterator[str]:
    found = tables.slower_tables(report)
    if found:
        yield from ("## Quantised, and slower", "")
    for sentence, table in found:
        yield from (_text(sentence), "")
        if table is not None:
            yield from (*_table(table), "")


def _section(title: str, content: tuple[tables.Table, ...]) -> Iterator[str]:
    yield from (f"## {title}", "")
    if not content:
        yield from (f"{title}: unknown for every artifact; the warnings say why.", "")
    for table in content:
        yield from (*_table(table), "")


def _facts(report: Report) -> Iterator[str]:
    yield f"- Created: {_text(report.created)}"
    yield f"- Data set: {_text(_dataset(report.dataset))}"
    for term, fact in show.host_rows(report):
        yield f"- {_text(term)}: {_text(fact)}"


def _dataset(dataset: DatasetInfo | None) -> str:
    if dataset is None:
        return show.UNKNOWN
    return f"{dataset.name}, {dataset.n} samples of its {dataset.split} split, sha256 {dataset.sha256}"


def _table(table: tables.Table) -> Iterator[str]:
    yield _text(table.caption)
    notes = [f"{c.title}: {c.help}" for c in table.columns if c.help]
    if notes:
        yield ""
        yield _text("; ".join(notes) + ".")
    yield ""
    yield "| " + " | ".join(_text(c.title) for c in table.columns) + " |"
    yield "|" + "|".join("---:" if c.numeric else "---" for c in table.columns) + "|"
    for row in table.rows:
        yield "| " + " | ".join(_text(cell.line) for cell in row) + " |"


def _unmapped(report: Report) -> Iterator[str]:
    lines = [
        f"- {_text(a.name)} on {_text(m.target)}: operator {u.index} {_text(u.op)}"
        f" (layer {_text(u.layer or show.UNKNOWN)}): {_text(u.reason)}"
        for a in report.artifacts
        for m in show.mappings_of(a)
        for u in m.unmapped
    ]
    if lines:
        yield from ("### Operators left to the CPU", "", *lines, "")


def _details(report: Report) -> Iterator[str]:
    lines = [line for artifact in report.artifacts for line in _artifact(artifact)]
    if lines:
        yield from ("## Each artifact", "", *lines)


def _artifact(artifact: ArtifactResult) -> Iterator[str]:
    for head in artifact.heads:
        labels = head_tables.per_label(head)
        found = [*([labels] if labels else []), *map(head_tables.grid, head.tables)]
        if found:
            yield from (f"### {_text(artifact.name)}, head {_text(head.head)}", "")
        for table in found:
            yield from (*_small(table), "")
    for exhibit in artifact.exhibits:
        note = f" {_text(exhibit.note)}" if exhibit.note else ""
        yield from (f"![{_text(exhibit.title)}](<{_address(exhibit.path)}>)", "")
        yield from (f"{_text(artifact.name)}: {_text(exhibit.title)}.{note}", "")


def _small(table: tables.Table) -> Iterator[str]:
    if max(len(table.rows), len(table.columns) - 1) <= LARGEST_TABLE:
        yield from _table(table)
    else:
        yield f"{_text(table.caption)}: {len(table.rows)} rows; report.json has them."


def _address(path: str) -> str:
    return quote(path, safe="/ ._-+=,@~")


def _warnings(report: Report) -> list[str]:
    return [f"- {_text(warning)}" for warning in report.warnings] or ["None."]


def _text(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(text.split()))
