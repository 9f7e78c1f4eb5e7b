"""Channels that say nothing: always zero, always the same, or what another channel says already.

They are looked at where a layer that mixes channels reads them, behind activations and pools, as `edgecv slim` takes
them out: a channel that is always zero there can go without any change of the answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from edgecv.compress.layer_graph import Array, build, flattened, read
from edgecv.compress.slim.channels import MIXERS, Dependencies, Group, dependencies, layer_calls
from edgecv.compress.slim.scores import Moments, by_turns, positions

ALIKE = 0.98
"""Correlation, as a magnitude, from which one map stands for another."""

LEAST_ROWS = 64
"""Values of a channel from which it is judged: a unit that is silent for a few samples may speak for others."""

Why = Literal["dead", "constant", "duplicate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Useless:
    """One channel that may go.

    Attributes:
        layer: That computes it; `channel` its position there, from 0.
        why: "dead": zero everywhere; "constant": never changes; "duplicate": like channel `like` of the same layer.
        correlation: With that one, -1..1; None for the others.
    """

    layer: str
    channel: int
    why: Why
    like: int | None = None
    correlation: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was found.

    Attributes:
        channels: That may go, in the order of the graph.
        held: Layers that keep their channels whatever they say, with the reason.
    """

    channels: tuple[Useless, ...]
    held: dict[str, str]


class _Seen:
    """What is known of a group's channels so far.

    Attributes:
        places: Every tensor that a mixing layer reads them from, with their columns there, (repetitions, channels): a
            flattened map has a column for each of its pixels.
    """

    def __init__(self, known: Dependencies, group: Group) -> None:
        self.places = _places(known, group)
        self.moments = Moments(len(group.components))
        self.peaks = np.zeros(len(group.components))

    def add(self, maps: dict[int, Array]) -> None:
        for key, columns in self.places.items():
            values = maps[key][..., columns].reshape(len(maps[key]), -1, columns.shape[1])
            self.peaks = np.maximum(self.peaks, np.abs(values).max(axis=(0, 1)))
            self.moments.add(positions(values))


def _places(known: Dependencies, group: Group) -> dict[int, Array]:
    found: dict[int, Array] = {}
    for call in known.graph.calls:
        key = call.inputs[0]
        if call.kind not in MIXERS or key in found:
            continue
        labels = known.tensors[key]
        columns = [np.flatnonzero(labels == component) for component in group.components]
        if len(columns[0]):
            found[key] = np.stack(columns, axis=1)
    return found


def useless(model: Any, batches: Iterable[Any], *, alike: float = ALIKE) -> Looked:
    """Return the channels of a model that say nothing on these samples; one of each layer stays whatever it says.

    Args:
        model: Functional or sequential, float.
        batches: Input tensors, float32 (n, …), of a model of one input.
        alike: Least correlation of duplicates, as a magnitude.

    Raises:
        UnsupportedModelError: The model is subclassed, or a layer gives several tensors.
    """
    known = dependencies(read(flattened(model)))
    seen = {group: found for group in known.groups if (found := _Seen(known, group)).places}
    if not seen:
        return Looked(channels=(), held=dict(known.held))
    keys = list(dict.fromkeys(key for one in seen.values() for key in one.places))
    looking = build(replace(known.graph, outputs=keys))
    for inputs in batches:
        found = looking(inputs, training=False)
        maps = dict(zip(keys, map(np.asarray, found if isinstance(found, list) else [found]), strict=True))
        for one in seen.values():
            one.add(maps)
    judged = {group: one for group, one in seen.items() if one.moments.count >= LEAST_ROWS}
    channels = [one for group, own in judged.items() for one in _of_group(known, group, own, alike)]
    few = {group.producers[0]: "too few samples to judge it" for group in seen if group not in judged}
    return Looked(channels=tuple(channels), held={**known.held, **few})


def _of_group(known: Dependencies, group: Group, seen: _Seen, alike: float) -> list[Useless]:
    labels = known.tensors[layer_calls(known.graph)[group.producers[0]].output].tolist()
    place = [labels.index(component) for component in group.components]
    found = silent(seen.moments.covariance(), seen.peaks, alike)
    made = [
        Useless(
            layer=group.producers[0], channel=place[index], why=why, correlation=shared,
            like=None if like is None else place[like],
        )
        for index, (why, like, shared) in found.items()
    ]  # fmt: skip
    return sorted(made, key=lambda one: one.channel)


def silent(covariance: Array, peaks: Array, alike: float = ALIKE) -> dict[int, tuple[Why, int | None, float | None]]:
    """Return the channels that say nothing, never all of them: why, which other one they are like, and how much.

    Args:
        covariance: Of the channels, (n, n).
        peaks: Largest magnitude of each, (n,).
        alike: Least correlation of duplicates, as a magnitude.
    """
    scores, partners = by_turns(covariance)
    found: dict[int, tuple[Why, int | None, float | None]] = {}
    for index in np.flatnonzero((peaks == 0) | ((scores == 0) & (partners < 0))).tolist():
        found[index] = ("dead" if peaks[index] == 0 else "constant", None, None)
    spread = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    for index in np.flatnonzero((partners >= 0) & (scores <= 1 - alike**2)).tolist():
        # What it is like may be like a third one, and gone: it must be like one that stays.
        like = int(partners[index])
        while partners[like] >= 0 and scores[like] <= 1 - alike**2:
            like = int(partners[like])
        shared = float(covariance[index, like] / (spread[index] * spread[like]))
        if abs(shared) >= alike:
            found[index] = ("duplicate", like, max(-1.0, min(1.0, shared)))
    if len(found) == len(peaks):
        found.pop(int(np.argmax(peaks)))  # a layer without channels is no layer
    return found
