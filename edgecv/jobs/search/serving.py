"""The page of a search under way, on the loopback."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from edgecv.core.errors import ConfigError
from edgecv.core.progress import Reporter

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def served(page: Path, port: int, reporter: Reporter) -> Iterator[str]:
    """Show one page at a port of the loopback, for as long as the context lasts; yield its address.

    Args:
        page: A file that is read anew for each request; need not exist yet.
        port: 0 takes any that is free.
        reporter: Told of the address.

    Raises:
        ConfigError: The port is taken.
    """
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), functools.partial(_Handler, page))
    except (OSError, OverflowError) as error:
        raise ConfigError(f"port {port} cannot be used: {error}", hint="name another --serve, or 0 for any") from error
    address = f"http://{LOOPBACK}:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    reporter.info(f"the search is shown at {address}")
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers with the page, whatever is asked for."""

    def __init__(self, page: Path, *arguments: Any) -> None:
        self._page = page
        super().__init__(*arguments)

    def do_GET(self) -> None:
        text = self._page.read_bytes() if self._page.exists() else _WAIT
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: Any) -> None:
        return


_WAIT = b'<!DOCTYPE html><meta http-equiv="refresh" content="2"><title>edgecv optimize</title>shapes are being timed'
