"""Real servers on the loopback: an sshd and an adb device, each in a folder of its own."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 50:30:100
"""

CLIENT_CONFIG = """
Host board
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/user_key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
"""


@dataclass
class Sshd:
    """A running sshd. `config` is an ssh configuration in which it is called "board"."""

    folder: Path
    port: int
    config: Path
    process: subprocess.Popen

    def hang_up(self) -> int:
        """Kill every connection's process and return how many there were; the server goes on."""
        import psutil

        # The agents are grandchildren: killing them as well would play a crash of the device, not of the link.
        found = psutil.Process(self.process.pid).children()
        for child in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                for session in child.children():
                    if session.name().startswith("sshd"):
                        session.kill()
                child.kill()
        return len(found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port}")


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    program = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    if program is None or shutil.which("ssh") is None:
        pytest.skip("no OpenSSH server and client here: make sshd installs them")
    folder, port = tmp_path_factory.mktemp("sshd"), free_port()
    for name in ("host_key", "user_key", "noisy_key"):
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)), check=True)
    # With the noisy key the login shell greets before it does anything, as some people's start-up files do.
    noisy = 'command="echo Welcome to the board; eval \\"$SSH_ORIGINAL_COMMAND\\"" '
    keys = (folder / "user_key.pub").read_text() + noisy + (folder / "noisy_key.pub").read_text()
    (folder / "authorized_keys").write_text(keys)
    public = (folder / "host_key.pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(public)}\n")
    (folder / "sshd_config").write_text(SSHD_CONFIG.format(port=port, folder=folder))
    (folder / "config").write_text(CLIENT_CONFIG.format(port=port, folder=folder))
    if os.geteuid() == 0:
        # What the distribution's service does before it starts sshd.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen((program, "-D", "-e", "-f", str(folder / "sshd_config")), stderr=log)
    try:
        wait_for(port)
        yield Sshd(folder, port, folder / "config", process)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def board(sshd: Sshd, tmp_path: Path) -> Path:
    """A file of devices with "board", whose folder on the device is one that only good quoting survives."""
    there = tmp_path / "on the 'device' $(touch pwned) -rf"
    path = tmp_path / "edgecv-devices.toml"
    path.write_text(
        f'[board]\nkind = "ssh"\nhost = "board"\nconfig = "{sshd.config}"\nfolder = "{there}"\n'
        f'python = "{sys.executable}"\n'
    )
    return path


@pytest.fixture(scope="session")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LeNet-5 after one epoch on digits, as int8 TFLite with its golden vectors."""
    pytest.importorskip("tensorflow", reason="tensorflow trains the model")
    from edgecv.cli.main import main

    folder = tmp_path_factory.mktemp("lenet")
    steps = (
        ("train", "lenet5", "--epochs", "1", "--out", "m.keras"),
        ("quantize", "m.keras", "--out", "int8.tflite"),
    )
    for step in steps:
        err = io.StringIO()
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as end,
        ):
            main([folder.joinpath(word).as_posix() if "." in word else word for word in step])
        assert not end.value.code, err.getvalue()
    return folder / "int8.tflite"


@pytest.fixture
def fake_wheels():
    """Return a downloader whose wheels hold an interpreter that runs nothing, and this host's numpy by a link."""
    import zipfile

    import numpy

    def download(requirements, python, folder):
        if any(requirement.startswith("ai-edge-litert") for requirement in requirements):
            return "No matching distribution found for ai-edge-litert"
        with zipfile.ZipFile(folder / "tflite_runtime-2.14.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("tflite_runtime/__init__.py", "")
            wheel.writestr("tflite_runtime/interpreter.py", "class Interpreter: pass\n")
            wheel.writestr("tflite_runtime-2.14.0.dist-info/METADATA", "Name: tflite-runtime\nVersion: 2.14.0\n")
        with zipfile.ZipFile(folder / "numpy-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr("numpy.pth", str(Path(numpy.__file__).parents[1]) + "\n")
        return ""

    return download


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real adb client with a server of our own: the port that ANDROID_ADB_SERVER_PORT is to name."""
    if shutil.which("adb") is None:
        pytest.skip("no adb here: make adb installs it")
    port, home = str(free_port()), tmp_path_factory.mktemp("adb")
    env = {**os.environ, "ANDROID_ADB_SERVER_PORT": port, "HOME": str(home), "ADB_MDNS": "0"}
    # The client that needs a server starts it, and its children inherit the pipes: none of ours.
    subprocess.run(("adb", "start-server"), env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield port
    subprocess.run(("adb", "kill-server"), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def phone(adb_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A device that speaks adb's wire protocol, known to a server of its own."""
    from tests.bench.devices.adb_daemon import AdbDaemon

    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", adb_server)
    sandbox = tmp_path / "data 'local' $(touch pwned)"
    sandbox.mkdir()
    daemon = AdbDaemon(sandbox)
    yield daemon
    daemon.drop(for_good=True)
    subprocess.run(("adb", "disconnect", f"127.0.0.1:{daemon.port}"), capture_output=True)


@pytest.fixture
def phone_file(phone, tmp_path: Path) -> Path:
    """A file of devices with "phone", which has a python."""
    path = tmp_path / "edgecv-devices.toml"
    path.write_text(
        f'[phone]\nkind = "adb"\nserial = "127.0.0.1:{phone.port}"\nfolder = "{phone.sandbox}/edgecv"\n'
        f'python = "{sys.executable}"\n'
    )
    return path
