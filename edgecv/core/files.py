"""Writing files so that a killed run leaves whole files only, and reading them with errors that say what to do."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Iterator, Union

from edgecv.core.errors import ConfigError

PathLike = Union[str, "os.PathLike[str]"]
_PARTIAL = re.compile(r"^\.(?P<name>.+)\.partial-(?P<pid>\d+)(?P<suffix>\..*)?$")


def check_output(path: PathLike, *, force: bool) -> Path:
    """Return `path` as a Path after checking, before any work, that it can be written.

    Raises:
        ConfigError: It exists and `force` is false, or its folder cannot be created or written.
    """
    out = named(path)
    with _os_errors(out):
        if out.exists() and not force:
            raise ConfigError(f"{out} already exists", hint="choose another --out, or pass --force to replace it")
        out.parent.mkdir(parents=True, exist_ok=True)
        probe = _partial(out)
        # A real write: os.access() says yes to root on a read-only mount.
        probe.write_bytes(b"")
        probe.unlink()
    return out


def named(path: PathLike) -> Path:
    """Return `path` as a Path. Raises ConfigError when it names no file: it is empty, the current folder, the root."""
    out = Path(path)
    if not out.name:
        raise ConfigError(f"--out names no file, got {str(path) or 'nothing'!r}", hint="give --out a name")
    return out


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; renamed to `path` on success, removed on any error.

    The temporary keeps the suffix of `path`, since some writers choose their format by it. Leftovers of killed
    runs for the same `path` are removed first. A folder works as well as a file.

    Raises:
        ConfigError: The folder is missing or read-only, or the disk is full.
    """
    out = named(path)
    with _os_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_partials(out)
        partial = _partial(out)
        try:
            yield partial
            _sync(partial)
            if out.is_dir() and partial.is_dir():
                shutil.rmtree(out)
            os.replace(partial, out)
        except BaseException:
            _remove(partial)
            raise


@contextlib.contextmanager
def exclusive(path: PathLike) -> Iterator[None]:
    """Hold off whoever else asks for the same file, in this process or another, between reading it and replacing it.

    The lock is on the folder, so that nothing is left of it; a system without such locks goes without. Held for a
    moment only: it keeps off writers of other files in that folder too.

    Raises:
        ConfigError: The folder is missing and cannot be made, or cannot be read.
    """
    out = Path(path)
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    with _os_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(out.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def write_bytes(path: PathLike, data: bytes) -> None:
    """Write `data` to `path` atomically. Raises ConfigError as `atomic_path` does."""
    with atomic_path(path) as partial:
        partial.write_bytes(data)


def write_text(path: PathLike, text: str) -> None:
    """Write `text` as UTF-8 to `path` atomically. Raises ConfigError as `atomic_path` does."""
    write_bytes(path, text.encode("utf-8"))


def read_bytes(path: PathLike, *, what: str = "file") -> bytes:
    """Return the bytes of `path`.

    Raises:
        ConfigError: It is missing, a folder, or unreadable.
    """
    source = Path(path)
    if not source.exists():
        raise ConfigError(f"{what} {source} does not exist", hint="check the path")
    try:
        return source.read_bytes()
    except OSError as error:
        raise ConfigError(f"{what} {source} cannot be read: {error.strerror}", hint="check its permissions") from error


def sha256(path: PathLike) -> str:
    """Return the SHA-256 of a file, or of a folder's relative names and contents, as hex."""
    source = Path(path)
    digest = hashlib.sha256()
    files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
    for file in files:
        if source.is_dir():
            digest.update(file.relative_to(source).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            for chunk in iter(lambda: stream.read(1 << 20), b""):
                digest.update(chunk)
    return digest.hexdigest()


def remove_partials(path: PathLike) -> None:
    """Remove what runs that were killed while writing `path` left behind; those of living processes stay."""
    out = Path(path)
    for entry in out.parent.glob(f".{_escape(out.name)}.partial-*"):
        found = _PARTIAL.match(entry.name)
        if found and not _alive(int(found["pid"])):
            _remove(entry)


def _escape(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _partial(out: Path) -> Path:
    return out.with_name(f".{out.name}.partial-{os.getpid()}{out.suffix}")


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _sync(path: Path) -> None:
    if path.is_file():
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())


@contextlib.contextmanager
def _os_errors(out: Path) -> Iterator[None]:
    reasons = {
        errno.ENOSPC: ("the disk is full", "free some space, or choose another --out"),
        errno.EDQUOT: ("the disk quota is used up", "free some space, or choose another --out"),
        errno.EFBIG: ("the file would exceed the allowed size", "raise the file size limit (ulimit -f)"),
        errno.EROFS: ("the file system is read-only", "choose another --out"),
        errno.EACCES: ("permission denied", "choose another --out, or change the folder's permissions"),
        errno.EPERM: ("operation not permitted", "choose another --out, or change the folder's permissions"),
        errno.EISDIR: ("it is a folder", "choose another --out"),
        errno.ENAMETOOLONG: ("the name is too long", "choose a shorter --out"),
        errno.ENOTDIR: ("a part of the path is a file", "choose another --out"),
        errno.EEXIST: ("a part of the path is a file", "choose another --out"),
    }
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOENT and Path(str(error.filename)).parent == out.parent:
            reason, hint = "its folder takes no files", "choose another --out"  # of a kernel, such as /proc
        elif error.errno in reasons:
            reason, hint = reasons[error.errno]
        else:
            raise
        raise ConfigError(f"cannot write {out}: {reason}", hint=hint) from error
