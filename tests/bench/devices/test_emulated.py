"""Emulated Arm: the flow of setup with stand-ins, and the real thing where `make arm` has made it."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from edgecv.bench import BenchCase, BenchPlan, bench, open_device
from edgecv.bench.devices import Declared, emulated, find, opened, processors
from edgecv.bench.devices.setup import set_up
from edgecv.bench.devices.specs import EmulatedSpec
from edgecv.bench.link import AgentLink
from edgecv.core.errors import DeviceError

SPEC = EmulatedSpec(kind="emulated", arch="arm64", cpu="cortex-a72")
BOARD = Declared(name="board", spec=SPEC, source="test")

TINY = BenchPlan(
    min_launches=3, max_launches=3, launch_seconds=0.02, min_rounds=3, max_rounds=5, warmup_ms=1.0, max_warmup_ms=50.0
)


def ready(name: str):
    """Return a device that `make arm` has made; skip when it has not."""
    stamp = emulated.read_stamp(name)
    spec = find(name).spec
    if stamp is None or stamp.get("identity") != emulated.identity(spec) or emulated.find_qemu(spec.arch) is None:
        pytest.skip(f"the emulated device {name} is not set up here: make arm")
    return open_device(name)


@pytest.mark.parametrize(("name", "machine"), [("arm64", "aarch64"), ("armv7", "armv7l")])
def test_an_agent_of_another_architecture(name, machine):
    device = ready(name)
    with AgentLink(device.start(), name) as link:
        told = link.hello()["host"]
    assert told["machine"] == machine
    facts = device.facts()
    assert facts["machine"] == machine
    assert facts["python"] == told["python"]
    assert facts["packages"] == told["packages"]
    assert "emulated on" in facts["cpu_model"]
    assert facts["emulator"].startswith("qemu-")


def test_int8_answers_on_arm64_are_this_hosts_within_a_step(lenet):
    ready("arm64")
    from edgecv.jobs import evaluate as assess
    from edgecv.jobs import verify as verification

    checked = verification.verify(lenet, device="arm64")
    assert checked.passed
    assert checked.kind == "simulated"
    assert checked.agreement.values >= 320
    assert checked.agreement.max_steps <= 1
    assert checked.agreement.differing <= 0.02 * checked.agreement.values
    here = assess.evaluate_file(lenet, assess.EvaluationRequest(data="digits"))
    there = assess.evaluate_file(lenet, assess.EvaluationRequest(data="digits", device="arm64"))
    assert there.kind == "simulated"
    assert there.device == "arm64"
    assert there.value == pytest.approx(here.value, abs=0.006), "more than two samples of 364 changed"


def test_a_file_for_float16_arithmetic_is_computed_in_it_on_arm64(lenet, tmp_path):
    ready("arm64")
    from edgecv.jobs import convert, models
    from edgecv.jobs import verify as verification

    source = models.Source(path=lenet.with_name("m.keras"))
    found = {}
    for arithmetic in ("float32", "float16"):
        out = tmp_path / f"{arithmetic}.tflite"
        convert.make(source, convert.Plan(scheme="float16", arithmetic=arithmetic, data="digits"), out=out)
        checked = verification.verify(out, device="arm64")
        assert checked.passed
        found[arithmetic] = checked.agreement
    assert found["float32"].max_abs_diff < 1e-5 < found["float16"].max_abs_diff < 5e-3
    assert "float16" in found["float16"].cause


def test_int8_answers_on_armv7_differ_with_a_reason(lenet):
    ready("armv7")
    from edgecv.jobs import verify as verification

    checked = verification.verify(lenet, device="armv7")
    assert checked.passed
    agreement = checked.agreement
    assert agreement.max_steps <= 6
    if agreement.differing:
        assert "tflite-runtime 2.14.0 there and ai-edge-litert" in agreement.cause


def test_times_are_simulated(lenet):
    device = ready("arm64")
    case = BenchCase(name="lenet", path=str(lenet))
    (found,) = bench([case], baseline=None, device=device, plan=TINY)
    assert found.latency.kind == "simulated"
    assert found.latency.device == "arm64"


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A host on which debootstrap, dpkg-deb and qemu do as much as the flow of setup sees of them."""
    programs, log = tmp_path / "bin", tmp_path / "log"
    programs.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def program(name: str, script: str) -> None:
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{log}"\n{script}\n')
        (programs / name).chmod(0o755)

    program(
        "debootstrap",
        'for word in "$@"; do case "$word" in */staging) staging=$word;; esac; done\n'
        'mkdir -p "$staging/var/cache/apt/archives" && : > "$staging/var/cache/apt/archives/python3.deb"',
    )
    program(
        "dpkg-deb",
        'mkdir -p "$3/usr/bin" "$3/usr/lib/aarch64-linux-gnu/blas" "$3/usr/share/doc/x"\n'
        ': > "$3/usr/lib/aarch64-linux-gnu/blas/libblas.so.3"; : > "$3/usr/bin/python3.11"',
    )
    # The Python that qemu is asked to run is this one.
    program(
        "qemu-aarch64-static", f'[ "$1" = --version ] && echo "qemu 0" && exit\nshift 5\nexec "{sys.executable}" "$@"'
    )
    return program, log


