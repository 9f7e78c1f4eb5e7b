"""A child process with pipes: what every device's agent is on this side, be it the agent itself, ssh, adb or qemu."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from edgecv.core import children
from edgecv.core.errors import DeviceError

CLOSE_TIMEOUT_S = 2.0
SEND_TIMEOUT_S = 120.0
STDERR_TAIL_BYTES = 2000

Explain = Callable[["int | None", str], "DeviceError | None"]
"""explain(status, stderr): the error that an ended process stands for; None: it was the agent itself that ended."""


class ProcessChannel:
    """Pipes to a child process, with time limits on reading; its stderr is kept for messages.

    Args:
        command: Program and arguments; no shell is involved.
        environment: Of the child; None: this process's.
        explain: Knows what the end of the process means, where it carries another one (ssh, adb).
        begin: Lines up to this one are not the agent's; "" when all are.

    Raises:
        DeviceError: The program cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        explain: Explain | None = None,
        begin: str = "",
    ) -> None:
        self._explain = explain
        self._begin = begin
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._buffer = b""
        try:
            # A session of its own: Ctrl-C reaches this process alone, which then closes its agents.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=None if environment is None else dict(environment),
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            self._stderr.close()
            raise DeviceError(f"cannot start the agent: {error}", hint=f"tried {command[0]}") from error
        assert self._process.stdin is not None
        # A request can be larger than the pipe's buffer; waiting for room has a time limit.
        os.set_blocking(self._process.stdin.fileno(), False)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        rest = memoryview(line.encode("utf-8") + b"\n")
        deadline = time.monotonic() + SEND_TIMEOUT_S
        try:
            while rest:
                _, ready, _ = select.select([], [pipe], [], max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise DeviceError(f"the agent took no request within {SEND_TIMEOUT_S:g} s", hint=self._said())
                rest = rest[os.write(pipe, rest) :]
        except (OSError, ValueError) as error:
            raise self._gone() from error

    def receive(self, timeout_s: float) -> str:
        while self._begin:
            if self._line(timeout_s).strip() == self._begin:
                self._begin = ""
        return self._line(timeout_s)

    def _line(self, timeout_s: float) -> str:
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

    def close(self, *, at_once: bool = False) -> None:
        """End the child: it may finish what it does, unless that is to be `at_once`."""
        children.end(self._process, seconds=CLOSE_TIMEOUT_S, at_once=at_once)
        self._stderr.close()

    def _gone(self) -> DeviceError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_TIMEOUT_S)
        status = self._process.returncode
        known = self._explain(status, self._stderr_tail()) if self._explain else None
        if known is not None:
            return known
        how = f"by signal {-status}" if status is not None and status < 0 else f"with status {status}"
        return DeviceError(f"the agent process ended {how}", hint=self._said())

    def _stderr_tail(self) -> str:
        if self._stderr.closed:
            return ""
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - STDERR_TAIL_BYTES))
        return self._stderr.read().decode("utf-8", errors="replace").strip()

    def _said(self) -> str:
        lines = self._stderr_tail().splitlines()
        return f"its last words: {' | '.join(lines[-3:])}" if lines else "it said nothing; is memory short?"
