"""Devices that OpenSSH's client reaches, with the keys, agents, hosts and jumps of the user's own configuration."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import weakref
from dataclasses import replace
from pathlib import Path
from typing import IO

from edgecv.bench.devices.client import run_client
from edgecv.bench.devices.shell import SEND_TIMEOUT_S, SHORT_TIMEOUT_S, Done, RemoteDevice, after_begin, cause_of, words
from edgecv.bench.devices.specs import SshSpec
from edgecv.core.errors import DeviceError

CONNECTION_STATUS = 255
"""ssh's own exit status for a connection that failed or broke; anything else is the remote command's."""

# Pattern in ssh's stderr; what is wrong; what helps. The first match counts.
_CAUSES = (
    (r"Could not resolve hostname", "the name of the host is unknown", "check host in the file of devices"),
    (r"REMOTE HOST IDENTIFICATION HAS CHANGED", "the host shows another key than it used to",
     "if the device was set up anew: ssh-keygen -R HOST; else somebody may be in between"),
    (r"Host key verification failed|No .* host key is known", "the host's key is not known here",
     "connect once by hand (ssh HOST) and compare the fingerprint"),
    (r"UNPROTECTED PRIVATE KEY|bad permissions", "the key file can be read by others", "chmod 600 the key file"),
    (r"Too many authentication failures", "the agent offers too many keys",
     "set identity, and IdentitiesOnly yes in the ssh configuration"),
    (r"Permission denied", "the device refused the key", "ssh-copy-id, or set user and identity"),
    (r"Connection refused", "nothing listens on that port", "start sshd there; check port"),
    (r"timed out|No route to host|Network is unreachable|Host is down", "the host does not answer",
     "is it on, and on this network?"),
    (r"Bad configuration option|terminating, .* bad configuration|Can't open user config",
     "the ssh configuration is wrong", "try ssh -G HOST"),
    (r"not responding|closed by remote host|Connection reset|Broken pipe|Connection closed|lost connection",
     "the connection broke", "is the device still up? Finished launches are kept: run the command again"),
)  # fmt: skip


def diagnose(said: str) -> tuple[str, str]:
    """Return what is wrong and what helps, from what ssh printed; a broken connection when it printed nothing known."""
    broke = "the connection broke", "is the device still up? Finished launches are kept: run the command again"
    return cause_of(said, _CAUSES, otherwise=broke)


_PREFIX = "edgecv-ssh-"
_SOCKET_PATH_BYTES = 103
"""Longest path of a socket. Source: sun_path, 104 bytes with its NUL in BSD and macOS, 108 in Linux (unix(7))."""


class SshShell:
    """Runs scripts by ssh. Connections share one, which ends with this object or half a minute after its last use.

    Args:
        spec: The declaration.
        program: Of OpenSSH's client.
    """

    def __init__(self, spec: SshSpec, program: str = "ssh") -> None:
        self.where = f"ssh {spec.host}"
        self._spec = spec
        self._program = program
        self._control: Path | None = None

    def command(self, script: str, *arguments: str) -> tuple[str, ...]:
        return (*self._client(), "--", self._spec.host, words(script, *arguments))

    def run(self, script: str, *arguments: str, timeout_s: float = SHORT_TIMEOUT_S) -> Done:
        return self._run(self.command(script, *arguments), None, timeout_s)

    def send(self, source: Path, there: str, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        with source.open("rb") as stream:
            done = self._run(self.command('cat > "$1"', there), stream, timeout_s)
        if done.status != 0:
            raise DeviceError(
                f"{self.where}: cannot write {there}: {done.err.strip()}",
                hint="is the disk there full, or read-only? See edgecv device doctor",
            )

    def explain(self, status: int | None, said: str) -> DeviceError | None:
        if status not in (CONNECTION_STATUS, None) and not (status is not None and status < 0):
            return None
        cause, fix = diagnose(said)
        words_of_ssh = f"; ssh said: {said.splitlines()[-1]}" if said else ""
        return DeviceError(f"{self.where}: {cause}{words_of_ssh}", hint=fix)

    def _run(self, command: tuple[str, ...], stdin: IO[bytes] | None, timeout_s: float) -> Done:
        slow = "is the device overloaded, or the link slow?"
        done = run_client(
            command,
            where=self.where,
            timeout_s=timeout_s,
            missing=missing_client(self._program),
            slow=slow,
            stdin=stdin,
        )
        if done.status == CONNECTION_STATUS:
            raise self.explain(done.status, done.err) or AssertionError
        return replace(done, out=after_begin(done.out))

    def _client(self) -> tuple[str, ...]:
        spec = self._spec
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(spec.connect_timeout_s),
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3",
            "ControlMaster": "auto",
            "ControlPath": f'"{self._control_path()}"',
            "ControlPersist": "30",
            "ClearAllForwardings": "yes",
            "ForwardAgent": "no",
            "ForwardX11": "no",
            "PermitLocalCommand": "no",
            "RemoteCommand": "none",
        }
        chosen = (("-F", spec.config), ("-p", str(spec.port or "")), ("-l", spec.user), ("-i", spec.identity),
                  ("-J", spec.jump))  # fmt: skip
        given = [word for flag, value in chosen if value for word in (flag, value)]
        return (self._program, "-T", *(f"-o{key}={value}" for key, value in options.items()), *given)

    def _control_path(self) -> str:
        """Return where the shared connection's socket is, "none" where no folder's name is short enough for one."""
        if self._control is None:
            folder = _short_folder()
            if folder is None:
                return "none"
            self._control = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
            weakref.finalize(self, _disconnect, self._program, self._control, self._spec.host)
        return str(self._control / "c").replace("%", "%%")


def _short_folder() -> str | None:
    """Return a folder for temporary files in which the path of a socket fits, None when there is none."""
    # ssh makes the socket as c.XXXXXXXXXXXXXXXX, and mkdtemp adds eight letters.
    needed = len(f"/{_PREFIX}{'X' * 8}/c.{'X' * 16}")
    for folder in (tempfile.gettempdir(), "/tmp"):
        if len(os.fsencode(folder)) + needed <= _SOCKET_PATH_BYTES and os.access(folder, os.W_OK):
            return folder
    return None


def _disconnect(program: str, control: Path, host: str) -> None:
    if (control / "c").exists():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                (program, "-F/dev/null", f'-oControlPath="{control / "c"}"', "-Oexit", "--", host),
                capture_output=True,
                timeout=5,
            )
    shutil.rmtree(control, ignore_errors=True)


def missing_client(program: str = "ssh") -> DeviceError:
    """Return the error for a host without ssh."""
    return DeviceError(f"'{program}' is not installed on this host", hint="on Debian: apt-get install openssh-client")


def open_ssh(name: str, spec: SshSpec) -> RemoteDevice:
    """Return the device; nothing is contacted yet."""
    return RemoteDevice(name, SshShell(spec), folder=spec.folder, python=spec.python)
