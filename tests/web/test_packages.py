"""Where npm's packages lie, and that what edgecv does not know is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgecv.core.errors import MissingDependencyError
from edgecv.web import packages


def install(folder: Path, **versions: str) -> None:
    """Write the descriptions of all packages, and nothing of what is in them."""
    for name, version in {**packages.pinned(), **versions}.items():
        described = folder / "node_modules" / name / "package.json"
        described.parent.mkdir(parents=True, exist_ok=True)
        described.write_text(json.dumps({"name": name, "version": version}))


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(packages.FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def test_the_lock_pins_every_package_by_checksum_and_names_no_registry() -> None:
    lock = json.loads((packages.PINNED / "package-lock.json").read_text())
    installed = {path: entry for path, entry in lock["packages"].items() if path}
    assert all(entry["integrity"].startswith("sha512-") for entry in installed.values())
    assert not any("resolved" in entry for entry in installed.values())
    assert "://" not in json.dumps(lock).replace("https://opencollective.com", "").replace("https://github.com", "")
    for name, version in packages.pinned().items():
        assert installed[f"node_modules/{name}"]["version"] == version


def test_the_variable_names_the_folder_and_else_it_is_beside_the_environment(
    web: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert packages.folder() == web
    monkeypatch.delenv(packages.FOLDER_VARIABLE)
    assert packages.folder() == Path(sys.prefix + "-web")


def test_installed_packages_are_found_with_their_versions(web: Path) -> None:
    install(web)
    assert packages.available()
    assert packages.versions() == packages.pinned()
    assert packages.package(packages.LITERT) == web / "node_modules" / "@litertjs" / "core"


def test_a_missing_package_names_what_installs_it(web: Path) -> None:
    assert not packages.available()
    with pytest.raises(MissingDependencyError, match="not installed") as caught:
        packages.package(packages.LITERT)
    assert "make web" in caught.value.hint
    assert packages.FOLDER_VARIABLE in caught.value.hint


def test_another_version_than_the_pinned_one_is_refused(web: Path) -> None:
    install(web, **{packages.ONNXRUNTIME: "1.0.0"})
    with pytest.raises(MissingDependencyError, match=r"onnxruntime-web .* is version 1\.0\.0, .* made for") as caught:
        packages.versions()
    assert "make web" in caught.value.hint


def test_a_damaged_description_is_an_error_of_ours(web: Path) -> None:
    install(web)
    (web / "node_modules" / packages.LITERT / "package.json").write_text("{")
    with pytest.raises(MissingDependencyError, match="cannot be read"):
        packages.versions()


def test_the_wheel_counts_before_the_folder_beside_and_after_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "site" / packages.WHEEL
    wheel.mkdir(parents=True)
    (wheel / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(wheel.parent))
    monkeypatch.delenv(packages.FOLDER_VARIABLE, raising=False)
    assert packages.folder() == wheel
    install(wheel, **{packages.LITERT: "0.0.1"})
    with pytest.raises(MissingDependencyError, match=r"0\.0\.1") as caught:
        packages.versions()
    assert "edgecv-web" in caught.value.hint
    monkeypatch.setenv(packages.FOLDER_VARIABLE, str(tmp_path / "named"))
    assert packages.folder() == tmp_path / "named"
