"""What to change in a model so that a target maps more of it: texts from the target's data, gains by trying them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from edgecv.graphs import Op
from edgecv.targets.verdict import join_names
from edgecv.values.inspection import Advice
from edgecv.values.profiles import TargetProfile

MoreMapped = Callable[[frozenset[int]], int]
"""Returns how many operators would map if these, refused so far, were supported."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """An operator that does not map, and the name of what stands in its way."""

    op: Op
    cause: str


def advise(obstacles: Iterable[Obstacle], profile: TargetProfile, more: MoreMapped | None = None) -> tuple[Advice, ...]:
    """Return every advice once with the operators that it helps, the one that maps most first.

    Args:
        obstacles: The operators that do not map.
        profile: Its `advice` holds the texts: by "CAUSE.OPERATOR", else by "CAUSE"; without a text there is no advice.
        more: Tells what would map; None where the target's verdict cannot be tried out.
    """
    groups: dict[tuple[str, str], list[Op]] = {}
    for obstacle in obstacles:
        text = text_for(profile.advice, obstacle.cause, obstacle.op.op)
        if text:
            groups.setdefault((obstacle.cause, text), []).append(obstacle.op)
    found = (
        Advice(
            op=join_names(op.op for op in ops),
            ops=tuple(op.index for op in ops),
            cause=cause,
            text=text,
            would_map=None if more is None else more(frozenset(op.index for op in ops)),
        )
        for (cause, text), ops in groups.items()
    )
    return tuple(sorted(found, key=lambda one: (-(one.would_map or 0), one.ops)))


def text_for(texts: Mapping[str, str], cause: str, op: str) -> str:
    """Return the text for a cause and an operator, "" when the target has none."""
    return texts.get(f"{cause}.{op}") or texts.get(cause, "")
