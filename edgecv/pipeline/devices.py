"""Jobs on devices: listing them, making them ready, finding out what is wrong with one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecv.bench.devices import declared, find, opened
from edgecv.bench.devices.setup import Ready, set_up
from edgecv.progress import QUIET, Reporter
from edgecv.results import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A line of `edgecv device list`.

    Attributes:
        how: "local", "emulated", "ssh", "adb" or "fake".
        kind: What its times are.
        source: The file that declares it; "edgecv" for shipped ones.
    """

    name: str
    how: str
    kind: Kind
    title: str
    source: str


def listed(devices: Path | None = None) -> tuple[Listed, ...]:
    """Return every device that is declared, without contacting any.

    Raises:
        ConfigError: A declaration is wrong.
    """
    return tuple(
        Listed(name=d.name, how=d.spec.kind, kind=d.kind, title=d.spec.title, source=d.source)
        for d in declared(devices).values()
    )


def setup(name: str, *, devices: Path | None = None, force: bool = False, reporter: Reporter = QUIET) -> Ready:
    """Make a device ready.

    Raises:
        ConfigError: It is not declared.
        DeviceError, MissingDependencyError: See edgecv.bench.devices.setup.
    """
    found = find(name, devices)
    return set_up(found, opened(found), force=force, reporter=reporter)
