"""The server of browsers: one for their pages, one for the commands of this user, and the memory between them."""

from __future__ import annotations

import functools
import ipaddress
import os
import secrets
import socket
from collections.abc import Callable
from types import TracebackType

from edgecv.bench.browsers import client, control, pages
from edgecv.bench.browsers.certificate import Certificate, certificate
from edgecv.bench.browsers.control import Models, Standing
from edgecv.bench.browsers.http import SecretServer
from edgecv.bench.browsers.hub import Hub
from edgecv.core.errors import ConfigError, DeviceError

LOOPBACK = "127.0.0.1"
# An address for documentation, to which nothing is sent: asking for the way to it tells this host's own address.
# Source: RFC 5737.
_ELSEWHERE = ("192.0.2.1", 9)


class BrowserServer:
    """Serves browsers while it is held; a context manager.

    Args:
        host: Address to listen on. The loopback is http; any other one is https, with a certificate of its own.
        port: For pages; 0 takes a free one.

    Attributes:
        hub: Who is connected.
        link: To open; the token in it lets a browser in.
        certificate: Of https; None on the loopback.
    """

    link: str
    certificate: Certificate | None

    def __init__(self, host: str = LOOPBACK, port: int = 0) -> None:
        self.hub = Hub()
        self._host, self._port = host, port
        self._models = Models()
        self._servers: list[SecretServer] = []

    def __enter__(self) -> BrowserServer:
        """Begin to serve.

        Raises:
            MissingDependencyError: The interpreters are not installed (`make web`), or openssl is not.
            ConfigError: A server of this user runs already, or the address cannot be had.
        """
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.hub.end()
        control.withdraw(os.getpid())
        self._stop()

    def _start(self) -> None:
        other = _other()
        if other is not None:
            raise ConfigError(
                f"a server of browsers runs already (process {other.process}): {other.link}",
                hint="use that one, or end it with Ctrl-C",
            )
        route = pages.routes(self.hub, self._models.find)
        token, secret = secrets.token_urlsafe(12), secrets.token_urlsafe(24)
        shown = _shown(self._host)
        self.certificate = None if is_loopback(self._host) else certificate(shown, control.standing_file().parent)
        tls = self.certificate.context() if self.certificate else None
        site = self._serve(
            lambda: SecretServer(route, token, host=self._host, port=self._port, headers=pages.HEADERS, tls=tls)
        )
        answer = functools.partial(control.answer, self.hub, self._models)
        commands = self._serve(lambda: SecretServer(answer, secret))
        self.link = f"{'https' if tls else 'http'}://{shown}:{site.port}/{token}/"
        control.announce(Standing(port=commands.port, secret=secret, process=os.getpid(), link=self.link))

    def _serve(self, make: Callable[[], SecretServer]) -> SecretServer:
        try:
            made = make()
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {self._host} port {self._port or '(any)'}: {error.strerror or error}",
                hint="choose another --port, or an address of this host",
            ) from error
        made.start()
        self._servers.append(made)
        return made

    def _stop(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        self._models.close()


def is_loopback(host: str) -> bool:
    """Say whether only this host reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    """Return the address for a link: of all addresses (0.0.0.0) the one by which this host reaches others."""
    if host not in ("0.0.0.0", ""):
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return LOOPBACK
        return str(probe.getsockname()[0])


def _other() -> Standing | None:
    """Return the server that runs already; None when there is none, or its file was left by one that was killed."""
    found = control.standing()
    if found is None:
        return None
    try:
        client.connected(found)
    except DeviceError:
        return None
    return found
