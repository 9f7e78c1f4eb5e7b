"""The npm packages that browsers run: where they lie, and which versions they are.

The first of these folders that is there counts:

1. the one that `$EDGECV_WEB` names,
2. the one in the wheel `edgecv-web`, where that is installed,
3. the one beside the Python environment that is called like it with `-web` behind: `.venv-web` for `.venv`.

`make web` installs them into the first or the third with `npm ci` from `npm/package.json` and its lock, which pin
versions and checksums and name no registry. Nothing of them is part of edgecv, and edgecv looks for them nowhere else.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecv.core.errors import MissingDependencyError

FOLDER_VARIABLE = "EDGECV_WEB"
PINNED = Path(__file__).parent / "npm"
"""Folder of package.json and package-lock.json, as `npm ci` takes them."""
LITERT = "@litertjs/core"
LITERT_LOADER = "@litertjs/wasm-utils"
ONNXRUNTIME = "onnxruntime-web"
MAKE = "make web"
WHEEL = "edgecv_web"
"""The module of the wheel `edgecv-web`, in whose folder npm's packages lie."""


def folder() -> Path:
    """Return the folder that holds node_modules, or that `make web` makes it in; it need not exist."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).expanduser()
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent
    return Path(f"{sys.prefix}-web")


def pinned() -> Mapping[str, str]:
    """Return the version of each package that this edgecv is made for, by npm's name."""
    wanted: dict[str, str] = _described(PINNED / "package.json")["dependencies"]
    return wanted


def versions() -> Mapping[str, str]:
    """Return the version of each package that is installed, by npm's name.

    Raises:
        MissingDependencyError: One is missing, or is not of the pinned version; the hint names `make web`.
    """
    return {name: _checked(name, version) for name, version in pinned().items()}


def package(name: str) -> Path:
    """Return the folder of one package.

    Args:
        name: As npm calls it: `LITERT`, `LITERT_LOADER` or `ONNXRUNTIME`.

    Raises:
        MissingDependencyError: It is missing, or is not of the pinned version; the hint names `make web`.
    """
    _checked(name, pinned()[name])
    return folder() / "node_modules" / name


def available() -> bool:
    """Say whether all packages are installed in their pinned versions."""
    try:
        versions()
    except MissingDependencyError:
        return False
    return True


def _checked(name: str, wanted: str) -> str:
    described = folder() / "node_modules" / name / "package.json"
    if not described.is_file():
        raise MissingDependencyError(
            f"the browser's scripts are not installed: {name} is not in {folder()}",
            hint=f"run `{MAKE}`, install the wheel edgecv-web, or set {FOLDER_VARIABLE} to a folder where `{MAKE}` put "
            "them",
        )
    found = str(_described(described).get("version"))
    if found != wanted:
        raise MissingDependencyError(
            f"{name} in {folder()} is version {found}, and this edgecv is made for {wanted}",
            hint="install the edgecv-web of this edgecv's version" if folder().name == WHEEL else f"run `{MAKE}`",
        )
    return found


def _described(path: Path) -> dict[str, Any]:
    """Read a package.json."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MissingDependencyError(f"{path} cannot be read: {error}", hint=f"run `{MAKE}`") from error
    return dict(found) if isinstance(found, dict) else {}
