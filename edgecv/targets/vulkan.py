"""Finding a Vulkan driver for LiteRT's GPU accelerator: the system's, or Chromium's software renderer."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_VARIABLES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")
_SYSTEM_FOLDERS = (
    "usr/share/vulkan/icd.d",
    "usr/local/share/vulkan/icd.d",
    "etc/vulkan/icd.d",
    "usr/local/etc/vulkan/icd.d",
)
_SWIFTSHADER = (
    "usr/lib/chromium/vk_swiftshader_icd.json",
    "usr/lib/chromium-browser/vk_swiftshader_icd.json",
    "opt/google/chrome/vk_swiftshader_icd.json",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A Vulkan driver to try.

    Attributes:
        origin: Where it was found, for messages.
        environment: Variables that a process needs to load it.
    """

    origin: str
    environment: Mapping[str, str]


def drivers(environ: Mapping[str, str] | None = None, root: Path = Path("/")) -> tuple[Driver, ...]:
    """Return the Vulkan drivers of this host in the order to try: as the user set, the system's, SwiftShader.

    Args:
        environ: Environment variables; the process's own by default.
        root: Where the file system starts.

    Source: the Vulkan loader's driver discovery on Linux, LoaderDriverInterface.md of KhronosGroup/Vulkan-Loader.
    """
    variables = os.environ if environ is None else environ
    chosen = next((name for name in _VARIABLES if variables.get(name)), None)
    if chosen is not None:
        manifest = Path(variables[chosen].split(os.pathsep)[0])
        return (Driver(origin=f"{chosen}={variables[chosen]}", environment=_loader(manifest, variables)),)
    found = []
    system = [str(p) for folder in _SYSTEM_FOLDERS for p in sorted((root / folder).glob("*.json"))]
    if system:
        found.append(Driver(origin="the system's Vulkan drivers", environment={}))
    for manifest in (root / path for path in _SWIFTSHADER):
        if manifest.is_file():
            environment = {"VK_ICD_FILENAMES": str(manifest), **_loader(manifest, variables)}
            found.append(Driver(origin=str(manifest), environment=environment))
    return tuple(found)


def activate(chosen: Driver) -> None:
    """Make this process, and those that it starts, use a driver.

    The dynamic linker reads LD_LIBRARY_PATH only at start, so a Vulkan loader that is found there is opened here: the
    accelerator's own look-up by name then finds it. One that does not open is left to the accelerator to report.
    """
    os.environ.update(chosen.environment)
    for folder in chosen.environment.get("LD_LIBRARY_PATH", "").split(os.pathsep):
        loader = Path(folder) / "libvulkan.so.1"
        if folder and loader.is_file():
            with contextlib.suppress(OSError):
                ctypes.CDLL(str(loader), mode=ctypes.RTLD_GLOBAL)
                return


def activate_first() -> None:
    """Activate the first driver of this host, where it has one."""
    for driver in drivers()[:1]:
        activate(driver)


def _loader(manifest: Path, variables: Mapping[str, str]) -> dict[str, str]:
    # Chromium brings the Vulkan loader beside its driver, for hosts that have none; the system's one goes first.
    if not (manifest.parent / "libvulkan.so.1").exists():
        return {}
    paths = [p for p in variables.get("LD_LIBRARY_PATH", "").split(os.pathsep) if p]
    return {"LD_LIBRARY_PATH": os.pathsep.join([*paths, str(manifest.parent)])}
