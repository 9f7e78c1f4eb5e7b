"""The interpreter for a device: wheels for its Python and processor, found by pip on this host.

The device needs neither pip nor a network. Wheels are unpacked there as they are; their own dependencies stay away,
since the interpreters' Python modules import numpy alone.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecv.bench.devices.payload import cache_folder
from edgecv.core.errors import DeviceError, MissingDependencyError

OLDEST = (3, 9)
DOWNLOAD_TIMEOUT_S = 600.0
OLDER_LITERT = "ai-edge-litert>=1.0.1,<3"
NOT_FOUND = ("No matching distribution found", "Could not find a version")


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonThere:
    """A Python on a device.

    Attributes:
        path: Of the program, there.
        version: (3, 11).
        machine: As `uname -m` names the program's processor: "aarch64", "armv7l", "x86_64".
        glibc: (2, 36); None with another C library.
        numpy: Version of the numpy that it sees, "" for none.
    """

    path: str
    version: tuple[int, int]
    machine: str
    glibc: tuple[int, int] | None
    numpy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheels:
    """What to unpack.

    Attributes:
        paths: Wheel files on this host.
        requirements: What they satisfy, for people.
        system_numpy: Whether numpy is the device's own.
    """

    paths: tuple[Path, ...]
    requirements: tuple[str, ...]
    system_numpy: bool = False


Download = Callable[[Sequence[str], PythonThere, Path], "str"]
"""download(requirements, python, folder): puts wheels into the folder; returns "" or why there are none."""


def choices(python: PythonThere) -> tuple[tuple[str, ...], ...]:
    """Return sets of requirements, best first: this host's interpreter, another LiteRT, tflite-runtime."""
    try:
        litert = f"ai-edge-litert=={importlib.metadata.version('ai-edge-litert')}"
    except importlib.metadata.PackageNotFoundError:
        litert = "ai-edge-litert>=2.3,<2.4"
    old = "tflite-runtime>=2.11,<2.15"
    found: list[tuple[str, ...]] = [(litert, "numpy>=1.23.2"), (OLDER_LITERT, "numpy>=1.21"), (old, "numpy>=1.21,<2")]
    if python.numpy.startswith("1."):
        found.append((old,))
    return tuple(found)


def platforms(python: PythonThere) -> tuple[str, ...]:
    """Return the platform tags whose wheels run there, newest first. Source: PEP 600, PEP 599.

    Raises:
        DeviceError: Its C library is not glibc.
    """
    if python.glibc is None:
        raise DeviceError(
            f"{python.path} runs on another C library than glibc, and no interpreter is published for it",
            hint="use a system with glibc (Debian, Ubuntu, Raspberry Pi OS), or set python to one with an interpreter",
        )
    major, minor = python.glibc
    modern = [f"manylinux_{major}_{number}_{python.machine}" for number in range(minor, 16, -1)]
    return (*modern, f"manylinux2014_{python.machine}", f"linux_{python.machine}")


def resolve(python: PythonThere, *, download: Download | None = None) -> Wheels:
    """Find the wheels for a Python, from the cache when an earlier run finished finding them.

    Raises:
        DeviceError: Nothing is published for it; the message lists what was tried.
        MissingDependencyError: pip is missing, or reaches no index.
    """
    tried = []
    for requirements in choices(python):
        name = f"{python.machine}-cp{python.version[0]}{python.version[1]}-" + "-".join(_plain(r) for r in requirements)
        folder = cache_folder() / "wheels" / name
        failure = "" if folder.is_dir() else _fetch(folder, requirements, python, download or pip_download)
        if failure:
            tried.append(f"{' '.join(requirements)}: {failure}")
            continue
        paths = tuple(sorted(folder.glob("*.whl")))
        return Wheels(paths=paths, requirements=requirements, system_numpy=len(requirements) == 1)
    raise DeviceError(
        f"no interpreter is published for Python {python.version[0]}.{python.version[1]} on {python.machine}: "
        + "; ".join(tried),
        hint="install another Python there (3.9 to 3.13), or set python to one that has numpy and an interpreter",
    )


def _plain(requirement: str) -> str:
    return "".join(c for c in requirement if c.isalnum() or c in ".")


def _fetch(folder: Path, requirements: Sequence[str], python: PythonThere, download: Download) -> str:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.partial-", dir=folder.parent) as partial:
        wheels = Path(partial) / "wheels"
        wheels.mkdir()
        failure = download(requirements, python, wheels)
        if not failure:
            os.replace(wheels, folder)
        return failure


def pip_download(requirements: Sequence[str], python: PythonThere, folder: Path) -> str:
    """Download wheels by pip for another platform; return "" or why pip found none.

    Raises:
        MissingDependencyError: pip is missing or failed for another reason.
    """
    version = f"{python.version[0]}{python.version[1]}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary=:all:", "--implementation=cp", f"--python-version={version}",
               f"--abi=cp{version}", "--abi=abi3", "--abi=none", f"--dest={folder}",
               *(f"--platform={tag}" for tag in platforms(python)), "--", *requirements]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S)
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
    if any(known in done.stderr for known in NOT_FOUND):
        return lines[-1].removeprefix("ERROR: ") if lines else "none found"
    raise MissingDependencyError(
        f"pip cannot download {' '.join(requirements)}: {lines[-1] if lines else 'it said nothing'}",
        hint="does `python -m pip download numpy` work on this host?",
    )
