"""A gate report as GitHub's workflow commands, which show a failure beside its line of the gates file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from edgecv.gates.checking import GateReport, GateResult

SHOWN = 10
"""Annotations of one level that GitHub shows of a step; it drops what comes after."""

Level = Literal["error", "warning"]


def workflow_commands(gate_report: GateReport, *, file: str) -> tuple[str, ...]:
    """Return a line for every failure, and for what passes but wants a hand; the runner reads them from the log.

    Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands

    Args:
        gate_report: What was checked.
        file: The gates file, relative to the root of the repository.
    """
    explained = [result for result in gate_report.results if result.status == "explained"]
    warnings = [*(_of(result, "warning", file) for result in explained), *_ungated(gate_report, file)]
    return (*_first([_of(r, "error", file) for r in gate_report.failures], "error", file), *warnings[:SHOWN])


def _of(result: GateResult, level: Level, file: str) -> str:
    text = result.message + (f"\nnext: {result.hint}" if result.hint else "")
    return command(level, text, file=file, line=result.line, title=f"{result.artifact}: {result.figure}")


def _ungated(gate_report: GateReport, file: str) -> Iterator[str]:
    if gate_report.ungated:
        names = ", ".join(gate_report.ungated)
        yield command("warning", f"no gate speaks of {names}", file=file, title="files without a gate")


def _first(lines: list[str], level: Level, file: str) -> list[str]:
    """Return as many lines as GitHub shows; the last one says how many more there are."""
    if len(lines) <= SHOWN:
        return lines
    more = len(lines) - SHOWN + 1
    text = f"{more} more checks failed: the summary of the job has them"
    return [*lines[: SHOWN - 1], command(level, text, file=file, title="and more")]


def command(level: Level, text: str, *, file: str = "", line: int | None = None, title: str = "") -> str:
    """Return one workflow command, a single line whatever its text holds."""
    properties = {"file": file, "line": "" if line is None else str(line), "title": title}
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{level}{' ' if given else ''}{given}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
