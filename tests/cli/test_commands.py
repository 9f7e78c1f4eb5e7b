"""The forms that scripts rely on."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

from edgecv.report import report_schema

from .conftest import Made, edgecv

COMMANDS = "demo train prune slim quantize convert inspect evaluate bench report check verify predict".split()


def document(*arguments: object) -> dict[str, object]:
    result = edgecv(*arguments, "--json")
    assert result.code == 0, result.err
    parsed = json.loads(result.out)
    assert isinstance(parsed, dict)
    return parsed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = edgecv(command, "--help")
    assert result.code == 0
    assert f"edgecv {command}" in result.out
    assert "Example" in result.out


def test_help_and_version() -> None:
    assert "demo" in edgecv("--help").out
    assert edgecv("--version").out.startswith("edgecv ")
    assert edgecv().code in (0, 2)


def test_wrong_usage_is_exit_2() -> None:
    assert edgecv("convert").code == 2
    assert edgecv("nothing").code == 2


def test_zoo_show_json() -> None:
    shown = document("zoo", "show", "lenet5")
    assert (shown["name"], shown["parameters"], shown["macs"]) == ("lenet5", 61_706, 416_520)


def test_zoo_list_and_targets_json() -> None:
    listed = json.loads(edgecv("zoo", "list", "--json").out)
    assert {"lenet5", "cnn_fashion"} <= {entry["name"] for entry in listed}
    targets = json.loads(edgecv("targets", "--json").out)
    assert {"cpu", "gpu", "edgetpu"} <= {target["name"] for target in targets}


def test_inspect_json_has_the_published_keys(made: Made) -> None:
    found = document("inspect", made.int8, "--target", "edgetpu")
    assert {"target", "n_ops", "n_mapped", "ops", "parameter_bytes", "size_bytes", "arena_bytes"} <= set(found)
    assert found["n_mapped"] == found["n_ops"]
    ops = found["ops"]
    assert isinstance(ops, list)
    assert set(ops[0]) == {"index", "op", "layer", "status", "mapped", "certainty", "reason"}
    assert {op["layer"] for op in ops} >= {"c1", "c3", "c5"}
    assert found["size_bytes"] == made.int8.stat().st_size


def test_min_mapped_is_a_gate(made: Made) -> None:
    assert edgecv("inspect", made.int8, "--target", "edgetpu", "--min-mapped", 1).code == 0
    failed = edgecv("inspect", made.float32, "--target", "edgetpu", "--min-mapped", 0.5)
    assert failed.code == 1
    assert "--min-mapped" in failed.err


def test_evaluate_agrees_between_float_formats(made: Made) -> None:
    values = {str(f): document("evaluate", f)["value"] for f in (made.keras, made.float32, made.onnx)}
    assert len(set(values.values())) == 1, values
    assert document("evaluate", made.int8)["n"] == 364


def test_verify_passes_on_a_whole_file_and_fails_on_changed_weights(made: Made, tmp_path: Path) -> None:
    assert document("verify", made.int8)["passed"] is True
    data = bytearray(made.float32.read_bytes())
    reference = np.frombuffer(bytes(data), np.uint8)
    # The largest run of weight bytes is the c5 kernel: damage its middle, leave the structure alone.
    middle = len(reference) // 2
    data[middle : middle + 4096] = bytes([0x3F]) * 4096
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(data)
    failed = edgecv("verify", damaged, "--json")
    assert failed.code == 1, failed.err
    assert "answers differently" in failed.err


def test_run_names_the_digit(made: Made, tmp_path: Path) -> None:
    from edgecv.data import open_dataset

    split = open_dataset("digits").split("test")
    Image.fromarray(split.image(0)).save(tmp_path / "digit.png")
    answer = document("predict", made.float32, tmp_path / "digit.png")
    labels = answer["labels"]
    assert isinstance(labels, list)
    assert sum(row["score"] for row in labels) <= 1.001
    assert len(labels) == 5


def test_quantize_is_reproducible(made: Made, tmp_path: Path) -> None:
    for name in ("a.tflite", "b.tflite"):
        assert edgecv("quantize", made.keras, "--out", tmp_path / name).code == 0
    assert (tmp_path / "a.tflite").read_bytes() == (tmp_path / "b.tflite").read_bytes()


def test_json_is_the_only_thing_on_stdout_even_in_a_real_process(made: Made) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "edgecv.cli.main", "inspect", str(made.int8), "--target", "gpu", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"] == "gpu"


def test_bench_times_files_that_edgecv_did_not_make(made: Made, tmp_path: Path) -> None:
    from edgecv.modelio import env

    keras = env.keras()
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(4)])
    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(env.tensorflow().lite.TFLiteConverter.from_keras_model(model).convert())
    timed = document("bench", foreign, made.int8, "--plan", "quick", "--out", tmp_path / "raw.json")
    jsonschema.validate(timed, report_schema())
    artifacts = timed["artifacts"]
    assert isinstance(artifacts, list)
    assert [a["scheme"] for a in artifacts] == ["unknown", "int8"]
    assert all(a["latency"][0]["p50"] > 0 for a in artifacts)
    again = document("bench", foreign, made.int8, "--plan", "quick", "--out", tmp_path / "raw.json")
    assert [a["latency"] for a in again["artifacts"]] == [a["latency"] for a in artifacts], "finished cases are kept"


def test_a_float_boundary_is_all_that_the_edge_tpu_leaves_to_the_cpu(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "boundary.tflite"
    assert edgecv("quantize", made.keras, "--io", "float32", "--out", out).code == 0
    found = document("inspect", out, "--target", "edgetpu")
    ops = found["ops"]
    assert isinstance(ops, list)
    assert [op["op"] for op in ops if not op["mapped"]] == ["QUANTIZE", "DEQUANTIZE"]


def test_the_historical_lenet_shows_what_an_older_edge_tpu_leaves_out(tmp_path: Path) -> None:
    book, out = tmp_path / "book.keras", tmp_path / "book.tflite"
    assert edgecv("train", "lenet5", "--variant", "book", "--epochs", 1, "--out", book).code == 0
    assert edgecv("quantize", book, "--out", out).code == 0
    found = document("inspect", out, "--target", "edgetpu-runtime13")
    ops = found["ops"]
    assert isinstance(ops, list)
    left = {op["op"]: op["reason"] for op in ops if not op["mapped"]}
    assert set(left) == {"SQUARED_DIFFERENCE", "SUM"}
    assert "runtime 14" in left["SQUARED_DIFFERENCE"]
    assert "only the first part" in left["SUM"]


def test_slim_json_says_what_it_saved(made: Made) -> None:
    out = made.keras.with_name("slim.keras")
    options = ("--macs", 0.6, "--score", "l1", "--rounds", 1, "--epochs", 1, "--out", out)
    told = document("slim", made.keras, *options)
    before, after = told["before"], told["after"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert after["macs"] <= 0.6 * before["macs"]
    assert Path(str(told["plan"])).exists()
    text = edgecv("slim", made.keras, "--plan", told["plan"], "--out", out.with_name("rebuilt.keras"))
    assert text.code == 0
    assert f"{after['macs']:,}" in text.out


def test_slim_and_prune_refuse_what_does_not_go_together(made: Made) -> None:
    for line in (
        ("slim", made.keras),
        ("slim", made.keras, "--macs", 1.5),
        ("slim", made.keras, "--macs", 0.001),
        ("slim", made.keras, "--macs", 0.5, "--score", "tailor"),
        ("slim", made.keras, "--drop-units", 1),
        ("prune", made.keras),
    ):
        result = edgecv(*line, "--out", made.keras.with_name("none.keras"))
        assert result.code == 2, line
        assert "hint" in result.err or "must be" in result.err
