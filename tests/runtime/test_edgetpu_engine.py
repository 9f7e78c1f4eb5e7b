"""The Edge TPU engine. No stick is here: a delegate built from a page of C stands in for libedgetpu.

It goes the real way, through ctypes and the real interpreter's delegate interface; it takes no operator over.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgecv.core.errors import DeviceError, UnsupportedModelError
from edgecv.runtime.engines import edgetpu, open_session
from tests.graphs.tiny import N, Net, T, build

ROOT = Path(__file__).parents[2]
# The layout of TfLiteDelegate. Source: tensorflow/lite/core/c/common.h.
STAND_IN = r"""
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
typedef struct { void *data; int (*prepare)(void *, void *); void *copy_from, *copy_to, *free_handle;
                 int64_t flags; void *builder; } Delegate;
static int prepare(void *context, void *delegate) { return 0; }
static Delegate made = {0, prepare, 0, 0, 0, 0, 0};
Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  for (size_t i = 0; i < count; i++)
    if (!strcmp(keys[i], "device") && !strcmp(values[i], "usb:7")) { report("no such device"); return NULL; }
  if (getenv("STAND_IN_ABSENT")) { report("nothing plugged in"); return NULL; }
  return &made;
}
void tflite_plugin_destroy_delegate(Delegate *delegate) {}
const char *edgetpu_version(void) { return "stand-in, RuntimeVersion(14)"; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc to build a stand-in for libedgetpu")
    folder = tmp_path_factory.mktemp("libedgetpu")
    (folder / "stand_in.c").write_text(STAND_IN)
    built = folder / "libstand_in.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", built, folder / "stand_in.c"], check=True)
    return built


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(build(Net({"x": T((1, 4)), "y": T((1, 4))}, [N("RELU", ["x"], ["y"], None, 2)])))
    return path


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    path = tmp_path / "m_edgetpu.tflite"
    path.write_bytes(build(Net({"x": T((1, 4)), "y": T((1, 4))}, [N("edgetpu-custom-op", ["x"], ["y"])])))
    return path


def test_without_the_library_says_what_to_install(compiled, monkeypatch) -> None:
    monkeypatch.setenv(edgetpu.LIBRARY_VARIABLE, "libno_such_edgetpu.so.1")
    with pytest.raises(DeviceError, match=r"libno_such_edgetpu\.so\.1 cannot be loaded") as caught:
        open_session(compiled, accelerator="edgetpu")
    assert "libedgetpu1-std" in caught.value.hint
    assert caught.value.exit_code == 3


def test_without_a_stick_says_how_to_look_for_it(compiled, library, monkeypatch) -> None:
    monkeypatch.setenv(edgetpu.LIBRARY_VARIABLE, str(library))
    monkeypatch.setenv("STAND_IN_ABSENT", "1")
    with pytest.raises(DeviceError, match="nothing plugged in") as caught:
        open_session(compiled, accelerator="edgetpu")
    assert "lsusb" in caught.value.hint


def test_the_device_option_reaches_the_library(compiled, library, monkeypatch) -> None:
    monkeypatch.setenv(edgetpu.LIBRARY_VARIABLE, str(library))
    monkeypatch.setenv(edgetpu.DEVICE_VARIABLE, "usb:7")
    with pytest.raises(DeviceError, match=r"no Edge TPU 'usb:7' can be opened.*no such device"):
        open_session(compiled, accelerator="edgetpu")


def test_an_uncompiled_file_is_refused_and_told_how_to_compile(model) -> None:
    with pytest.raises(UnsupportedModelError, match="not compiled") as caught:
        open_session(model, accelerator="edgetpu")
    assert "--target edgetpu --compile" in caught.value.hint


def test_the_interpreter_runs_with_the_delegate(model, library, monkeypatch) -> None:
    monkeypatch.setenv(edgetpu.LIBRARY_VARIABLE, str(library))
    session = open_session(model, accelerator="edgetpu", strict=False)
    (answer,) = session.run([np.array([[-4, 0, 3, 9]], np.int8)])
    assert answer.tolist() == [[0, 0, 3, 9]]
    assert session.accelerator == "edgetpu"
    assert session.adapter == "Edge TPU, libedgetpu stand-in, RuntimeVersion(14)"
    assert not session.fully_accelerated, "the stand-in takes nothing over"
    session.close()


RUN = """
import sys
import numpy as np
from edgecv.runtime.engines import open_session
session = open_session(sys.argv[1], engine="tflite-runtime", accelerator="edgetpu", strict=False)
print(session.engine.split()[0], session.accelerator, session.run([np.array([[-4, 0, 3, 9]], np.int8)])[0].tolist())
"""


def test_tflite_runtime_runs_with_the_delegate(model, library) -> None:
    python = os.environ.get("EDGECV_TFLITE_RUNTIME_PYTHON")
    if not python:
        pytest.skip("EDGECV_TFLITE_RUNTIME_PYTHON names no Python with tflite-runtime (make tflite-runtime)")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), edgetpu.LIBRARY_VARIABLE: str(library)}
    done = subprocess.run([python, "-c", RUN, model], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(maxsplit=2) == ["tflite-runtime", "edgetpu", "[[0, 0, 3, 9]]\n"]


def test_a_compiled_file_on_the_cpu_is_refused_with_a_reason(compiled) -> None:
    with pytest.raises(UnsupportedModelError, match="edgetpu-custom-op"):
        open_session(compiled, accelerator="cpu")


def test_compiled_files_are_told_by_their_operator(model, compiled) -> None:
    assert edgetpu.is_compiled(str(compiled))
    assert not edgetpu.is_compiled(str(model))
