"""A step is done once, and again as soon as anything that it depends on changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecv.core.errors import ConfigError
from edgecv.jobs.journal import Journal


def run(folder: Path, *, content: str = "made", settings: dict[str, object] | None = None) -> bool:
    source, out = folder / "source", folder / "out"
    if not source.exists():
        source.write_text("source")
    journal = Journal(folder / "journal.json")
    return journal.run(out, lambda: out.write_text(content), inputs=(source,), settings=settings or {"seed": 0})


def test_the_second_run_keeps_what_the_first_made(tmp_path: Path) -> None:
    assert run(tmp_path) is True
    assert run(tmp_path, content="other") is False
    assert (tmp_path / "out").read_text() == "made"


@pytest.mark.parametrize("change", ["settings", "source", "output", "output gone", "journal gone"])
def test_any_change_makes_it_again(change: str, tmp_path: Path) -> None:
    run(tmp_path)
    settings: dict[str, object] = {"seed": 1} if change == "settings" else {"seed": 0}
    if change == "source":
        (tmp_path / "source").write_text("changed")
    if change == "output":
        (tmp_path / "out").write_text("tampered")
    if change == "output gone":
        (tmp_path / "out").unlink()
    if change == "journal gone":
        (tmp_path / "journal.json").unlink()
    assert run(tmp_path, content="again", settings=settings) is True
    assert (tmp_path / "out").read_text() == "again"


def test_a_step_that_fails_is_not_recorded(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.json")

    def fail() -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        journal.run(tmp_path / "out", fail, settings={})
    assert not (tmp_path / "journal.json").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "other"}', '{"schema": "edgecv.journal/1", "steps": {"a": 1}}'])
def test_a_foreign_file_in_its_place_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "journal.json").write_text(text)
    with pytest.raises(ConfigError, match="not a journal"):
        Journal(tmp_path / "journal.json")
