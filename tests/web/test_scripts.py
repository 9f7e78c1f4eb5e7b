"""What pages get of npm's packages, and what edgecv changes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecv.core.errors import MissingDependencyError
from edgecv.web import packages, scripts
from tests.web.test_packages import install

INDEX = f"before\n{scripts._IMPORT}\n{scripts._UINT8}after\n"


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(packages.FOLDER_VARIABLE, str(tmp_path))
    install(tmp_path)
    core = tmp_path / "node_modules" / packages.LITERT
    for name in ("dist/index.js", "wasm/x.wasm"):
        (core / name).parent.mkdir(parents=True, exist_ok=True)
        (core / name).write_text(INDEX)
    return tmp_path


def test_int8_and_an_address_are_written_into_litert(web: Path) -> None:
    index = scripts.read(scripts.litert()["litert/index.js"]).decode()
    assert 'from "./wasm-utils.js"' in index
    assert "@litertjs/wasm-utils" not in index
    assert 'dtype: "int8"' in index
    assert index.startswith("before")
    assert index.endswith("after\n")


@pytest.mark.parametrize("text", ["", INDEX + INDEX])
def test_a_script_that_is_not_the_known_one_is_refused(web: Path, text: str) -> None:
    (web / "node_modules" / packages.LITERT / "dist" / "index.js").write_text(text)
    with pytest.raises(MissingDependencyError, match="not the file that edgecv knows"):
        scripts.litert()


def test_nothing_is_given_out_of_another_version(web: Path) -> None:
    install(web, **{packages.LITERT: "0.0.1", packages.ONNXRUNTIME: "0.0.1"})
    for files in (scripts.litert, scripts.onnxruntime):
        with pytest.raises(MissingDependencyError, match=r"0\.0\.1"):
            files()


def test_the_installed_packages_are_those_that_edgecv_knows() -> None:
    if not packages.available():
        pytest.skip("npm's packages are not installed: make web")
    for address, content in {**scripts.litert(), **scripts.onnxruntime()}.items():
        assert scripts.read(content), address
        assert scripts.media_type(address) in ("text/javascript", "application/wasm")
