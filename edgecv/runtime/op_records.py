"""What an operator profiler wrote down, run by run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional


@dataclass(frozen=True)
class Record:
    """One operator in one run.

    Attributes:
        name: In the profiler's words.
        op: Operator of the file, "" when the profiler does not say.
        index: Its position in the file; None when the profiler does not say.
        node: Its name in the file; None for formats without.
    """

    name: str
    op: str
    index: Optional[int]
    node: Optional[str]
    us: float


@dataclass(frozen=True)
class Runs:
    """Profiled runs: the operators of each, and the whole inference."""

    source: str
    records: List[List[Record]]
    inference_us: List[float]
    resolution_us: float
    note: str = ""
