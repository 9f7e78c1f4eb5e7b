"""The README's table and picture are those of the recorded demo, and say what the demo is for."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> Any:
    found = importlib.util.spec_from_file_location("demo_figures", ROOT / "benchmarks" / "demo_figures.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def record(script: Any) -> Any:
    return json.loads(script.REFERENCE.read_text())


def test_the_readme_shows_the_recorded_demo(script: Any, record: Any) -> None:
    text = script.README.read_text()
    assert script.with_table(text, record) == text
    assert script.PICTURE.read_text() == script.picture(record)
    assert "docs/demo.svg" in text


def test_the_recorded_int8_files_are_much_smaller_and_faster(record: Any) -> None:
    whole = [row for row in record["rows"] if row["scheme"] == "int8"]
    assert len(whole) == 2
    for row in whole:
        assert row["times_smaller"] >= 3.5, row["file"]
        assert row["ratio_ci95"][1] <= 0.5, row["file"]
        assert row["drop_ci95"][1] <= 0.02, row["file"]


def test_a_table_without_its_marks_is_refused(script: Any, record: Any) -> None:
    with pytest.raises(SystemExit, match="found 0"):
        script.with_table("no marks", record)
