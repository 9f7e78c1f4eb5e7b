"""What the server for pages and the one for commands share: requests with a secret in their path, JSON in and out."""

from __future__ import annotations

import hmac
import json
import select
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

MOST_BYTES = 1 << 30
"""The largest body that is read: a model."""
IDLE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request whose secret was right.

    Attributes:
        path: What follows the secret, without a leading slash: "models/…".
        query: What follows "?".
        body: Its bytes, b"" for GET.
        address: Of who asks.
        is_open: Says whether who asks still listens; True where that cannot be known.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    address: str
    is_open: Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered. `kind` is the Content-Type; `keep` lets browsers keep it for a day."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    keep: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Callable[[Request], Answer]


def as_json(data: Any, status: int = 200) -> Answer:
    """Return JSON data as an answer."""
    return Answer(status=status, body=json.dumps(data).encode())


def refused(status: int, message: str) -> Answer:
    """Return a refusal in plain words."""
    return Answer(status=status, body=f"{message}\n".encode(), kind="text/plain; charset=utf-8")


class SecretServer:
    """An HTTP server of which every address begins with a secret; what does not is answered with 403.

    The path is compared as it came: nothing is decoded, joined or resolved, so that no address leads to another one.

    Args:
        route: Answers requests; called by several threads.
        secret: The first part of every path.
        host: Address to listen on.
        port: 0 takes a free one.
        headers: Of every answer.
        tls: Makes it https.

    Raises:
        OSError: The port cannot be had.
    """

    def __init__(
        self,
        route: Route,
        secret: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._server = _Server((host, port), _handler(route, secret, dict(headers or {})))
        if tls is not None:
            # The handshake is the first thing that the connection's own thread does: a slow one holds nobody else up.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop to listen. Connections end by themselves."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections break, and what breaks in a route is answered with 500 before."""


def _handler(route: Route, secret: str, headers: Mapping[str, str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "edgecv"
        sys_version = ""
        timeout = IDLE_S

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            length = self.headers.get("content-length", "")
            if not length.isdigit() or int(length) > MOST_BYTES:
                self.close_connection = True
                self._write(refused(413, "a body of known length, and of 1 GiB at most, is expected"))
                return
            if not self._permitted():
                # Nothing is read of who may not ask.
                self.close_connection = True
            self._answer(self.rfile.read(int(length)) if self._permitted() else b"")

        def _permitted(self) -> bool:
            given = self.path.split("?")[0].split("/")
            return len(given) > 2 and hmac.compare_digest(given[1].encode(), secret.encode())

        def _answer(self, body: bytes) -> None:
            if not self._permitted():
                self._write(refused(403, "forbidden: open the whole link that edgecv prints"))
                return
            path, _, query = self.path.partition("?")
            request = Request(
                method=self.command,
                path=path[len(secret) + 2 :],
                query=dict(parse_qsl(query)),
                body=body,
                address=str(self.client_address[0]),
                is_open=self._is_open,
            )
            try:
                answer = route(request)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                answer = refused(400, f"not understood: {type(error).__name__}")
            self._write(answer)

        def _write(self, answer: Answer) -> None:
            self.send_response(answer.status)
            kept = "private, max-age=86400, immutable" if answer.keep else "no-store"
            sent = {**headers, **answer.headers, "Content-Type": answer.kind, "Cache-Control": kept}
            for name, value in {**sent, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def _is_open(self) -> bool:
            if isinstance(self.connection, ssl.SSLSocket):
                return True
            # Python waits for a socket that has a time limit, whatever flags recv is given: look first.
            if not select.select([self.connection], [], [], 0)[0]:
                return True
            try:
                return bool(self.connection.recv(1, socket.MSG_PEEK))
            except OSError:
                return False

    return Handler
