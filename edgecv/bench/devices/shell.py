"""Devices behind a shell: ssh and adb. Files go into a folder of theirs under the digest of their contents.

Nothing of the user's is ever put into a script: scripts are constants of this package, and what differs are their
positional arguments, each quoted as one word for the shell that reads it.
"""

from __future__ import annotations

import json
import re
import shlex
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgecv.bench.devices import payload
from edgecv.bench.devices.process import ProcessChannel
from edgecv.core import files
from edgecv.core.errors import ConfigError, DeviceError
from edgecv.values.kind import Kind

SHORT_TIMEOUT_S = 60.0
SEND_TIMEOUT_S = 1800.0
START_TIMEOUT_S = 60.0

BEGIN = "edgecv-begin"
"""The first line of every script's output: what comes before it is the greeting of a login shell's start-up file."""

HOME = 'printf "%s" "$HOME"'
SIZE = 'if [ -f "$1" ]; then wc -c < "$1"; fi'
FOLDER = 'mkdir -p -- "$1"'
# $1 what was sent, $2 where it belongs, $3 its sha256, $4 its size: old systems lack sha256sum.
FINISH = (
    'if command -v sha256sum >/dev/null 2>&1; then got=$(sha256sum < "$1"); got=${got%% *}; want=$3; '
    'else got=$(wc -c < "$1"); got=$((got)); want=$4; fi; '
    'if [ "$got" = "$want" ]; then mv -f -- "$1" "$2"; '
    'else rm -f -- "$1"; echo "the copy differs: $got, expected $want" >&2; exit 65; fi'
)
# $1 archive, $2 folder, $3 python. When another run was faster, its folder is as good.
UNPACK = (
    '[ -d "$2" ] || { part="$2.partial-$$"; "$3" -m zipfile -e "$1" "$part" && '
    '{ [ -d "$2" ] && rm -rf -- "$part" || mv -- "$part" "$2"; }; }; [ -d "$2" ]'
)
HAS = 'command -v "$1" >/dev/null 2>&1'
# The working folder may hold modules that shadow ours: with a folder to run, Python puts that one first instead.
AGENT = 'cd / && exec "$1" "$2"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a script on a device ended."""

    status: int
    out: str
    err: str


