"""What a device is to the benchmark: it takes files and starts one process with pipes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from edgecv.values.kind import Kind

THIS_HOST = "this host"
"""The `lane` of devices that share this host's processor: they measure in turn, see edgecv.bench.batch."""


class Channel(Protocol):
    """A running agent process: lines in, lines out. Held as a context manager's resource; `close` ends it."""

    def send(self, line: str) -> None:
        """Write one line, given without its end. Raises DeviceError when the process is gone."""

    def receive(self, timeout_s: float) -> str:
        """Return the next line. Raises DeviceError when none comes in time or the process is gone."""

    def close(self) -> None:
        """End the process, gently at first; never raises, may be called twice."""


class Device(Protocol):
    """Something that models run on.

    Attributes:
        name: As the user calls it: "local".
        kind: What its times are: "measured" on hardware, "simulated" when it is emulated.
    """

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    def facts(self) -> Mapping[str, Any]:
        """Return what a reader must know of the device (see edgecv.runtime.host.host_facts), as JSON data."""

    def put(self, path: Path) -> str:
        """Make a file available on the device and return its path there."""

    def start(self) -> Channel:
        """Start an agent (edgecv.runtime.agent) and return its pipes. Raises DeviceError when it cannot."""
