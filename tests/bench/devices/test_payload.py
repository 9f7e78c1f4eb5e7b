"""What devices are sent is enough to run an agent, on this Python without anything else of edgecv."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgecv.bench.devices import payload


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgecv"


def test_the_archive_is_the_same_every_time(cache):
    first = payload.payload()
    assert first.path.parent == cache / "payload"
    data = first.path.read_bytes()
    first.path.unlink()
    assert payload.payload() == first
    assert first.path.read_bytes() == data
    assert not [name for name in zipfile.ZipFile(first.path).namelist() if not name.endswith(".py")]


@pytest.mark.parametrize("packed", [True, False], ids=["archive", "folder"])
def test_an_agent_starts_from_it_with_nothing_else_of_edgecv(cache, tmp_path, packed):
    place = payload.payload().path if packed else payload.unpack(tmp_path)
    # A module that would shadow the standard library's, were the working folder on the path.
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    done = subprocess.run(
        (sys.executable, str(place)),
        input='{"command": "hello"}\n{"command": "close"}\n',
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    hello, closed = (json.loads(line) for line in done.stdout.splitlines())
    assert hello["protocol"] == 1
    assert closed == {"closed": True}


def test_it_holds_every_module_that_the_runtime_imports(cache, tmp_path):
    folder = payload.unpack(tmp_path)
    code = (
        "import sys, pkgutil, importlib; sys.path.insert(0, sys.argv[1]); import edgecv.runtime\n"
        "names = [m.name for m in pkgutil.walk_packages(edgecv.runtime.__path__, 'edgecv.runtime.')]\n"
        "[importlib.import_module(name) for name in names]\n"
        "print({m.__file__.startswith(sys.argv[1]) for n, m in sys.modules.items() if n.startswith('edgecv')})"
    )
    done = subprocess.run((sys.executable, "-c", code, str(folder)), capture_output=True, text=True)
    assert done.stdout.strip() == "{True}", done.stderr
    assert payload.unpack(tmp_path) == folder
