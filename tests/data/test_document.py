"""docs/data.md: its Python makes the files that its commands show."""

import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import pytest

from edgecv.cli.main import main
from edgecv.data import schemes

DOCUMENT = Path(__file__).parents[2] / "docs" / "data.md"


def test_the_examples_work_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    shown = []
    for language, text in re.findall(r"```(python|console)\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL):
        if language == "python":
            exec(compile(text, str(DOCUMENT), "exec"), names)
            continue
        for line in text.splitlines():
            out = io.StringIO()
            with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as stop:
                main(shlex.split(line)[2:])
            assert not stop.value.code, line
            shown.append(out.getvalue())
    assert len(shown) == 9
    assert json.loads(shown[3])["sizes"] == {"all": 300}
    assert "age: regression, 1 value\n" in shown[4]
    assert "years" in shown[4]
    assert "glasses " in shown[4]
    assert all(len(line) <= 80 for text in shown if not text.startswith("{") for line in text.splitlines())
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "characters.png",
        "scenes.png",
        "streets.png",
        "cells.png",
    }


def test_every_address_is_there():
    text = DOCUMENT.read_text()
    assert all(f"| `{scheme.form.split(' or ')[0]}`" in text for scheme in schemes())
