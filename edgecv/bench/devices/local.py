"""The host itself as a device: the agent is a child process."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import edgecv
from edgecv.errors import DeviceError
from edgecv.results import Kind
from edgecv.runtime.host import host_facts

# -P keeps a stray module in the working folder from shadowing the agent's imports.
AGENT_COMMAND = (sys.executable, "-P", "-m", "edgecv.runtime.agent")
CLOSE_TIMEOUT_S = 2.0
STDERR_TAIL_BYTES = 2000


class LocalDevice:
    """Runs the agent on this host.

    Args:
        command: How to start an agent.
    """

    name = "local"
    kind: Kind = "measured"

    def __init__(self, command: Sequence[str] = AGENT_COMMAND) -> None:
        self._command = tuple(command)

    def facts(self) -> Mapping[str, Any]:
        return host_facts()

    def put(self, path: Path) -> str:
        return str(path.resolve())

    def start(self) -> ProcessChannel:
        return ProcessChannel(self._command)


class ProcessChannel:
    """Pipes to a child process, with time limits on reading; its stderr is kept for messages.

    Args:
        command: Program and arguments; no shell is involved.

    Raises:
        DeviceError: The program cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._buffer = b""
        try:
            # A session of its own: Ctrl-C reaches this process alone, which then closes its agents.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=_environment(),
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            self._stderr.close()
            raise DeviceError(f"cannot start the agent: {error}", hint=f"tried {command[0]}") from error

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode("utf-8") + b"\n")
        except OSError as error:
            raise self._gone() from error

    def receive(self, timeout_s: float) -> str:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise DeviceError(f"the agent did not answer within {timeout_s:g} s", hint=self._said())
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                raise self._gone()
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("utf-8", errors="replace")

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        try:
            self._process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _gone(self) -> DeviceError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_TIMEOUT_S)
        status = self._process.returncode
        how = f"by signal {-status}" if status is not None and status < 0 else f"with status {status}"
        return DeviceError(f"the agent process ended {how}", hint=self._said())

    def _said(self) -> str:
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - STDERR_TAIL_BYTES))
        lines = self._stderr.read().decode("utf-8", errors="replace").strip().splitlines()
        return f"its last words: {' | '.join(lines[-3:])}" if lines else "it said nothing; is memory short?"


def _environment() -> dict[str, str]:
    """Return our environment with the folder that holds edgecv first on the path: a checkout need not be installed."""
    home = str(Path(edgecv.__file__).resolve().parent.parent)
    rest = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{rest}" if rest else home}
