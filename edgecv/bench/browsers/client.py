"""A command's end of the server of browsers."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from edgecv.bench.browsers.control import Standing, standing
from edgecv.core import errors
from edgecv.core.errors import DeviceError, EdgecvError

SERVE = "edgecv device serve --browser"
SLICE_S = 10.0
"""How long one request waits for a line: Ctrl-C and a server that ends are noticed in between."""
TIMEOUT_S = 60.0


def running() -> Standing:
    """Return the server that runs. Raises DeviceError when none does."""
    found = standing()
    if found is None:
        raise DeviceError("no server of browsers runs", hint=f"run `{SERVE}` in another terminal, and open its link")
    return found


def connected(server: Standing) -> Sequence[Mapping[str, Any]]:
    """Return the browsers that are there: name, facts, address, busy. Raises DeviceError when the server is gone."""
    found: Sequence[Mapping[str, Any]] = ask(server, "connected")["browsers"]
    return found


def ask(server: Standing, what: str, **said: Any) -> Mapping[str, Any]:
    """Ask the server; return its answer.

    Raises:
        EdgecvError: The server reports one; of the type that it names.
        DeviceError: It does not answer.
    """
    return _post(server, what, json.dumps(said).encode())


def put(server: Standing, path: Path) -> str:
    """Give a model to the server, unless it has it; return its address for pages: the digest of its contents."""
    data = path.read_bytes()
    address = f"{hashlib.sha256(data).hexdigest()}{path.suffix.lower()}"
    if not ask(server, "has", address=address)["has"]:
        _post(server, f"put?{urlencode({'address': address})}", data)
    return address


def open_session(server: Standing, browser: str) -> str:
    """Begin a session in a browser, "" for the only one. Raises as `Hub.open`."""
    return str(ask(server, "open", name=browser, owner=os.getpid())["session"])


def _post(server: Standing, what: str, body: bytes) -> Mapping[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", f"/{server.secret}/{what}", body)
        answer = connection.getresponse()
        text = answer.read()
    except OSError as error:
        raise DeviceError(
            f"the server of browsers (process {server.process}) does not answer: {error}", hint=f"run `{SERVE}` again"
        ) from error
    finally:
        connection.close()
    if answer.status == 422:
        raise _reported(json.loads(text)["error"])
    if answer.status != 200:
        raise DeviceError(f"the server of browsers refuses {what.partition('?')[0]}: {text.decode(errors='replace')}")
    found: Mapping[str, Any] = json.loads(text)
    return found


def _reported(report: Mapping[str, Any]) -> EdgecvError:
    kind = getattr(errors, str(report.get("type")), None)
    cls = kind if isinstance(kind, type) and issubclass(kind, EdgecvError) else DeviceError
    return cls(str(report.get("message")), hint=str(report.get("hint") or ""))
