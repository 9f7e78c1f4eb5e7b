"""A browser as a device: a tab that has opened the link of `edgecv device serve --browser` plays the agent.

Its page runs LiteRT.js or onnxruntime-web in a worker for each process of a benchmark: `edgecv/web/pages/worker.js`.
What a browser cannot know is added here: the order and the quantisation of a file's tensors.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edgecv.bench.browsers import client
from edgecv.bench.browsers.control import Standing
from edgecv.bench.browsers.hub import chosen
from edgecv.bench.devices.base import THIS_HOST
from edgecv.bench.devices.browser_tensors import Places, places
from edgecv.core import codec
from edgecv.core.errors import ConfigError, DeviceError, EdgecvError
from edgecv.runtime.engines.gpu_program import TELLTALE, probe_model
from edgecv.values.kind import Kind
from edgecv.web import packages

_MISSING = "a browser tells pages nothing of it"
# The figures of edgecv.bench.states, which imports devices.
_STATE = ("temperatures_c", "governor", "frequency_mhz", "throttled", "energy_uj", "power_mw")


class BrowserDevice:
    """A browser that is connected to the server of this user.

    Args:
        name: What the user calls it: "browser:firefox-linux".
        browser: The name that its page shows; "" takes the only one that is connected.
    """

    kind: Kind = "measured"

    def __init__(self, name: str, browser: str = "") -> None:
        self.name = name
        self._browser = browser
        self._files: dict[str, Path] = {}

    @property
    def lane(self) -> str:
        """A browser of this host takes time from all else that runs here; another one's is its machine's."""
        try:
            address = str(self._found()["address"])
            # By the network's address too: the link has this host's own.
            own = urlsplit(client.running().link).hostname == address
            return THIS_HOST if own or ipaddress.ip_address(address).is_loopback else address
        except (EdgecvError, ValueError):
            return self.name

    def facts(self) -> Mapping[str, Any]:
        """Return what the page says of its browser, with the versions of the interpreters that it is served."""
        said = dict(self._found()["facts"])
        named = f"{said.pop('browser', 'browser')} {said.pop('version', '')}".strip()
        nobody_tells = dict.fromkeys(("cpu_model", "machine", "memory_bytes", "governor", "python"))
        return {**nobody_tells, **said, "browser": named, "packages": dict(packages.versions())}

    def put(self, path: Path) -> str:
        address = client.put(client.running(), path)
        self._files[address] = path
        return address

    def start(self) -> BrowserChannel:
        server = client.running()
        return BrowserChannel(self, server, client.open_session(server, self._browser))

    def file(self, address: str) -> Path:
        """Return the file of this host that was put under an address."""
        return self._files[address]

    def _found(self) -> Mapping[str, Any]:
        there = {str(one["name"]): one for one in client.connected(client.running())}
        return there[chosen(self._browser, there)]


class BrowserChannel:
    """A session in a browser; made by BrowserDevice."""

    def __init__(self, device: BrowserDevice, server: Standing, session: str) -> None:
        self._device = device
        self._server = server
        self._session = session
        self._asked: dict[str, Any] = {}
        self._own: str | None = None
        self._file = Path()
        self._places: Places | None = None

    def send(self, line: str) -> None:
        self._asked = request = json.loads(line)
        self._own = None
        command = request["command"]
        if command == "state":
            self._own = json.dumps({"missing": dict.fromkeys(_STATE, _MISSING)})
            return
        if command == "profile":
            self._own = json.dumps(_error(ConfigError("interpreters in browsers have no profiler of operators")))
            return
        if command == "load":
            self._file = self._device.file(request["path"])
            request |= {"name": self._file.name, "versions": dict(packages.versions())}
            request.pop("program_cache", None)
        elif command == "precision":
            request |= {"probe": base64.b64encode(probe_model()).decode(), "telltale": TELLTALE}
        elif command == "predict" and self._places is not None:
            given = self._places.given
            request["samples"] = [[sample[place] for place in given] for sample in request["samples"]]
        client.ask(self._server, "send", session=self._session, line=json.dumps(request))

    def receive(self, timeout_s: float) -> str:
        if self._own is not None:
            return self._own
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            wait_s = min(client.SLICE_S, left)
            line = client.ask(self._server, "receive", session=self._session, timeout_s=wait_s)["line"]
            if line is not None:
                return self._completed(str(line))
        raise DeviceError(
            f"the browser did not answer within {timeout_s:g} s", hint="is its tab in front, and the screen on?"
        )

    def close(self) -> None:
        try:
            client.ask(self._server, "close", session=self._session)
        except EdgecvError:
            return  # the server is gone, and the session with it

    def _completed(self, line: str) -> str:
        """Add to an answer what the file says, and bring outputs into its order."""
        command = self._asked["command"]
        if command not in ("hello", "load", "predict"):
            return line
        answer = json.loads(line)
        if "error" in answer:
            return line
        if command == "hello":
            answer["host"] = dict(self._device.facts())
        elif command == "load":
            try:
                self._places = places(self._file, answer["inputs"], answer["outputs"])
            except EdgecvError as error:
                return json.dumps(_error(error))
            # Every figure names its interpreter: with the browser in it, none can be taken for another one's.
            answer["engine"] = f"{answer['engine']} in {self._device.facts()['browser']}"
            answer["inputs"] = codec.encode(self._places.inputs)
            answer["outputs"] = codec.encode(self._places.outputs)
        elif self._places is not None:
            read = self._places.read
            answer["samples"] = [[sample[place] for place in read] for sample in answer["samples"]]
        return json.dumps(answer)


def _error(error: EdgecvError) -> Mapping[str, Any]:
    return {"error": {"type": type(error).__name__, "message": error.message, "hint": error.hint}}
