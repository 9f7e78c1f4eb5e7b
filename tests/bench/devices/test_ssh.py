"""The real OpenSSH client against a real sshd on the loopback."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from edgecv.bench import BenchCase, BenchPlan, ResultsFile, bench, open_device
from edgecv.bench.devices.shell import words
from edgecv.bench.devices.ssh import SshShell, diagnose
from edgecv.bench.link import AgentLink
from edgecv.core.errors import ConfigError, DeviceError

TINY = BenchPlan(
    min_launches=3, max_launches=3, launch_seconds=0.02, min_rounds=5, max_rounds=10, warmup_ms=1.0, max_warmup_ms=50.0
)


def case(path: Path, name: str = "gemm") -> BenchCase:
    return BenchCase(name=name, path=str(path))


def test_a_bench_over_ssh(board, onnx_file):
    device = open_device("board", board)
    base, found = bench([case(onnx_file)], baseline=case(onnx_file, "base"), device=device, plan=TINY)
    for latency in (base.latency, found.latency):
        assert latency.device == "board"
        assert latency.kind == "measured"
        assert latency.engine.startswith("onnxruntime ")
        assert 0 < latency.p50 <= latency.p99
    assert found.latency.ratio_ci95 is not None
    assert device.facts()["python"] == ".".join(map(str, sys.version_info[:3]))


def test_files_lie_under_their_digest_and_are_sent_once(board, onnx_file, tmp_path):
    odd = tmp_path / "-rf $(touch pwned) 'my model'.onnx"
    shutil.copy(onnx_file, odd)
    device = open_device("board", board)
    there = Path(device.put(odd))
    assert there.read_bytes() == onnx_file.read_bytes()
    assert there.parent.parent.name == "on the 'device' $(touch pwned) -rf"
    stamp = there.stat().st_mtime_ns
    assert open_device("board", board).put(odd) == str(there)
    assert there.stat().st_mtime_ns == stamp, "the file was sent a second time"
    with AgentLink(device.start(), "odd") as link:
        assert link.load(case(odd), str(there), seed=0).load_ms > 0
    assert not list(tmp_path.rglob("pwned"))
    assert not Path("/pwned").exists()
    assert not (Path.home() / "pwned").exists()


def test_a_damaged_copy_is_sent_again(board, onnx_file):
    there = Path(open_device("board", board).put(onnx_file))
    there.write_bytes(b"cut off")
    open_device("board", board).put(onnx_file)
    assert there.read_bytes() == onnx_file.read_bytes()


def test_a_copy_that_arrives_damaged_does_not_count(board, onnx_file, monkeypatch, tmp_path):
    def send_half(self, source, there, *, timeout_s=60):
        half = tmp_path / "half"
        half.write_bytes(source.read_bytes()[:50])
        original(self, half, there)

    original = SshShell.send
    monkeypatch.setattr(SshShell, "send", send_half)
    device = open_device("board", board)
    with pytest.raises(DeviceError, match="the copy differs"):
        device.put(onnx_file)
    assert not [path for path in Path(device.folder).rglob("*") if path.is_file()]


def test_answers_are_those_of_this_host(board, onnx_file):
    device = open_device("board", board)
    with AgentLink(device.start(), "gemm") as link:
        opened = link.describe(case(onnx_file), device.put(onnx_file))
        assert opened.inputs[0].shape == (1, 4)
        x = np.array([[1, 2, 3, 4]], np.float32)
        (first,), (second,) = link.predict([[x], [2 * x]])
        assert first.tolist() == [[10, 10, 10]]
        assert second.tolist() == [[20, 20, 20]]
        with pytest.raises(ConfigError, match=r"input 'x' takes float32 \(1, 4\), got float64 \(1, 4\)"):
            link.predict([[x.astype(np.float64)]])


def test_a_killed_connection_says_so_and_finished_launches_stay(board, onnx_file, sshd, tmp_path):
    store = ResultsFile(tmp_path / "raw.json")
    saved = []

    def save(measurement):
        store.save(measurement)
        saved.append(len(measurement.launches))

    device = open_device("board", board)
    with pytest.raises(DeviceError, match="ssh board: the connection broke") as raised:
        bench([case(onnx_file)], baseline=None, device=_Fickle(device, saved, sshd), plan=TINY, save=save)
    assert raised.value.exit_code == 3
    assert "Finished launches are kept" in raised.value.hint
    (kept,) = store.read()
    assert len(kept.launches) == 2
    # The same command again goes on where it was cut off.
    (found,) = bench(
        [case(onnx_file)], baseline=None, device=open_device("board", board), plan=TINY, earlier=store.read()
    )
    assert 15 <= len(found.latency.samples) <= 30


class _Fickle:
    """The device, whose connection is killed once its third agent runs: after the launch's start, before its end."""

    def __init__(self, device, saved, sshd):
        self._device, self._saved, self._sshd = device, saved, sshd
        self.name, self.kind = device.name, device.kind

    def facts(self):
        return self._device.facts()

    def put(self, path):
        there = self._device.put(path)
        if len(self._saved) == 2:
            assert self._sshd.hang_up() > 0
        return there

    def start(self):
        return self._device.start()