def test_setup_once(stand_ins, fake_wheels):
    _, log = stand_ins
    device = opened(BOARD)
    with pytest.raises(DeviceError, match="device 'board' is not set up") as raised:
        device.start()
    assert raised.value.hint == "edgecv device setup board"
    made = set_up(BOARD, device, download=fake_wheels)
    assert made.changed
    assert made.packages["tflite-runtime"] == "2.14.0"
    folder = emulated.device_folder("board")
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith("runtime-")) == [
        "device.json",
        "site",
        "sysroot",
    ]
    assert "CPU part\t: 0xd08" in (folder / "sysroot" / "proc" / "cpuinfo").read_text()
    assert (folder / "sysroot/usr/lib/aarch64-linux-gnu/libblas.so.3").is_file()
    assert not (folder / "sysroot/usr/share/doc").exists()
    asked = log.read_text()
    assert "--foreign" in asked
    assert "--arch=arm64" in asked
    with AgentLink(opened(BOARD).start(), "board") as link:
        assert link.hello()["protocol"] == 1
    log.unlink()
    assert set_up(BOARD, opened(BOARD), download=fake_wheels).changed is False
    assert "debootstrap" not in log.read_text()


def test_a_setup_that_breaks_off_leaves_nothing_half_and_goes_on(stand_ins, fake_wheels):
    program, _ = stand_ins

    def broken(requirements, python, folder):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        set_up(BOARD, opened(BOARD), download=broken)
    folder = emulated.device_folder("board")
    assert not folder.exists()
    assert not [path for path in folder.parent.iterdir() if "partial" in path.name]
    program("qemu-aarch64-static", "echo 'no such instruction' >&2; exit 1")
    with pytest.raises(DeviceError, match=r"Python does not run under .*no such instruction"):
        set_up(BOARD, opened(BOARD), download=fake_wheels)
    assert not folder.exists()


def test_a_debootstrap_that_fails_is_told(stand_ins, fake_wheels):
    program, _ = stand_ins
    program("debootstrap", "echo 'E: Failed getting release file'; exit 1")
    with pytest.raises(DeviceError, match="debootstrap ended with status 1: E: Failed getting release file"):
        set_up(BOARD, opened(BOARD), download=fake_wheels)


def test_another_processor_needs_another_setup(stand_ins, fake_wheels):
    set_up(BOARD, opened(BOARD), download=fake_wheels)
    other = dataclasses.replace(BOARD, spec=dataclasses.replace(SPEC, cpu="cortex-a53"))
    with pytest.raises(DeviceError, match=r"was set up as .*cortex-a72.*declared as .*cortex-a53"):
        opened(other).start()
    assert set_up(other, opened(other), download=fake_wheels).changed
    assert "CPU part\t: 0xd03" in (emulated.device_folder("board") / "sysroot/proc/cpuinfo").read_text()


def test_a_crash_under_qemu_is_explained(stand_ins, fake_wheels):
    program, _ = stand_ins
    set_up(BOARD, opened(BOARD), download=fake_wheels)
    program(
        "qemu-aarch64-static", "echo 'qemu: uncaught target signal 4 (Illegal instruction) - core dumped' >&2; exit 132"
    )
    with pytest.raises(DeviceError, match=r"the emulated process crashed: .*Illegal instruction") as raised:
        AgentLink(opened(BOARD).start(), "board").hello()
    assert "another cpu" in raised.value.hint


def test_without_qemu(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceError, match="qemu-aarch64-static is not installed on this host") as raised:
        set_up(BOARD, opened(BOARD))
    assert "make arm" in raised.value.hint


def test_cpuinfo_has_a_core_per_cpu():
    text = processors.cpuinfo(processors.ARCHITECTURES["armv7"].processors["cortex-a7"], 2)
    assert text.count("processor\t: ") == 2
    assert text.count("CPU part\t: 0xc07") == 2
    assert "neon" in text
