"""The tables of the comparison are those of the reference run."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "benchmarks" / "reference" / "quantisers.json"
TEXT = (ROOT / "docs" / "compared.md").read_text()


@pytest.fixture(scope="module")
def benchmark(monkeypatch_module: pytest.MonkeyPatch) -> Any:
    monkeypatch_module.syspath_prepend(str(ROOT / "benchmarks"))
    found = importlib.util.spec_from_file_location("quantisers", ROOT / "benchmarks" / "quantisers.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    monkeypatch_module.setitem(sys.modules, "quantisers", module)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def monkeypatch_module() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_the_tables_are_those_of_the_reference(benchmark: Any) -> None:
    reference = json.loads(REFERENCE.read_text())
    assert benchmark.markdown(reference["rows"]).strip() in TEXT
    assert len(reference["rows"]) >= 9


def test_the_chart_is_that_of_the_reference(benchmark: Any) -> None:
    reference = json.loads(REFERENCE.read_text())
    titles = {name: way.title for name, way in benchmark.WAYS.items()}
    assert REFERENCE.with_suffix(".svg").read_text() == benchmark.chart(reference["rows"], titles)
