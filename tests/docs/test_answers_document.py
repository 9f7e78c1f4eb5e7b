"""docs/answers.md: its table of how segmentation networks end is that of the reference."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_ends_of_a_segmentation_network_are_those_that_were_measured() -> None:
    path = ROOT / "benchmarks" / "segmentation_outputs.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    page = (ROOT / "docs" / "answers.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- segmentation_outputs.py: begin -->\n(.*?)\n<!-- segmentation", page, flags=re.DOTALL)
    told = json.loads((ROOT / "benchmarks" / "reference" / "segmentation_outputs.json").read_text())
    assert shown == benchmark.table(told["rows"])
