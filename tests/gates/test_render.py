import dataclasses
from xml.etree import ElementTree

import pytest

from edgecv import gates
from edgecv.core.codec import encode

TEXT = """
[[gate]]
artifact = "net-int8"
metric = {reference = 0.98, tolerance_down = 0.0, tolerance_up = 0.0}
size_bytes = {reference = 10, tolerance_down = 0, tolerance_up = 0}
[[gate]]
artifact = "gone"
metric = {reference = 0.98, tolerance_down = 0.0, tolerance_up = 0.0}
"""


@pytest.fixture(scope="module")
def outcome(report, gates_file):
    return gates.check(gates_file(TEXT), report=report)


def test_junit_counts_and_cases(outcome):
    root = ElementTree.fromstring(gates.to_junit(outcome))
    (suite,) = root
    assert root.tag == "testsuites"
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "2", "0")
    cases = {(c.get("classname"), c.get("name")): c for c in suite}
    assert cases["net-int8", "metric"].find("failure") is None
    failure = cases["net-int8", "size_bytes"].find("failure")
    assert failure.get("type") == "regression"
    assert failure.get("message") == "expected 10 to 10 (reference 10), got 1000"
    assert "next: " in failure.text
    assert cases["gone", "artifact"].find("failure").get("type") == "missing"


def test_junit_escapes_what_xml_cannot_hold(outcome):
    evil = "<&\"'>]]>\x00\x1b\ud800✓"
    result = dataclasses.replace(outcome.results[1], artifact=evil, figure=evil, where=evil, message=evil, hint=evil)
    text = gates.to_junit(gates.GateReport(gates=evil, results=(result,)))
    case = ElementTree.fromstring(text.encode("utf-8"))[0][0]
    assert case.get("classname") == "<&\"'>]]>\ufffd\ufffd\ufffd✓"


def test_markdown(outcome):
    text = gates.to_markdown(outcome)
    assert text.startswith("**Failed**: 1 of 3 checks of ")
    assert "| pass | net-int8 | metric | 0.98 to 0.98 | 0.98 |" in text
    assert "| regression | net-int8 | size\\_bytes | 10 to 10 | 1000 |" in text
    assert "| missing | gone | artifact | in the report | none |" in text
    assert "No gate speaks of: net-int8-qat." in text


def test_markdown_of_a_pass(outcome):
    passed = gates.GateReport(gates="g.toml", results=outcome.results[:1])
    assert gates.to_markdown(passed).startswith("**Passed**: 1 of 1 checks of g.toml hold.")
    assert "Failures" not in gates.to_markdown(passed)


def test_markdown_escapes(outcome):
    result = dataclasses.replace(outcome.results[0], artifact="a|b\n<script>")
    assert "a\\|b \\<script\\>" in gates.to_markdown(gates.GateReport(gates="g", results=(result,)))


def test_a_report_of_no_checks_has_not_passed():
    assert not gates.GateReport(gates="g", results=()).passed


def test_json_says_whether_it_passed(outcome):
    document = encode(outcome)
    assert document["passed"] is False
    assert [result["passed"] for result in document["results"]] == [True, False, False]
