"""What a keras model on disk is, by its content: names mislead, and Keras itself goes by them."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Kind = Literal["archive", "hdf5", "folder", ""]
SUFFIXES: dict[Kind, str] = {"archive": ".keras", "hdf5": ".h5"}
_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_TFLITE = b"TFL3"
_PROTO = b"\x08"
"""The tag of `ir_version`, the first field of an ONNX file."""


def kind_of(path: Path) -> Kind:
    """Return what a path holds: a zip archive, an HDF5 file, a folder, or "" for anything else or nothing."""
    if path.is_dir():
        return "folder"
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError:
        return ""
    if start == _HDF5:
        return "hdf5"
    return "archive" if start[:4] == _ZIP else ""


def is_keras(path: Path) -> bool:
    """Say whether a path is a keras model: a folder, an HDF5 file, or an archive with the members of one."""
    kind = kind_of(path)
    if kind != "archive":
        return kind in ("hdf5", "folder")
    try:
        with zipfile.ZipFile(path) as archive:
            return "config.json" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def graph_format(path: Path) -> Literal["tflite", "onnx", ""]:
    """Return which graph of operators a file holds; "" for keras models, other files, and where there is none.

    What begins as an ONNX file may still be none: its reader says so.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError:
        return ""
    if start[4:8] == _TFLITE:
        return "tflite"
    return "onnx" if start[:1] == _PROTO or (path.suffix.lower() == ".onnx" and not is_keras(path)) else ""


@contextmanager
def under_its_suffix(path: Path, suffix: str = "") -> Iterator[Path]:
    """Yield a path to the same file whose suffix says what it holds: the path itself, or a link for a while.

    Args:
        path: Of a file or folder.
        suffix: That the name shall end in; "" takes the one of its content.
    """
    wanted = suffix or SUFFIXES.get(kind_of(path), "")
    if not wanted or path.name.endswith(wanted) or (wanted == ".h5" and path.suffix == ".hdf5"):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
        link = Path(folder) / f"model{wanted}"
        try:
            link.symlink_to(path.resolve())
        except OSError:  # where links are not allowed
            shutil.copyfile(path, link)
        yield link
