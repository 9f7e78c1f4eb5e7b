"""The commands of the documents on training, quantisation-aware training, slimming and the zoo work, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecv.train import recipe
from tests.docs.pages import blocks, commands, typed

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.flow
@pytest.mark.timeout(900)
def test_the_commands_work_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text(blocks(DOCS / "training.md", "toml")[0])
    lines = [line for name in ("training.md", "qat.md", "slimming.md", "zoo.md") for line in commands(DOCS / name)]
    assert len(lines) >= 9
    for line in lines:
        # zoo convert says with 1 that a network of a few hundred weights has no dynamic file
        typed(line, codes=(0, 1) if "zoo convert" in line else (0,))
    assert (tmp_path / "logs" / "train.csv").exists()
    assert (tmp_path / "parts" / "head.keras").exists()


def test_the_recipes_of_the_document_are_valid(tmp_path: Path) -> None:
    for index, text in enumerate(blocks(DOCS / "training.md", "toml")):
        path = tmp_path / f"{index}.toml"
        path.write_text(text)
        assert recipe(str(path)).epochs >= 1
