"""`edgecv bench`: the form that scripts rely on, comparisons, and what a failed device leaves."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import edgecv.bench as bench
from edgecv.bench.devices.fake import FakeDevice, FakeModel
from edgecv.report import report_schema

from .conftest import Made, edgecv

QUICK = ("--plan", "quick")


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeDevice]:
    models = {"float32.tflite": FakeModel(median_ms=1.0), "int8.tflite": FakeModel(median_ms=0.5)}
    made = {name: FakeDevice(dict(models), name=name) for name in ("one", "two")}
    short = bench.BenchPlan(min_launches=3, max_launches=8, launch_seconds=0.01, min_rounds=6, max_rounds=12)
    monkeypatch.setitem(bench.PLANS, "quick", short)
    monkeypatch.setattr(bench, "open_device", lambda name, devices=None: made[name])
    return made


def test_the_form_that_scripts_rely_on(made: Made) -> None:
    result = edgecv("bench", made.int8, "--device", "local", "--baseline", made.keras, "--json", *QUICK)
    assert result.code == 0, result.err
    report = json.loads(result.out)
    jsonschema.validate(report, report_schema())
    (latency,) = report["artifacts"][0]["latency"]
    assert latency["kind"] == "measured"
    assert latency["ratio_to_baseline"] > 0
    assert report["baseline"]["latency_ms"]["p50"] > 0


def test_options_may_come_first(fakes: dict[str, FakeDevice], made: Made) -> None:
    result = edgecv("bench", *QUICK, "--device", "one", made.int8)
    assert result.code == 0, result.err
    assert "int8.tflite" in result.out


def test_help_shows_both_forms() -> None:
    plain = edgecv("bench", "--help")
    assert "edgecv bench" in plain.out
    assert "(files)" not in plain.out
    assert "bench compare" in plain.out
    assert "Example" in edgecv("bench", "compare", "--help").out
    assert edgecv("bench").code == 2
    assert "(files)" not in edgecv("bench").err


def test_compare_two_real_files(made: Made) -> None:
    result = edgecv("bench", "compare", made.int8, made.float32, "--device", "local", "--json", *QUICK)
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert (found["a"], found["b"]) == ("int8.tflite", "float32.tflite")
    low, high = found["ci95"]
    assert low <= found["ratio"] <= high
    assert found["verdict"] in ("faster", "slower", "no difference shown")
    assert found["latency_a"]["samples"]
    assert found["latency_b"]["samples"]


def test_compare_says_it_plainly(fakes: dict[str, FakeDevice], made: Made) -> None:
    result = edgecv("bench", "compare", made.int8, made.float32, "--device", "one", *QUICK)
    assert result.out.splitlines()[-1].startswith("faster: int8.tflite is faster than float32.tflite (simulated")
    assert "0.500 of float32.tflite's time, 95 % interval [0.500, 0.500]" in result.out


def test_several_devices(fakes: dict[str, FakeDevice], made: Made) -> None:
    devices = ("--device", "one", "--device", "two")
    result = edgecv("bench", made.int8, *devices, "--baseline", made.float32, *QUICK)
    assert result.code == 0, result.err
    rows = [line for line in result.out.splitlines() if line.startswith("int8.tflite")]
    assert ["one" in rows[0], "two" in rows[1]] == [True, True]
    assert "0.500" in rows[1]
    assert [line.split(" with ")[0] for line in result.out.splitlines()[:2]] == [
        "baseline: float model on one: fake",
        "baseline: float model on two: fake",
    ]


def test_a_lost_device_is_exit_3_and_the_others_results_are_printed(
    fakes: dict[str, FakeDevice], made: Made, tmp_path: Path
) -> None:
    fakes["two"].fail_after = 20
    arguments = ("bench", made.int8, "--device", "one", "--device", "two", "--retries", 1, *QUICK, "--json")
    result = edgecv(*arguments, "--out", tmp_path / "raw.json")
    assert result.code == 3
    report = json.loads(result.out)
    jsonschema.validate(report, report_schema())
    assert [x["device"] for x in report["artifacts"][0]["latency"]] == ["one"]
    (failure,) = report["failures"]
    assert (failure["device"], failure["artifact"], failure["attempts"]) == ("two", "int8.tflite", 2)
    assert "error: two: int8.tflite: while" in result.err
    assert "(tried 2 times)" in result.err
    assert "trying again with fresh processes (1 of 1)" in result.err

    shown = edgecv(*arguments[:-1])
    assert shown.code == 3
    assert "int8.tflite on two: NOT MEASURED (tried 2 times)" in shown.out

    fakes["two"].fail_after = None
    again = edgecv(*arguments, "--out", tmp_path / "raw.json")
    assert again.code == 0, again.err
    assert [x["device"] for x in json.loads(again.out)["artifacts"][0]["latency"]] == ["one", "two"]


def test_threads_sweep_shows_the_best(fakes: dict[str, FakeDevice], made: Made) -> None:
    result = edgecv("bench", made.int8, "--device", "one", "--threads", "1,2", *QUICK)
    assert result.code == 0, result.err
    assert "time over 1 thread" in result.out
    assert "best" in result.out
    assert "not told from the best" in result.out
    assert edgecv("bench", made.int8, "--threads", "1,x").code == 2
    assert edgecv("bench", made.int8, "--threads", "0").code == 2


def test_sustained_shows_windows_and_what_is_not_known(made: Made) -> None:
    result = edgecv("bench", made.int8, "--mode", "sustained", "--seconds", 1.5, "--window", 0.5)
    assert result.code == 0, result.err
    assert "without a pause" in result.out
    assert "last window over first" in result.out
    assert "energy" in result.out
    wrong = edgecv("bench", made.int8, "--mode", "sustaned")
    assert wrong.code == 2
    assert "did you mean 'sustained'" in wrong.err


@pytest.mark.slow
def test_profile_shows_operators_with_layers(made: Made) -> None:
    result = edgecv("bench", made.float32, "--profile", "--json", *QUICK)
    assert result.code == 0, result.err
    profile = json.loads(result.out)["artifacts"][0]["latency"][0]["profile"]
    layers = {op["layer"] for op in profile["ops"] if op["op"] == "CONV_2D"}
    assert layers == {"c1", "c3", "c5"}
    table = edgecv("bench", made.float32, "--profile", *QUICK).out
    assert "slowest" in table
    assert "CONV_2D" in table
