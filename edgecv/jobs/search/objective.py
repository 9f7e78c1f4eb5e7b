"""What a user means by the limits that he gives."""

from __future__ import annotations

from edgecv.core.errors import ConfigError, unknown_name
from edgecv.values.search import GOALS, Goal, Objective


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
