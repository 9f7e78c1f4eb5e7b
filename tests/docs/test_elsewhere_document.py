"""docs/targets/elsewhere.md: its table is the recorded run, and its code is code."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "targets" / "elsewhere.md").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_recorded_run() -> None:
    recorded = json.loads((ROOT / "benchmarks" / "reference" / "openvino_onnx.json").read_text(encoding="utf-8"))
    for name, found in recorded["files"].items():
        latency, agreement = found["latency"], found["agreement"]
        low, high = latency["ci95"]
        (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` ")]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[1:6] == [
            f"{latency['p50_ms']['onnxruntime']:.3g}",
            f"{latency['p50_ms']['openvino']:.3g}",
            f"{latency['ratio']:.2f} [{low:.2f}, {high:.2f}]",
            f"{agreement['same_argmax']} of {agreement['samples']}",
            f"{agreement['largest_difference']:.2g}",
        ]
    assert recorded["host"]["openvino"].split("-")[0] in PAGE


def test_its_python_parses_and_names_what_edgecv_has() -> None:
    import importlib

    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edgecv"):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names)
