"""The runtime alone: without the toolchain's packages, on old Pythons, with other interpreters."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "edgecv"
TOOLCHAIN_SIDE = {"profiles.py", "kind.py", "latency.py", "inspection.py", "evaluation.py", "report.py", "training.py"}
SOURCES = [PACKAGE / "__init__.py"] + sorted(
    path
    for part in ("core", "values", "tasks", "runtime")
    for path in (PACKAGE / part).rglob("*.py")
    if path.name not in TOOLCHAIN_SIDE
)

BLOCKED = """
import sys
class Block:
    NAMES = {"tensorflow", "keras", "tf_keras", "typer", "rich", "PIL", "onnx", "flatbuffers", "google", "sklearn"}
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.NAMES:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
"""
PREDICT = """
import json, sys
import numpy as np
import edgecv.runtime as runtime
image = (np.arange(64, dtype=np.uint8) * 4).reshape(8, 8)
found = {}
for path in sys.argv[1:]:
    with runtime.load(path) as model:
        found[path] = [model.engine, model.predict(image).labels]
print(json.dumps(found))
"""


def python(code: str, *args: object, executable: str = sys.executable) -> str:
    # -I would drop PYTHONPATH, which stands in for an installed package.
    done = subprocess.run(
        [executable, "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_brings_no_heavy_module():
    loaded = python("import sys, edgecv.runtime; print(*sys.modules)").split()
    heavy = {"tensorflow", "keras", "tf_keras", "typer", "rich", "PIL", "onnx", "onnxruntime", "ai_edge_litert"}
    heavy |= {"flatbuffers", "google", "sklearn", "importlib.metadata", "zipfile"}
    unneeded = "profiles kind latency inspection evaluation report"
    heavy |= {f"edgecv.values.{name}" for name in unneeded.split()}
    assert not heavy & set(loaded)


def test_predicts_with_the_toolchain_blocked(files):
    """And stdout holds nothing but what the program prints."""
    found = json.loads(python(BLOCKED + PREDICT, files.float32, files.int8, files.onnx))
    assert found[str(files.float32)][0].startswith("ai-edge-litert")
    assert found[str(files.onnx)][0].startswith("onnxruntime")


def test_a_png_without_pillow_names_the_package(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    code = (
        BLOCKED + "from edgecv.core.errors import MissingDependencyError\nfrom edgecv.runtime import load_image\n"
        "try:\n    load_image(sys.argv[1])\nexcept MissingDependencyError as error:\n    print(error.hint)"
    )
    assert python(code, tmp_path / "a.png").strip() == "pip install pillow"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_parses_as_python_3_9(path):
    text = path.read_text(encoding="utf-8")
    assert ast.parse(text, feature_version=(3, 9)).body


def test_newer_syntax_is_refused_as_python_3_9():
    """What `feature_version` can see; without this, the test above could not fail."""
    with pytest.raises(SyntaxError):
        ast.parse("match x:\n    case 1:\n        pass\n", feature_version=(3, 9))


def test_imports_on_python_3_9():
    executable = shutil.which("python3.9")
    probe = [executable or "", "-c", "import numpy"]
    if executable is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no python3.9 with numpy on the path")
    code = "import sys, edgecv.runtime; print(sys.version_info[:2], edgecv.runtime.load)"
    found = python(code, executable=executable)
    assert found.startswith("(3, 9) <function load")


def test_tflite_runtime(files):
    """On a device's own interpreter: EDGECV_TFLITE_RUNTIME_PYTHON names a Python with numpy and tflite-runtime."""
    executable = os.environ.get("EDGECV_TFLITE_RUNTIME_PYTHON")
    if not executable:
        pytest.skip("EDGECV_TFLITE_RUNTIME_PYTHON names no Python with tflite-runtime")
    there = json.loads(python(PREDICT, files.float32, files.int8, files.uint8, executable=executable))
    here = json.loads(python(PREDICT, files.float32, files.int8, files.uint8))
    for path, (engine, labels) in there.items():
        assert engine.startswith("tflite-runtime ")
        assert [label for label, _ in labels] == [label for label, _ in here[path][1]]
        assert [score for _, score in labels] == pytest.approx([score for _, score in here[path][1]], abs=0.01)


COMMANDS = {
    "predict": ["predict", "{file}", "{image}"],
    "inspect": ["inspect", "{file}", "--target", "cpu"],
    "bench": ["bench", "{file}", "--plan", "quick"],
    "device": ["device", "list"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_boards_commands_need_no_toolchain(files, image, tmp_path, name):
    """`edgecv[cli]` brings typer and rich; an interpreter brings Pillow."""
    from PIL import Image

    Image.fromarray(image[..., 0] if image.ndim == 3 else image).save(tmp_path / "a.png")
    blocked = BLOCKED
    for there in ("typer", "rich", "PIL", "flatbuffers"):
        blocked = blocked.replace(f'"{there}", ', "")
    code = blocked + "\nfrom edgecv.cli.main import main\nmain(sys.argv[1:])"
    arguments = [part.format(file=files.int8, image=tmp_path / "a.png") for part in COMMANDS[name]]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout
