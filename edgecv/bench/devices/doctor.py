"""Finding out what is wrong with a device: each check says what it saw, and what to do when that is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from edgecv.bench.devices import emulated, payload, processors
from edgecv.bench.devices.adb_benchmark import BenchmarkModelDevice
from edgecv.bench.devices.base import Device
from edgecv.bench.devices.browser import BrowserDevice
from edgecv.bench.devices.browser_checks import browser_checks
from edgecv.bench.devices.check import Check
from edgecv.bench.devices.setup import DESCRIBE, RUN_SCRIPT, described, one_line
from edgecv.bench.devices.shell import RemoteDevice
from edgecv.bench.devices.specs import Declared, EmulatedSpec, SshSpec
from edgecv.bench.devices.wheels import OLDEST
from edgecv.core.errors import DeviceError, EdgecvError

INTERPRETERS = ("ai-edge-litert", "tflite-runtime", "onnxruntime")

NEEDED_MB = 300
"""Free space: the environment takes about 120 MB, its wheels 30, and models come on top."""
PORTABLE_MB = 500
"""A Python of our own takes 190 MB, and as much again while it is unpacked."""
CLOCK_SECONDS = 60.0
HOT_CELSIUS = 75.0
"""A Raspberry Pi slows down from 80, phones from less. Source: Raspberry Pi documentation, frequency management."""
BUSY = 0.5
"""Load average over CPUs, from which other programs disturb measurements."""
STEADY_GOVERNORS = frozenset({"performance", "userspace"})

# $1 a folder that need not exist. One fact a line.
PROBE = (
    'd=$1; while [ ! -d "$d" ] && [ "$d" != / ]; do d=$(dirname -- "$d"); done; '
    'echo "time $(date +%s)"; echo "space $(df -Pk -- "$d" 2>/dev/null | tail -n 1)"; '
    'if [ -w "$d" ]; then echo "writable yes"; else echo "writable no"; fi; '
    'echo "load $(cat /proc/loadavg 2>/dev/null)"; echo "cpus $(grep -c ^processor /proc/cpuinfo 2>/dev/null)"; '
    "for f in /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do "
    '[ -r "$f" ] && echo "governor $(cat "$f")"; done; '
    'for z in /sys/class/thermal/thermal_zone*; do t=$(cat "$z/temp" 2>/dev/null) && '
    'echo "thermal $t $(cat "$z/type" 2>/dev/null)"; done; '
    'command -v vcgencmd >/dev/null 2>&1 && echo "throttled $(vcgencmd get_throttled 2>/dev/null)"; true'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All checks of a device.

    Attributes:
        how: "ssh", "adb", …
        healthy: Whether none failed; warnings are about the quality of measurements.
    """

    device: str
    how: str
    healthy: bool
    checks: tuple[Check, ...]


def examine(found: Declared, device: Device, *, clock: Callable[[], float] = time.time) -> Diagnosis:
    """Look at everything that a device needs, from the nearest to the farthest; what cannot be reached is skipped.

    Args:
        found: Its declaration.
        device: It, opened.
        clock: This host's, seconds since 1970.
    """
    checks = tuple(_checks(found, device, clock))
    healthy = not any(check.status == "failed" for check in checks)
    return Diagnosis(device=found.name, how=found.spec.kind, healthy=healthy, checks=checks)


def _checks(found: Declared, device: Device, clock: Callable[[], float]) -> Iterator[Check]:
    if isinstance(found.spec, EmulatedSpec):
        yield from _emulated(found.name, found.spec, device)
    elif isinstance(device, RemoteDevice):
        yield from _remote(found, device, clock)
    elif isinstance(device, BrowserDevice):
        yield from browser_checks(device)
    elif found.spec.kind == "fake":
        yield Check(name="agent", status="skipped", detail="a fake device has nothing that could be wrong")
    else:
        yield from conditions(_probe_here(), clock())
        yield from _agent(device)


def _emulated(name: str, spec: EmulatedSpec, device: Device) -> Iterator[Check]:
    program = emulated.find_qemu(spec.arch)
    if program is None:
        wanted = processors.ARCHITECTURES[spec.arch].qemu[0]
        fix = "make arm; or on Debian: apt-get install qemu-user-static"
        yield Check(name="qemu", status="failed", detail=f"{wanted} is not installed", fix=fix)
    else:
        yield Check(name="qemu", status="ok", detail=emulated.qemu_version(spec.arch) or program)
    stamp = emulated.read_stamp(name)
    setup = f"edgecv device setup {name}"
    if stamp is None:
        missing = [] if shutil.which("debootstrap") else ["debootstrap"]
        first = f"apt-get install {' '.join(missing)}, then " if missing else ""
        yield Check(name="sysroot", status="failed", detail="not set up", fix=f"{first}{setup}")
        return
    if stamp.get("identity") != emulated.identity(spec):
        detail = f"set up as {stamp.get('identity')}, declared as {emulated.identity(spec)}"
        yield Check(name="sysroot", status="failed", detail=detail, fix=setup)
        return
    yield Check(name="sysroot", status="ok", detail=str(emulated.device_folder(name)))
    if program is not None:
        yield from _agent(device)


