"""Choosing what goes: the components of least importance per cost saved, over all layers, until a budget is met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgecv.compress.layer_graph import Array
from edgecv.compress.slim.channels import Dependencies
from edgecv.compress.slim.cost import CostModel, Size
from edgecv.core.errors import ConfigError

COARSE = 8
"""Parts in which the way to the smallest network is looked at before bisection."""

BudgetKind = Literal["macs", "bytes", "latency"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a choice must respect.

    Attributes:
        multiple: Groups of at least so many channels keep a multiple of it.
        min_share: Share of a group's channels that stay, at least one channel.
    """

    multiple: int = 1
    min_share: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """Components of a group that go in one step."""

    group: int
    components: tuple[int, ...]
    score: float


def steps(known: Dependencies, scores: Array, limits: Limits, *, by: Literal["macs", "bytes"]) -> list[_Chunk]:
    """Return everything that may go, in the order in which it should.

    Each step takes the chunk with the smallest score per share of the network's MACs or bytes that it saves, where the
    saving is that of the moment: a layer gets cheaper as its neighbours shrink.

    Args:
        known: The network.
        scores: Per component, >= 0; those with NaN stay.
        limits: Widths to respect.
        by: What is saved.
    """
    costs = CostModel(known)
    waiting = [_chunks(index, known, scores, limits) for index in range(len(known.groups))]
    left, order = costs.sizes.copy(), list[_Chunk]()
    while any(waiting):
        fewer = np.array([len(queue[0].components) if queue else 0 for queue in waiting], float)
        after = costs.after(left, fewer)[by == "bytes"]
        now = costs.after(left, np.zeros(len(left)))[by == "bytes"][0]
        value = np.array([queue[0].score if queue else np.inf for queue in waiting])
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(fewer > 0, value / np.maximum(now - after, 1e-9), np.inf)
        chosen = waiting[int(np.argmin(ratio))].pop(0)
        left[chosen.group] -= len(chosen.components)
        order.append(chosen)
    return order


def _chunks(index: int, known: Dependencies, scores: Array, limits: Limits) -> list[_Chunk]:
    """Return a group's components in chunks that leave allowed widths, the least important first."""
    numbers = np.array(known.groups[index].components)
    if np.isnan(scores[numbers]).any():
        return []
    ranked = numbers[np.argsort(scores[numbers], kind="stable")]
    count, unit = len(ranked), limits.multiple
    least = max(1, unit, int(np.ceil(limits.min_share * count)))
    found, start, size = [], 0, count % unit or unit
    while start + size <= count - least:
        part = ranked[start : start + size]
        found.append(_Chunk(group=index, components=tuple(part.tolist()), score=float(scores[part].sum())))
        start, size = start + size, unit
    return found


def removed_after(known: Dependencies, order: list[_Chunk], count: int) -> Array:
    """Return, per component, whether the first `count` steps remove it."""
    removed = np.zeros(len(known.removable), bool)
    for chunk in order[:count]:
        removed[list(chunk.components)] = True
    return removed


def fewest_steps(known: Dependencies, order: list[_Chunk], within: Callable[[Size], bool]) -> int:
    """Return how many steps it takes until the network's size is `within` the budget.

    Raises:
        ConfigError: All of them are not enough.
    """
    costs = CostModel(known)
    left = costs.sizes.copy()
    if within(costs.size(left)):
        return 0
    for count, chunk in enumerate(order, start=1):
        left[chunk.group] -= len(chunk.components)
        if within(costs.size(left)):
            return count
    small, whole = costs.size(left), costs.size(costs.sizes)
    raise unreachable(
        f"the smallest network that can be reached has {small.macs:,} multiply-accumulates and {small.parameters:,} "
        f"parameters, of {whole.macs:,} and {whole.parameters:,}"
    )


def fewest_measured(order: list[_Chunk], within: Callable[[int], bool]) -> int:
    """Return how many steps it takes, where `within(count)` builds and measures a candidate.

    Looks at evenly spaced candidates, the largest first, and then bisects below the first that is fast enough: very
    thin layers can be slower than wider ones, so the smallest network says nothing of those before it.

    Raises:
        ConfigError: None of the candidates is fast enough.
    """
    low = -1
    for part in range(COARSE + 1):
        high = len(order) * part // COARSE
        if high > low and within(high):
            break
        low = max(low, high)
    else:
        raise unreachable(f"none of {COARSE + 1} networks of up to {len(order)} steps is fast enough")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if within(middle) else (middle, high)
    return high


def unreachable(what: str) -> ConfigError:
    """Return the error of a budget that cannot be met."""
    return ConfigError(
        f"the budget is out of reach: {what}", hint="ask for a larger share, a smaller --min-share, or --multiple 1"
    )
