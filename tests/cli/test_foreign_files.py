"""A file that crashes the interpreter, hangs in it or eats all memory: one clear error of whatever command runs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .conftest import Made, edgecv

# An interpreter that does to its process what a malicious or broken file would, at the stage that is asked for.
FAKE = """
import os, signal, sys, time
import numpy as np

class OpResolverType:
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 0

class Interpreter:
    def __init__(self, **options): act("open")
    def allocate_tensors(self): act("allocate")
    def __getattr__(self, name): raise RuntimeError("Input tensor 3 lacks data")

def act(stage):
    if stage != os.environ["FAKE_STAGE"]:
        return
    what = os.environ["FAKE_ACT"]
    if what == "segfault": os.kill(os.getpid(), signal.SIGSEGV)
    if what == "abort": os.write(2, b"Check failed: rank is absurd\\n"); os.abort()
    if what == "loop":
        while True: pass
    if what == "memory": np.ones(8 << 30, np.uint8)
"""
SAYS = {"segfault": "SIGSEGV", "abort": "rank is absurd", "loop": "took longer than 2 s", "memory": "more memory than"}


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    package = tmp_path / "fake" / "ai_edge_litert"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "interpreter.py").write_text(FAKE)
    # Only child processes read it: the interpreter of this one stays the real one.
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'fake'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("FAKE_STAGE", "allocate")
    monkeypatch.setenv("EDGECV_TIMEOUT_S", "2")
    monkeypatch.setenv("EDGECV_MEMORY_GB", "4")
    return monkeypatch


def image(folder: Path) -> Path:
    from PIL import Image

    Image.new("L", (28, 28)).save(folder / "a.png")
    return folder / "a.png"


def command(name: str, made: Made, folder: Path) -> list[object]:
    return {
        "inspect": ["inspect", made.int8, "--target", "cpu"],
        "verify": ["verify", made.int8],
        "evaluate": ["evaluate", made.int8],
        "predict": ["predict", made.int8, image(folder)],
        "debug": ["debug", made.float32, made.int8, "--samples", "2"],
    }[name]


def check(result: object, says: str) -> None:
    assert result.code == 2, result.err
    assert says in result.err
    assert result.err.count("error:") == 1
    assert "hint:" in result.err
    assert "Traceback" not in result.err
    assert "defect" not in result.err


@pytest.mark.parametrize("act", SAYS)
def test_inspect(act: str, made: Made, hostile: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hostile.setenv("FAKE_ACT", act)
    check(edgecv(*command("inspect", made, tmp_path)), SAYS[act])


@pytest.mark.parametrize("name", ["verify", "evaluate", "predict", "debug"])
@pytest.mark.parametrize("act", ["segfault", pytest.param("loop", marks=pytest.mark.slow)])
def test_other_commands(name: str, act: str, made: Made, hostile: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hostile.setenv("FAKE_ACT", act)
    check(edgecv(*command(name, made, tmp_path)), SAYS[act])


def test_debug_of_a_file_that_crashes_after_the_first_look(
    made: Made, hostile: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The float file opens; the interpreter that keeps all tensors fails over its numbers."""
    hostile.setenv("FAKE_ACT", "none")
    from edgecv.core.errors import UnsupportedModelError
    from edgecv.diagnose.all_tensors import AllTensors

    with pytest.raises(UnsupportedModelError, match=r"int8\.tflite.*lacks data"):
        AllTensors(made.int8)


@pytest.mark.slow
def test_bench(made: Made, hostile: pytest.MonkeyPatch) -> None:
    hostile.setenv("FAKE_ACT", "segfault")
    result = edgecv("bench", made.int8)
    assert result.code == 3, result.err
    assert "signal 11" in result.err
    assert "Traceback" not in result.err


def test_onnx_runtime_too(made: Made, hostile: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "fake" / "onnxruntime"
    package.mkdir()
    (package / "__init__.py").write_text("import os\nos.abort()\n")
    check(edgecv("inspect", made.onnx, "--target", "cpu"), "SIGABRT")
    check(edgecv("verify", made.onnx), "SIGABRT")
