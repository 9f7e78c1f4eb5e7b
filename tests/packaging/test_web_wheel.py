"""The wheel edgecv-web: npm's files that browsers are served, their licences, and nothing else; edgecv finds it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgecv.web import packages, scripts

FOLDER = Path(__file__).parents[2] / "edgecv-web"

# Packing 30 MB of WebAssembly takes seconds.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    if not packages.available():
        pytest.skip("npm's packages are not installed: make web")
    pytest.importorskip("onnxruntime", reason="onnxruntime's wheel brings its licence")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = out.glob("*.whl")
    return zipfile.ZipFile(made)


def test_it_holds_what_browsers_are_served_as_npm_ships_it_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    root = packages.folder() / "node_modules"
    wanted = {f"edgecv_web/node_modules/{path.relative_to(root).as_posix()}": path for path in scripts.sources()}
    held = {name for name in wheel.namelist() if "node_modules" in name}
    assert held == set(wanted)
    assert any(name.endswith(".wasm") for name in held)
    for name, path in wanted.items():
        assert wheel.read(name) == path.read_bytes(), name
    others = {name for name in wheel.namelist() if name not in held and ".dist-info/" not in name}
    assert {name.rpartition("/")[0] for name in others} == {"edgecv_web", "edgecv_web/licences"}


def test_every_package_has_its_licence(wheel: zipfile.ZipFile) -> None:
    notice = wheel.read("edgecv_web/licences/NOTICE").decode()
    for name, version in packages.pinned().items():
        assert f"{name} {version}: " in notice
    assert b"Apache License" in wheel.read("edgecv_web/licences/LICENSE.apache-2.0")
    assert b"Microsoft" in wheel.read("edgecv_web/licences/LICENSE.onnxruntime")
    assert wheel.read("edgecv_web/licences/ThirdPartyNotices.onnxruntime.txt")


def test_edgecv_finds_it_where_it_is_installed(
    wheel: zipfile.ZipFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel.extractall(tmp_path)
    monkeypatch.delenv(packages.FOLDER_VARIABLE, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert packages.folder() == tmp_path / "edgecv_web"
    assert packages.versions() == packages.pinned()
    assert set(scripts.litert()) >= {"litert/index.js", "litert/wasm-utils.js"}
    assert len(scripts.onnxruntime()) == 3
