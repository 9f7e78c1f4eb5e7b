"""What came of tasks, kept by what it depends on: a killed run goes on, and nothing is made twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from edgecv.core import codec
from edgecv.core.files import sha256, write_bytes
from edgecv.jobs.journal import read_record, write_record

T = TypeVar("T")
R = TypeVar("R")


class Records(Generic[T, R]):
    """Results on disk, one file each, written whole: a result is there or not.

    Args:
        place: From a task to its file, whose name has the digest of all that the result depends on.
        kind: From a task to the type of its result, a frozen dataclass.
        holds: Whether a result that was kept still says what is; what it speaks of may be gone.
    """

    def __init__(
        self,
        place: Callable[[T], Path],
        kind: Callable[[T], type[R]],
        holds: Callable[[T, R], bool] = lambda task, result: True,
    ) -> None:
        self._place, self._kind, self._holds = place, kind, holds

    def known(self, task: T) -> R | None:
        """Return what came of a task, in this run or an earlier one; None for nothing yet.

        Raises:
            ConfigError: The record is damaged.
        """
        record = self._place(task)
        if not record.exists():
            return None
        found = codec.decode(self._kind(task), read_record(record), where=str(record))
        return found if self._holds(task, found) else None

    def remember(self, task: T, result: R) -> None:
        """Keep what came of a task."""
        record = self._place(task)
        record.parent.mkdir(parents=True, exist_ok=True)
        write_record(record, result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A file, by its content.

    Attributes:
        name: Of the file, without folders.
    """

    name: str
    sha256: str
    data: bytes


def blob(path: Path) -> Blob:
    """Return a file as a value."""
    return Blob(name=path.name, sha256=sha256(path), data=path.read_bytes())


def put(file: Blob, folder: Path) -> Path:
    """Write a file under its content's name, unless it is there."""
    path = folder / file.sha256[:24] / file.name
    if not path.exists():
        write_bytes(path, file.data)
    return path
