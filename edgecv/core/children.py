"""Ending child processes that are spoken to through pipes."""

from __future__ import annotations

import contextlib
import subprocess
from typing import Any


def end(process: subprocess.Popen[Any], *, seconds: float, at_once: bool = False) -> None:
    """Close a child's pipes, which asks it to end, and wait for it; kill it when it does not. Safe to call twice.

    Args:
        seconds: How long it may finish what it does.
        at_once: Kill it first.
    """
    if at_once:
        process.kill()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
