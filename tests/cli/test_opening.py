"""How a model is opened is asked for in one place, and every command that takes a model has all of it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

from edgecv.cli.app import app
from edgecv.cli.opening import AS_IT_IS, OPTIONS, Opening, opens
from edgecv.jobs.models import Source

COMMANDS = (
    "export", "prune", "slim", "quantize", "convert", "compress", "optimize", "evaluate", "debug", "view", "split",
)  # fmt: skip


def parameters(name: str) -> set[str]:
    command: Any = typer.main.get_command(app)
    return {one.name for one in command.commands[name].params}


def test_the_options_are_the_fields_of_a_source() -> None:
    known = {field.name for field in fields(Source)} - {"path"}
    assert set(OPTIONS) == known == {field.name for field in fields(Opening)}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_them_all(name: str) -> None:
    assert set(OPTIONS) <= parameters(name)


def test_a_command_may_have_one_of_its_own() -> None:
    assert "signature" not in parameters("train")
    assert {"spec", "preset", "architecture", "input_size"} <= parameters("train")
    assert "signature" in parameters("reshape")


def test_what_is_said_reaches_the_source() -> None:
    @opens(without=("spec",))
    def command(model: Path, opening: Opening = AS_IT_IS, force: bool = False) -> Any:
        return opening.source(model), force

    given = {name: None for name in OPTIONS if name != "spec"} | {"unsafe": True, "signature": "embed"}
    source, force = command(model=Path("m"), force=True, **given)
    assert source == Source(path=Path("m"), unsafe=True, signature="embed")
    assert force
