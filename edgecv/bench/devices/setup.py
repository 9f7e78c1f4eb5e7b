"""Making a device ready: an interpreter for its Python, and edgecv's runtime. Done again, it changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecv.bench.devices import debian, emulated, payload, portable, processors, wheels
from edgecv.bench.devices.base import Device
from edgecv.bench.devices.browser import BrowserDevice
from edgecv.bench.devices.shell import RemoteDevice
from edgecv.bench.devices.specs import Declared, EmulatedSpec
from edgecv.bench.devices.wheels import Download, PythonThere, Wheels
from edgecv.core import files
from edgecv.core.errors import DeviceError
from edgecv.core.progress import QUIET, Reporter
from edgecv.web import packages

PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(13, 8, -1)))

# Prints a PythonThere as JSON. $1…: candidates. Runs on any Python 3.
DESCRIBE = """
import json, platform, struct, sys
try:
    import numpy
    seen = numpy.__version__
except Exception:
    seen = ""
name, version = platform.libc_ver()
machine = platform.machine()
if struct.calcsize("P") == 4 and machine in ("aarch64", "armv8l"):
    machine = "armv7l"
glibc = [int(part) for part in version.split(".")[:2]] if name == "glibc" else None
print(json.dumps({"path": sys.executable, "version": list(sys.version_info[:2]), "machine": machine,
                  "glibc": glibc, "numpy": seen}))
"""
FIND = (
    'script=$1; shift; for p in "$@"; do command -v "$p" >/dev/null 2>&1 && "$p" -c "$script" 2>/dev/null; done; true'
)

# Builds the environment: argv is its path, the part of its stamp, "system" or "", and the wheels. Runs on Python 3.9.
ENVIRONMENT = """
import glob, json, os, shutil, sys, venv, zipfile
target, stamp, system, wheels = sys.argv[1], sys.argv[2], sys.argv[3] == "system", sys.argv[4:]
partial = "%s.partial-%d" % (target, os.getpid())
venv.EnvBuilder(symlinks=True, with_pip=False, system_site_packages=system).create(partial)
site = glob.glob(os.path.join(partial, "lib", "python*", "site-packages"))[0]
for wheel in wheels:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
with open(os.path.join(partial, "edgecv.json"), "w") as stream:
    stream.write(stamp)
shutil.rmtree(target, ignore_errors=True)
os.rename(partial, target)
"""
RUN_SCRIPT = 'python=$1; shift; exec "$python" -c "$@"'
SWEEP = 'find "$1" -maxdepth 2 -name "*.partial-*" -mmin +60 -exec rm -rf -- {} + 2>/dev/null; true'


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A device that is set up.

    Attributes:
        changed: Whether anything was made or sent for it.
        python: Its version of Python; "none" of a browser.
        packages: Interpreters and numpy there, by name.
        place: Where its files are.
    """

    device: str
    kind: str
    changed: bool
    python: str
    packages: Mapping[str, str]
    place: str


def set_up(
    found: Declared,
    device: Device,
    *,
    force: bool = False,
    reporter: Reporter = QUIET,
    download: Download | None = None,
) -> Ready:
    """Make a device ready, and start an agent on it to see that it is.

    Args:
        found: Its declaration.
        device: It, opened.
        force: Make its environment anew even when it is whole.
        reporter: Told of each step.
        download: Finds wheels; None: pip.

    Raises:
        DeviceError: It cannot be reached, or nothing runs on it; what is missing is named.
        MissingDependencyError: pip cannot download what it needs, or the scripts of browsers are not installed.
    """
    if isinstance(found.spec, EmulatedSpec):
        return _emulated(found.name, found.spec, device, force=force, reporter=reporter, download=download)
    if isinstance(device, BrowserDevice):
        # Nothing is made on it: a page brings all that it runs.
        versions = packages.versions()
        return Ready(device=found.name, kind=device.kind, changed=False, python="none", packages=versions,
                     place=str(packages.folder()))  # fmt: skip
    if not isinstance(device, RemoteDevice):
        return _ready(device, changed=False, place="this host")
    changed = device.makes_environment and _remote(device, force=force, reporter=reporter, download=download)
    reporter.info(f"{found.name}: edgecv's runtime")
    device.put_runtime()
    return _ready(device, changed=changed, place=device.folder)


def _ready(device: Device, *, changed: bool, place: str) -> Ready:
    facts = device.facts()
    packages = dict(facts.get("packages") or {})
    if not any(name in packages for name in ("ai-edge-litert", "tflite-runtime", "onnxruntime")):
        raise DeviceError(
            f"{device.name}: its Python has no interpreter (found: {', '.join(packages) or 'nothing'})",
            hint="pip install ai-edge-litert there, or let edgecv make the environment: leave python empty",
        )
    return Ready(
        device=device.name,
        kind=device.kind,
        changed=changed,
        python=str(facts.get("python")),
        packages=packages,
        place=place,
    )


