"""A repository as GitHub checks it out, and a runner for the action."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from tests.action.replay import Runner

ROOT = Path(__file__).parents[2]


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Return a runner in an empty repository; `edgecv` is this checkout's, and pip says what it was asked for."""
    programs, workspace, temporary = tmp_path / "bin", tmp_path / "repository", tmp_path / "temporary"
    for folder in (programs, workspace, temporary):
        folder.mkdir()
    _program(programs / "edgecv", f'exec "{sys.executable}" -m edgecv "$@"')
    _program(programs / "python", 'echo "asked: $*"')
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    # Not said to be GitHub by whatever runs these tests.
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return Runner(ROOT / "action.yml", workspace=workspace, temporary=temporary, path=programs)


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
