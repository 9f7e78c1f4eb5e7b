"""A gate report as JUnit XML, for CI, and as Markdown, for people."""

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
    n, failed = len(gate_report.results), len(gate_report.failures)
    word = "Passed" if gate_report.passed else "Failed"
    verdict = f"**{word}**: {n - failed} of {n} checks of {_md(gate_report.gates)} hold."
    lines = [verdict, "", "| status | artifact | figure | expected | got |", "|---|---|---|---|---|"]
    lines += [_row(result) for result in gate_report.results]
    if gate_report.failures:
        lines += ["", "### Failures", ""]
        lines += [_failure(result) for result in gate_report.failures]
    if gate_report.ungated:
        lines += ["", f"No gate speaks of: {', '.join(map(_md, gate_report.ungated))}."]
    return "\n".join(lines) + "\n"


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
