"""Killing a command without warning at a given moment, and giving it again."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edgecv.cli.main import main

ROOT = Path(__file__).parents[2]


def kill_when(arguments: Sequence[str], moment: Callable[[str], bool], *, log: Path) -> None:
    """Start `edgecv` in a process of its own and send SIGKILL once `moment` says so of what it wrote to stderr."""
    with log.open("wb") as stderr:
        command = [sys.executable, "-m", "edgecv.cli.main", *arguments]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=stderr)
    deadline = time.monotonic() + 200
    try:
        while not moment(log.read_text()):
            assert process.poll() is None, f"it ended before it could be killed:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"the moment never came:\n{log.read_text()}"
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"


def finish(arguments: Sequence[str]) -> str:
    """Give the same command here; return what it wrote to stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert not stop.value.code, err.getvalue()
    return err.getvalue()
