"""A Debian with Python and numpy for any processor, unpacked and never booted."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgecv.bench.devices.payload import cache_folder
from edgecv.core.errors import DeviceError
from edgecv.core.progress import Reporter

SUITE = "bookworm"
DEBOOTSTRAP_TIMEOUT_S = 3600.0


def unpack(folder: Path, architecture: str, *, suite: str, mirror: str, reporter: Reporter) -> dict[str, str]:
    """Unpack it into `folder`/sysroot, without running anything of it. Downloads are kept in the cache.

    Args:
        folder: Need not exist.
        architecture: As Debian names it: "arm64".
        suite: "bookworm".
        mirror: "" takes debootstrap's own.
        reporter: Told of each step.

    Returns:
        The version of each package.

    Raises:
        DeviceError: A program is missing, or the mirror cannot be reached.
    """
    staging, sysroot = folder / "staging", folder / "sysroot"
    reporter.info(f"downloading Debian {suite} for {architecture}: about 40 MB, once")
    _debootstrap(architecture, suite, mirror, staging)
    reporter.info("unpacking it")
    sysroot.mkdir(parents=True)
    packages = sorted(staging.glob("var/cache/apt/archives/*.deb"))
    for package in packages:
        _run(("dpkg-deb", "--extract", str(package), str(sysroot)), "dpkg")
    shutil.rmtree(staging)
    for part in ("usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(sysroot / part, ignore_errors=True)
    _link_alternatives(sysroot)
    named = [package.stem.split("_") for package in packages]
    # An epoch ("1%3a1.24.2") is no part of the version that upstream gave.
    return {words[0]: words[1].rpartition("%3a")[2] for words in named if len(words) == 3}


def _debootstrap(architecture: str, suite: str, mirror: str, staging: Path) -> None:
    debs = cache_folder() / "debs" / f"{suite}-{architecture}"
    debs.mkdir(parents=True, exist_ok=True)
    # Not root: nothing of the first stage needs more than fakeroot's pretence, since no device nodes are used.
    wrapper = () if os.geteuid() == 0 else ("fakeroot",)
    command = (*wrapper, "debootstrap", "--foreign", "--variant=minbase", f"--arch={architecture}",
               f"--cache-dir={debs}", "--include=python3,python3-numpy", suite, str(staging),
               *((mirror,) if mirror else ()))  # fmt: skip
    _run(command, wrapper[0] if wrapper and not shutil.which(wrapper[0]) else "debootstrap")


def _link_alternatives(sysroot: Path) -> None:
    """Put the links that Debian's second stage would: numpy looks for libblas and liblapack beside other libraries."""
    for folder in sysroot.glob("usr/lib/*-linux-gnu*"):
        for library in ("blas", "lapack"):
            name = f"lib{library}.so.3"
            if (folder / library / name).exists() and not (folder / name).exists():
                (folder / name).symlink_to(f"{library}/{name}")


def _run(command: Sequence[str], package: str) -> None:
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEBOOTSTRAP_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise DeviceError(
            f"'{command[0]}' is not installed on this host", hint=f"make arm; or on Debian: apt-get install {package}"
        ) from error
    if done.returncode != 0:
        lines = " | ".join(done.stdout.strip().splitlines()[-3:])
        raise DeviceError(
            f"{command[0]} ended with status {done.returncode}: {lines}", hint="is the mirror reachable? See mirror"
        )
