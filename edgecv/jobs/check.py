"""Running gates from paths, and recording new ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgecv import gates
from edgecv.core.files import check_output, write_text
from edgecv.core.shown import Shown
from edgecv.gates import GateReport, GateResult
from edgecv.jobs.github import GithubJob, add_outputs, add_summary, github_job, in_repository
from edgecv.report.markdown import digest
from edgecv.values.report import Report, read_report


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Shown):
    """All gates of one file. `failure` is the sentence for the user when one did not pass.

    Attributes:
        annotations: Workflow commands for the log of a GitHub job; empty elsewhere.
    """

    passed: bool
    results: tuple[GateResult, ...]
    failure: str
    annotations: tuple[str, ...] = ()


def run(
    path: Path,
    *,
    junit: Path | None = None,
    markdown: Path | None = None,
    comment: Path | None = None,
    github: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Outcome:
    """Check every gate of a TOML file and write the summaries asked for, whether they pass or not.

    Args:
        path: The gates file.
        junit: Where JUnit XML goes.
        markdown: Where Markdown goes.
        comment: Where the text of a comment on the change goes.
        github: Also write the summary and the outputs of the GitHub job that runs this.
        environment: Tells of that job.

    Raises:
        ConfigError: The gates file or the report it names is missing or wrong, or there is no GitHub job.
    """
    job = github_job(environment) if github else None
    report = gates.named_report(path)
    checked = gates.check(path, report=report)
    if junit is not None:
        write_text(junit, gates.to_junit(checked))
    if markdown is not None:
        write_text(markdown, gates.to_markdown(checked))
    if comment is not None:
        write_text(comment, gates.to_comment(checked, link=job.link if job is not None else ""))
    if job is not None:
        _tell(job, checked, report, {"junit": junit, "comment": comment, "report": gates.report_path(path)})
    failed = checked.failures
    names = ", ".join(f"{result.artifact} ({result.figure})" for result in failed)
    return Outcome(
        passed=checked.passed,
        results=checked.results,
        failure=f"{len(failed)} of {len(checked.results)} gates failed: {names}" if failed else "",
        annotations=gates.workflow_commands(checked, file=in_repository(path, job)) if job is not None else (),
    )


def _tell(job: GithubJob, checked: GateReport, report: Report, files: Mapping[str, Path | None]) -> None:
    word = "passed" if checked.passed else "failed"
    measured = f"<details><summary>What was measured</summary>\n\n{digest(report)}\n</details>\n"
    add_summary(job, f"## edgecv: gates {word}\n\n{gates.to_markdown(checked)}", measured)
    counts = {"checks": str(len(checked.results)), "failures": str(len(checked.failures))}
    written = {name: str(file) for name, file in files.items() if file is not None}
    add_outputs(job, {"passed": str(checked.passed).lower(), **counts, **written})


def record(path: Path, report: Path, *, force: bool = False) -> Path:
    """Write a gates file from a report's figures. Raises ConfigError when `path` exists and `force` is false."""
    check_output(path, force=force)
    relative = os.path.relpath(report.resolve(), path.resolve().parent)
    write_text(path, gates.record(read_report(report), report_path=Path(relative).as_posix()))
    return path
