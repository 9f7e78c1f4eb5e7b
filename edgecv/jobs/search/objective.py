"""What a search is after: the fastest, smallest or most accurate candidate within limits, or all that none beats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgecv.core.errors import ConfigError, unknown_name
from edgecv.jobs.search.findings import Cost

Goal = Literal["fastest", "smallest", "accurate", "front"]
GOALS: tuple[Goal, ...] = ("fastest", "smallest", "accurate", "front")


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What is looked for.

    Attributes:
        goal: "fastest" or "smallest" within `max_drop`; "accurate": loses least within `latency_ms` or `size_bytes`;
            "front": every candidate that no other one beats in time and accuracy.
        max_drop: What may be lost, in points or the error's unit; None: no limit.
        latency_ms: Longest time; None: no limit.
        size_bytes: Largest file; None: no limit.
    """

    goal: Goal = "front"
    max_drop: float | None = None
    latency_ms: float | None = None
    size_bytes: int | None = None

    def price(self, cost: Cost) -> float | None:
        """Return what is to be small among candidates that lose no more than they may; None where it is unknown."""
        return None if cost.failure else (cost.size_bytes if self.goal == "smallest" else cost.ratio)

    def refuses(self, cost: Cost) -> str:
        """Return why a candidate is out whatever its accuracy; "" when it is not."""
        if cost.failure:
            return cost.failure
        if self.price(cost) is None:
            return "its time is not known"
        if self.latency_ms is not None and cost.latency_ms is not None and cost.latency_ms > self.latency_ms:
            return f"takes {cost.latency_ms:.3g} ms, allowed {self.latency_ms:g}"
        if self.size_bytes is not None and cost.size_bytes is not None and cost.size_bytes > self.size_bytes:
            return f"is {cost.size_bytes:,} bytes, allowed {self.size_bytes:,}"
        return ""


def objective(
    goal: str | None, *, max_drop: float | None = None, latency_ms: float | None = None, size_bytes: int | None = None
) -> Objective:
    """Return the objective that a user means: without a goal, what the limits say.

    Raises:
        ConfigError: The goal is unknown, lacks its limit, or a limit is not above 0.
    """
    if goal is not None and goal not in GOALS:
        raise unknown_name("objective", goal, GOALS)
    for name, limit in (("--latency", latency_ms), ("--bytes", size_bytes)):
        if limit is not None and not limit > 0:
            raise ConfigError(f"{name} must be above 0, got {limit}")
    if max_drop is not None and not max_drop >= 0:
        raise ConfigError(f"--max-drop must be 0 or more, got {max_drop}")
    limited = latency_ms is not None or size_bytes is not None
    chosen: Goal = goal or ("fastest" if max_drop is not None else "accurate" if limited else "front")
    if chosen in ("fastest", "smallest") and max_drop is None:
        raise ConfigError(f"the {chosen} file needs a limit of what it may lose", hint="give --max-drop 1")
    if chosen == "accurate" and not limited:
        raise ConfigError("the most accurate file needs a limit", hint="give --latency 10ms or --bytes 100000")
    return Objective(goal=chosen, max_drop=max_drop, latency_ms=latency_ms, size_bytes=size_bytes)
