"""docs/targets/elsewhere.md: its table is the recorded run, and its code is code."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "targets" / "elsewhere.md").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_recorded_run() -> None:
    recorded = json.loads((ROOT / "benchmarks" / "reference" / "openvino_onnx.json").read_text(encoding="utf-8"))
    for name, found in recorded["files"].items():
        latency, agreement = found["latency"], found["agreement"]
        (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` ")]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[1:4] == (["-"] * 3 if latency is None else _times(latency))
        assert cells[4] == f"{agreement['same_argmax']} of {agreement['samples']}"
        assert cells[5] == f"{agreement['largest_difference']:.2g}"
    assert recorded["host"]["openvino"].split("-")[0] in PAGE


def _times(latency: dict[str, Any]) -> list[str]:
    p50, (low, high) = latency["p50_ms"], latency["ci95"]
    ratio = f"{latency['ratio']:.2f} [{low:.2f}, {high:.2f}]"
    return [f"{p50['onnxruntime']:.3g}", f"{p50['openvino']:.3g}", ratio]


def test_its_python_parses_and_names_what_edgecv_has() -> None:
    import importlib

    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edgecv"):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names)
