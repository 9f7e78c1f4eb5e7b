"""One thing that the doctor looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: "connection", "python", …
        detail: What was seen.
        fix: What to do; "" when it is fine.
    """

    name: str
    status: Status
    detail: str
    fix: str = ""