def _remote(found: Declared, device: RemoteDevice, clock: Callable[[], float]) -> Iterator[Check]:
    spec = found.spec
    client = "ssh" if isinstance(spec, SshSpec) else "adb"
    path = shutil.which(client)
    if path is None:
        package = "openssh-client" if client == "ssh" else "adb"
        yield Check(name="client", status="failed", detail=f"{client} is not installed on this host",
                    fix=f"on Debian: apt-get install {package}")  # fmt: skip
        return
    yield Check(name="client", status="ok", detail=path)
    try:
        facts = _parse(device.checked(PROBE, device.folder).out)
    except DeviceError as error:
        yield Check(name="connection", status="failed", detail=error.message, fix=error.hint)
        return
    yield Check(name="connection", status="ok", detail=device.shell.where)
    needed = PORTABLE_MB if device.portable else NEEDED_MB
    yield from conditions(facts, clock(), folder=device.folder, needed=needed)
    if isinstance(device, BenchmarkModelDevice):
        yield _benchmark_model(device)
        return
    described_ok, check = _python(device)
    yield check
    if described_ok:
        yield from _agent(device)


def _benchmark_model(device: BenchmarkModelDevice) -> Check:
    try:
        there = device.put_runtime()
        done = device.shell.run('"$1" --help >/dev/null 2>&1; echo $?', there)
    except EdgecvError as error:
        return Check(name="benchmark_model", status="failed", detail=error.message, fix=error.hint)
    if done.out.strip() in ("126", "127"):
        return Check(name="benchmark_model", status="failed", detail="the device cannot execute it",
                     fix="take the build for its processor (adb shell uname -m) and for Android")  # fmt: skip
    return Check(name="benchmark_model", status="ok", detail=there)


def _python(device: RemoteDevice) -> tuple[bool, Check]:
    done = device.shell.run(RUN_SCRIPT, device.python, one_line(DESCRIBE))
    setup = f"edgecv device setup {device.name}"
    if done.status != 0:
        fix = setup if device.makes_environment else "correct python in the file of devices"
        return False, Check(name="python", status="failed", detail=f"{device.python} does not run there", fix=fix)
    found = described(done.out.strip())
    version = ".".join(map(str, found.version))
    if found.version < OLDEST:
        detail = f"Python {version}, and 3.9 or newer is needed"
        return False, Check(name="python", status="failed", detail=detail, fix="install a newer one there")
    if not found.numpy:
        fix = f"{setup} --force" if device.makes_environment else f"{device.python} -m pip install numpy, there"
        return False, Check(name="numpy", status="failed", detail=f"Python {version} there has no numpy", fix=fix)
    detail = f"Python {version} on {found.machine}, numpy {found.numpy}"
    return True, Check(name="python", status="ok", detail=detail)


def _agent(device: Device) -> Iterator[Check]:
    """Start an agent: the whole way to an interpreter, but for a model."""
    try:
        facts = device.facts() if not _is_static(device) else _asked(device)
    except EdgecvError as error:
        yield Check(name="agent", status="failed", detail=error.message, fix=error.hint)
        return
    yield Check(name="agent", status="ok", detail=f"Python {facts.get('python')} on {facts.get('machine')}")
    packages = dict(facts.get("packages") or {})
    found = [f"{name} {packages[name]}" for name in INTERPRETERS if name in packages]
    if found:
        yield Check(name="interpreter", status="ok", detail=", ".join(found))
    else:
        fix = f"pip install ai-edge-litert there, or edgecv device setup {device.name}"
        yield Check(name="interpreter", status="failed", detail="no interpreter is installed", fix=fix)


def _is_static(device: Device) -> bool:
    """Say whether a device tells its facts without an agent, so that they prove nothing of one."""
    return not isinstance(device, RemoteDevice)


def _asked(device: Device) -> dict[str, Any]:
    channel = device.start()
    try:
        channel.send(json.dumps({"command": "hello"}))
        return dict(json.loads(channel.receive(120))["host"])
    except (ValueError, KeyError, TypeError) as error:
        raise DeviceError(f"the agent's first answer is not one: {error!r}") from error
    finally:
        channel.close()


