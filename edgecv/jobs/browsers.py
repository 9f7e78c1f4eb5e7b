"""Serving browsers, so that they are devices, until it is interrupted."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgecv.bench.browsers.hub import Connected, Hub
from edgecv.bench.browsers.server import LOOPBACK, BrowserServer
from edgecv.core.progress import QUIET, Reporter

LOOK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server of browsers that has begun.

    Attributes:
        link: To open in a browser; whoever has it is let in.
        fingerprint: SHA-256 of the certificate that browsers will warn of; "" on the loopback.
    """

    link: str
    fingerprint: str


def serve(
    announce: Callable[[Served], None],
    *,
    host: str = LOOPBACK,
    port: int = 0,
    reporter: Reporter = QUIET,
) -> None:
    """Serve until Ctrl-C or SIGTERM, and tell who comes and goes.

    Args:
        announce: Told once, when browsers can connect.
        host: Address to listen on; anything but the loopback is https, and is warned of.
        port: 0 takes a free one.
        reporter: Told of browsers.

    Raises:
        MissingDependencyError: The interpreters are not installed: `make web`.
        ConfigError: A server runs already, or the address cannot be had.
    """
    with BrowserServer(host, port) as server:
        if server.certificate is not None:
            reporter.warn(
                "whoever is in this network and has the link can connect; the browser warns of the certificate, which "
                "is self-signed: compare the fingerprint"
            )
        fingerprint = server.certificate.fingerprint if server.certificate else ""
        with contextlib.suppress(KeyboardInterrupt), _ended_by_sigterm():
            announce(Served(link=server.link, fingerprint=fingerprint))
            _watch(server.hub, reporter)
    reporter.info("ended: tabs can be closed")


def described(facts: Mapping[str, Any]) -> str:
    """Return what a browser says of itself, as a line: name, system, clock, isolation, adapter."""
    gpu = dict(facts.get("gpu") or {})
    adapter = f"{gpu.get('adapter')} ({'simulated' if gpu.get('kind') == 'software' else 'real'})"
    parts = (
        f"{facts.get('browser')} {facts.get('version', '')}".strip() + f" on {facts.get('os')}",
        "isolated" if facts.get("isolated") else "not isolated: one thread, a coarse clock",
        f"clock {facts.get('clock_resolution_us')} us",
        f"WebGPU: {adapter if gpu.get('adapter') else 'none'}",
    )
    return ", ".join(parts)


def _watch(hub: Hub, reporter: Reporter) -> None:
    there: dict[str, Connected] = {}
    while True:
        now = {one.name: one for one in hub.connected()}
        for name in now.keys() - there.keys():
            reporter.info(f"--device browser:{name} is there: {described(now[name].facts)}")
        for name in there.keys() - now.keys():
            reporter.info(f"browser:{name} has gone")
        there = now
        time.sleep(LOOK_S)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that files are removed."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
