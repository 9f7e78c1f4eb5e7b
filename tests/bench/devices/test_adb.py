"""The real adb client and server against a daemon that speaks adb's wire protocol."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from edgecv.bench import BenchCase, BenchPlan, ResultsFile, bench, open_device, profile
from edgecv.bench.devices.adb import diagnose
from edgecv.bench.devices.adb_benchmark import parse
from edgecv.bench.link import AgentLink
from edgecv.core.errors import ConfigError, DeviceError, UnsupportedModelError

TINY = BenchPlan(
    min_launches=3, max_launches=3, launch_seconds=0.02, min_rounds=5, max_rounds=10, warmup_ms=1.0, max_warmup_ms=50.0
)


def case(path: Path, name: str = "gemm") -> BenchCase:
    return BenchCase(name=name, path=str(path))


@pytest.mark.slow
def test_a_bench_over_adb(phone, phone_file, onnx_file):
    device = open_device("phone", phone_file)
    base, found = bench([case(onnx_file)], baseline=case(onnx_file, "base"), device=device, plan=TINY)
    for latency in (base.latency, found.latency):
        assert latency.device == "phone"
        assert latency.kind == "measured"
        assert 0 < latency.p50 <= latency.p99
    assert device.facts()["python"] == ".".join(map(str, sys.version_info[:3]))
    # The model and the runtime, once each.
    assert len(phone.pushed) == 2


def test_scripts_push_and_pull(phone, phone_file, onnx_file, tmp_path):
    device = open_device("phone", phone_file)
    for odd in ("a b", "it's", "$(touch pwned)", "`id`", "-n", "", "a;b|c", "ü"):
        assert device.checked('printf "%s|" "$#" "$1"', odd).out == f"1|{odd}|"
    assert device.shell.run("echo out; echo err >&2; exit 7") == type(device.checked("true"))(
        status=7, out="out\n", err="err"
    )
    there = device.put(onnx_file)
    assert there.startswith(str(phone.sandbox))
    device.shell.pull(there, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == onnx_file.read_bytes()
    with pytest.raises(DeviceError, match=r"cannot fetch .*nothing"):
        device.shell.pull(f"{device.folder}/nothing", tmp_path / "back")
    assert not list(tmp_path.rglob("pwned"))


def test_evaluate_over_adb_equals_evaluate_here(phone, phone_file, lenet):
    from edgecv.jobs import evaluate as assess

    here = assess.evaluate_file(lenet, assess.EvaluationRequest(data="digits"))
    there = assess.evaluate_file(lenet, assess.EvaluationRequest(data="digits", device="phone", devices=phone_file))
    assert there.device == "phone"
    assert dataclasses.replace(there, device="local") == here


def test_a_device_that_drops_out_says_so_and_finished_launches_stay(phone, phone_file, onnx_file, tmp_path):
    store = ResultsFile(tmp_path / "raw.json")
    saved = []

    def save(measurement):
        store.save(measurement)
        saved.append(measurement)
        if len(saved) == 2:
            phone.drop(for_good=True)

    with pytest.raises(DeviceError, match=r"adb 127\.0\.0\.1") as raised:
        bench([case(onnx_file)], baseline=None, device=open_device("phone", phone_file), plan=TINY, save=save)
    assert raised.value.exit_code == 3
    assert raised.value.hint
    (kept,) = store.read()
    assert len(kept.launches) == 2


def test_a_device_that_drops_out_while_the_agent_runs(phone, phone_file, onnx_file):
    device = open_device("phone", phone_file)
    with AgentLink(device.start(), "gemm") as link:
        link.hello()
        phone.drop(for_good=True)
        with pytest.raises(DeviceError, match=r"gemm: while loading: adb 127\.0\.0\.1"):
            link.load(case(onnx_file), "anything", 0)


def test_a_full_device(phone, phone_file, onnx_file):
    phone.full = True
    with pytest.raises(DeviceError, match="No space left on device") as raised:
        open_device("phone", phone_file).put(onnx_file)
    assert "storage full" in raised.value.hint


def test_an_unauthorised_device(phone, phone_file):
    phone.authorized = False
    with pytest.raises(DeviceError, match="has not allowed this host to debug it") as raised:
        open_device("phone", phone_file).checked("true")
    assert "unlock its screen" in raised.value.hint


def test_nobody_at_the_address(phone, phone_file):
    phone.drop(for_good=True)
    with pytest.raises(DeviceError, match="does not answer at its address"):
        open_device("phone", phone_file).checked("true")


def test_without_a_client(tmp_path, monkeypatch):
    path = tmp_path / "devices.toml"
    path.write_text('[phone]\nkind = "adb"\n')
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceError, match="'adb' is not installed on this host"):
        open_device("phone", path).checked("true")


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set", "has not allowed this host"),
        ("error: device offline", "is offline"),
        ("error: no devices/emulators found", "is not connected"),
        ("error: device 'R58' not found", "is not connected"),
        ("error: more than one device/emulator", "several devices"),
        ("error: insufficient permissions for device: user in plugdev group", "may not open the USB device"),
    ],
)
def test_causes(said, cause):
    assert cause in diagnose(said)[0]


# A stand-in for LiteRT's program on the phone: it prints what that prints, from the inferences it really counts.
BENCHMARK_MODEL = """#!/bin/sh
for option in "$@"; do case "$option" in
--graph=*) graph=${option#--graph=};; --num_runs=*) runs=${option#*=};; --warmup_runs=*) warm=${option#*=};;
--report_peak*=true) peak=1;; --profiling_output_csv_file=*) csv=${option#*=};; esac; done
if ! [ -s "$graph" ]; then echo "ERROR: Could not open '$graph'."; echo "ERROR: Failed to load model $graph"; exit 1; fi
echo "INFO: STARTING!"
echo "INFO: The input model file size (MB): 0.07"
echo "INFO: Initialized session in 3.501ms."
until="but terminate if exceeding 150 seconds."
echo "INFO: Running benchmark for at least $warm iterations and at least 0 seconds $until"
echo "INFO: count=$warm first=9000 curr=7000 min=6900 max=9000 avg=7500 std=800"
echo ""
echo "INFO: Running benchmark for at least $runs iterations and at least 1e-06 seconds $until"
if [ "$runs" = 1 ]; then echo "INFO: count=1 curr=5100"
else echo "INFO: count=$runs first=5010 curr=4990 min=4900 max=5200 avg=5000.5 std=30 p5=4950 median=5000 p95=5100"; fi
echo ""
echo "INFO: Inference timings in us: Init: 3501, First inference: 9000, Warmup (avg): 7500, Inference (avg): 5000.5"
echo "INFO: Memory footprint delta from the start of the tool (MB): init=5.25 overall=8.5"
[ -z "$peak" ] || echo "INFO: Overall peak memory footprint (MB) via periodic monitoring: 93.25"
[ -z "$csv" ] || cat > "$csv" <<END
Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
node type, first, avg_ms, %, cdf%, mem KB, times called, name
Delegate/Fully Connected (NC, F32) GEMM, 4.9, 4.75, 100%, 100%, 0, 1, [Delegate]:0
END
"""


@pytest.fixture
def without_python(phone, phone_file, tmp_path):
    (tmp_path / "benchmark_model").write_text(BENCHMARK_MODEL)
    lines = [line for line in phone_file.read_text().splitlines() if not line.startswith("python")]
    phone_file.write_text("\n".join([*lines, 'benchmark_model = "benchmark_model"', ""]))
    return phone_file


def test_a_bench_with_benchmark_model(phone, without_python, onnx_file):
    device = open_device("phone", without_python)
    (found,) = bench([case(onnx_file)], baseline=None, device=device, plan=TINY)
    latency = found.latency
    assert latency.engine == "benchmark_model"
    assert latency.kind == "measured"
    assert latency.load_ms == pytest.approx(3.501)
    assert latency.first_ms == pytest.approx(9.0)
    assert latency.p50 == pytest.approx(5.0005)
    assert latency.peak_rss_bytes == round(93.25 * 2**20)
    assert device.facts()["kernel"].startswith("Linux")


def test_benchmark_model_profiles_operators(phone, without_python, tflite_file):
    device = open_device("phone", without_python)
    found = profile(case(tflite_file), device, runs=20)
    assert found.reason == ""
    (op,) = found.profile.ops
    assert (op.op, op.index, op.ms, op.certain) == ("FULLY_CONNECTED", 0, pytest.approx(4.75), True)
    assert found.profile.inference_ms == pytest.approx(5.0005)
    assert device.checked('ls "$1"', device.folder).out.find("ops-") < 0, "nothing stays there"
    gpu = profile(dataclasses.replace(case(tflite_file), accelerator="gpu"), device)
    assert "only on the cpu" in gpu.reason


def test_benchmark_model_gives_no_answers(phone, without_python, onnx_file):
    device = open_device("phone", without_python)
    with AgentLink(device.start(), "x") as link:
        with pytest.raises(ConfigError, match="benchmark_model cannot predict: it only times models"):
            link.predict([])
        with pytest.raises(UnsupportedModelError, match="cannot read /nowhere"):
            link.load(case(onnx_file), "/nowhere", 0)


def test_benchmark_models_output_is_read():
    text = (
        "INFO: Initialized session in 92.318ms.\n"
        "INFO: count=3 first=235158 curr=200386 min=199462 max=235158 avg=211669 std=16613 p5=1 median=2 p95=3\n\n"
        "INFO: count=25 first=187533 curr=140990 min=140071 max=195121 avg=145528 std=13583 p5=1 median=2 p95=3\n\n"
        "INFO: Inference timings in us: Init: 92318, First inference: 235158, Warmup (avg): 9.99242e+06, "
        "Inference (avg): 145528\n"
        "INFO: Memory footprint delta from the start of the tool (MB): init=54.2852 overall=73.4102\n"
    )
    found = parse(text)
    assert (found.init_ms, found.first_ms, found.avg_ms) == (92.318, 235.158, 145.528)
    assert (found.std_ms, found.min_ms, found.max_ms, found.count) == (13.583, 140.071, 195.121, 25)
    assert found.warmup_ms == pytest.approx(9992.42)
    assert found.memory_bytes == round(73.4102 * 2**20)
    assert found.peak_bytes is None


@pytest.mark.parametrize("text", ["", "ERROR: Failed to apply GPU delegate.\nBenchmarking failed.", "count=3 curr=1"])
def test_no_timings_are_an_error(text):
    with pytest.raises(DeviceError, match="gave no timings"):
        parse(text)


def test_a_timing_that_is_no_number():
    line = (
        "Inference timings in us: Init: 1, First inference: 2, Warmup (avg): 3, Inference (avg): 1e999\ncount=1 curr=1"
    )
    with pytest.raises(DeviceError, match="a number that is none"):
        parse(line)
