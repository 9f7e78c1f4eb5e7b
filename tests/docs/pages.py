"""What a page shows: its blocks of code, and its commands, typed as a reader types them."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from edgecv.cli.main import main


def blocks(page: Path, language: str) -> list[str]:
    """Return the text of every block of a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def commands(page: Path) -> list[str]:
    """Return the lines of its console blocks, without the prompt."""
    return [line.removeprefix("$ ") for text in blocks(page, "console") for line in text.splitlines() if line]


def typed(line: str, *, codes: tuple[int, ...] = (0,)) -> str:
    """Run a line that begins with edgecv; return what it printed. Fails unless its exit code is one of `codes`."""
    program, *arguments = shlex.split(line)
    assert program == "edgecv"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main(arguments)
    assert (stop.value.code or 0) in codes, f"{line}\n{err.getvalue()}"
    return out.getvalue()
