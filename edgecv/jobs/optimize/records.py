"""What a search has found out: costs and accuracies by all that they depend on, and files that came from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from edgecv.jobs.optimize.candidates import Candidate
from edgecv.jobs.trials.records import Blob, Records, put
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


class SearchRecords(Records[Task, Cost | Finding]):
    """The records of a search.

    Args:
        folder: Need not exist.
        key: From a task to the digest of all that its result depends on.
    """

    def __init__(self, folder: Path, key: Callable[[Task], str]) -> None:
        def place(task: Task) -> Path:
            return folder / ("trials" if task.kind == "accuracy" else "costs") / f"{key(task)[:32]}.json"

        super().__init__(place, lambda task: Finding if task.kind == "accuracy" else Cost)
        self._received = folder / "received"

    def known(self, task: Task) -> Cost | Finding | None:
        """Return what came of a task, in this run or an earlier one; None for nothing yet.

        Raises:
            ConfigError: The record is damaged.
        """
        found = super().known(task)
        # A judgement in full that is no more than a first look has one record for both.
        return replace(found, candidate=task.candidate.id, level=task.level) if isinstance(found, Finding) else found

    def keep(self, file: Blob) -> Path:
        """Keep a file that was made elsewhere, under its content's name."""
        return put(file, self._received)

    def received(self, digest: str) -> Path | None:
        """Return the file of a content that was made elsewhere; None for none."""
        return next(iter((self._received / digest[:24]).glob("*")), None) if digest else None
