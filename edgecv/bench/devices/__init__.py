"""Devices by name, as TOML declares them."""

from __future__ import annotations

from pathlib import Path

from edgecv.bench.devices import adb, ssh
from edgecv.bench.devices.base import Channel, Device
from edgecv.bench.devices.browser import BrowserDevice
from edgecv.bench.devices.emulated import EmulatedDevice
from edgecv.bench.devices.fake import FakeDevice
from edgecv.bench.devices.local import LocalDevice
from edgecv.bench.devices.specs import (
    AdbSpec,
    BrowserSpec,
    Declared,
    EmulatedSpec,
    FakeSpec,
    SshSpec,
    declared,
    find,
)


def open_device(name: str, devices: Path | None = None) -> Device:
    """Return the device called `name`; nothing is contacted yet.

    Args:
        name: A shipped device, or one of the user's file.
        devices: That file; None takes the one that `edgecv.bench.devices.specs` finds.

    Raises:
        ConfigError: None has this name (with the nearest match), or a declaration is wrong.
    """
    return opened(find(name, devices))


def opened(found: Declared) -> Device:
    """Return the device of a declaration."""
    spec = found.spec
    if isinstance(spec, SshSpec):
        return ssh.open_ssh(found.name, spec)
    if isinstance(spec, AdbSpec):
        return adb.open_adb(found.name, spec)
    if isinstance(spec, EmulatedSpec):
        return EmulatedDevice(found.name, spec)
    if isinstance(spec, FakeSpec):
        return FakeDevice(models=spec.models, seed=spec.seed, name=found.name)
    if isinstance(spec, BrowserSpec):
        return BrowserDevice(found.name, spec.browser)
    return LocalDevice(name=found.name)


__all__ = ["Channel", "Declared", "Device", "LocalDevice", "declared", "find", "open_device", "opened"]
