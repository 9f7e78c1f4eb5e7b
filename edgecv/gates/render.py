"""A gate report as JUnit XML, for CI, and as Markdown, for people: a page, and the text of a comment."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from edgecv.gates.checking import GateReport, GateResult

# Characters that XML 1.0 cannot hold, even escaped. Source: https://www.w3.org/TR/xml/#charsets
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(gate_report: GateReport) -> str:
    """Return JUnit XML: one test case per checked figure, its class name the artifact."""
    failures = str(len(gate_report.failures))
    counts = {"tests": str(len(gate_report.results)), "failures": failures, "errors": "0", "skipped": "0"}
    suites = ElementTree.Element("testsuites", {"name": "edgecv check", **counts})
    suite = ElementTree.SubElement(suites, "testsuite", {"name": _xml(gate_report.gates), **counts})
    for result in gate_report.results:
        _junit_case(suite, result)
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _junit_case(suite: ElementTree.Element, result: GateResult) -> None:
    attributes = {"classname": _xml(result.artifact), "name": _xml(result.figure), "time": "0"}
    case = ElementTree.SubElement(suite, "testcase", attributes)
    text = _xml(f"{result.where}: {result.message}" + (f"\nnext: {result.hint}" if result.hint else ""))
    if result.passed:
        ElementTree.SubElement(case, "system-out").text = text
        return
    failure = ElementTree.SubElement(case, "failure", {"type": result.status, "message": _xml(result.message)})
    failure.text = text


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def to_markdown(gate_report: GateReport) -> str:
    """Return Markdown: the verdict, a table of all checks, then each failure with its next step."""
    lines = [_verdict(gate_report), "", *_table(gate_report)]
    if gate_report.failures:
        lines += ["", "### Failures", "", *map(_failure, gate_report.failures)]
    return "\n".join([*lines, *_ungated(gate_report)]) + "\n"


LARGEST_COMMENT = 65_000
"""Bytes. GitHub refuses a comment of more than 65,536 characters."""
FEW_FAILURES = 20


def marker(gate_report: GateReport) -> str:
    """Return the first line of a comment: unseen, and the same each time, so that a comment is found and replaced."""
    # "--" would end the comment's HTML.
    return f"<!-- edgecv check: {' '.join(gate_report.gates.split()).replace('--', '- -')} -->"


def to_comment(gate_report: GateReport, *, link: str = "") -> str:
    """Return the text of a comment on a change: what failed first, the table folded, never longer than a host takes.

    Args:
        gate_report: What was checked.
        link: Address of the job that checked it; empty for none.
    """
    word = "passed" if gate_report.passed else "failed"
    head = [marker(gate_report), f"### edgecv: gates {word}", "", _verdict(gate_report), ""]
    foot = [*_ungated(gate_report), *(["", f"[The job that measured this]({link})"] if link else [])]
    failures = list(map(_failure, gate_report.failures))
    folded = ["", "<details><summary>All checks</summary>", "", *_table(gate_report), "", "</details>"]
    few = [*failures[:FEW_FAILURES], f"- and {len(failures) - FEW_FAILURES} more: the job's summary has all"]
    bodies = ([*failures, *folded, *foot], [*failures, *foot], [*few, *foot])
    texts = ["\n".join([*head, *body]) + "\n" for body in bodies]
    shortest = "\n".join([*head[:-1], "", "The job's summary has what failed."]) + "\n"
    return next((text for text in texts if len(text.encode()) <= LARGEST_COMMENT), shortest)


def _verdict(gate_report: GateReport) -> str:
    n, failed = len(gate_report.results), len(gate_report.failures)
    word = "Passed" if gate_report.passed else "Failed"
    return f"**{word}**: {n - failed} of {n} checks of {_md(gate_report.gates)} hold."


def _table(gate_report: GateReport) -> list[str]:
    lines = ["| status | artifact | figure | expected | got |", "|---|---|---|---|---|"]
    return [*lines, *map(_row, gate_report.results)]


def _ungated(gate_report: GateReport) -> list[str]:
    if not gate_report.ungated:
        return []
    return ["", f"No gate speaks of: {', '.join(map(_md, gate_report.ungated))}."]


def _row(result: GateResult) -> str:
    low, high = _number(result.low), _number(result.high)
    expected = "in the report" if result.figure == "artifact" else f"{low} to {high}"
    got = _number(result.value)
    if result.interval is not None:
        got += f" [{_number(result.interval[0])}, {_number(result.interval[1])}]"
    return f"| {result.status} | {_md(result.artifact)} | {_md(result.figure)} | {expected} | {got} |"


def _failure(result: GateResult) -> str:
    hint = f" Next: {_md(result.hint)}." if result.hint else ""
    return f"- **{_md(result.artifact)}**, {_md(result.figure)} ({_md(result.where)}): {_md(result.message)}.{hint}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"


def _md(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(text.split()))