def _probe_here() -> dict[str, list[str]]:
    command = ("sh", "-c", PROBE, "sh", str(payload.cache_folder()))
    return _parse(subprocess.run(command, capture_output=True, text=True, timeout=60, errors="replace").stdout)


def _parse(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if value.strip():
            found.setdefault(key, []).append(value.strip())
    return found


def _first(facts: dict[str, list[str]], key: str) -> str:
    return next(iter(facts.get(key, [])), "")


def conditions(
    facts: dict[str, list[str]], now: float, *, folder: str = "", needed: int = NEEDED_MB
) -> Iterator[Check]:
    """Judge what PROBE printed: space, clock, load, governor, temperature.

    Args:
        facts: Lines by their first word.
        now: This host's clock, seconds since 1970.
        folder: Whose space it is, for messages.
        needed: Megabytes.
    """
    yield _space(facts, folder, needed)
    yield _clock(facts, now)
    yield _load(facts)
    yield _governor(facts)
    yield _thermal(facts)


def _space(facts: dict[str, list[str]], folder: str, needed: int) -> Check:
    words = _first(facts, "space").split()
    if facts.get("writable") == ["no"]:
        return Check(name="space", status="failed", detail=f"{folder or 'the cache'} cannot be written",
                     fix="set folder to one that can, or change its permissions")  # fmt: skip
    if len(words) < 4 or not words[-3].isdigit():
        return Check(name="space", status="skipped", detail="df does not tell")
    free = int(words[-3]) // 1024
    if free < needed:
        return Check(name="space", status="failed", detail=f"{free} MB free, {needed} needed",
                     fix="free some, or set folder to another file system")  # fmt: skip
    return Check(name="space", status="ok", detail=f"{free:,} MB free")


def _clock(facts: dict[str, list[str]], now: float) -> Check:
    told = _first(facts, "time")
    if not told.isdigit():
        return Check(name="clock", status="skipped", detail="date does not tell")
    off = float(told) - now
    if abs(off) > CLOCK_SECONDS:
        return Check(name="clock", status="warning", detail=f"off by {off:+,.0f} s",
                     fix="set it (timedatectl set-ntp true): dates of reports and logs would mislead")  # fmt: skip
    return Check(name="clock", status="ok", detail=f"within {CLOCK_SECONDS:.0f} s of this host's")


def _load(facts: dict[str, list[str]]) -> Check:
    try:
        load, cpus = float(facts["load"][0].split()[0]), max(1, int(facts["cpus"][0]))
    except (KeyError, ValueError, IndexError):
        return Check(name="load", status="skipped", detail="the system does not tell")
    detail = f"load average {load:.2f} on {cpus} CPUs"
    if load > BUSY * cpus:
        return Check(name="load", status="warning", detail=detail, fix="close other programs before measuring")
    return Check(name="load", status="ok", detail=detail)


def _governor(facts: dict[str, list[str]]) -> Check:
    governors = sorted(set(facts.get("governor", [])))
    if not governors:
        return Check(
            name="governor", status="skipped", detail="the system does not tell (a virtual machine, or Android)"
        )
    if not set(governors) <= STEADY_GOVERNORS:
        fix = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        return Check(
            name="governor", status="warning", detail=f"{', '.join(governors)}: the clock rate varies", fix=fix
        )
    return Check(name="governor", status="ok", detail=", ".join(governors))


def _thermal(facts: dict[str, list[str]]) -> Check:
    zones = [line.split(maxsplit=1) for line in facts.get("thermal", [])]
    # Millidegrees; some phones' sensors report nonsense below freezing or above boiling, or plain degrees.
    known = [(int(zone[0]) / 1000, zone[-1]) for zone in zones if zone[0].lstrip("-").isdigit()]
    known = [(celsius, name) for celsius, name in known if 0 < celsius < 130]
    flags = _first(facts, "throttled").rpartition("=")[2]
    if flags.startswith("0x") and int(flags, 16) & 0b1111:
        return Check(name="thermal", status="warning", detail=f"throttled now ({flags})",
                     fix="cool it, or give it a stronger power supply")  # fmt: skip
    if not known:
        return Check(name="thermal", status="skipped", detail="the system does not tell")
    celsius, name = max(known)
    if celsius >= HOT_CELSIUS:
        return Check(name="thermal", status="warning", detail=f"{celsius:.0f} °C at {name}",
                     fix="let it cool down, or give it a fan: it slows down when hot")  # fmt: skip
    return Check(name="thermal", status="ok", detail=f"{celsius:.0f} °C at {name}")
