"""Time per operator from the real profilers; that figures are there and add up, never how large they are."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from edgecv.bench import BenchCase, checked, open_device, profile
from edgecv.bench.devices.fake import FakeDevice
from edgecv.core.errors import DeviceError, MissingDependencyError, UnsupportedModelError
from edgecv.runtime import benchmark_model, op_records, profiling
from edgecv.values.latency import OpProfile


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convolution, cumulative sum (which XNNPACK does not take), convolution, dense, softmax."""
    pytest.importorskip("tensorflow", reason="tensorflow writes the model")
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert runs it")
    from edgecv.modelio.env import tensorflow

    tf = tensorflow()
    rng = np.random.default_rng(0)
    first, second = (tf.constant(rng.normal(size=(3, 3, *c)).astype(np.float32)) for c in ((3, 24), (24, 24)))
    dense = tf.constant(rng.normal(size=(24, 10)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((1, 48, 48, 3), tf.float32)])
    def call(x):
        x = tf.cumsum(tf.nn.relu(tf.nn.conv2d(x, first, 1, "SAME")), axis=1)
        x = tf.nn.relu(tf.nn.conv2d(x, second, 1, "SAME"))
        return tf.nn.softmax(tf.matmul(tf.reduce_mean(x, [1, 2]), dense))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([call.get_concrete_function()])
    path = tmp_path_factory.mktemp("profile") / "network.tflite"
    path.write_bytes(converter.convert())
    return path


def test_litert_tells_the_time_of_each_operator(network):
    found = profile(BenchCase(name="network", path=str(network)), open_device("local"), runs=20)
    assert found.reason == ""
    profiled = found.profile
    assert "LiteRT's profiler" in profiled.source
    assert profiled.runs >= 5
    ops = [op for op in profiled.ops if op.index is not None]
    assert [op.op for op in ops] == ["CONV_2D", "CUMSUM", "CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"]
    assert [op.index for op in ops] == list(range(6))
    assert all(op.certain for op in ops)
    assert profiled.sum_ms == pytest.approx(sum(op.ms for op in profiled.ops))
    assert sum(op.share for op in profiled.ops) == pytest.approx(1.0)
    heavy = max(profiled.ops, key=lambda op: op.ms)
    assert heavy.index == 2, "48 x 48 x 24 x 24 x 9 multiplications, 8 times those of the next"
    assert 0 < profiled.sum_ms <= 1.2 * profiled.inference_ms


def test_onnx_runtime_tells_too(onnx_file):
    found = profile(BenchCase(name="gemm", path=str(onnx_file)), open_device("local"), runs=20)
    assert "ONNX Runtime" in found.profile.source
    assert [op.op for op in found.profile.ops if op.index is not None] == ["Gemm"]
    assert found.profile.inference_ms > 0


@pytest.mark.parametrize(("plain_ms", "words"), [(2.0, "100%"), (4.0, "loses up to one"), (1.0, "look larger")])
def test_a_sum_that_does_not_add_up_is_explained(plain_ms, words):
    found = OpProfile(source="s", runs=1, ops=(), sum_ms=2.0, inference_ms=3.0, resolution_ms=0.001, note="before")
    note = checked(found, plain_ms).note
    assert note.startswith("before; the operators add up to ")
    assert words in note


def test_threads_reach_the_profiler(network):
    case = BenchCase(name="network", path=str(network), threads=2)
    assert profile(case, open_device("local"), runs=5).profile is not None


def test_reasons_why_there_is_no_profile(network, tmp_path):
    device = open_device("local")
    gpu = profile(BenchCase(name="n", path=str(network), accelerator="gpu"), device)
    assert gpu.profile is None
    assert "'gpu' cannot be profiled" in gpu.reason
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(network.read_bytes()[:400])
    assert profile(BenchCase(name="d", path=str(damaged)), device).profile is None
    old = FakeDevice({}, profile={"error": {"type": "ConfigError", "message": "unknown agent command 'profile'"}})
    assert "older than here" in profile(BenchCase(name="n", path=str(network)), old).reason
    gone = profile(BenchCase(name="n", path=str(network)), FakeDevice({}, fail_after=0))
    assert "the agent process ended" in gone.reason


def test_what_tflite_runtime_lacks_is_said(network, monkeypatch):
    monkeypatch.setattr(benchmark_model, "program", lambda: None)
    with pytest.raises(MissingDependencyError, match="no operator profiler") as raised:
        profiling.profile(str(network), engine="tflite-runtime")
    assert "benchmark_model" in raised.value.hint


