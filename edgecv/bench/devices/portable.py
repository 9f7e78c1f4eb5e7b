"""A Python for devices that have none, Android's among them: Debian's, with its own C library, in one folder.

It runs through its own loader from wherever it lies, needs no root, and finds nothing of the device's own libraries.
"""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

from edgecv.bench.devices import debian, wheels
from edgecv.bench.devices.payload import cache_folder
from edgecv.bench.devices.shell import RemoteDevice
from edgecv.bench.devices.wheels import Download, PythonThere
from edgecv.core import files
from edgecv.core.errors import DeviceError
from edgecv.core.progress import Reporter

# What the kernel says (uname -m), Debian's name, the wheels' name, and the loader. A 64-bit kernel runs the 64-bit one.
MACHINES = {
    "aarch64": ("arm64", "aarch64", "ld-linux-aarch64.so.1"),
    "armv7l": ("armhf", "armv7l", "ld-linux-armhf.so.3"),
    "armv8l": ("armhf", "armv7l", "ld-linux-armhf.so.3"),
    "x86_64": ("amd64", "x86_64", "ld-linux-x86-64.so.2"),
}
UNPACK_TIMEOUT_S = 900.0
_SONAME = re.compile(r".+\.so\.\d+$")
_UNNEEDED = ("test", "idlelib", "lib2to3", "ensurepip", "tkinter", "turtledemo", "pydoc_data")

# The rest of the program that starts Python; its first line names the device's own sh.
START = """here=${0%/*}
unset LD_PRELOAD LD_LIBRARY_PATH
export PYTHONHOME="$here/usr" PYTHONPATH="$here/site" PYTHONNOUSERSITE=1 PYTHONUTF8=1 TMPDIR="$here/tmp"
exec "$here/lib/ld.so" --library-path "$here/lib" "$here/usr/bin/python3" "$@"
"""
# $1 the archive, $2 the folder that it becomes, $3 its stamp, $4 the rest of the start program, ~ for ends of lines.
UNPACK = (
    'part="$2.partial-$$"; mkdir -p -- "$part" && tar -xf "$1" -C "$part" && '
    '{ printf "#!%s\\n" "$(command -v sh)"; printf "%s" "$4" | tr "~" "\\n"; } > "$part/python" && '
    'chmod 755 "$part/python" && printf "%s" "$3" > "$part/edgecv.json" && rm -rf -- "$2" && mv -- "$part" "$2"'
)


def install(device: RemoteDevice, *, force: bool, reporter: Reporter, download: Download | None) -> bool:
    """Put a Python with an interpreter on a device; return False when it has it already.

    Raises:
        DeviceError: Its processor is unknown, or a step failed.
        MissingDependencyError: pip cannot download what it needs.
    """
    machine = device.checked("uname -m").out.strip()
    if machine not in MACHINES:
        raise DeviceError(
            f"{device.name}: no Python is at hand for the processor '{machine}'", hint=f"known: {', '.join(MACHINES)}"
        )
    target = f"{device.folder}/python"
    stamp = json.dumps({"machine": machine, "suite": debian.SUITE, "wanted": wheels.choices(_python(machine, {}))})
    if not force and device.shell.run('cat -- "$1"', f"{target}/edgecv.json").out == stamp:
        return False
    archive = build(machine, reporter=reporter, download=download)
    reporter.info(f"{device.name}: sending Python, {archive.stat().st_size / 1e6:.0f} MB")
    there = device.put(archive)
    device.checked(UNPACK, there, target, stamp, START.replace("\n", "~"), timeout_s=UNPACK_TIMEOUT_S)
    # It is unpacked, and too large to keep twice.
    device.checked('rm -f -- "$1"', there)
    return True


def build(machine: str, *, reporter: Reporter, download: Download | None = None) -> Path:
    """Return the archive for a processor, made once and kept in the cache.

    Raises:
        DeviceError: debootstrap is missing, or no interpreter is published.
    """
    architecture, _, loader = MACHINES[machine]
    key = "-".join(re.sub(r"[^0-9A-Za-z.]", "", word) for word in wheels.choices(_python(machine, {}))[0])
    path = cache_folder() / "portable" / f"{debian.SUITE}-{architecture}-{key}.tar"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=path.parent) as name:
        folder = Path(name)
        packages = debian.unpack(folder, architecture, suite=debian.SUITE, mirror="", reporter=reporter)
        tree = _tree(folder, loader)
        reporter.info("an interpreter for it")
        found = wheels.resolve(_python(machine, packages), download=download)
        for wheel in found.paths:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(tree / "site")
        if found.system_numpy:
            # Debian's lies in a folder that only Debian's own start-up file knows.
            for part in (folder / "sysroot/usr/lib/python3/dist-packages").glob("numpy*"):
                shutil.copytree(part, tree / "site" / part.name)
        with files.atomic_path(path) as partial, tarfile.open(partial, "w", dereference=True) as tar:
            tar.add(tree, arcname=".")
    return path


def _python(machine: str, packages: dict[str, str]) -> PythonThere:
    """Return the Python of a Debian by its packages' versions."""
    version = packages.get("python3", "3.11").split(".")
    glibc = packages.get("libc6", "2.36").split("-")[0].split(".")
    numpy = packages.get("python3-numpy", "").split("-")[0].split("+")[0]
    return PythonThere(
        path="python",
        version=(int(version[0]), int(version[1])),
        machine=MACHINES[machine][1],
        glibc=(int(glibc[0]), int(glibc[1])),
        numpy=numpy,
    )


def _tree(folder: Path, loader: str) -> Path:
    """Pick what Python needs out of a sysroot: the program, its library, shared libraries by soname, the loader."""
    sysroot, tree = folder / "sysroot", folder / "tree"
    for part in ("usr/bin", "lib", "site", "tmp"):
        (tree / part).mkdir(parents=True)
    program = next(iter(sorted(sysroot.glob("usr/bin/python3.[0-9]*"))))
    shutil.copy(program, tree / "usr" / "bin" / "python3")
    library = sysroot / "usr" / "lib" / program.name
    shutil.copytree(
        library,
        tree / "usr" / "lib" / program.name,
        ignore=shutil.ignore_patterns(*_UNNEEDED, "config-*", "__pycache__"),
    )
    for place in (
        "lib/*-linux-gnu*",
        "usr/lib/*-linux-gnu*",
        "usr/lib/*-linux-gnu*/blas",
        "usr/lib/*-linux-gnu*/lapack",
    ):
        for found in sorted(sysroot.glob(f"{place}/*.so*")):
            if _SONAME.match(found.name) and found.exists():
                shutil.copy(found, tree / "lib" / found.name)
    loaders = [path for path in sorted(sysroot.glob(f"**/{loader}")) if not path.is_symlink()]
    shutil.copy(loaders[0], tree / "lib" / "ld.so")
    (tree / "lib" / "ld.so").chmod(0o755)
    return tree
