"""docs/export.md: its commands and its Python work in order."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from tests.docs.pages import blocks, typed

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.mark.flow
@pytest.mark.timeout(900)
def test_the_commands_and_the_python_work_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = [typed(line.removeprefix("$ ")) for line in blocks(PAGE, "console")[0].splitlines()]
    assert "\nship model-" in "".join(said)
    (code,) = blocks(PAGE, "python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "export.md", "exec"), {})
    assert printed.getvalue().startswith("ship model-")
