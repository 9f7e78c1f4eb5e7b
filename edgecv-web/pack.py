"""Packs npm's packages into the wheel when it is built: the files that browsers are served, and their licences.

They come from where `edgecv.web.packages` finds them, `make web`'s folder or the one that EDGECV_WEB names, in the
versions that this edgecv pins; others are refused.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
INSIDE = "edgecv_web"
APACHE, MIT = "Apache-2.0", "MIT"


class Pack(BuildHookInterface):
    """Adds npm's files to what hatchling packs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        sys.path.insert(0, str(CHECKOUT))
        from edgecv.web import packages, scripts

        root = packages.folder() / "node_modules"
        added = {path: f"{INSIDE}/node_modules/{path.relative_to(root).as_posix()}" for path in scripts.sources()}
        build_data["force_include"].update({str(path): inside for path, inside in added.items()})
        notice = Path(tempfile.mkdtemp()) / "NOTICE"
        notice.write_text(noticed(packages), encoding="utf-8")
        texts = {notice: "NOTICE", CHECKOUT / "LICENSE": "LICENSE.apache-2.0", **onnxruntime_texts()}
        build_data["force_include"].update({str(path): f"{INSIDE}/licences/{name}" for path, name in texts.items()})


def noticed(packages: Any) -> str:
    """Return which packages are inside, and under which licence each is, as its package.json says."""
    known = {APACHE: "LICENSE.apache-2.0", MIT: "LICENSE.onnxruntime and ThirdPartyNotices.onnxruntime.txt"}
    lines = ["npm packages in this wheel, unchanged:", ""]
    for name, version in packages.versions().items():
        described = json.loads((packages.package(name) / "package.json").read_text(encoding="utf-8"))
        licence = described.get("license")
        if licence not in known:
            raise SystemExit(f"{name} {version} says its licence is {licence!r}, and this wheel has no text of that")
        lines.append(f"{name} {version}: {licence}, see {known[licence]}")
    return "\n".join(lines) + "\n"


def onnxruntime_texts() -> dict[Path, str]:
    """Return onnxruntime's licence and notices, by name in the wheel: its npm package brings neither."""
    found = importlib.util.find_spec("onnxruntime")
    if found is None or found.origin is None:
        raise SystemExit("onnxruntime is not installed, whose wheel brings the licence text: pip install onnxruntime")
    folder = Path(found.origin).parent
    return {
        folder / "LICENSE": "LICENSE.onnxruntime",
        folder / "ThirdPartyNotices.txt": "ThirdPartyNotices.onnxruntime.txt",
    }
