"""Figures in the documents on targets are those of the references."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_cost_of_float16_arithmetic_is_that_of_the_reference() -> None:
    found = json.loads((ROOT / "benchmarks" / "reference" / "float16_arithmetic.json").read_text())
    told = " ".join((ROOT / "docs" / "targets" / "cpu.md").read_text().split())
    low, high = found["drop_ci95"]
    assert f"({found['float32']:.3f} in float32 on the first {found['n']:,} test images)" in told
    assert f"loses {found['drop']:.2f} points [{low:.2f}, {high:.2f}] there" in told
    assert found["kind"] == "simulated"
