"""The host itself as a device: the agent is a child process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import edgecv
from edgecv.bench.devices.process import ProcessChannel
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
        return ProcessChannel(self._command, environment=own_environment())


def own_environment() -> dict[str, str]:
    """Return our environment with the folder that holds edgecv first on the path: a checkout need not be installed."""
    home = str(Path(edgecv.__file__).resolve().parent.parent)
    rest = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{rest}" if rest else home}


__all__ = ["AGENT_COMMAND", "LocalDevice", "ProcessChannel", "own_environment"]
