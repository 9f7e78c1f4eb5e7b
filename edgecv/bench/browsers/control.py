"""How commands of the same user reach the server of browsers: a second server, on the loopback, with its own secret.

Its address is in a file in edgecv's cache that only the user can read. A page's token is of no use here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgecv.bench.browsers.http import Answer, Request, as_json, refused
from edgecv.bench.browsers.hub import Hub
from edgecv.bench.devices import payload
from edgecv.core import codec, files
from edgecv.core.errors import EdgecvError

_MODEL = re.compile(r"(?P<digest>[0-9a-f]{64})\.(tflite|onnx)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A server that runs: what commands need to know of it.

    Attributes:
        port: Of the server for commands, on the loopback.
        secret: Of it.
        process: Of the server.
        link: For browsers; its token is in it.
    """

    port: int
    secret: str
    process: int
    link: str


def standing_file() -> Path:
    """Return where the running server says how it is reached."""
    return payload.cache_folder() / "browsers" / "server.json"


def announce(standing: Standing) -> None:
    """Write that file, for the user alone. Raises ConfigError when it cannot be written."""
    path = standing_file()
    with files.atomic_path(path) as partial:
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(codec.encode(standing)))


def withdraw(process: int) -> None:
    """Remove that file when it is of `process`."""
    found = standing()
    if found is not None and found.process == process:
        standing_file().unlink(missing_ok=True)


def standing() -> Standing | None:
    """Return what the file says; None when there is none, or it cannot be read."""
    try:
        return codec.decode(
            Standing, json.loads(standing_file().read_text(encoding="utf-8")), where="server of browsers"
        )
    except (OSError, ValueError, EdgecvError):
        return None


class Models:
    """The models that commands have given out, by the digest of their contents; gone when it is closed."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edgecv-browsers-")
        self._known: dict[str, Path] = {}
        self._lock = threading.Lock()

    def find(self, address: str) -> Path | None:
        """Return the file of an address, "DIGEST.tflite"; None when there is none."""
        return self._known.get(address)

    def put(self, address: str, data: bytes) -> bool:
        """Keep a model; return False when its contents are not those of its address."""
        matched = _MODEL.match(address)
        if matched is None or hashlib.sha256(data).hexdigest() != matched["digest"]:
            return False
        with self._lock:
            path = Path(self._folder.name) / address
            files.write_bytes(path, data)
            self._known[address] = path
        return True

    def close(self) -> None:
        """Remove all files. Safe to call twice."""
        self._known.clear()
        self._folder.cleanup()


def answer(hub: Hub, models: Models, request: Request) -> Answer:
    """Answer a command's request: an error of edgecv's as its type, message and hint."""
    if request.method != "POST":
        return refused(405, "only POST")
    try:
        if request.path == "put":
            done = models.put(request.query["address"], request.body)
            return as_json({}) if done else refused(400, "the contents are not those of the address")
        return as_json(_answered(hub, models, request.path, json.loads(request.body)))
    except EdgecvError as error:
        report = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
        return as_json({"error": report}, status=422)


def _answered(hub: Hub, models: Models, what: str, said: Mapping[str, Any]) -> Mapping[str, Any]:
    if what == "connected":
        return {"browsers": [asdict(one) for one in hub.connected()]}
    if what == "has":
        return {"has": models.find(str(said["address"])) is not None}
    if what == "open":
        return {"session": hub.open(str(said["name"]), int(said["owner"]))}
    if what == "receive":
        return {"line": hub.receive(str(said["session"]), float(said["timeout_s"]))}
    if what == "send":
        hub.send(str(said["session"]), str(said["line"]))
    elif what == "close":
        hub.close(str(said["session"]))
    else:
        raise ValueError(what)
    return {}
