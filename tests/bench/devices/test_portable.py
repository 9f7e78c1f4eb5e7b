"""A Python for devices without one: what is picked, and that it arrives whole through the real adb client."""

from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path

import pytest

from edgecv.bench.devices import find, open_device, opened, portable
from edgecv.bench.devices.setup import set_up
from edgecv.bench.link import AgentLink
from edgecv.core.errors import DeviceError
from edgecv.core.progress import QUIET

DEBOOTSTRAP = """#!/bin/sh
for word in "$@"; do case "$word" in */staging) staging=$word;; --arch=*) arch=${word#*=};; esac; done
mkdir -p "$staging/var/cache/apt/archives" && cd "$staging/var/cache/apt/archives"
: > "python3_3.11.2-1+b1_$arch.deb"; : > "libc6_2.36-9+deb12u14_$arch.deb"; : > "python3-numpy_1%3a1.24.2-1_$arch.deb"
"""
# The loader of this Debian throws "--library-path PATH PROGRAM" away and runs this host's Python.
DPKG = """#!/bin/sh
lib="$3/usr/lib/x86_64-linux-gnu"
mkdir -p "$3/usr/bin" "$lib" "$3/usr/lib/python3.11/test" "$3/usr/lib/python3/dist-packages/numpy" "$3/lib64"
: > "$3/usr/bin/python3.11"; : > "$3/usr/lib/python3.11/os.py"; : > "$3/usr/lib/python3.11/test/big.py"
: > "$lib/libm.so.6"; : > "$lib/libz.so.1.2.13"; ln -sf libz.so.1.2.13 "$lib/libz.so.1"; : > "$lib/libother.so"
printf '#!/bin/sh\\nshift 3\\nunset PYTHONHOME\\nexec "{python}" "$@"\\n' > "$lib/ld-linux-x86-64.so.2"
ln -sf "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$3/lib64/ld-linux-x86-64.so.2"
"""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose debootstrap and dpkg-deb make a very small Debian."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("debootstrap", DEBOOTSTRAP), ("dpkg-deb", DPKG.replace("{python}", sys.executable))):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def test_the_archive_holds_what_python_needs_and_no_more(debian, fake_wheels):
    path = portable.build("x86_64", reporter=QUIET, download=fake_wheels)
    with tarfile.open(path) as tar:
        names = {name.removeprefix("./") for name in tar.getnames()}
        assert not [member.name for member in tar.getmembers() if member.issym()], "not every file system has links"
    assert {"usr/bin/python3", "usr/lib/python3.11/os.py", "lib/ld.so", "lib/libm.so.6", "lib/libz.so.1"} <= names
    assert "site/tflite_runtime/interpreter.py" in names
    assert not {"lib/libz.so.1.2.13", "lib/libother.so", "usr/lib/python3.11/test"} & names
    assert portable.build("x86_64", reporter=QUIET, download=_refuse) == path
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def _refuse(requirements, python, folder):
    raise AssertionError("it was built again")


def test_what_is_known_of_its_python():
    packages = {"python3": "3.11.2-1+b1", "libc6": "2.36-9+deb12u14", "python3-numpy": "1.24.2-1+deb12u1"}
    python = portable._python("armv8l", packages)
    assert (python.version, python.machine, python.glibc, python.numpy) == ((3, 11), "armv7l", (2, 36), "1.24.2")


@pytest.mark.slow
def test_a_phone_gets_a_python(debian, phone, phone_file, fake_wheels, monkeypatch):
    phone_file.write_text("\n".join(x for x in phone_file.read_text().splitlines() if not x.startswith("python")))
    found = find("phone", phone_file)
    with pytest.raises(DeviceError, match="has no environment of edgecv") as raised:
        opened(found).start()
    assert raised.value.hint == "edgecv device setup phone"
    monkeypatch.setitem(portable.MACHINES, os.uname().machine, portable.MACHINES["x86_64"])
    ready = set_up(found, opened(found), download=fake_wheels)
    assert ready.changed
    assert ready.packages["tflite-runtime"] == "2.14.0"
    place = Path(opened(found).python).parent
    assert (place / "python").read_text().splitlines()[1:] == portable.START.splitlines()
    assert not list(Path(ready.place, "files").glob("*.tar")), "the archive was left on the phone"
    assert set_up(found, opened(found), download=_refuse).changed is False
    with AgentLink(open_device("phone", phone_file).start(), "phone") as link:
        assert link.hello()["protocol"] == 1


def test_an_unknown_processor(debian, phone, phone_file, monkeypatch):
    phone_file.write_text("\n".join(x for x in phone_file.read_text().splitlines() if not x.startswith("python")))
    monkeypatch.delitem(portable.MACHINES, os.uname().machine)
    found = find("phone", phone_file)
    with pytest.raises(DeviceError, match="no Python is at hand for the processor"):
        set_up(found, opened(found))
