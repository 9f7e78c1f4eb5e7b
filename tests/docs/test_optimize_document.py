"""The figures of the document on the search are those of the references that its scripts wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "optimize.md").read_text()
COLUMNS = ("edgecv, latency first", "Optuna TPE", "Optuna TPE, helped by times", "random")


def reference(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "reference" / name).read_text())


def cells(start: str) -> list[str]:
    line = next((line for line in TEXT.splitlines() if line.startswith(start)), None)
    assert line is not None, f"docs/optimize.md lacks {start}"
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_evaluations_until_the_optimum_are_those_of_the_reference() -> None:
    found = reference("search.json")
    assert found["seeds"] == 20
    for space in ("synthetic", "recorded"):
        rows = {row["method"]: row for row in found["rows"] if row["space"] == space}
        name, *told = cells(f"| {space}, ")
        assert told == [f"{rows[method]['mean']:.1f}" for method in COLUMNS]
        assert str(rows["random"]["candidates"]) in name
        ours, tpe, random = (rows[method]["mean"] for method in ("edgecv, latency first", "Optuna TPE", "random"))
        assert ours <= tpe / 2
        assert ours <= random / 4


def test_the_recorded_table_is_of_real_trials() -> None:
    table = reference("search_trials.json")
    assert len(table["trials"]) >= 150
    assert all(trial["finding"]["n"] == table["n"] for trial in table["trials"])


def test_what_workers_are_worth_is_that_of_the_reference() -> None:
    runs = reference("search_cluster.json")["runs"]
    assert [(run["workers"], run["killed"], run["trials"]) for run in runs] == [(1, 0, 100), (4, 0, 100), (4, 1, 100)]
    for run in runs:
        name = f"{run['workers']} worker{'s' if run['workers'] > 1 else ''}{', one killed' if run['killed'] else ''}"
        row = cells(f"| {name} |")
        assert row[1:] == [f"{run['seconds']:.0f}", f"{run['of_one']:.2f}", str(run["begun_again"])]
    assert runs[2]["begun_again"] <= 1, "a worker that is killed costs its trial at most"


@pytest.mark.parametrize("name", ["search_case.json", "search_resnet20.json", "search_mobilenet_v2_small.json"])
def test_whole_searches_are_those_of_the_references(name: str) -> None:
    found = reference(name)
    assert [row["file"] for row in found["rows"]] == ["int8 alone", "by hand", "edgecv optimize"]
    for row in found["rows"]:
        assert row["kind"] == "measured"
        ends = [row["faster"], *row["faster_ci95"]]
        drops = [row["drop_points"], *row["drop_points_ci95"]]
        told = "| {:.2f} [{:.2f}, {:.2f}] | {:.1f} | {:+.2f} [{:+.2f}, {:+.2f}] |"
        assert told.format(*ends, row["smaller"], *drops) in TEXT
    assert found["verdict"] == "passed"
    assert found["rows"][-1]["smaller"] >= found["smaller"]
    assert found["rows"][-1]["drop_points_ci95"][1] <= found["max_drop"]
