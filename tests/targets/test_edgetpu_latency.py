"""The Edge TPU's cost model: hand-computed cases, the published points, and the constants in the data."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.graphs import read_tflite
from edgecv.targets import inspect
from edgecv.targets.edgetpu_latency import Load, Work, load, time_of, work_of
from edgecv.values import profiles
from tests.graphs.tiny import N, Net, T, build, lenet, options

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "edgetpu_latency.py"
ROUND = {
    "floor_ms": 0.5,
    "input_mb_per_s": 100.0,
    "output_mb_per_s": 50.0,
    "array_mhz": 1000.0,
    "depthwise_m_per_s": 10.0,
    "moved_mb_per_s": 20.0,
    "stream_mb_per_s": 400.0,
}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("edgetpu_latency_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def kernel(*shape: int) -> T:
    return T(shape, "int8", (0.1,) * shape[0], np.ones(shape, np.int8))


def one(op: str, w: T, before: tuple[int, ...], after: tuple[int, ...], kind: str) -> Net:
    return Net({"x": T(before), "w": w, "y": T(after)}, [N(op, ["x", "w"], ["y"], options(kind), 3)])


def test_work_by_hand() -> None:
    conv = read_tflite(build(one("CONV_2D", kernel(65, 3, 3, 5), (1, 8, 8, 5), (1, 6, 6, 65), "Conv2DOptions")))
    assert work_of(conv, conv.ops[0]) == Work(cycles=36 * 9 * 8 * 128 / 4096)  # 65 -> 128 and 5 -> 8 channels
    dense = read_tflite(build(one("FULLY_CONNECTED", kernel(10, 84), (1, 84), (1, 10), "FullyConnectedOptions")))
    assert work_of(dense, dense.ops[0]) == Work(cycles=84 * 64 / 4096)
    shape = (1, 4, 4, 6)
    depthwise = read_tflite(build(one("DEPTHWISE_CONV_2D", kernel(1, 3, 3, 6), shape, shape, "DepthwiseConv2DOptions")))
    assert work_of(depthwise, depthwise.ops[0]) == Work(taps=16 * 9 * 64)
    tanh = read_tflite(build(Net({"x": T(shape), "y": T(shape)}, [N("TANH", ["x"], ["y"])])))
    assert work_of(tanh, tanh.ops[0]) == Work(moved=2 * 96)


def test_time_by_hand() -> None:
    work = Load(
        cached=Work(cycles=2e6, taps=1e4, moved=4e4),  # 2 + 1 + 2 ms
        streaming=Work(cycles=1e6),  # 1 ms, hidden behind 3 ms of streaming
        streamed=1_200_000,
        inputs=100_000,
        outputs=5_000,
    )
    found = time_of(work, ROUND)
    assert found == pytest.approx(
        {"overhead": 0.5, "inputs": 1.0, "compute": 6.0, "waiting for weights": 2.0, "outputs": 0.1}
    )


def test_weights_that_arrive_in_time_cost_nothing() -> None:
    work = Load(cached=Work(), streaming=Work(cycles=9e6), streamed=400_000, inputs=0, outputs=0)
    assert time_of(work, ROUND)["waiting for weights"] == 0


def test_lenet_moves_its_image_in_and_its_scores_out() -> None:
    graph = read_tflite(build(lenet()))
    found = load(graph, graph.ops, profiles.target("edgetpu"))
    assert (found.inputs, found.outputs, found.streamed) == (28 * 28, 10, 0)
    head = load(graph, graph.ops[:2], profiles.target("edgetpu"))
    assert head.outputs == 28 * 28 * 6, "what the CPU reads of the mapped part leaves the chip"


def test_inspection_predicts_with_a_band_and_its_error(tmp_path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(build(lenet()))
    found = inspect(path, "edgetpu")
    latency = found.latency
    assert latency is not None
    assert latency.kind == "predicted"
    assert latency.low_ms < latency.ms < latency.high_ms
    assert latency.ms == pytest.approx(sum(latency.parts_ms.values()))
    assert latency.ms > profiles.target("edgetpu").latency["floor_ms"]
    assert any(f"{latency.median_error:.0%} off" in note for note in found.notes)


def test_the_band_is_wide_where_weights_may_or_may_not_fit(tmp_path) -> None:
    def band(rows: int, open_: bool) -> float:
        path = tmp_path / "m.tflite"
        w = T((rows, 4096), "int8", 0.1, np.ones((rows, 4096), np.int8))
        path.write_bytes(build(one("FULLY_CONNECTED", w, (1, 4096), (1, rows), "FullyConnectedOptions")))
        found = inspect(path, "edgetpu")
        latency = found.latency
        assert any("6.9 to 7.7 MiB" in note for note in found.notes) is open_
        assert latency is not None
        assert latency.low_ms is not None
        assert latency.high_ms is not None
        return latency.high_ms / latency.low_ms

    assert band(1024, False) < 1.5, "4 MiB fit"
    assert band(1792, True) > 10, "7 MiB may fit: kept on chip, or streamed at each inference"


def test_nothing_mapped_has_no_latency(tmp_path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(build(Net({"x": T((1, 4)), "y": T((1, 4))}, [N("ELU", ["x"], ["y"])])))
    assert inspect(path, "edgetpu").latency is None
    path.write_bytes(build(Net({"x": T((1, 4)), "y": T((1, 4))}, [N("edgetpu-custom-op", ["x"], ["y"])])))
    assert inspect(path, "edgetpu").latency is None


def test_missing_constant_is_a_config_error() -> None:
    empty = Load(cached=Work(), streaming=Work(), streamed=0, inputs=0, outputs=0)
    with pytest.raises(ConfigError, match="floor_ms"):
        time_of(empty, {k: v for k, v in ROUND.items() if k != "floor_ms"})


def test_constants_in_the_data_are_what_the_script_fits(script) -> None:
    pytest.importorskip("scipy")
    found, stored = script.result(), dict(profiles.target("edgetpu").latency)
    fresh = {**found["constants"], "median_error": found["median_error"], "largest_error": found["largest_error"]}
    assert set(fresh) == set(stored)
    for name, value in fresh.items():
        assert stored[name] == pytest.approx(value, rel=0.02), name


def test_sweep_tells_the_clock_of_the_chip(script) -> None:
    _, sweeps = script.published()
    assert script.from_sweeps(sweeps)["array_mhz"] == pytest.approx(480, rel=0.01)  # the published clock


def test_stored_loads_are_those_of_the_networks(script) -> None:
    from edgecv import zoo

    loads = script.stored_loads()
    points, _ = script.published()
    assert set(loads) == {script.key(p) for p in points}
    for point in points:
        entry = zoo.get(point.name)
        if point.size != entry.input_shape[0]:
            continue
        load, profile = loads[script.key(point)], zoo.stored_profile(point.name)
        cycles, taps = (load.cached + load.streaming).cycles, (load.cached + load.streaming).taps
        # Padding adds to the multiplications of the layer graph and never takes away.
        assert profile.macs <= cycles * 4096 + taps < 1.7 * profile.macs, point.name
        assert load.inputs == point.size**2 * 3