class Shell(Protocol):
    """A way to run POSIX shell scripts on a device."""

    where: str
    """For messages: "ssh pi4.local"."""

    def command(self, script: str, *arguments: str) -> tuple[str, ...]:
        """Return the program and arguments that, run here, run a script there with its stdin and stdout as pipes."""

    def run(self, script: str, *arguments: str, timeout_s: float = SHORT_TIMEOUT_S) -> Done:
        """Run a script to its end.

        Raises:
            DeviceError: The device cannot be reached, or did not finish in time.
        """

    def send(self, source: Path, there: str, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Copy a file; what arrives may be damaged, and is checked by the caller. Raises DeviceError."""

    def explain(self, status: int | None, said: str) -> DeviceError | None:
        """Return what the end of `command`'s process means for the connection; None: the connection was fine."""


def words(script: str, *arguments: str) -> str:
    """Return the command line that has any shell run `script` by sh with `arguments` as $1, $2 and so on.

    Raises:
        ConfigError: An argument holds a NUL or the end of a line, which not every shell carries.
    """
    for argument in arguments:
        if any(c in argument for c in "\0\r\n"):
            raise ConfigError(f"{argument!r} cannot be passed to a device: it holds the end of a line")
    return " ".join(
        ["exec", "sh", "-c", *(shlex.quote(word) for word in (f"echo {BEGIN}; {script}", "sh", *arguments))]
    )


def cause_of(said: str, causes: Sequence[tuple[str, str, str]], *, otherwise: tuple[str, str]) -> tuple[str, str]:
    """Return what is wrong and what helps, from what a client printed.

    Args:
        said: Its output.
        causes: Pattern, what is wrong, what helps; the first match counts.
        otherwise: What is wrong and what helps when none matches.
    """
    for pattern, cause, fix in causes:
        if re.search(pattern, said):
            return cause, fix
    return otherwise


def after_begin(text: str) -> str:
    """Return what a script itself printed, without what the device's login shell printed before it."""
    before, found, after = text.partition(f"{BEGIN}\n")
    return after if found else before


class RemoteDevice:
    """A device behind a shell that runs the agent with a python of its own.

    Args:
        name: What the user calls it.
        shell: To it.
        folder: For edgecv's files there, absolute or below `~/`.
        python: Interpreter there; empty takes the environment that setup makes.
        advice: What to do when the device has no Python.
        portable: Whether setup brings a Python of its own, C library included.
    """

    kind: Kind = "measured"

    def __init__(
        self,
        name: str,
        shell: Shell,
        *,
        folder: str,
        python: str,
        advice: str = "on Debian: apt-get install python3 there",
        portable: bool = False,
    ) -> None:
        self.name = name
        self.portable = portable and not python
        self.advice = advice
        self.shell = shell
        self._folder = folder
        self._python = python
        self._home: str | None = None
        self._facts: Mapping[str, Any] | None = None
        self._sent: dict[tuple[str, int, int], str] = {}
        self._runtime: str | None = None

    @property
    def folder(self) -> str:
        """Where edgecv's files are on the device, absolute."""
        return self.there(self._folder)

    @property
    def python(self) -> str:
        """The interpreter that runs the agent."""
        if self._python:
            return self.there(self._python)
        return f"{self.folder}/{'python/python' if self.portable else 'venv/bin/python'}"

    @property
    def makes_environment(self) -> bool:
        """Whether setup makes the environment; a python that was named is the user's."""
        return not self._python

    def there(self, path: str) -> str:
        """Return a path on the device with `~/` replaced by the home there."""
        if not path.startswith("~/"):
            return path
        if self._home is None:
            self._home = self.checked(HOME).out.strip()
        if not self._home.startswith("/"):
            raise DeviceError(f"{self.name}: the device says that its home is '{self._home}'", hint="set folder")
        return f"{self._home.rstrip('/')}/{path[2:]}"

    def checked(self, script: str, *arguments: str, timeout_s: float = SHORT_TIMEOUT_S) -> Done:
        """Run a script that must succeed. Raises DeviceError with its last words when it does not."""
        done = self.shell.run(script, *arguments, timeout_s=timeout_s)
        if done.status != 0:
            raise self._failed(done)
        return done

    def facts(self) -> Mapping[str, Any]:
        if self._facts is None:
            channel = self.start()
            try:
                channel.send(json.dumps({"command": "hello"}))
                self._facts = json.loads(channel.receive(START_TIMEOUT_S))["host"]
            except (ValueError, KeyError, TypeError) as error:
                raise DeviceError(f"{self.name}: the agent's first answer is not one: {error!r}") from error
            finally:
                channel.close()
        return dict(self._facts or {})

    def put(self, path: Path) -> str:
        """Send a file unless the device has it, and return its path there: the digest of its contents."""
        source = path.resolve()
        stat = source.stat()
        key = (str(source), stat.st_mtime_ns, stat.st_size)
        if key not in self._sent:
            self._sent[key] = self._put(source, stat.st_size)
        return self._sent[key]

    def _put(self, source: Path, size: int) -> str:
        digest = files.sha256(source)
        suffix = source.suffix if re.fullmatch(r"\.[A-Za-z0-9]+", source.suffix) else ""
        there = f"{self.folder}/files/{digest}{suffix}"
        if self.checked(SIZE, there).out.strip() == str(size):
            return there
        self.checked(FOLDER, f"{self.folder}/files")
        partial = f"{there}.partial-{uuid.uuid4().hex[:8]}"
        self.shell.send(source, partial)
        self.checked(FINISH, partial, there, digest, str(size))
        return there

    def put_runtime(self) -> str:
        """Send edgecv's runtime unless the device has it, and return its folder there."""
        if self._runtime is None:
            sent = payload.payload()
            folder = f"{self.folder}/runtime-{sent.digest}"
            if self.shell.run('[ -d "$1" ]', folder).status != 0:
                self.checked(UNPACK, self.put(sent.path), folder, self.python, timeout_s=300)
            self._runtime = folder
        return self._runtime

    def start(self) -> ProcessChannel:
        if self._runtime is None and self.shell.run(HAS, self.python).status != 0:
            raise self._unprepared()
        command = self.shell.command(AGENT, self.python, self.put_runtime())
        return ProcessChannel(command, explain=self.shell.explain, begin=BEGIN)

    def _unprepared(self) -> DeviceError:
        if self.makes_environment:
            return DeviceError(
                f"{self.name}: {self.shell.where} has no environment of edgecv in {self.folder}",
                hint=f"edgecv device setup {self.name}",
            )
        return DeviceError(
            f"{self.name}: {self.shell.where} has no {self.python}", hint="correct python in the file of devices"
        )

    def _failed(self, done: Done) -> DeviceError:
        said = " | ".join((done.err or done.out).strip().splitlines()[-3:])
        if "No space left" in said:
            hint = f"free some space below {self._folder}, or set folder"
        else:
            hint = f"edgecv device doctor {self.name}"
        return DeviceError(f"{self.name}: a step on the device ended with status {done.status}: {said}", hint=hint)