def _remote(device: RemoteDevice, *, force: bool, reporter: Reporter, download: Download | None) -> bool:
    """Make the environment of a device behind a shell; return False when it was whole already."""
    if device.portable:
        return portable.install(device, force=force, reporter=reporter, download=download)
    pythons = _pythons(device)
    venv = f"{device.folder}/venv"
    written = device.shell.run('cat -- "$1"', f"{venv}/edgecv.json").out
    if not force and any(written == _stamp(python) for python in pythons):
        return False
    device.checked(SWEEP, device.folder)
    python, chosen = _choose(device.name, pythons, reporter, download)
    there = []
    for path in chosen.paths:
        reporter.info(f"{device.name}: sending {path.name}")
        there.append(device.put(path))
    reporter.info(f"{device.name}: making {venv} with {python.path}")
    system = "system" if chosen.system_numpy else ""
    script = one_line(ENVIRONMENT)
    device.checked(RUN_SCRIPT, python.path, script, venv, _stamp(python), system, *there, timeout_s=600)
    return True


def one_line(script: str) -> str:
    """Return a Python script as a line: arguments to a device hold no ends of lines."""
    return f"exec({script!r})"


def _stamp(python: PythonThere) -> str:
    """Return what an environment depends on: it is made anew when this changes."""
    return json.dumps({"python": python.path, "wanted": wheels.choices(python)}, sort_keys=True)


def _pythons(device: RemoteDevice) -> list[PythonThere]:
    said = device.checked(FIND, one_line(DESCRIBE), *PYTHONS).out
    pythons = [described(line) for line in said.splitlines() if line.startswith("{")]
    fitting = {python.path: python for python in pythons if python.version >= wheels.OLDEST}
    if not fitting:
        versions = ", ".join(".".join(map(str, python.version)) for python in pythons) or "none"
        raise DeviceError(
            f"{device.name}: it has no Python 3.9 or newer (found: {versions})",
            hint=device.advice,
        )
    return list(fitting.values())


def _choose(
    name: str, pythons: Sequence[PythonThere], reporter: Reporter, download: Download | None
) -> tuple[PythonThere, Wheels]:
    """Return the first Python for which an interpreter is published, and its wheels."""
    failures = []
    for python in pythons:
        reporter.info(f"{name}: an interpreter for Python {python.version[0]}.{python.version[1]}")
        try:
            return python, wheels.resolve(python, download=download)
        except DeviceError as error:
            failures.append(error)
    raise failures[0]


def described(line: str) -> PythonThere:
    """Return what DESCRIBE printed. Raises DeviceError when it is something else."""
    try:
        found = json.loads(line)
        version, glibc = found["version"], found["glibc"]
        return PythonThere(
            path=found["path"],
            version=(int(version[0]), int(version[1])),
            machine=str(found["machine"]),
            glibc=None if glibc is None else (int(glibc[0]), int(glibc[1])),
            numpy=str(found["numpy"]),
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DeviceError(f"a Python on the device describes itself as {line!r}") from error


def _emulated(
    name: str, spec: EmulatedSpec, device: Device, *, force: bool, reporter: Reporter, download: Download | None
) -> Ready:
    """Make the folder of an emulated device: Debian, processor, interpreter, stamp. Downloads outlive a killed run."""
    folder, stamp = emulated.device_folder(name), emulated.read_stamp(name)
    whole = stamp is not None and stamp.get("identity") == emulated.identity(spec) and emulated.python_of(folder)
    if whole and not force:
        return _ready(device, changed=False, place=str(folder))
    if emulated.find_qemu(spec.arch) is None:
        emulated.emulator(folder, spec)
    with files.atomic_path(folder) as partial:
        _sysroot(partial, spec, reporter)
        python = described(_python_says(partial, spec, DESCRIBE))
        python = PythonThere(
            path=python.path,
            version=python.version,
            machine=processors.ARCHITECTURES[spec.arch].machine,
            glibc=python.glibc,
            numpy=python.numpy,
        )
        reporter.info(f"{name}: an interpreter for Python {python.version[0]}.{python.version[1]}")
        for wheel in wheels.resolve(python, download=download).paths:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(partial / "site")
        facts = json.loads(_python_says(partial, spec, HOST_FACTS, str(payload.unpack(partial))))
        told = {"identity": emulated.identity(spec), "python": facts["python"], "packages": facts["packages"]}
        files.write_text(partial / emulated.STAMP, json.dumps(told, indent=1))
    return _ready(device, changed=True, place=str(folder))


HOST_FACTS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from edgecv.runtime.host import host_facts
import numpy
print(json.dumps(host_facts()))
"""


def _python_says(folder: Path, spec: EmulatedSpec, script: str, *arguments: str) -> str:
    command = (*emulated.emulator(folder, spec), "-c", script, *arguments)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=emulated.environment(folder), stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise DeviceError(
            f"Python does not run under {command[0]}: {done.stderr.strip()[-500:]}",
            hint="is qemu as new as 7.2?",
        )
    return done.stdout.strip()


def _sysroot(folder: Path, spec: EmulatedSpec, reporter: Reporter) -> None:
    architecture = processors.ARCHITECTURES[spec.arch]
    debian.unpack(folder, architecture.debian, suite=spec.suite, mirror=spec.mirror, reporter=reporter)
    text = processors.cpuinfo(architecture.processors[spec.cpu], os.cpu_count() or 1)
    (folder / "sysroot" / "proc").mkdir(exist_ok=True)
    (folder / "sysroot" / "proc" / "cpuinfo").write_text(text)
