"""docs/export.md: its commands and its Python work in order."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from edgecv.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.flow
@pytest.mark.timeout(900)
def test_the_commands_and_the_python_work_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    for line in blocks("console")[0].splitlines():
        program, *arguments = shlex.split(line.removeprefix("$ "))
        assert program == "edgecv"
        err = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
            main(arguments)
        assert not stop.value.code, f"{line}\n{err.getvalue()}"
    assert "\nship model-" in out.getvalue()
    (code,) = blocks("python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "export.md", "exec"), {})
    assert printed.getvalue().startswith("ship model-")
