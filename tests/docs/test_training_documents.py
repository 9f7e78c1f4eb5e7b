"""The commands of the documents on training, quantisation-aware training, slimming and the zoo work, in order."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from edgecv.cli.main import main
from edgecv.train import recipe

DOCS = Path(__file__).parents[2] / "docs"


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / name).read_text(), flags=re.DOTALL)


@pytest.mark.flow
@pytest.mark.timeout(900)
def test_the_commands_work_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text(blocks("training.md", "toml")[0])
    lines = [
        line[2:]
        for name in ("training.md", "qat.md", "slimming.md", "zoo.md")
        for block in blocks(name, "console")
        for line in block.splitlines()
    ]
    assert len(lines) >= 9
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "edgecv"
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
            main(arguments)
        # zoo convert says with 1 that a network of a few hundred weights has no dynamic file
        assert stop.value.code in ((0, 1) if "zoo convert" in line else (0, None)), f"{line}\n{err.getvalue()}"
    assert (tmp_path / "logs" / "train.csv").exists()
    assert (tmp_path / "parts" / "head.keras").exists()


def test_the_recipes_of_the_document_are_valid(tmp_path: Path) -> None:
    for index, text in enumerate(blocks("training.md", "toml")):
        path = tmp_path / f"{index}.toml"
        path.write_text(text)
        assert recipe(str(path)).epochs >= 1
