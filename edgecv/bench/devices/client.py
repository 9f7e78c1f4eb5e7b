"""Runs the clients that reach a device, ssh's and adb's, to their end."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO

from edgecv.bench.devices.shell import Done
from edgecv.core.errors import DeviceError


def run_client(
    command: Sequence[str],
    *,
    where: str,
    timeout_s: float,
    missing: DeviceError,
    slow: str,
    stdin: IO[bytes] | None = None,
) -> Done:
    """Run a client; return how it ended, and what it said as text.

    Args:
        where: The device, for messages.
        missing: Raised where the client is not installed.
        slow: What to look at when the time is up.

    Raises:
        DeviceError: `missing`, or the client did not end in time.
    """
    # Into files: what a client leaves in the background, a connection or a server, would hold a pipe's other end.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            done = subprocess.run(
                command,
                stdin=stdin or subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=timeout_s,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise missing from error
        except subprocess.TimeoutExpired as error:
            raise DeviceError(f"{where}: no answer within {timeout_s:g} s", hint=slow) from error
        return Done(status=done.returncode, out=_text(out), err=_text(err).strip())


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", errors="replace")
