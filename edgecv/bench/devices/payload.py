"""What devices are sent: edgecv's runtime as one archive, named by its contents, so that nothing is sent twice."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import edgecv
from edgecv.core import files

# What the runtime imports; tests/bench/devices hold that it is complete. Training stays here.
PARTS = ("core", "tasks", "runtime")
VALUES = ("__init__", "binding", "bundle", "manifest", "scores", "specs")
MAIN = "import sys\n\nfrom edgecv.runtime.agent import main\n\nsys.exit(main())\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The archive: `python FOLDER` starts an agent once it is unpacked to FOLDER.

    Attributes:
        path: On this host.
        digest: Of its contents, 16 hex digits: the same sources give the same archive.
    """

    path: Path
    digest: str


def cache_folder() -> Path:
    """Return where edgecv keeps what it can make again: `$XDG_CACHE_HOME/edgecv`, else `~/.cache/edgecv`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edgecv"


@functools.cache
def runtime_files() -> tuple[tuple[str, bytes], ...]:
    """Return the name within the archive and the contents of every file, sorted by name."""
    package = Path(edgecv.__file__).resolve().parent
    parts = [path for part in PARTS for path in (package / part).rglob("*.py") if not path.stem.endswith("training")]
    values = [package / "values" / f"{name}.py" for name in VALUES]
    sources = [package / "__init__.py", *values, *parts]
    named = [(f"edgecv/{path.relative_to(package).as_posix()}", path.read_bytes()) for path in sources]
    return tuple(sorted([*named, ("__main__.py", MAIN.encode())]))


def payload() -> Payload:
    """Write the archive to the cache, unless it is there. Raises ConfigError when the cache cannot be written."""
    data = _archive()
    digest = hashlib.sha256(data).hexdigest()[:16]
    path = cache_folder() / "payload" / f"runtime-{digest}.zip"
    if not path.is_file():
        files.write_bytes(path, data)
    return Payload(path=path, digest=digest)


@functools.cache
def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in runtime_files():
            archive.writestr(zipfile.ZipInfo(name, date_time=_EPOCH), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def unpack(folder: Path) -> Path:
    """Unpack the runtime into a folder of its digest below `folder`, unless it is there; return that folder."""
    digest = payload().digest
    target = folder / f"runtime-{digest}"
    if not target.is_dir():
        with files.atomic_path(target) as partial:
            for name, data in runtime_files():
                path = partial / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    return target
