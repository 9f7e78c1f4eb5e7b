"""Jobs behind `edgecv bench`, on devices that run nothing; tests/bench has the real ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import edgecv.bench as bench
from edgecv.bench.devices.fake import FakeDevice, FakeModel
from edgecv.core.errors import ConfigError, DeviceError, UnsupportedModelError
from edgecv.jobs import bench as benching
from edgecv.jobs.bench import BenchRequest
from edgecv.report import report_schema
from edgecv.report.store import to_json

QUICK = BenchRequest(devices=("one",), plan="quick", retries=0)


def write_onnx(path: Path, seed: int = 0) -> Path:
    onnx = pytest.importorskip("onnx", reason="onnx writes the model")
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.full((4, 3), seed, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], name="dense/MatMul")],
        "gemm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [weights],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {name: write_onnx(tmp_path / f"{name}.onnx", i) for i, name in enumerate(("a", "b", "base"))}


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeDevice]:
    """Devices by name; a test may change or replace them before it measures."""
    models = {
        "a.onnx": FakeModel(median_ms=2.0),
        "b.onnx": FakeModel(median_ms=3.0),
        "base.onnx": FakeModel(median_ms=1.0),
    }
    made = {name: FakeDevice(dict(models), name=name) for name in ("one", "two", "local")}
    monkeypatch.setattr(bench, "open_device", lambda name, devices=None: made[name])
    setting = bench.Setting
    times = {"sleep": lambda seconds: None}
    monkeypatch.setattr(bench, "Setting", lambda **given: setting(clock=given["device"].clock, **times, **given))
    short = bench.BenchPlan(min_launches=3, max_launches=8, launch_seconds=0.01, min_rounds=6, max_rounds=12)
    monkeypatch.setitem(bench.PLANS, "quick", short)
    return made


def valid(report: object) -> dict[str, object]:
    document = json.loads(to_json(report))
    jsonschema.validate(document, report_schema())
    return document


def test_files_on_devices(files, devices):
    request = replace(QUICK, devices=("one", "two"))
    report = benching.bench_files([files["a"], files["b"]], request, baseline=files["base"])
    valid(report)
    assert [(x.device, round(x.ratio_to_baseline, 6)) for x in report.artifacts[1].latency] == [
        ("one", 3.0),
        ("two", 3.0),
    ]
    assert [baseline.device.partition(":")[0] for baseline in report.baselines] == ["one", "two"]
    assert report.baseline == report.baselines[0]
    assert set(report.devices) == {"one", "two"}
    assert report.failures == ()


def test_one_local_device_gives_the_report_of_old(files, devices):
    report = benching.bench_files([files["a"]], replace(QUICK, devices=("local",)), baseline=files["base"])
    document = valid(report)
    assert (document["baselines"], document["devices"], document["failures"], document["sweeps"]) == ([], {}, [], [])
    assert report.artifacts[0].latency[0].mode == "burst"


def test_unknown_states_are_explained_once_per_device(files, devices):
    devices["one"].state = {"missing": {"governor": "no cpufreq"}}
    report = benching.bench_files([files["a"], files["b"]], QUICK)
    assert report.warnings.count("one: governor unknown: no cpufreq") == 1


def test_what_a_lost_device_leaves(files, devices, tmp_path):
    devices["two"].fail_after = 20
    request = replace(QUICK, devices=("one", "two"))
    report = benching.bench_files([files["a"], files["b"]], request, out=tmp_path / "raw.json")
    valid(report)
    assert [[x.device for x in a.latency] for a in report.artifacts] == [["one"], ["one"]]
    assert {(f.device, f.artifact) for f in report.failures} == {("two", "a.onnx"), ("two", "b.onnx")}
    assert any(text.startswith("a.onnx: latency on two unknown: a.onnx: while") for text in report.warnings)
    with pytest.raises(DeviceError, match=r"two: a\.onnx: while") as raised:
        benching.require_measured(report)
    assert raised.value.exit_code == 3

    devices["two"].fail_after = None
    before = devices["one"].launches
    again = benching.bench_files([files["a"], files["b"]], request, out=tmp_path / "raw.json")
    benching.require_measured(again)
    assert [len(a.latency) for a in again.artifacts] == [2, 2]
    assert devices["one"].launches == before, "finished results are not measured again"


def test_retries_are_stated_when_nothing_could_be_measured(files, devices):
    devices["one"].fail_after = 0
    with pytest.raises(DeviceError, match=r"one: a\.onnx: while starting: .* \(tried 3 times\)"):
        benching.bench_files([files["a"]], replace(QUICK, retries=2))


def test_a_file_that_cannot_run_is_exit_2_and_the_other_is_measured(files, devices):
    del devices["one"].models["a.onnx"]
    report = benching.bench_files([files["a"], files["b"]], QUICK)
    assert [len(a.latency) for a in report.artifacts] == [0, 1]
    with pytest.raises(UnsupportedModelError, match=r"a\.onnx is not a model") as raised:
        benching.require_measured(report)
    assert raised.value.exit_code == 2


def test_a_sweep_finds_the_best_number_of_threads(files, devices, monkeypatch):
    plain = FakeDevice.start

    def start(self):
        """Two threads are twice as fast, four as fast as two."""
        channel = plain(self)
        load = channel._load

        def scaled(request):
            answer = load(request)
            channel._speed *= {1: 1.0, 2: 0.5, 4: 0.501}[request["threads"]]
            return answer

        channel._load = scaled
        return channel

    monkeypatch.setattr(FakeDevice, "start", start)
    devices["one"].models["a.onnx"] = FakeModel(median_ms=2.0, launch_sigma=0.005)
    report = benching.bench_files([files["a"]], replace(QUICK, threads=(1, 2, 4)))
    valid(report)
    (sweep,) = report.sweeps
    assert (sweep.artifact, sweep.reference) == ("a.onnx", "1 thread")
    assert {sweep.best, *sweep.tied} == {2, 4}
    assert sweep.points[1].ratio == pytest.approx(0.5, rel=0.02)
    assert sweep.points[1].ci95 is not None
    assert [x.threads for x in report.artifacts[0].latency] == [1, 2, 4]
    assert all(x.ratio_to_baseline is None for x in report.artifacts[0].latency), "there is no baseline"


def test_a_sweep_with_a_baseline_is_against_it(files, devices):
    request = replace(QUICK, threads=(1, 2))
    report = benching.bench_files([files["a"], files["b"]], request, baseline=files["base"])
    assert [sweep.reference for sweep in report.sweeps] == ["baseline base"] * 2
    assert [x.ratio_to_baseline for x in report.artifacts[0].latency] == pytest.approx([2.0, 2.0])
    assert report.sweeps[0].tied, "threads change nothing on a fake device"


def test_sustained(files, devices):
    request = replace(QUICK, mode="sustained", seconds=10.0)
    report = benching.bench_files([files["a"]], request, baseline=files["base"])
    valid(report)
    latency = report.artifacts[0].latency[0]
    assert (latency.mode, len(latency.sustained.windows)) == ("sustained", 10)
    assert report.baseline.latency_ms.p50 == pytest.approx(1.0)
    assert any("a.onnx" in text and "ratio to the baseline unknown" in text for text in report.warnings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mode": "bursts"}, "unknown mode 'bursts'"),
        ({"seconds": 5.0}, "sustained"),
        ({"mode": "sustained", "threads": (1, 2)}, "compared in bursts"),
        ({"mode": "sustained", "seconds": 4.0, "window": 3.0}, "two windows"),
        ({"devices": ("one", "one")}, "named twice"),
    ],
)
def test_requests_that_make_no_sense(files, devices, changes, words):
    with pytest.raises(ConfigError, match=words):
        benching.bench_files([files["a"]], replace(QUICK, **changes))
    assert devices["one"].launches == 0


def test_a_baseline_engine_of_this_host_is_no_other_devices(files, devices):
    with pytest.raises(ConfigError, match="is for this host"):
        benching.bench_files([files["a"]], replace(QUICK, baseline_engine="onnxruntime"), baseline=files["base"])


def test_a_profile_has_operators_and_layers(files, devices):
    row = {"name": "Gemm", "op": "Gemm", "index": None, "node": "dense/MatMul", "ms": 0.5}
    devices["one"].profile = {
        "source": "a made-up profiler", "runs": 7, "ops": [row, {**row, "node": "Reorder", "ms": 1.5}],
        "inference_ms": 4.0, "resolution_ms": 0.001, "note": "",
    }  # fmt: skip
    report = benching.bench_files([files["a"]], replace(QUICK, profile=True))
    valid(report)
    found = report.artifacts[0].latency[0].profile
    assert [(op.op, op.index, op.share, op.certain) for op in found.ops] == [
        ("Gemm", 0, 0.25, True),
        ("", None, 0.75, False),
    ]
    assert (found.sum_ms, found.inference_ms, found.runs) == (2.0, 4.0, 7)
    assert found.note.startswith("the operators add up to 100% of a plain inference (p50 2 ms)")


def test_a_profile_that_cannot_be_had_is_null_with_a_reason(files, devices):
    error = {"error": {"type": "MissingDependencyError", "message": "no profiler", "hint": "install one"}}
    devices["one"].profile = error
    report = benching.bench_files([files["a"]], replace(QUICK, profile=True))
    assert report.artifacts[0].latency[0].profile is None
    assert any(
        "a.onnx on one: profile unknown" in text and "no profiler; install one" in text for text in report.warnings
    )
    assert report.failures == (), "latencies are whole without it"


def test_compare(files, devices, tmp_path):
    found = benching.compare_files(files["a"], files["b"], QUICK, out=tmp_path / "raw.json")
    assert (found.a, found.b, found.device, found.verdict) == ("a.onnx", "b.onnx", "one", "faster")
    assert found.ratio == pytest.approx(2 / 3)
    launches = devices["one"].launches
    again = benching.compare_files(files["a"], files["b"], QUICK, out=tmp_path / "raw.json")
    assert (again.ratio, devices["one"].launches) == (found.ratio, launches)


def test_compare_tells_files_of_one_name_apart(files, devices, tmp_path):
    (tmp_path / "other").mkdir()
    twin = write_onnx(tmp_path / "other" / "a.onnx", 9)
    found = benching.compare_files(files["a"], twin, QUICK, out=None)
    assert found.a != found.b
    assert found.verdict == "no difference shown"
    assert benching.compare_files(files["a"], files["a"], QUICK, out=None).verdict == "no difference shown"
