"""What `--help` shows, and what the shell completes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import typer

from edgecv.cli.app import app

from .conftest import edgecv
from .examples import commands, examples, pasted

ROOT = typer.main.get_command(app)


def completed(line: str, incomplete: str) -> list[str]:
    """Return what is offered after a line, through click's completion as typer extends it for bash."""
    from typer._completion_classes import BashComplete

    offered = BashComplete(ROOT, {}, "edgecv", "_EDGECV_COMPLETE").get_completions(line.split(), incomplete)
    return [item.value for item in offered]


def test_a_shell_asks_the_command_itself() -> None:
    line = "edgecv inspect m.tflite --target ethos-u6"
    asked = {"_EDGECV_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": "4"}
    command = [sys.executable, "-m", "edgecv.cli.main"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **asked})
    assert done.stdout.split() == ["ethos-u65-256", "ethos-u65-512"], done.stderr


@pytest.mark.parametrize(
    ("line", "incomplete", "among"),
    [
        ("inspect m.tflite --target", "ethos-u55", {"ethos-u55-128", "ethos-u55-256"}),
        ("quantize m.keras --target", "ed", {"edgetpu", "edgetpu-runtime13"}),
        ("train", "lenet", {"lenet5"}),
        ("zoo show", "unet", {"unet_small"}),
        ("quantize m.keras --scheme", "int", {"int8", "int16x8", "int4"}),
        ("quantize m.keras --calibration", "m", {"minmax", "moving_average", "mse"}),
        ("verify m.tflite --device", "arm", {"arm64", "armv7"}),
        ("device doctor", "lo", {"local"}),
        ("demo --task", "seg", {"segmentation"}),
        ("convert m.keras --preset", "imagenet", {"imagenet-tf", "imagenet-torch", "imagenet-caffe"}),
    ],
)
def test_names_are_completed(line: str, incomplete: str, among: set[str]) -> None:
    offered = completed(line, incomplete)
    assert among <= set(offered)
    assert all(name.startswith(incomplete) for name in offered)


def test_recipes_are_completed() -> None:
    from edgecv.train import recipe_names

    assert completed("train lenet5 --recipe", "") == list(recipe_names())


def test_completion_needs_no_tensorflow() -> None:
    code = (
        "import sys\n"
        "from edgecv.cli import completion as c\n"
        "known = (c.targets, c.architectures, c.calibrations, c.recipes, c.devices, c.schemes, c.presets, c.demos)\n"
        "assert all(one('') for one in known)\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_wrong_declaration_of_devices_completes_nothing(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgecv.cli import completion

    (tmp_path / "edgecv-devices.toml").write_text("broken")
    monkeypatch.chdir(tmp_path)
    assert completion.devices("") == []


def test_exit_codes_are_in_the_help() -> None:
    text = " ".join(edgecv("--help").out.split())
    assert "Exit codes: 0 done" in text
    assert "130 interrupted by Ctrl-C" in text


@pytest.mark.parametrize("command", ["quantize", "slim", "train", "bench", "evaluate"])
def test_long_commands_have_panels(command: str) -> None:
    found = next(c for path, c in commands(ROOT) if path == [command] or path == [command, "(files)"])
    panels = {getattr(parameter, "rich_help_panel", None) for parameter in found.params}
    assert len(panels - {None}) >= 2


def test_every_command_has_an_example_that_fits_a_line() -> None:
    without = [" ".join(path) for path, command in commands(ROOT) if not examples(command)]
    assert without == []
    for line in pasted(ROOT):
        assert len(f" Example: {line}") <= 79, f"folded by a terminal of 80 columns, it cannot be pasted: {line}"
