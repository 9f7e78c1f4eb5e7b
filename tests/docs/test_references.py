"""What scripts of benchmarks/ wrote says nothing of the machine's folders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parents[2] / "benchmarks" / "reference").glob("*.json"))
ABSOLUTE = re.compile(r'"(/[A-Za-z][^"]*/[^"]*|[A-Za-z]:\\[^"]*)"')


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_reference_names_no_folder_of_a_machine(file: Path) -> None:
    found = [match.group(1) for match in ABSOLUTE.finditer(file.read_text(encoding="utf-8"))]
    assert found == []


def test_folders_of_machines_are_recognised() -> None:
    assert ABSOLUTE.search('"path": "/home/me/winner.tflite"')
    assert not ABSOLUTE.search('"path": "winner.tflite", "what": "1/2", "unit": "/s"')
