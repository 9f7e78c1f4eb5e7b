"""What GitHub is told: a line for each failure, escaped, at its place, and no more of them than it shows."""

from __future__ import annotations

import dataclasses

import pytest

from edgecv import gates
from edgecv.gates.github import SHOWN, command
from edgecv.gates.places import entry_lines, figure_line
from edgecv.gates.render import LARGEST_COMMENT

BOUND = "{reference = 0.5, tolerance_down = 0.1, tolerance_up = 0.1}"
TEXT = f"""report = "r.json"

[[gate]]
artifact = "net-int8"
metric = {BOUND}
mapped_ops."edge.tpu" = {BOUND}

[gate.per_label.car]
iou = {BOUND}

[[ gate ]]  # the second
artifact = "other"
metric = {BOUND}
latency_ratio = [{BOUND}]
"""


@pytest.mark.parametrize(
    ("entry", "figure", "line"),
    [
        (0, "metric", 5), (0, "mapped_ops.edge.tpu", 6), (0, "size_bytes", 3), (0, "artifact", 4), (1, "metric", 13),
        (1, "latency_ratio[0] on local, cpu, 1 threads", 14),
    ],
)  # fmt: skip
def test_a_figure_has_a_line(entry: int, figure: str, line: int) -> None:
    entries = entry_lines(TEXT, 2)
    assert entries == (3, 11)
    assert figure_line(TEXT.splitlines(), entries[entry], figure) == line


def test_entries_that_are_written_another_way_have_no_line() -> None:
    assert entry_lines('gate = [{artifact = "a"}]', 1) == ()


def test_a_command_is_one_line_whatever_it_says() -> None:
    said = command("error", "100 %\nnext: look", file="a,b:c.toml", line=3, title="x: y")
    assert said == "::error file=a%2Cb%3Ac.toml,line=3,title=x%3A y::100 %25%0Anext: look"


def failing(gates_file, report, count: int):
    entries = [f'[[gate]]\nartifact = "absent-{place}"\nmetric = {BOUND}\n' for place in range(count)]
    return gates.check(gates_file("\n".join(entries)), report=report)


def test_the_last_one_says_how_many_more_there_are(gates_file, report) -> None:
    lines = gates.workflow_commands(failing(gates_file, report, 13), file="gates.toml")
    errors = [line for line in lines if line.startswith("::error ")]
    assert len(errors) == SHOWN
    assert "4 more checks failed" in errors[-1]
    assert [line for line in lines if line.startswith("::warning ")] == [
        "::warning file=gates.toml,title=files without a gate::no gate speaks of net-int8, net-int8-qat"
    ]


def test_an_explained_gain_is_a_warning(gates_file, report) -> None:
    bound = '{reference = 0.9, tolerance_down = 0.01, tolerance_up = 0.01, explained = "longer training"}'
    checked = gates.check(gates_file(f'[[gate]]\nartifact = "net-int8*"\nmetric = {bound}'), report=report)
    lines = gates.workflow_commands(checked, file="gates.toml")
    assert [line.split(" ")[0] for line in lines] == ["::warning", "::warning"]
    assert "longer training" in lines[0]
    assert "line=3" in lines[0]


@pytest.mark.parametrize("count", [1, 40, 400, 20_000])
def test_a_comment_is_never_longer_than_github_takes(gates_file, report, count) -> None:
    (only,) = failing(gates_file, report, 1).results
    text = gates.to_comment(gates.GateReport(gates="gates.toml", results=(only,) * count), link="https://ci/1")
    assert len(text.encode()) <= LARGEST_COMMENT
    assert text.startswith("<!-- edgecv check: gates.toml -->\n### edgecv: gates failed\n")
    assert f"0 of {count} checks" in text
    assert "[The job that measured this](https://ci/1)" in text
    assert ("All checks" in text) == (count < 400)


def test_a_marker_cannot_end_its_own_comment(gates_file, report) -> None:
    checked = dataclasses.replace(failing(gates_file, report, 1), gates="a--> <script>\n.toml")
    assert gates.marker(checked).count("-->") == 1
