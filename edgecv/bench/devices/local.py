"""The host itself as a device: the agent is a child process."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecv.bench.devices.process import ProcessChannel
from edgecv.core import apart
from edgecv.runtime.agent import MEMORY_LIMIT
from edgecv.runtime.host import host_facts
from edgecv.values.kind import Kind

# -P keeps a stray module in the working folder from shadowing the agent's imports.
AGENT_COMMAND = (sys.executable, "-P", "-m", "edgecv.runtime.agent")


class LocalDevice:
    """Runs the agent on this host.

    Args:
        command: How to start an agent.
        name: What the user calls it.
    """

    kind: Kind = "measured"

    def __init__(self, command: Sequence[str] = AGENT_COMMAND, *, name: str = "local") -> None:
        self._command = tuple(command)
        self.name = name

    def facts(self) -> Mapping[str, Any]:
        return host_facts()

    def put(self, path: Path) -> str:
        return str(path.resolve())

    def start(self) -> ProcessChannel:
        allowed = {MEMORY_LIMIT: str(apart.limits().memory_bytes)}
        return ProcessChannel(self._command, environment={**apart.child_environment(), **allowed})


__all__ = ["AGENT_COMMAND", "LocalDevice", "ProcessChannel"]
