"""Devices as TOML declares them: those shipped in `targets/devices/`, and those of one file of the user's.

The user's file is `--device-file FILE` if given, else `$EDGECV_DEVICES` if set, else `edgecv-devices.toml` in the
working folder if it is there. Its devices, one table each, come on top of the shipped ones, whose names they cannot
take.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgecv.bench.devices.fake import FakeModel
from edgecv.bench.devices.processors import check_cpu
from edgecv.core import codec
from edgecv.core.errors import ConfigError, unknown_name
from edgecv.values.kind import Kind
from edgecv.values.profiles import data_folder, read_toml

DEVICES_FILE = "edgecv-devices.toml"
DEVICES_VARIABLE = "EDGECV_DEVICES"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
# What ssh and adb take as a word of their own; nothing that a shell or an option parser could read otherwise.
_HOST = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9._:%\[\]-]*\Z")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@\\$-]*\Z")
_JUMP = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9._:%@,\[\]-]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSpec:
    """The host that edgecv runs on."""

    kind: Literal["local"]
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatedSpec:
    """Another processor under qemu-user, in a Debian of its own that `edgecv device setup` makes.

    Attributes:
        arch: "arm64" or "armv7".
        cpu: The processor that qemu plays; decides which kernels the interpreter picks.
        suite: Of Debian: decides the version of Python.
        mirror: Of Debian; empty takes debootstrap's own.
    """

    kind: Literal["emulated"]
    title: str = ""
    arch: Literal["arm64", "armv7"]
    cpu: str
    suite: str = "bookworm"
    mirror: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSpec:
    """A board that ssh reaches. What is empty comes from the user's ssh configuration.

    Attributes:
        host: Name, address, or alias of the ssh configuration.
        identity: Private key file on this host.
        config: ssh configuration file in place of the user's.
        jump: Jump hosts, as ssh's -J takes them.
        folder: Where edgecv keeps its files on the device; `~/` is the home there.
        python: Interpreter there that has numpy and a runtime; empty takes the environment that setup makes.
        connect_timeout_s: Seconds, 1 or more.
    """

    kind: Literal["ssh"]
    title: str = ""
    host: str
    user: str = ""
    port: int | None = None
    identity: str = ""
    config: str = ""
    jump: str = ""
    folder: str = "~/.cache/edgecv"
    python: str = ""
    connect_timeout_s: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class AdbSpec:
    """An Android device.

    Attributes:
        serial: As `adb devices` prints it ("R58M…", "192.168.1.20:5555"); empty takes the only one.
        folder: Where edgecv keeps its files on the device; the shell user must be able to run programs there.
        python: Interpreter there that has numpy and a runtime.
        benchmark_model: LiteRT's program of that name for the device, on this host; times models when there is no
            python. A file.
    """

    kind: Literal["adb"]
    title: str = ""
    serial: str = ""
    folder: str = "/data/local/tmp/edgecv"
    python: str = ""
    benchmark_model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeSpec:
    """Scripted timings, for trying reports and gates out. Attributes as those of `FakeDevice`."""

    kind: Literal["fake"]
    title: str = ""
    models: Mapping[str, FakeModel] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserSpec:
    """A browser that has opened the link of `edgecv device serve --browser`.

    Attributes:
        browser: The name that its page shows; empty takes the only one that is connected.
    """

    kind: Literal["browser"]
    title: str = ""
    browser: str = ""


DeviceSpec = LocalSpec | EmulatedSpec | SshSpec | AdbSpec | FakeSpec | BrowserSpec
SPECS: dict[str, type[Any]] = {
    "local": LocalSpec,
    "emulated": EmulatedSpec,
    "ssh": SshSpec,
    "adb": AdbSpec,
    "fake": FakeSpec,
    "browser": BrowserSpec,
}
BROWSER = "browser:"
"""Begins the name of a browser that needs no declaration: "browser:firefox-linux"."""
_PATHS = ("identity", "config", "benchmark_model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A device and where it was declared. `kind` is of its times: "measured" or "simulated"."""

    name: str
    spec: DeviceSpec
    source: str

    @property
    def kind(self) -> Kind:
        return "simulated" if self.spec.kind in ("emulated", "fake") else "measured"


def devices_file(chosen: Path | None = None) -> Path | None:
    """Return the user's file of devices by this module's rule, None when there is none.

    Raises:
        ConfigError: A file that was named does not exist.
    """
    named = chosen or (Path(os.environ[DEVICES_VARIABLE]) if os.environ.get(DEVICES_VARIABLE) else None)
    if named is not None:
        if not named.is_file():
            how = "--device-file" if chosen else f"${DEVICES_VARIABLE}"
            raise ConfigError(f"{how}: the file of devices {named} does not exist", hint="check the path")
        return named
    return Path(DEVICES_FILE) if Path(DEVICES_FILE).is_file() else None


