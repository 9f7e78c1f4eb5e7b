"""Another processor under qemu-user: the real Arm kernels of the interpreters without a board. Times are simulated.

A device is a folder: a Debian of the other architecture, unpacked and never booted (`sysroot`), the interpreter
(`site`), edgecv's runtime, and a stamp that is written last. Its Python runs under qemu as one process of this host,
which sees this host's files: models need no copying.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecv.bench.devices import payload
from edgecv.bench.devices.process import ProcessChannel
from edgecv.bench.devices.processors import ARCHITECTURES
from edgecv.bench.devices.specs import EmulatedSpec
from edgecv.core.errors import DeviceError
from edgecv.runtime.host import host_facts
from edgecv.values.kind import Kind

STAMP = "device.json"
START_TIMEOUT_S = 120.0


def find_qemu(arch: str) -> str | None:
    """Return the path of the emulator of an architecture, None when it is not installed."""
    found = (shutil.which(program) for program in ARCHITECTURES[arch].qemu)
    return next((path for path in found if path), None)


def device_folder(name: str) -> Path:
    """Return where a device's files are."""
    return payload.cache_folder() / "devices" / name


def identity(spec: EmulatedSpec) -> dict[str, str]:
    """Return what setup depends on: the device is made anew when it changes."""
    return {"arch": spec.arch, "cpu": spec.cpu, "suite": spec.suite}


def read_stamp(name: str) -> dict[str, Any] | None:
    """Return what setup wrote of the device, None when it has not finished."""
    try:
        found = json.loads((device_folder(name) / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def python_of(folder: Path) -> Path | None:
    """Return the Python of a sysroot, None when there is none."""
    return next(iter(sorted(folder.glob("sysroot/usr/bin/python3.[0-9]*"))), None)


def emulator(folder: Path, spec: EmulatedSpec) -> tuple[str, ...]:
    """Return how to start the Python of a device's folder.

    Raises:
        DeviceError: qemu is missing.
    """
    qemu, python = find_qemu(spec.arch), python_of(folder)
    if qemu is None:
        raise DeviceError(
            f"{ARCHITECTURES[spec.arch].qemu[0]} is not installed on this host",
            hint="make arm; or on Debian: apt-get install qemu-user-static",
        )
    if python is None:
        raise DeviceError(f"{folder} holds no Python", hint="edgecv device setup, with --force")
    return (qemu, "-cpu", spec.cpu, "-L", str(folder / "sysroot"), str(python), "-s")


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a device's processes: nothing of this host's Python reaches them."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(folder / "site"),
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
    }


class EmulatedDevice:
    """Runs the agent under qemu. Its folder is made by setup.

    Args:
        name: What the user calls it.
        spec: The declaration.
    """

    kind: Kind = "simulated"

    def __init__(self, name: str, spec: EmulatedSpec) -> None:
        self.name = name
        self._spec = spec
        self._facts: Mapping[str, Any] | None = None

    def facts(self) -> Mapping[str, Any]:
        if self._facts is None:
            host, stamp = host_facts(), read_stamp(self.name) or {}
            self._facts = {
                **host,
                "cpu_model": f"{self._spec.cpu}, emulated on {host['cpu_model']}",
                "machine": ARCHITECTURES[self._spec.arch].machine,
                "os": f"Debian {self._spec.suite}, {self._spec.arch}",
                "governor": None,
                "emulator": qemu_version(self._spec.arch),
                "python": stamp.get("python"),
                "packages": stamp.get("packages", {}),
                "gpu": {"kind": "none", "driver": None},
            }
        return dict(self._facts)

    def put(self, path: Path) -> str:
        return str(path.resolve())

    def start(self) -> ProcessChannel:
        folder, stamp = device_folder(self.name), read_stamp(self.name)
        if stamp is None:
            raise DeviceError(f"device '{self.name}' is not set up", hint=f"edgecv device setup {self.name}")
        if stamp.get("identity") != identity(self._spec):
            raise DeviceError(
                f"device '{self.name}' was set up as {stamp.get('identity')}, and is declared as "
                f"{identity(self._spec)}",
                hint=f"edgecv device setup {self.name}",
            )
        command = (*emulator(folder, self._spec), str(payload.unpack(folder)))
        return ProcessChannel(command, environment=environment(folder), explain=_explain)


def _explain(status: int | None, said: str) -> DeviceError | None:
    if "uncaught target signal" not in said:
        return None
    last = next(line for line in said.splitlines() if "uncaught target signal" in line)
    return DeviceError(
        f"the emulated process crashed: {last}",
        hint="a kernel met an instruction that this cpu or qemu lacks; try another cpu, or a newer qemu",
    )


def qemu_version(arch: str) -> str | None:
    """Return the emulator's name and version, None when it is missing."""
    program = find_qemu(arch)
    if program is None:
        return None
    said = subprocess.run((program, "--version"), capture_output=True, text=True, timeout=30).stdout
    return said.splitlines()[0] if said else Path(program).name
