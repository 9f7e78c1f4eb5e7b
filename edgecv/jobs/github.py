"""What a check leaves in a GitHub job: the summary of its page, outputs for later steps, annotations for the log.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgecv.core.errors import ConfigError

LARGEST_SUMMARY = 1_000_000
"""Bytes. GitHub drops a step's summary of more than 1 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GithubJob:
    """Where a job of GitHub Actions takes what a step has to say.

    Attributes:
        summary: File whose Markdown its page shows.
        output: File of `name=value` lines that later steps read; None outside an action.
        workspace: Folder of the repository, which annotations name files relative to.
        link: Address of the run; empty when unknown.
    """

    summary: Path
    output: Path | None
    workspace: Path
    link: str


def github_job(environment: Mapping[str, str]) -> GithubJob:
    """Return the job that runs this process, as its environment variables describe it.

    Raises:
        ConfigError: There is none.
    """
    summary, output = environment.get("GITHUB_STEP_SUMMARY"), environment.get("GITHUB_OUTPUT")
    if not summary:
        raise ConfigError(
            "this is no job of GitHub Actions: GITHUB_STEP_SUMMARY is not set",
            hint="elsewhere, --markdown and --comment write the same to files",
        )
    server, repository, run = (environment.get(f"GITHUB_{n}", "") for n in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    return GithubJob(
        summary=Path(summary),
        output=Path(output) if output else None,
        workspace=Path(environment.get("GITHUB_WORKSPACE") or "."),
        link=f"{server}/{repository}/actions/runs/{run}" if server and repository and run else "",
    )


def in_repository(file: Path, job: GithubJob) -> str:
    """Return a file's path as annotations name it: relative to the repository, with slashes."""
    return Path(os.path.relpath(file.resolve(), job.workspace.resolve())).as_posix()


def add_summary(job: GithubJob, text: str, more: str) -> None:
    """Add to the job's page, `more` only where GitHub shows all of it. Raises ConfigError when it cannot be written."""
    whole = f"{text}\n{more}"
    _append(job.summary, whole if len(whole.encode()) <= LARGEST_SUMMARY else text)


def add_outputs(job: GithubJob, values: Mapping[str, str]) -> None:
    """Hand values of one line each to later steps. Raises ConfigError when they cannot be written."""
    if job.output is not None:
        _append(job.output, "".join(f"{name}={' '.join(value.splitlines())}\n" for name, value in values.items()))


def _append(file: Path, text: str) -> None:
    # Appended to, not written whole: earlier steps' words stand there.
    try:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error}", hint="the job's runner makes it: see its log"
        ) from error
