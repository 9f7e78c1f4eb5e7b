"""When a search has failed, and what would help."""

from __future__ import annotations

from collections import Counter

from edgecv.core.errors import GateFailure
from edgecv.values.search import Outcome


def require_passed(done: Outcome) -> None:
    """Raise GateFailure when no file is shown to keep the limit, with what would help."""
    limit, found = done.objective.max_drop, done.winner
    if found is None:
        why = Counter(one.standing for one in done.trials).most_common(1)
        said = f", mostly because: {why[0][0]}" if why else ""
        raise GateFailure(
            f"no candidate was judged in full (stopped: {done.stopped}){said}",
            hint="allow a larger limit or more trials, or give the space other values",
        )
    if limit is None or done.verdict == "passed":
        return
    worst = max((one for one in (found.validation, found.test) if one), key=lambda one: one.drop_ci95[1])
    low, high = worst.drop_ci95
    said = f"loses {worst.drop:+.2f} {done.unit} [{low:+.2f}, {high:+.2f}] on {worst.n:,} samples of {worst.split}"
    more = f"about {worst.needed:,} samples would show it" if worst.needed else "no number of samples would show it"
    raise GateFailure(
        f"{found.label}: {said}, allowed {limit:g}: {done.verdict}",
        hint=f"{more}; allow a larger --max-drop, or give the space gentler values and more epochs",
    )