def trace(runs: int) -> list[dict[str, object]]:
    events: list[dict[str, object]] = []
    for run in range(runs):
        start = 1000 * run
        for i, op in enumerate(("Conv", "Gemm")):
            args = {"op_name": op, "provider": "CPUExecutionProvider"}
            kernel = {
                "cat": "Node",
                "name": f"n{i}_kernel_time",
                "ts": start + 10 * i,
                "dur": 5 + i + run,
                "args": args,
            }
            events += [kernel, {**kernel, "name": f"n{i}_fence_before", "dur": 0}]
        events.append({"cat": "Session", "name": "model_run", "ts": start, "dur": 100 + run})
    return events


def test_an_onnx_trace_without_its_first_runs():
    runs = profiling.read_onnx_trace(trace(8), "here")
    assert len(runs.records) == len(runs.inference_us) == 8 - profiling.WARMUP_RUNS
    assert [(r.op, r.node, r.us) for r in runs.records[0]] == [("Conv", "n0", 10.0), ("Gemm", "n1", 11.0)]
    assert runs.inference_us == [105.0, 106.0, 107.0]
    assert len(profiling.read_onnx_trace(trace(1), "here").records) == 1


def record(us: float, name: str = "A") -> op_records.Record:
    return op_records.Record(name, name, 0, None, us)


def test_times_are_means_of_the_middle_half_of_runs_alike():
    rows = [[record(us)] for us in (1, 2, 3, 900)] + [[record(7), record(7, "extra")]]
    done = profiling.averaged(op_records.Runs("s", rows, [10.0, 20.0, 30.0, 40.0, 999.0], 1.0))
    assert done["runs"] == 4, "the run with another operator is left out"
    assert done["ops"][0]["ms"] == pytest.approx(2.5e-3)
    assert done["inference_ms"] == pytest.approx(25e-3)


def test_a_profile_of_nothing_is_an_error():
    with pytest.raises(UnsupportedModelError, match="recorded no operator"):
        profiling.averaged(op_records.Runs("s", [[], []], [1.0, 1.0], 1.0))


# In the layout of TensorFlow's core/util/stats_calculator.cc.
CSV = """Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
node type, first, avg_ms, %, cdf%, mem KB, times called, name
AllocateTensors, 9.0, 9.0, 100%, 100%, 0, 1, AllocateTensors/0

Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
node type, first, avg_ms, %, cdf%, mem KB, times called, name
Delegate/Convolution (NHWC, F32) IGEMM, 0.02, 0.025, 50%, 50%, 0, 1, [Delegate]:0
CUMSUM, 0.01, 0.0125, 25%, 75%, 0, 2, [cumulative\tsum]:1

============================== Top by Computation Time ==============================
node type, first, avg_ms, %, cdf%, mem KB, times called, name
CUMSUM, 0.01, 0.0125, 25%, 75%, 0, 2, [cumulative\tsum]:1
"""


OLDER = CSV.replace("node type, first", "node type, start, first").replace("IGEMM, ", "IGEMM, 0, ")
OLDER = OLDER.replace("CUMSUM, 0.01", "CUMSUM, 0, 0.01").replace("AllocateTensors, 9.0", "AllocateTensors, 0, 9.0")


@pytest.mark.parametrize("text", [CSV, OLDER], ids=["newer", "with a start column"])
def test_benchmark_models_csv(text):
    first, second = benchmark_model.read_csv(text)
    assert (first.name, first.op, first.index, first.us) == ("Convolution (NHWC, F32) IGEMM", "", None, 25.0)
    assert (second.name, second.op, second.index, second.us) == ("CUMSUM", "CUMSUM", 1, 25.0)
    assert benchmark_model.read_csv("") == []


def program(folder: Path, body: str) -> None:
    path = folder / "benchmark_model"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_the_program_on_path_is_run(tmp_path, network, monkeypatch):
    (tmp_path / "ops.csv").write_text(CSV)
    csv = '--profiling_output_csv_file=*) out="${a#*=}";;'
    graph = '--graph=*) test -f "${a#*=}" || exit 9;;'
    said = "Inference timings in us: Init: 1, First inference: 2, Warmup (avg): 3, Inference (avg): 61.5"
    loop = f'for a in "$@"; do case "$a" in {csv} {graph} esac; done'
    program(tmp_path, f'{loop}; cp {tmp_path}/ops.csv "$out"; echo "{said}" >&2')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    done = profiling.profile(str(network), engine="tflite-runtime")
    assert done["source"].startswith("benchmark_model")
    assert done["inference_ms"] == pytest.approx(0.0615)
    assert [row["ms"] for row in done["ops"]] == pytest.approx([0.025, 0.025])
    assert "another version of TFLite" in done["note"]
    json.dumps(done)


@pytest.mark.parametrize(("body", "words"), [("echo no such flag >&2; exit 1", "status 1"), ("exit 0", "no operator")])
def test_a_program_that_fails_says_so(tmp_path, network, monkeypatch, body, words):
    program(tmp_path, body)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(DeviceError, match=words):
        profiling.profile(str(network), engine="tflite-runtime")
