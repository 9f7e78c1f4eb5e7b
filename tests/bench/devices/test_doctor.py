"""What the doctor sees: a cause and a fix for each thing that is wrong, on the real transports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecv.bench.devices import Declared, emulated, find, opened
from edgecv.bench.devices.doctor import conditions, examine
from edgecv.bench.devices.specs import EmulatedSpec
from edgecv.core.errors import DeviceError
from edgecv.jobs import devices as jobs

NOW = 1_700_000_000.0
FINE = {
    "time": ["1700000001"],
    "space": ["/dev/root 100000000 1 2000000 5% /"],
    "writable": ["yes"],
    "load": ["0.10 0.2 0.3 1/99 1234"],
    "cpus": ["4"],
    "governor": ["performance", "performance"],
    "thermal": ["48000 cpu-thermal", "-40000 nonsense"],
    "throttled": ["throttled=0x0"],
}


def judged(**changes: list[str]) -> dict[str, tuple[str, str, str]]:
    return {c.name: (c.status, c.detail, c.fix) for c in conditions({**FINE, **changes}, NOW, folder="/f")}


def test_fine_conditions():
    found = judged()
    assert {status for status, _, _ in found.values()} == {"ok"}
    assert found["space"][1] == "1,953 MB free"
    assert found["thermal"][1] == "48 °C at cpu-thermal"


@pytest.mark.parametrize(
    ("changes", "name", "status", "words"),
    [
        ({"space": ["/dev/root 1 1 204800 99% /"]}, "space", "failed", "200 MB free, 300 needed"),
        ({"writable": ["no"]}, "space", "failed", "/f cannot be written"),
        ({"space": ["df: not found"]}, "space", "skipped", "does not tell"),
        ({"time": ["1600000000"]}, "clock", "warning", "off by -100,000,000 s"),
        ({"time": []}, "clock", "skipped", "does not tell"),
        ({"load": ["3.10 2 1 1/2 3"]}, "load", "warning", "load average 3.10 on 4 CPUs"),
        ({"governor": ["performance", "ondemand"]}, "governor", "warning", "ondemand, performance: the clock rate"),
        ({"governor": []}, "governor", "skipped", "does not tell"),
        ({"thermal": ["81000 cpu"]}, "thermal", "warning", "81 °C at cpu"),
        ({"thermal": ["abc"]}, "thermal", "skipped", "does not tell"),
        ({"throttled": ["throttled=0x50005"]}, "thermal", "warning", "throttled now (0x50005)"),
        ({"throttled": ["throttled=0x50000"]}, "thermal", "ok", "48 °C"),
    ],
)
def test_conditions(changes, name, status, words):
    found, detail, fix = judged(**changes)[name]
    assert found == status
    assert words in detail
    assert bool(fix) == (status in ("warning", "failed"))


def seen(name: str, file: Path | None = None) -> dict[str, tuple[str, str, str]]:
    (diagnosis,) = jobs.doctor(name, devices=file)
    checks = {c.name: (c.status, c.detail, c.fix) for c in diagnosis.checks}
    assert diagnosis.healthy == ("failed" not in {status for status, _, _ in checks.values()})
    assert all(fix for status, _, fix in checks.values() if status in ("failed", "warning"))
    return checks


def test_a_healthy_board(board):
    checks = seen("board", board)
    assert checks["connection"][0] == "ok"
    assert checks["python"][0] == "ok"
    assert checks["agent"][0] == "ok"
    assert "onnxruntime" in checks["interpreter"][1]


def test_nobody_listens(board):
    board.write_text(board.read_text() + "port = 1\n")
    checks = seen("board", board)
    assert checks["connection"][0] == "failed"
    assert "nothing listens on that port" in checks["connection"][1]
    assert "agent" not in checks, "nothing more can be told of a device that cannot be reached"


@pytest.mark.parametrize(
    ("version", "numpy", "name", "words"),
    [([3, 8], "1.20.0", "python", "Python 3.8, and 3.9 or newer is needed"), ([3, 11], "", "numpy", "has no numpy")],
)
def test_pythons_that_will_not_do(board, tmp_path, version, numpy, name, words):
    told = {"path": "/p", "version": version, "machine": "aarch64", "glibc": [2, 31], "numpy": numpy}
    stub = tmp_path / "python stub"
    stub.write_text(f"#!/bin/sh\necho '{json.dumps(told)}'\n")
    stub.chmod(0o755)
    lines = [line for line in board.read_text().splitlines() if not line.startswith("python")]
    board.write_text("\n".join([*lines, f'python = "{stub}"']))
    status, detail, fix = seen("board", board)[name]
    assert status == "failed"
    assert words in detail
    assert fix


def test_a_board_that_is_not_set_up(board):
    board.write_text("\n".join(line for line in board.read_text().splitlines() if not line.startswith("python")))
    status, detail, fix = seen("board", board)["python"]
    assert status == "failed"
    assert detail.endswith("venv/bin/python does not run there")
    assert fix == "edgecv device setup board"


def test_clients_that_are_missing(board, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert seen("board", board)["client"][:2] == ("failed", "ssh is not installed on this host")
    (tmp_path / "phone.toml").write_text('[phone]\nkind = "adb"\n')
    assert seen("phone", tmp_path / "phone.toml")["client"][2].endswith("apt-get install adb")


def test_a_healthy_phone(phone, phone_file):
    checks = seen("phone", phone_file)
    assert checks["agent"][0] == "ok"
    assert checks["interpreter"][0] == "ok"


def test_an_unauthorised_phone(phone, phone_file):
    phone.authorized = False
    status, detail, fix = seen("phone", phone_file)["connection"]
    assert status == "failed"
    assert "has not allowed this host" in detail
    assert "unlock its screen" in fix


def test_a_phone_without_python(phone, phone_file, tmp_path):
    lines = [line for line in phone_file.read_text().splitlines() if not line.startswith("python")]
    phone_file.write_text("\n".join(lines))
    assert seen("phone", phone_file)["python"][2] == "edgecv device setup phone"
    program = tmp_path / "benchmark_model"
    phone_file.write_text("\n".join([*lines, 'benchmark_model = "benchmark_model"']))
    assert "which does not exist" in seen("phone", phone_file)["benchmark_model"][1]
    program.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    assert seen("phone", phone_file)["benchmark_model"][1] == "the device cannot execute it"
    program.write_text("#!/bin/sh\nexit 0\n")
    assert seen("phone", phone_file)["benchmark_model"][0] == "ok"


def test_emulated_devices(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    spec = EmulatedSpec(kind="emulated", arch="arm64", cpu="cortex-a76")
    board = Declared(name="board", spec=spec, source="test")

    def checks():
        return {c.name: c for c in examine(board, opened(board)).checks}

    assert checks()["sysroot"].detail == "not set up"
    assert "edgecv device setup board" in checks()["sysroot"].fix
    folder = emulated.device_folder("board")
    folder.mkdir(parents=True)
    (folder / emulated.STAMP).write_text(json.dumps({"identity": {"arch": "arm64", "cpu": "x", "suite": "bookworm"}}))
    assert "declared as" in checks()["sysroot"].detail
    monkeypatch.setenv("PATH", "/nowhere")
    assert checks()["qemu"].status == "failed"
    assert "make arm" in checks()["qemu"].fix


def test_emulated_devices_that_nobody_set_up_do_not_count_as_ill(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("EDGECV_DEVICES", raising=False)
    monkeypatch.chdir(tmp_path)
    found = {diagnosis.device: diagnosis for diagnosis in jobs.doctor()}
    assert set(found) == {"local", "arm64", "armv7", "browser"}
    assert found["arm64"].healthy
    assert found["arm64"].checks[0].status == "skipped"
    assert not jobs.doctor("arm64")[0].healthy
    with pytest.raises(DeviceError, match="1 of 1 devices failed: arm64") as raised:
        jobs.require_healthy(jobs.doctor("arm64"))
    assert raised.value.exit_code == 3
    assert find("local").kind == "measured"
