"""Devices by name."""

from __future__ import annotations

from collections.abc import Callable

from edgecv.bench.devices.base import Channel, Device
from edgecv.bench.devices.local import LocalDevice
from edgecv.registry import Registry

DEVICES: Registry[Callable[[], Device]] = Registry("device")
DEVICES.add("local", LocalDevice)


def open_device(name: str) -> Device:
    """Return the device called `name`. Raises ConfigError with the nearest match when there is none."""
    return DEVICES.get(name)()


__all__ = ["DEVICES", "Channel", "Device", "LocalDevice", "open_device"]
