"""A section per target of report.html: latency that was measured there, time that is predicted, and operators."""

from __future__ import annotations

from edgecv.report import figures as show
from edgecv.report import html_tables, tables
from edgecv.report.html_parts import badge
from edgecv.report.html_verdict import anchor
from edgecv.report.markup import Markup, el, join
from edgecv.report.verdict import targets
from edgecv.values.report import Report


def sections(report: Report) -> Markup:
    """Return the section of each target."""
    if not report.artifacts:
        return el("p", "Mapping: unknown, since there is no artifact.", class_="note")
    return join(_section(report, target) for target in targets(report))


def _section(report: Report, target: str) -> Markup:
    timed = join(html_tables.table(table) for table in tables.latency_tables(report, target))
    predicted = tables.predicted_table(report, target)
    parts = [
        el("h3", target),
        _ship(report, target),
        timed or el("p", _untimed(report, target), class_="note"),
        join([el("h4", "Predicted time ", badge("predicted")), html_tables.table(predicted)]) if predicted else "",
        html_tables.mapping(report, target),
    ]
    return el("section", *parts, id=anchor(target), class_="target")


def _ship(report: Report, target: str) -> Markup:
    verdict = next((v for v in report.verdicts if v.target == target), None)
    if verdict is None:
        return Markup("")
    chosen = f"Ship {verdict.artifact}. " if verdict.artifact else "Ship nothing. "
    return el("p", el("strong", chosen), verdict.why[0] if verdict.why else "")


def _untimed(report: Report, target: str) -> str:
    known = any(a.latency for a in report.artifacts)
    made_for = any(a.target == target for a in report.artifacts)
    if made_for and not known:
        return "Latency: unknown for every artifact; the warnings say why."
    said = "Nothing was timed on this target: measure there before you rely on a speed."
    if tables.predicted_table(report, target) is None:
        said += f" No time is predicted either; `edgecv inspect FILE --target {target}` says what it would take."
    return said


def slower(report: Report) -> Markup:
    """Return why quantised files are slower than the float one; nothing where none is."""
    found = tables.slower_tables(report)
    if not found:
        return el("p", show.NONE_SLOWER, class_="note")
    return join(join([el("p", sentence), html_tables.table(t) if t else ""]) for sentence, t in found)
