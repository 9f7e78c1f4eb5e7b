"""Running gates from paths, and recording new ones."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edgecv import gates
from edgecv.core.files import check_output, write_text
from edgecv.core.shown import Shown
from edgecv.gates import GateResult
from edgecv.values.report import read_report


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Shown):
    """All gates of one file. `failure` is the sentence for the user when one did not pass."""

    passed: bool
    results: tuple[GateResult, ...]
    failure: str


def run(path: Path, *, junit: Path | None = None, markdown: Path | None = None) -> Outcome:
    """Check every gate of a TOML file and write the summaries asked for, whether they pass or not.

    Raises:
        ConfigError: The gates file or the report it names is missing or wrong.
    """
    report = gates.check(path)
    if junit is not None:
        write_text(junit, gates.to_junit(report))
    if markdown is not None:
        write_text(markdown, gates.to_markdown(report))
    failed = [result for result in report.results if not result.passed]
    names = ", ".join(f"{result.artifact} ({result.figure})" for result in failed)
    return Outcome(
        passed=report.passed,
        results=report.results,
        failure=f"{len(failed)} of {len(report.results)} gates failed: {names}" if failed else "",
    )


def record(path: Path, report: Path, *, force: bool = False) -> Path:
    """Write a gates file from a report's figures. Raises ConfigError when `path` exists and `force` is false."""
    check_output(path, force=force)
    relative = os.path.relpath(report.resolve(), path.resolve().parent)
    write_text(path, gates.record(read_report(report), report_path=Path(relative).as_posix()))
    return path
