"""Runs the command line in-process, and makes one small set of real files for all its tests."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgecv.cli.main import main


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str


def edgecv(*arguments: object) -> Result:
    """Run `edgecv ARGUMENTS…` and return its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return Result(int(stop.value.code or 0), out.getvalue(), err.getvalue())


@dataclass(frozen=True, slots=True)
class Made:
    """Real files: LeNet-5 trained for two epochs, and what was made from it."""

    keras: Path
    float32: Path
    int8: Path
    onnx: Path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    files = Made(folder / "m.keras", folder / "float32.tflite", folder / "int8.tflite", folder / "float32.onnx")
    steps = (
        ("train", "lenet5", "--epochs", 2, "--out", files.keras),
        ("convert", files.keras, "--out", files.float32),
        ("quantize", files.keras, "--out", files.int8),
        ("convert", files.keras, "--out", files.onnx),
    )
    for step in steps:
        result = edgecv(*step)
        assert result.code == 0, f"{step}: {result.err}"
    return files
