"""What a search has found out, kept by what it depends on: a killed run goes on, and nothing is made twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from edgecv.core import codec
from edgecv.core.files import sha256, write_bytes
from edgecv.jobs.journal import read_record, write_record
from edgecv.jobs.search.candidates import Candidate
from edgecv.values.search import Cost, Finding, Level

Kind = Literal["shape", "accuracy", "final"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of work.

    Attributes:
        kind: "shape": what a candidate's shape costs; "accuracy": what it loses; "final": what its trained file costs.
        candidate: Of whom.
        level: Of an accuracy.
    """

    kind: Kind
    candidate: Candidate
    level: Level = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A file, by its content.

    Attributes:
        name: Of the file, without folders.
    """

    name: str
    sha256: str
    data: bytes


class Records:
    """Results on disk, one file each, written whole: a result is there or not.

    Args:
        folder: Need not exist.
        key: From a task to the digest of all that its result depends on.
    """

    def __init__(self, folder: Path, key: Callable[[Task], str]) -> None:
        self._folder, self._key = folder, key

    def known(self, task: Task) -> Cost | Finding | None:
        """Return what came of a task, in this run or an earlier one; None for nothing yet.

        Raises:
            ConfigError: The record is damaged.
        """
        record = self._record(task)
        if not record.exists():
            return None
        if task.kind != "accuracy":
            return codec.decode(Cost, read_record(record), where=str(record))
        found = codec.decode(Finding, read_record(record), where=str(record))
        # A judgement in full that is no more than a first look has one record for both.
        return replace(found, candidate=task.candidate.id, level=task.level)

    def remember(self, task: Task, result: Cost | Finding) -> None:
        """Keep what came of a task."""
        record = self._record(task)
        record.parent.mkdir(parents=True, exist_ok=True)
        write_record(record, result)

    def keep(self, file: Blob) -> Path:
        """Keep a file that was made elsewhere, under its content's name."""
        return put(file, self._folder / "received")

    def received(self, digest: str) -> Path | None:
        """Return the file of a content that was made elsewhere; None for none."""
        if not digest:
            return None
        return next(iter((self._folder / "received" / digest[:24]).glob("*")), None)

    def _record(self, task: Task) -> Path:
        folder = "trials" if task.kind == "accuracy" else "costs"
        return self._folder / folder / f"{self._key(task)[:32]}.json"


def blob(path: Path) -> Blob:
    """Return a file as a value."""
    return Blob(name=path.name, sha256=sha256(path), data=path.read_bytes())


def put(file: Blob, folder: Path) -> Path:
    """Write a file under its content's name, unless it is there."""
    path = folder / file.sha256[:24] / file.name
    if not path.exists():
        write_bytes(path, file.data)
    return path
