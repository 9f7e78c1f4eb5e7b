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


def script(name: str, patch: pytest.MonkeyPatch) -> Any:
    patch.syspath_prepend(str(ROOT / "benchmarks"))
    found = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    patch.setitem(sys.modules, name, module)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def benchmark(monkeypatch_module: pytest.MonkeyPatch) -> Any:
    return script("quantisers", monkeypatch_module)


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


def test_rows_of_an_earlier_run_stay_with_what_they_were_measured_on(benchmark: Any, tmp_path: Path) -> None:
    earlier = {"host": {"cpus": 2}, "tools": {"tf": "1"}, "rows": [{"case": "a", "n": 1}, {"case": "b", "n": 1}]}
    (tmp_path / "earlier.json").write_text(json.dumps(earlier))
    rows = benchmark.merged([{"case": "c", "n": 2}, {"case": "b", "n": 2}], tmp_path / "earlier.json")
    assert [(row["case"], row["n"]) for row in rows] == [("a", 1), ("b", 2), ("c", 2)]
    assert rows[0]["measured_on"] == {"host": {"cpus": 2}, "tools": {"tf": "1"}}
    assert "measured_on" not in rows[1]
    assert benchmark.merged(rows, None) is rows


def step(**changes: Any) -> dict[str, Any]:
    made = {"step": "+adaround", "seconds": 9.6, "failure": "", "value": 0.84, "drop": 0.1, "drop_ci95": [-0.5, 0.7]}
    return made | {"agreement": 0.987, "size_bytes": 4_980_528} | changes


def test_a_step_without_a_file_is_in_the_table_with_its_reason(benchmark: Any) -> None:
    failed = {"step": "mixed16", "seconds": 0.0, "failure": "no layer has an int16 kernel"}
    entry = {
        "title": "A network", "n": 900, "data": "samples", "float": 0.8389, "caution": "Compare, never claim.",
        "ways": {"float32": {}, "tflite": step()}, "steps": [step(), failed],
    }  # fmt: skip
    said = sys.modules["quantisers_tables"].steps_table(entry)
    assert "**A network: every file, on 900 images of samples**" in said
    assert "0.8389. Compare, never claim." in said
    assert "| stock TFLite PTQ | 0.8400 | +0.10 [-0.50, +0.70] | 0.9870 | 4981 | 10 |" in said
    assert "| ladder's step mixed16 | no file: no layer has an int16 kernel | | | | 0 |" in said


@pytest.mark.parametrize(("drops", "taken"), [((0.7, 0.2, 0.0), 2), ((0.7, None, 0.4), 3)])
def test_the_ladders_own_file_is_the_first_step_that_passes_else_the_best(
    benchmark: Any, tmp_path: Path, drops: tuple[float | None, ...], taken: int
) -> None:
    trials = []
    for number, drop in enumerate(drops):
        file = tmp_path / f"{number}.tflite"
        file.write_text(str(number))
        trials.append({"drop": drop, "failure": "" if drop is not None else "no", "file": file, "seconds": 2.0})
    case = benchmark.Case(name="n", title="", kind="", data="d")
    place = benchmark.Place(case=case, model=tmp_path, data=tmp_path, folder=tmp_path)
    found = benchmark.stopped(place, trials)
    assert len(json.loads(found["output"])["trials"]) == taken
    assert (found["exit"], found["seconds"]) == (0 if taken == 2 else 1, 2.0 * taken)
    assert place.file("ladder").read_text() == str(taken - 1)


def test_images_with_a_list_of_labels_become_calibration_and_test(
    tmp_path: Path, monkeypatch_module: pytest.MonkeyPatch
) -> None:
    prepare = script("prepare_data", monkeypatch_module)
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    lines = ["index,name,file"]
    for index in range(10):
        image.new("RGB", (4, 4), (index, 0, 0)).save(tmp_path / f"{index}.png")
        lines.append(f"{index},thing {index},{index}.png")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    arrays = prepare.listed(tmp_path / "labels.csv", 3)
    train, test = arrays["y_train"].tolist(), arrays["y_test"].tolist()
    assert (len(train), sorted(train + test)) == (3, list(range(10)))
    assert arrays["x_train"][:, 0, 0, 0].tolist() == train
    assert arrays["y_val"].tolist() == test
    assert list(arrays["class_names"]) == [str(index) for index in range(10)]
    again = prepare.listed(tmp_path / "labels.csv", 3)
    assert all((arrays[name] == again[name]).all() for name in arrays)
