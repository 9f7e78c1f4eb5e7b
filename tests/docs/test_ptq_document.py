"""The commands of the document on post-training quantisation work, and its figures are those of the reference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.docs.pages import commands, typed

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "ptq.md"
TEXT = PAGE.read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_work_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = commands(PAGE)
    assert len(lines) >= 5
    for line in ("edgecv train lenet5 --epochs 3 --out lenet5.keras", *lines):
        typed(line)
    assert len(list(tmp_path.glob("*.tflite"))) == len(lines)


def test_the_figures_are_those_of_the_reference() -> None:
    measured = json.loads((ROOT / "benchmarks" / "reference" / "ptq_ladder.json").read_text())
    for run_ in measured:
        name = run_["network"]
        assert f"| {name}, float | {run_['float']:.4f} |" in TEXT
        for row in run_["rows"]:
            start = f"| {name}, {row['part'].replace('_', ' ')}: {row['step']} |"
            line = next((line for line in TEXT.splitlines() if line.startswith(start)), None)
            assert line is not None, f"docs/ptq.md lacks {start}"
            if "failure" not in row:
                low, high = row["drop_ci95"]
                assert f"| {row['value']:.4f} | {row['drop']:+.2f} [{low:+.2f}, {high:+.2f}] |" in line
                assert f"| {row['size_bytes'] / run_['float_size_bytes']:.3f} |" in line


def test_the_figures_of_int4_are_those_of_the_reference() -> None:
    rows = json.loads((ROOT / "benchmarks" / "reference" / "quantisers.json").read_text())["rows"]
    (row,) = [row for row in rows if "int4" in row["ways"]]
    found, told = row["ways"]["int4"], " ".join(TEXT.split())
    low, high = found["drop_ci95"]
    assert f"other {row['n']}: top-1 is {found['value']:.4f} in int4 and {row['float']:.4f} in float" in told
    assert f"a drop of {found['drop']:+.2f} points [{low:+.2f}, {high:+.2f}]" in told
    assert f"first on {found['agreement']:.3f} of them" in told
    assert f"{found['size_bytes'] / 1e6:.2f} MB, float {row['ways']['float32']['size_bytes'] / 1e6:.2f} MB" in told


def test_times_of_int8_are_those_of_the_reference() -> None:
    rows = json.loads((ROOT / "benchmarks" / "reference" / "integer_speed.json").read_text())
    assert rows
    for row in rows:
        for way in row["ways"].values():
            low, high = way["ratio_ci95"]
            assert f"{way['ratio']:.2f} [{low:.2f}, {high:.2f}]; {way['drop']:+.2f}" in TEXT
            assert way["drop"] < 0.5, "every file is within half a point of float"
