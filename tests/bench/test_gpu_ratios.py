"""benchmarks/gpu_ratios.py: its arithmetic, its reasons, and the whole of it on a host without a GPU."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_ratios.py"


@pytest.fixture(scope="module")
def gpu_ratios():
    spec = importlib.util.spec_from_file_location("gpu_ratios", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_ratio_is_the_cpus_time_over_the_gpus(gpu_ratios):
    rng = np.random.default_rng(0)
    launches = []
    for _ in range(4):
        gpu = 0.002 * np.exp(0.01 * rng.standard_normal(8))
        launches.append({"product": {"0 CPU:0": (gpu * 5 * np.exp(0.01 * rng.standard_normal(8))).tolist(),
                                     "1 GPU:0": gpu.tolist()}})  # fmt: skip
    (row,) = gpu_ratios.summary(launches, 0)
    assert row["ratio"] == pytest.approx(5, rel=0.02)
    assert row["ci95"][0] <= 5 <= row["ci95"][1]
    assert (row["cpu_ms"], row["other_ms"]) == pytest.approx((10, 2), rel=0.02)


def test_without_a_gpu_times_stand_alone(gpu_ratios):
    (row,) = gpu_ratios.summary([{"product": {"0 CPU:0": [0.001, 0.003, 0.002]}}], 0)
    assert row == {"case": "product", "cpu_ms": pytest.approx(2), "other_ms": None, "ratio": None, "ci95": None}
    text = gpu_ratios.table({"rows": [row], "skipped": "no GPU here"})
    assert text.endswith("skipped: ratios. no GPU here")


def test_why_there_is_no_gpu(gpu_ratios, monkeypatch):
    class Tensorflow:
        __version__ = "9"
        config = type("config", (), {"list_physical_devices": staticmethod(lambda kind: Tensorflow.gpus)})
        test = type("test", (), {"is_built_with_gpu_support": staticmethod(lambda: Tensorflow.built)})
        gpus = ()
        built = False

    monkeypatch.setattr(gpu_ratios.env, "tensorflow", lambda: Tensorflow)
    reasons = {}
    for built in (False, True):
        for nvidia in (False, True):
            Tensorflow.built = built
            monkeypatch.setattr(gpu_ratios, "has_nvidia", lambda nvidia=nvidia: nvidia)
            reasons[built, nvidia] = gpu_ratios.missing_gpu()
    assert "tensorflow[and-cuda]" in reasons[False, True]
    assert "shows no NVIDIA GPU" in reasons[False, False]
    assert "driver" in reasons[True, True]
    assert "on this host" in reasons[True, False]
    Tensorflow.gpus = ("GPU:0",)
    assert gpu_ratios.missing_gpu() == ""


def test_a_step_of_every_case_gives_a_finite_number(gpu_ratios):
    for name, make in gpu_ratios.cases((8,), ()).items():
        step = make()
        assert np.isfinite(step().numpy()), name
        assert gpu_ratios.block(step, 2) > 0


@pytest.mark.slow
def test_the_whole_of_it_against_the_cpu_itself(tmp_path):
    out = tmp_path / "gpu.json"
    command = [sys.executable, str(SCRIPT), "--sizes", "16", "64", "--sides", "32", "--launches", "3", "--rounds", "4"]
    subprocess.run([*command, "--against", "CPU:0", "--out", str(out)], check=True, capture_output=True)
    rows = {row["case"]: row for row in json.loads(out.read_text())["rows"]}
    assert set(rows) >= {"product 16x16", "style step, 32 pixels", "mlp_mnist_1024x2, training step of 64"}
    assert all(row["ratio"] > 0 and row["ci95"][0] <= row["ratio"] <= row["ci95"][1] for row in rows.values())
