"""Jobs on devices: listing them, making them ready, finding out what is wrong with one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgecv.bench.devices import Declared, declared, find, opened
from edgecv.bench.devices.check import Check
from edgecv.bench.devices.doctor import Diagnosis, examine
from edgecv.bench.devices.emulated import read_stamp
from edgecv.bench.devices.setup import Ready, set_up
from edgecv.core.errors import DeviceError
from edgecv.core.progress import QUIET, Reporter
from edgecv.values.kind import Kind
from edgecv.web import packages


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


def doctor(name: str | None = None, *, devices: Path | None = None) -> tuple[Diagnosis, ...]:
    """Look at one device, or at all; among all, those that nobody has set up do not count as ill.

    Raises:
        ConfigError: It is not declared, or a declaration is wrong.
    """
    if name is not None:
        found = find(name, devices)
        return (examine(found, opened(found)),)
    return tuple(_excused(found, examine(found, opened(found))) for found in declared(devices).values())


def _excused(found: Declared, seen: Diagnosis) -> Diagnosis:
    if seen.how == "browser" and found.source == "edgecv" and not packages.available():
        fix = f"{packages.MAKE}, then edgecv device serve --browser"
        only = Check(name="scripts", status="skipped", detail="not installed", fix=fix)
        return replace(seen, healthy=True, checks=(only,))
    if seen.how != "emulated" or read_stamp(found.name) is not None:
        return seen
    fix = f"make arm, or edgecv device setup {found.name}"
    only = Check(name="sysroot", status="skipped", detail="never set up", fix=fix)
    return replace(seen, healthy=True, checks=(only,))


def require_healthy(seen: tuple[Diagnosis, ...]) -> None:
    """Raise DeviceError when a device has a check that failed."""
    ill = [diagnosis.device for diagnosis in seen if not diagnosis.healthy]
    if ill:
        raise DeviceError(f"{len(ill)} of {len(seen)} devices failed: {', '.join(ill)}", hint="see the fixes above")
