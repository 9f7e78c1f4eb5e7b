"""A headless Chromium that opens a folder as a static host would serve it, and says what a script of the test found."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SECONDS = 240
ANSWER = "/answer"
"""Where a script sends what it found."""
PROBE = "/probe.html"


class _Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and beside it the test's own page, which is no part of the folder."""

    def do_GET(self) -> None:
        if self.path.split("?")[0] != PROBE:
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.server.probe.encode())  # type: ignore[attr-defined]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.server.answer = json.loads(body)  # type: ignore[attr-defined]
        self.server.answered.set()  # type: ignore[attr-defined]

    def log_message(self, *_: Any) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]


def chromium() -> str | None:
    """Return the program, None when it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def served(folder: Path, probe: str = "") -> Iterator[ThreadingHTTPServer]:
    """Serve a folder on the loopback; `probe` is a page of the test."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    server.daemon_threads = True
    for name, value in {"probe": probe, "answer": None, "answered": threading.Event(), "asked": []}.items():
        setattr(server, name, value)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def opened(address: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Open an address in a browser of its own that reaches nothing but this machine."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            chromium() or "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={profile}",
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", *options, address,
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)


def asked(folder: Path, script: str) -> Any:
    """Return what a script of a page in the folder comes to: the body of an async function, which returns JSON data."""
    probe = f"""<!doctype html><meta charset="utf-8"><body><script type="module">
    const answer = (value) => fetch("{ANSWER}", {{ method: "POST", body: JSON.stringify(value) }});
    try {{ await answer({{ value: await (async () => {{ {script} }})() }}); }}
    catch (error) {{ await answer({{ error: String(error.stack ?? error) }}); }}
    </script>"""
    with served(folder, probe) as server, opened(f"http://127.0.0.1:{server.server_port}{PROBE}"):
        assert server.answered.wait(SECONDS), f"no answer; the browser asked for {server.asked}"  # type: ignore[attr-defined]
        found = server.answer  # type: ignore[attr-defined]
    assert "error" not in found, found["error"]
    return found["value"]
