"""The demo, run as a user runs it: killed on the way, started again, and held to what it promises."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import typer

from edgecv import gates
from edgecv.cli.app import app
from edgecv.cli.main import main
from edgecv.data import open_dataset
from edgecv.jobs.demo import ITEMS
from edgecv.report import read, report_schema
from edgecv.runtime.container import read_manifest

COMMAND = [sys.executable, "-m", "edgecv.cli.main", "demo", "--network", "lenet5", "--out"]
pytestmark = [pytest.mark.flow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
NOISE = re.compile(r"XNNPACK|absl::|tensorflow/|WARNING:|UserWarning|cuda|oneDNN")
"""What the libraries say of themselves, which is for `--debug`."""
MODELS = {".keras", ".tflite", ".onnx"}


def kill_after(folder: Path, done: str) -> None:
    """Start the demo and kill it without warning soon after the file `done` is there."""
    process = subprocess.Popen([*COMMAND, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not (folder / done).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.4)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / done).exists(), f"the demo never wrote {done}"


def whole(folder: Path) -> dict[str, bytes]:
    """Return the model files of a folder after checking that each one is whole: its manifest reads."""
    files = [p for p in folder.iterdir() if p.suffix in MODELS and not p.name.startswith(".")]
    for file in files:
        assert read_manifest(file) is not None, file
    return {file.name: file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo that was killed in training, between stages and in conversion, and then ran to its end."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    kept: dict[str, bytes] = {}
    for milestone in (".lenet5.keras.state", "lenet5-pruned.keras", "lenet5-dynamic.tflite"):
        kill_after(folder, milestone)
        after = whole(folder)
        assert {name: after[name] for name in kept} == kept, "a finished file was made again"
        kept = after
    done = subprocess.run([*COMMAND, str(folder)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "demo" not in done.stderr or "kept: " in done.stderr
    after = whole(folder)
    assert {name: after[name] for name in kept} == kept, "a finished file was made again"
    return folder


@pytest.fixture(scope="module")
def report(demo: Path) -> dict[str, Any]:
    parsed = json.loads((demo / "report.json").read_text())
    assert isinstance(parsed, dict)
    return parsed


@pytest.fixture(scope="module")
def artifacts(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {artifact["name"]: artifact for artifact in report["artifacts"]}


def test_nothing_is_left_of_the_killed_runs(demo: Path) -> None:
    assert [p.name for p in demo.iterdir() if "partial" in p.name or p.name.endswith(".state")] == []


def test_the_report_follows_its_schema(report: dict[str, Any], demo: Path) -> None:
    jsonschema.validate(report, report_schema())
    assert {f"lenet5-{item.file}" for item in ITEMS} == {a["name"] for a in report["artifacts"]}
    assert all((demo / a["path"]).is_file() for a in report["artifacts"])
    assert (demo / "report.html").stat().st_size > 10_000


def test_accuracy_and_size_are_as_promised(report: dict[str, Any], artifacts: dict[str, dict[str, Any]]) -> None:
    assert report["dataset"]["n"] >= 360
    assert report["baseline"]["value"] >= 0.975
    for item in ITEMS:
        found = artifacts[f"lenet5-{item.file}"]
        if item.scheme != "int8":
            continue
        reference = artifacts["lenet5-pruned-float32.tflite" if "pruned" in item.file else "lenet5-float32.tflite"]
        assert abs(found["value"] - reference["value"]) <= 0.006, item.file
        float_file = artifacts["lenet5-float32.onnx" if item.file.endswith("onnx") else "lenet5-float32.tflite"]
        assert found["size_bytes"] <= 0.30 * float_file["size_bytes"], item.file


def test_pruned_artifacts_are_half_zero(artifacts: dict[str, dict[str, Any]]) -> None:
    for name, found in artifacts.items():
        assert (found["sparsity"] is not None) == ("pruned" in name)
        if found["sparsity"] is not None:
            assert found["sparsity"] == pytest.approx(0.5, abs=0.01)


def test_the_edge_tpu_takes_every_operator(artifacts: dict[str, dict[str, Any]]) -> None:
    mapping = artifacts["lenet5-edgetpu-int8.tflite"]["mapping"]
    assert mapping["target"] == "edgetpu"
    assert mapping["n_mapped"] == mapping["n_ops"] > 0
    assert mapping["kind"] == "predicted"


def test_every_figure_carries_its_kind_and_unknown_ones_a_reason(report: dict[str, Any]) -> None:
    for artifact in report["artifacts"]:
        assert all(latency["kind"] == "measured" for latency in artifact["latency"])
        if not artifact["latency"]:
            assert any(artifact["name"] in w and "latency" in w for w in report["warnings"]), artifact["name"]


def test_without_a_gpu_the_first_line_says_cpu(demo: Path, report: dict[str, Any]) -> None:
    if report["baseline"]["accelerator"] == "gpu":
        pytest.skip("this machine has a GPU")
    assert "CPU" in (demo / "report.md").read_text().splitlines()[0]


def test_latency_has_samples_and_a_ratio_with_an_interval(artifacts: dict[str, dict[str, Any]]) -> None:
    for artifact in artifacts.values():
        for latency in artifact["latency"]:
            low, high = latency["ratio_ci95"]
            assert low <= latency["ratio_to_baseline"] <= high
            assert len(latency["samples"]) >= 15
            assert latency["p50"] <= latency["p90"] <= latency["p99"]
            assert latency["load_ms"] > 0
            assert latency["peak_rss_bytes"] > 1_000_000


def test_its_gates_pass_on_its_own_report(demo: Path) -> None:
    command = [sys.executable, "-m", "edgecv.cli.main", "check", str(demo / "gates.toml")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=os.sep)
    assert done.returncode == 0, done.stderr


def test_the_committed_gates_hold(demo: Path) -> None:
    outcome = gates.check(ROOT / "tests" / "conformance" / "demo.toml", report=read(demo / "report.json"))
    assert outcome.passed, "\n".join(result.message for result in outcome.results if not result.passed)


def bilinear(image: np.ndarray, size: int) -> np.ndarray:
    """Half-pixel-centre bilinear resizing of a square image, one output pixel at a time."""
    n = image.shape[0]
    result = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            y = min(max((row + 0.5) * n / size - 0.5, 0), n - 1)
            x = min(max((column + 0.5) * n / size - 0.5, 0), n - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, n - 1), min(left + 1, n - 1)
            upper = image[top, left] * (1 - (x - left)) + image[top, right] * (x - left)
            lower = image[bottom, left] * (1 - (x - left)) + image[bottom, right] * (x - left)
            result[row, column] = upper * (1 - (y - top)) + lower * (y - top)
    return result


@pytest.mark.parametrize("name", ["lenet5-float32.tflite", "lenet5-int8-ptq.tflite", "lenet5-edgetpu-int8.tflite"])
def test_a_raw_interpreter_fed_by_hand_gets_the_reports_accuracy(
    name: str, demo: Path, artifacts: dict[str, dict[str, Any]]
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    manifest = read_manifest(demo / name)
    assert manifest is not None
    (given,), settings = manifest.inputs, manifest.spec.preprocessing
    assert settings is not None
    assert (settings.color, settings.resize, settings.interpolation) == ("gray", "stretch", "bilinear")
    interpreter = Interpreter(model_path=str(demo / name))
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    split, right = open_dataset("digits").split("test"), 0
    for index, label in enumerate(split.labels):
        pixels = bilinear(split.image(index).astype(float), manifest.spec.input_shape[0])
        x = ((pixels - settings.mean[0]) / settings.std[0]).reshape(given.shape)
        if given.scale is not None and given.zero_point is not None:
            x = np.clip(np.round(x / given.scale) + given.zero_point, -128, 127)
        interpreter.set_tensor(source, x.astype(given.dtype))
        interpreter.invoke()
        right += int(np.argmax(interpreter.get_tensor(target)) == label)
    assert right / len(split.labels) == pytest.approx(artifacts[name]["value"], abs=1e-9)


@pytest.mark.timeout(1800)
def test_the_examples_of_every_commands_help_work_in_order(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """They are pasted into the folder that the demo leaves; the demos themselves are the tests of this folder."""
    from edgecv.web import packages
    from tests.cli.examples import pasted

    folder = shutil.copytree(demo, tmp_path / "demo")
    # A server goes on until it is interrupted: tests/cli/test_devices.py has it.
    elsewhere = ("edgecv demo ", "edgecv device serve ")
    lines = [line for line in pasted(typer.main.get_command(app)) if not line.startswith(elsewhere)]
    if not packages.available():  # make web brings what a page needs
        lines = [line for line in lines if not line.startswith("edgecv web ")]
    assert len(lines) >= 25
    monkeypatch.chdir(folder)
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "edgecv"
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        out, err = capfd.readouterr()
        assert not stop.value.code, f"{line}\n{out}{err}"
        assert tempfile.gettempdir() not in err.replace(str(folder), ""), f"{line}\n{err}"
        assert not NOISE.search(err), f"{line}\n{err}"
