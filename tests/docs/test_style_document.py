"""docs/style.md: its commands and its Python work in order, and its tables are whole."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image

from edgecv.cli.app import app
from edgecv.cli.main import main
from edgecv.tasks.imaging import ImagingSettings

PAGE = (Path(__file__).parents[2] / "docs" / "style.md").read_text()


@pytest.mark.flow
@pytest.mark.timeout(900)
def test_the_commands_and_the_python_work_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, object] = {}
    for language, text in re.findall(r"```(python|console)\n(.*?)```", PAGE, flags=re.DOTALL):
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(text, "style.md", "exec"), given)
            continue
        for line in text.splitlines():
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
                main(shlex.split(line)[2:])
            assert not stop.value.code, f"{line}\n{err.getvalue()}"
    assert Image.open("styled.png").size == Image.open("photo.png").size
    assert len(list(Path("previews").iterdir())) == 2


def test_its_settings_and_options_are_there() -> None:
    (table,) = re.findall(r"\| setting \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE)
    listed = re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.splitlines()))
    assert listed == [field.name for field in fields(ImagingSettings)]
    import typer

    transfer = typer.main.get_command(app).commands["style"].commands["transfer"]  # type: ignore[attr-defined]
    known = {option for parameter in transfer.params for option in parameter.opts}
    (table,) = re.findall(r"\| option \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE)
    assert set(re.findall(r"`(--[\w-]+)`", "\n".join(row.split("|")[1] for row in table.splitlines()))) <= known
