"""Imports point one way, heavy packages stay inside functions, and the runtime needs numpy alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "edgecv"
# A module may import from its own part and from the parts before it; see docs/architecture.md.
PARTS = (
    "core values tasks web graphs calibration runtime modelio data zoo train compress convert targets "
    "evaluate diagnose bench gates report jobs cli api"
).split()
# What an installation on a device loads: numpy, one interpreter and these.
ON_DEVICES = {"core", "values", "tasks", "runtime"}
HEAVY = set(
    "tensorflow tf_keras keras tensorflow_model_optimization tf2onnx onnx onnxruntime ai_edge_litert tflite_runtime "
    "ai_edge_quantizer tensorflow_datasets sklearn PIL psutil flatbuffers scipy matplotlib "
    "optuna dask distributed".split()
)
MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_level(tree: ast.Module) -> Iterator[str]:
    """Yield what importing the module imports: everything outside functions and TYPE_CHECKING blocks."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from imports(node)
        pending.extend(ast.iter_child_nodes(node))


def ours(names: Iterator[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("edgecv.")} & set(PARTS)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":
        assert not ours(module_level(ast.parse(path.read_text())))
        return
    if part == "__main__":
        return
    assert part in PARTS, f"edgecv/{part} has no place: add it to PARTS and to docs/architecture.md"
    for name in ours(imports(ast.parse(path.read_text()))):
        assert PARTS.index(name) <= PARTS.index(part), f"{part} must not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_inside_functions_only(path: Path) -> None:
    allowed = {"typer", "rich"} if part_of(path) == "cli" else set()
    tops = {name.split(".")[0] for name in module_level(ast.parse(path.read_text()))}
    assert not tops & (HEAVY | ({"typer", "rich"} - allowed))


def test_the_runtime_imports_numpy_and_what_devices_have_only() -> None:
    stdlib = sys.stdlib_module_names
    for path in sorted(path for part in ("runtime", "tasks") for path in (PACKAGE / part).rglob("*.py")):
        tree = ast.parse(path.read_text())
        assert ours(imports(tree)) <= ON_DEVICES, path
        tops = {name.split(".")[0] for name in module_level(tree)} - {"edgecv", "numpy", "__future__"}
        assert tops <= stdlib, path


BLOCKED_IMPORT = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tensorflow", "keras", "tf_keras", "typer", "rich", "PIL", "sklearn", "onnx"}:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
        return None

sys.meta_path.insert(0, Block())
import edgecv.runtime
print(sorted({m.split(".")[0] for m in sys.modules} & {"tensorflow", "keras", "ai_edge_litert", "onnxruntime"}))
"""


def test_the_runtime_imports_with_the_toolchain_blocked_and_loads_no_interpreter_yet() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED_IMPORT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line_imports_no_tensorflow() -> None:
    code = "import sys, edgecv.cli.app; print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert not loaded & HEAVY
