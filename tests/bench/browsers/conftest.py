"""Real browsers without a screen, each with a profile of its own, and files of the zoo for them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecv.bench.browsers.server import BrowserServer
from edgecv.web import packages

START_S = 120.0
CHROMIUM = ("--headless", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-extensions",
            "--remote-debugging-port=0")  # fmt: skip
# A software adapter for WebGPU, which Debian's chromium brings.
SWIFTSHADER = (
    "--headless", "--no-sandbox", "--no-first-run", "--disable-extensions", "--enable-unsafe-webgpu",
    "--enable-features=Vulkan", "--use-webgpu-adapter=swiftshader", "--use-vulkan=swiftshader",
)  # fmt: skip


class Tab:
    """A browser process with one tab. `name` is the device's, `id` the hub's."""

    def __init__(self, command: list[str], server: BrowserServer, folder: Path) -> None:
        self.folder = folder
        before = set(server.hub._tabs)
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + START_S
        while not (new := [tab for key, tab in server.hub._tabs.items() if key not in before]):
            assert self.process.poll() is None, f"{command[0]} ended with status {self.process.returncode}"
            assert time.monotonic() < deadline, f"{command[0]} did not open the link within {START_S:g} s"
            time.sleep(0.1)
        self.id, self.name, self.facts = new[0].id, f"browser:{new[0].name}", new[0].facts

    def reload(self) -> None:
        """Load the page again, as a user does. Chromium only: its DevTools protocol has a command for it."""
        at = urllib.parse.urlsplit(self._target()["webSocketDebuggerUrl"])
        frame = json.dumps({"id": 1, "method": "Page.reload"}).encode()
        with socket.create_connection((at.hostname, at.port), timeout=10) as link:
            link.sendall(
                f"GET {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
            )
            assert b" 101 " in link.recv(4096)
            # One short text frame, masked by zeros. Source: RFC 6455, section 5.2.
            link.sendall(bytes([0x81, 0x80 | len(frame), 0, 0, 0, 0]) + frame)
            assert link.recv(4096)

    def close(self) -> None:
        """Close the tab, as a user does. Chromium only."""
        with urllib.request.urlopen(f"{self._devtools()}/json/close/{self._target()['id']}") as answer:
            assert answer.status == 200

    def _devtools(self) -> str:
        return f"http://127.0.0.1:{(self.folder / 'DevToolsActivePort').read_text().split()[0]}"

    def _target(self) -> dict[str, str]:
        with urllib.request.urlopen(f"{self._devtools()}/json/list") as answer:
            return next(one for one in json.load(answer) if one["type"] == "page")

    def kill(self) -> None:
        """End the browser and its children at once, as a crash does: its page says nothing."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def opened(which: str, server: BrowserServer, folder: Path, flags: tuple[str, ...] = CHROMIUM) -> Iterator[Tab]:
    """Open the server's link in "chromium" or "firefox"; skip where that is not installed."""
    program = shutil.which({"chromium": "chromium", "firefox": "firefox-esr"}[which])
    if program is None:
        pytest.skip(f"{which} is not installed: make browsers")
    folder.mkdir(parents=True, exist_ok=True)
    options = (*flags, f"--user-data-dir={folder}") if which == "chromium" else (
        "--headless", "--no-remote", "--profile", str(folder))  # fmt: skip
    tab = Tab([program, *options, server.link], server, folder)
    try:
        yield tab
    finally:
        tab.kill()


@pytest.fixture(scope="session")
def scripts() -> None:
    if not packages.available():
        pytest.skip("npm's packages are not installed: make web")


@pytest.fixture(scope="module")
def server(scripts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with BrowserServer() as made:
            yield made


@pytest.fixture(scope="session")
def zoo_files(tmp_path_factory: pytest.TempPathFactory):
    """Return a function from a network to its files by kind: float32, int8, uint8 (its inputs and outputs), onnx."""
    pytest.importorskip("tensorflow", reason="tensorflow makes the models")
    made: dict[str, dict[str, Path]] = {}

    def make(network: str) -> dict[str, Path]:
        if network not in made:
            made[network] = _files(network, tmp_path_factory.mktemp(network))
        return made[network]

    return make


def _files(network: str, folder: Path) -> dict[str, Path]:
    from edgecv.convert import convert
    from edgecv.data.synthetic import synthetic
    from edgecv.jobs.zoo_check import settled_file
    from edgecv.modelio import load_keras
    from edgecv.values import profiles

    # Ten labels: the int8 softmax of a thousand is all zeros, which any interpreter answers.
    found = {"float32": settled_file(network, folder, labels=10)}
    source = load_keras(folder / "float32.keras")
    data = synthetic(source.manifest.spec)
    for io in ("int8", "uint8"):
        path = folder / f"{network}-{io}.tflite"
        options = {"calibration": profiles.calibration("minmax"), "dataset": data, "method": "ptq", "io_dtype": io}
        convert(source, format="tflite", scheme="int8", out=path, **options)
        found[io] = path
    found["onnx"] = folder / f"{network}.onnx"
    convert(source, format="onnx", scheme="float32", out=found["onnx"], dataset=data)
    return found