def declared(chosen: Path | None = None) -> dict[str, Declared]:
    """Return all devices by name: the shipped ones, then those of the user's file.

    Raises:
        ConfigError: A file cannot be read, a table is wrong, or a name is taken.
    """
    shipped = {path.stem: _shipped(path) for path in sorted((data_folder("targets") / "devices").glob("*.toml"))}
    own = devices_file(chosen)
    if own is None:
        return shipped
    found = dict(shipped)
    for name, table in read_toml(own, what="file of devices").items():
        if name in shipped:
            raise ConfigError(f"{own}: a device called '{name}' is shipped with edgecv", hint="choose another name")
        if not isinstance(table, dict):
            raise ConfigError(
                f"{own}: expected a table for each device, got {name} = {table!r}", hint='[pi4]\nkind = "ssh"\n…'
            )
        found[name] = Declared(name=name, spec=decode(name, table, own), source=str(own))
    return found


def find(name: str, chosen: Path | None = None) -> Declared:
    """Return one device: a declared one, or `browser:NAME`.

    Raises:
        ConfigError: None has this name, or a declaration is wrong.
    """
    known = declared(chosen)
    if name.startswith(BROWSER) and _NAME.match(name.removeprefix(BROWSER)):
        spec = BrowserSpec(kind="browser", browser=name.removeprefix(BROWSER))
        return Declared(name=name, spec=spec, source="edgecv")
    if name not in known:
        raise unknown_name("device", name, known)
    return known[name]


def decode(name: str, table: Mapping[str, Any], path: Path) -> DeviceSpec:
    """Return a device's declaration from its table.

    Raises:
        ConfigError: The name, a key or a value is wrong; the message has the file, the device and the key.
    """
    where = f"{path}: device '{name}'"
    if not _NAME.match(name):
        raise ConfigError(f"{where}: names are letters, digits, '.', '_' and '-', and start with a letter or digit")
    kind = table.get("kind")
    if kind not in SPECS:
        error = unknown_name("kind", str(kind), SPECS) if kind is not None else None
        raise ConfigError(
            f"{where}: {error.message if error else 'the key kind is missing'}",
            hint=error.hint if error else f"known: {', '.join(SPECS)}",
        )
    spec: DeviceSpec = codec.decode(SPECS[kind], _resolved(table, path.parent), where=where)
    _check(spec, where)
    return spec


def _shipped(path: Path) -> Declared:
    return Declared(name=path.stem, spec=decode(path.stem, read_toml(path), path), source="edgecv")


def _resolved(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Make paths of this host absolute: `~` is the home, others are relative to the file's folder."""
    paths = {key: table[key] for key in _PATHS if isinstance(table.get(key), str) and table[key]}
    return {**table, **{key: str((folder / Path(value).expanduser()).absolute()) for key, value in paths.items()}}


def _check(spec: DeviceSpec, where: str) -> None:
    if isinstance(spec, SshSpec):
        _check_ssh(spec, where)
    elif isinstance(spec, AdbSpec):
        if spec.serial and not _HOST.match(spec.serial):
            _refuse(where, "serial", spec.serial, "as `adb devices` prints it")
        if spec.python and spec.benchmark_model:
            raise ConfigError(f"{where}: give python or benchmark_model, not both", hint="python can do more")
        _check_there(where, folder=spec.folder, python=spec.python)
    elif isinstance(spec, EmulatedSpec):
        check_cpu(spec.arch, spec.cpu, where)


def _check_ssh(spec: SshSpec, where: str) -> None:
    patterns = (("host", spec.host, _HOST), ("user", spec.user, _USER), ("jump", spec.jump, _JUMP))
    for key, value, pattern in patterns:
        if not pattern.match(value) and (value or key == "host"):
            _refuse(where, key, value, "without spaces, quotes, or a leading dash")
    if spec.port is not None and not 1 <= spec.port <= 65535:
        _refuse(where, "port", str(spec.port), "1 to 65535")
    if not 1 <= spec.connect_timeout_s <= 600:
        _refuse(where, "connect_timeout_s", str(spec.connect_timeout_s), "1 to 600")
    _check_there(where, folder=spec.folder, python=spec.python)


def _check_there(where: str, **paths: str) -> None:
    """Check paths on the device: absolute, or below the home; any character but those that end a line."""
    for key, value in paths.items():
        if value and (not value.startswith(("/", "~/")) or any(ord(c) < 32 for c in value)):
            _refuse(where, key, value, "an absolute path on the device, or one that starts with ~/")


def _refuse(where: str, key: str, value: str, expected: str) -> None:
    raise ConfigError(f"{where}: {key}: expected {expected}, got {value!r}")