def test_evaluate_over_ssh_equals_evaluate_here(board, lenet, capsys):
    from edgecv.jobs import evaluate as assess
    from edgecv.jobs import verify as verification

    here = assess.evaluate_file(lenet, assess.EvaluationRequest(data="digits"))
    there = assess.evaluate_file(lenet, assess.EvaluationRequest(data="digits", device="board", devices=board))
    assert there.device == "board"
    assert dataclasses.replace(there, device="local") == here
    checked = verification.verify(lenet, device="board", devices=board)
    assert checked.passed
    assert checked.agreement.differing == 0
    assert checked.agreement.values > 300


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"host": "nowhere.invalid"}, "ssh nowhere.invalid: the name of the host is unknown"),
        ({"port": 1}, "nothing listens on that port"),
        ({"identity": "other_key"}, "the device refused the key"),
        ({"config": "/nowhere/config"}, "the ssh configuration is wrong"),
        ({"python": "/nowhere/python"}, "has no /nowhere/python"),
        ({"python": ""}, "has no environment of edgecv"),
        ({"folder": "/proc/edgecv"}, "a step on the device ended with status"),
    ],
)
def test_what_is_wrong_is_said(board, sshd, tmp_path, change, words, onnx_file):
    text = dict(line.split(" = ", 1) for line in board.read_text().splitlines()[1:])
    if "identity" in change:
        import subprocess

        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other_key")), check=True)
        bare = tmp_path / "bare"
        bare.write_text("".join(x + "\n" for x in sshd.config.read_text().splitlines() if "IdentityFile" not in x))
        text["config"] = f'"{bare}"'
    text.update({key: json.dumps(value) for key, value in change.items()})
    board.write_text("[board]\n" + "".join(f"{key} = {value}\n" for key, value in text.items()))
    with pytest.raises(DeviceError) as raised:
        device = open_device("board", board)
        device.put(onnx_file)
        device.start().close()
    assert words in raised.value.message
    assert raised.value.hint


def test_an_unknown_host_key_is_refused(board, sshd, tmp_path):
    config = tmp_path / "config"
    config.write_text(sshd.config.read_text().replace(f"{sshd.folder}/known_hosts", str(tmp_path / "empty")))
    board.write_text(board.read_text().replace(str(sshd.config), str(config)))
    with pytest.raises(DeviceError, match="the host's key is not known here"):
        open_device("board", board).facts()
    assert not (tmp_path / "empty").exists()


def test_without_a_client(board, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceError, match="'ssh' is not installed on this host"):
        open_device("board", board).facts()


def test_arguments_reach_the_device_as_they_are(board):
    device = open_device("board", board)
    for odd in ("a b", "it's", '"x"', "$(id)", "`id`", "-n", "--", "", "a;b&c|d", "*", "\\", "ü", "!x"):
        assert device.checked('printf "%s|" "$#" "$1"', odd).out == f"1|{odd}|"
    with pytest.raises(ConfigError, match="holds the end of a line"):
        words("true", "a\nb")


def test_a_login_shell_that_greets(board, sshd, tmp_path, onnx_file):
    config = tmp_path / "config"
    config.write_text(sshd.config.read_text().replace("user_key", "noisy_key"))
    board.write_text(board.read_text().replace(str(sshd.config), str(config)))
    device = open_device("board", board)
    assert device.checked("echo hello").out == "hello\n"
    with AgentLink(device.start(), "gemm") as link:
        assert link.hello()["protocol"] == 1
        assert link.load(case(onnx_file), device.put(onnx_file), seed=0).load_ms > 0


def test_the_connection_is_shared_and_ends_with_the_device(board):
    device = open_device("board", board)
    device.checked("true")
    control = device.shell._control
    assert (control / "c").exists()
    assert control.stat().st_mode & 0o077 == 0
    del device
    import gc

    gc.collect()
    assert not control.exists()


@pytest.mark.parametrize("length", [60, 64, 65, 120])
def test_a_temporary_folder_with_a_long_name(board, onnx_file, tmp_path, monkeypatch, length):
    """A socket's path holds about 100 bytes, and macOS' own folders take 50 of them."""
    base = Path(tempfile.mkdtemp(dir="/tmp"))
    folder = base / ("x" * (length - len(str(base)) - 1))
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    try:
        device = open_device("board", board)
        with AgentLink(device.start(), "gemm") as link:
            assert link.load(case(onnx_file), device.put(onnx_file), seed=0).load_ms > 0
        assert device.shell._control.parent == (folder if length <= 64 else Path("/tmp"))
        monkeypatch.setattr("edgecv.bench.devices.ssh._short_folder", lambda: None)
        alone = open_device("board", board)
        alone.checked("true")
        assert alone.shell._control is None
    finally:
        shutil.rmtree(base)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "another key"),
        ("ssh: connect to host pi port 22: Connection timed out", "does not answer"),
        ("Timeout, server pi not responding.", "the connection broke"),
        ("Received disconnect from 1.2.3.4: Too many authentication failures", "too many keys"),
        ("", "the connection broke"),
    ],
)
def test_causes(said, cause):
    assert cause in diagnose(said)[0]


@pytest.mark.slow
def test_setup_makes_an_environment_without_a_network(board, sshd, tmp_path, monkeypatch, fake_wheels):
    from edgecv.bench.devices import find, opened, setup
    from edgecv.bench.devices.setup import set_up

    # The wheels' numpy is this host's, so the Python must be too.
    monkeypatch.setattr(setup, "PYTHONS", ("no-python-at-all", sys.executable))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    board.write_text("\n".join(line for line in board.read_text().splitlines() if not line.startswith("python")))
    found = find("board", board)
    with pytest.raises(DeviceError, match="has no environment") as raised:
        opened(found).start()
    assert raised.value.hint == "edgecv device setup board"
    ready = set_up(found, opened(found), download=fake_wheels)
    assert ready.changed
    assert ready.packages["tflite-runtime"] == "2.14.0"
    assert ready.packages["numpy"] == np.__version__
    assert set_up(found, opened(found), download=_refuse).changed is False
    assert opened(found).python.startswith(opened(found).folder), "the environment is the device's own"
    assert set_up(found, opened(found), download=fake_wheels, force=True).changed is True


def _refuse(requirements, python, folder):
    raise AssertionError("wheels were looked for again")
