"""Which interpreter a device's Python gets."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest

from edgecv.bench.devices import wheels
from edgecv.bench.devices.wheels import PythonThere, platforms, resolve
from edgecv.core.errors import DeviceError, MissingDependencyError

PI = PythonThere(path="/usr/bin/python3", version=(3, 11), machine="aarch64", glibc=(2, 36))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "edgecv" / "wheels"


def offering(*packages: str):
    """Return a downloader to which only `packages` are published, and the list of what it was asked."""
    asked = []

    def download(requirements, python, folder):
        asked.append(tuple(requirements))
        for requirement in requirements:
            name = requirement.split("=")[0].split(">")[0]
            if name not in packages:
                return f"No matching distribution found for {requirement}"
            (folder / f"{name}-1-py3-none-any.whl").write_bytes(b"")
        return ""

    return download, asked


def test_platforms_from_the_newest_to_the_oldest():
    found = platforms(PI)
    assert found[0] == "manylinux_2_36_aarch64"
    assert found[-3:] == ("manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64")
    with pytest.raises(DeviceError, match="another C library than glibc"):
        platforms(dataclasses.replace(PI, glibc=None))


def test_litert_comes_first_and_is_looked_for_once():
    download, asked = offering("ai-edge-litert", "numpy")
    found = resolve(PI, download=download)
    assert sorted(path.name for path in found.paths) == [
        "ai-edge-litert-1-py3-none-any.whl",
        "numpy-1-py3-none-any.whl",
    ]
    assert resolve(PI, download=download) == found
    assert len(asked) == 1


def test_old_boards_get_tflite_runtime(cache):
    download, asked = offering("tflite-runtime", "numpy")
    found = resolve(PI, download=download)
    assert found.requirements[0].startswith("tflite-runtime")
    assert found.system_numpy is False
    assert len(asked) == 3
    assert asked[0][0].startswith("ai-edge-litert==")
    assert asked[1][0].startswith("ai-edge-litert>=")
    assert [path for path in cache.iterdir() if path.name.startswith(".")] == [], "a failed try left something"


def test_numpy_of_the_system_where_none_is_published():
    download, _ = offering("tflite-runtime")
    old = dataclasses.replace(PI, machine="armv7l", numpy="1.24.2")
    found = resolve(old, download=download)
    assert found.system_numpy is True
    assert [path.name for path in found.paths] == ["tflite-runtime-1-py3-none-any.whl"]
    with pytest.raises(DeviceError, match=r"no interpreter is published for Python 3\.11 on armv7l") as raised:
        resolve(dataclasses.replace(old, numpy="2.1.0"), download=download)
    assert "No matching distribution found for ai-edge-litert" in raised.value.message


@pytest.mark.parametrize(
    ("status", "stderr", "expected"),
    [
        (0, "", ""),
        (1, "ERROR: Could not find a version\nERROR: No matching distribution found for x", "No matching distribution"),
    ],
)
def test_what_pip_says(status, stderr, expected, monkeypatch, tmp_path):
    calls = []

    def run(command, **options):
        calls.append(command)
        return subprocess.CompletedProcess(command, status, "", stderr)

    monkeypatch.setattr(wheels.subprocess, "run", run)
    assert wheels.pip_download(("a==1", "-e evil"), PI, tmp_path).startswith(expected)
    assert "--python-version=311" in calls[0]
    assert calls[0][calls[0].index("--") :] == ["--", "a==1", "-e evil"]


def test_pip_without_a_network(monkeypatch, tmp_path):
    failed = subprocess.CompletedProcess((), 1, "", "ERROR: HTTPSConnectionPool: Max retries exceeded")
    monkeypatch.setattr(wheels.subprocess, "run", lambda command, **options: failed)
    with pytest.raises(MissingDependencyError, match="Max retries exceeded"):
        wheels.pip_download(("a",), PI, tmp_path)
