"""A self-signed certificate, so that a browser of another machine gets https: without it, no WebGPU and no threads.

Browsers warn of it once. The fingerprint that the command prints is the one that they show.
"""

from __future__ import annotations

import hashlib
import ipaddress
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edgecv.core import files
from edgecv.core.errors import DeviceError, MissingDependencyError

DAYS = 365
SPARE_S = 7 * 24 * 3600
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate with its key in one PEM file. `fingerprint` is its SHA-256, as browsers show it."""

    path: Path
    fingerprint: str

    def context(self) -> ssl.SSLContext:
        """Return what makes a server's sockets https."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.path)
        return context


def certificate(host: str, folder: Path) -> Certificate:
    """Return the certificate for a host, made by openssl unless the folder has one that is good for a week.

    Args:
        host: A name or an address, as it stands in the link.
        folder: For the file; the key in it is for the user alone.

    Raises:
        MissingDependencyError: openssl is not installed.
        DeviceError: It fails.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise MissingDependencyError(
            "https needs a certificate, and openssl is not installed", hint="on Debian: apt-get install openssl"
        )
    path = folder / f"{hashlib.sha256(host.encode()).hexdigest()[:16]}.pem"
    if not path.is_file() or _run(openssl, "x509", "-checkend", str(SPARE_S), "-noout", "-in", str(path)).returncode:
        _make(openssl, host, path)
    text = path.read_text(encoding="ascii")
    der = ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE-----") :])
    digest = hashlib.sha256(der).hexdigest().upper()
    return Certificate(path=path, fingerprint=":".join(digest[i : i + 2] for i in range(0, len(digest), 2)))


def _make(openssl: str, host: str, path: Path) -> None:
    with files.atomic_path(path) as partial:
        partial.touch(mode=0o600)
        done = _run(
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", str(DAYS), "-subj", "/CN=edgecv", "-addext", f"subjectAltName={_alternative(host)}",
            "-keyout", str(partial), "-out", "-",
        )  # fmt: skip
        if done.returncode != 0:
            raise DeviceError(
                f"openssl made no certificate: {done.stderr.strip()[-300:]}", hint="is it 1.1.1 or newer?"
            )
        with partial.open("a", encoding="ascii") as stream:
            stream.write(done.stdout)


def _alternative(host: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(host)}"
    except ValueError:
        return f"DNS:{host}"


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
