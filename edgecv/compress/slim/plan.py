"""The channel plan: which channels of each layer were kept, as JSON that rebuilds the smaller model from its parent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.compress.layer_graph import Array, build, read
from edgecv.compress.slim.channels import MIXERS, Dependencies, dependencies, layer_calls
from edgecv.compress.slim.surgery import without
from edgecv.core import codec, files
from edgecv.core.errors import ConfigError

SCHEMA = "edgecv.channel-plan/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChannels:
    """The channels of one layer.

    Attributes:
        channels: Number in the parent.
        kept: Positions of those that are left, rising.
    """

    channels: int
    kept: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPlan:
    """What was kept of each layer that computes channels, whether it lost some or not.

    Attributes:
        model: Name of the parent.
        parent_sha256: Of the parent's file; "" when it has none.
        layers: By name, in the order of the graph.
    """

    model: str
    layers: Mapping[str, LayerChannels]
    parent_sha256: str = ""
    schema: str = SCHEMA


def plan_of(known: Dependencies, removed: Array) -> ChannelPlan:
    """Return the plan of a choice. `removed`: per component, whether it goes."""
    layers = {}
    for name, call in layer_calls(known.graph).items():
        if call.kind in MIXERS:
            labels = known.tensors[call.output]
            kept = tuple(int(position) for position in np.flatnonzero(~removed[labels]))
            layers[name] = LayerChannels(channels=len(labels), kept=kept)
    return ChannelPlan(model=known.graph.name, layers=layers)


def removed_by(known: Dependencies, plan: ChannelPlan) -> Array:
    """Return, per component, whether a plan removes it.

    Raises:
        ConfigError: The plan is of another network, removes what must stay, or cuts through tied channels.
    """
    calls = {name: call for name, call in layer_calls(known.graph).items() if call.kind in MIXERS}
    _check_names(set(calls), set(plan.layers))
    removed, decided = np.zeros(len(known.removable), bool), np.zeros(len(known.removable), bool)
    for name, channels in plan.layers.items():
        labels = known.tensors[calls[name].output]
        gone = _gone(name, channels, len(labels))
        torn = labels[(decided[labels] & (removed[labels] != gone)) | (gone & ~known.removable[labels])]
        if len(torn) or len({(int(a), bool(b)) for a, b in zip(labels, gone, strict=True)}) != len(set(labels)):
            raise ConfigError(
                f"the plan cuts through the channels of layer '{name}': they are tied to those of another layer, "
                "or must stay",
                hint="use the plan with the model that it was made for",
            )
        removed[labels], decided[labels] = gone, True
    return removed


def _check_names(known: set[str], planned: set[str]) -> None:
    if known != planned:
        odd = ", ".join(sorted(known ^ planned))
        raise ConfigError(
            f"the plan is of another network: {odd}", hint="use the plan with the model that it was made for"
        )


def _gone(name: str, channels: LayerChannels, count: int) -> Array:
    fits = channels.channels == count and channels.kept and min(channels.kept) >= 0 and max(channels.kept) < count
    if not fits or list(channels.kept) != sorted(set(channels.kept)):
        raise ConfigError(
            f"the plan keeps {len(channels.kept)} of {channels.channels} channels of layer '{name}', which has {count}",
            hint="use the plan with the model that it was made for",
        )
    gone = np.ones(count, bool)
    gone[list(channels.kept)] = False
    return gone


def apply(model: Any, plan: ChannelPlan) -> Any:
    """Return the model that a plan leaves of its parent, with the parent's weights.

    Every layer that mixes channels computes what it would in `model` if the removed channels of its input, as they come
    out of the last activation, pool or sum before it, were zero.

    Raises:
        ConfigError: The plan is not for this model.
        UnsupportedModelError: The model is subclassed, or a layer gives several tensors.
    """
    known = dependencies(read(model))
    return build(without(known, removed_by(known, plan)))


def composed(first: ChannelPlan, second: ChannelPlan) -> ChannelPlan:
    """Return the plan that does what `second` does to the result of `first`."""
    layers = {
        name: LayerChannels(
            channels=channels.channels, kept=tuple(channels.kept[position] for position in second.layers[name].kept)
        )
        for name, channels in first.layers.items()
    }
    return ChannelPlan(model=first.model, layers=layers, parent_sha256=first.parent_sha256)


def save(plan: ChannelPlan, path: Path) -> None:
    """Write a plan as JSON, whole or not at all."""
    files.write_text(path, json.dumps(codec.encode(plan), indent=1) + "\n")


def load(path: Path) -> ChannelPlan:
    """Read a plan. Raises ConfigError when it is missing or not one."""
    try:
        data = json.loads(files.read_bytes(path, what="channel plan"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}", hint="write it with edgecv slim") from error
    plan = codec.decode(ChannelPlan, data, where=str(path))
    if plan.schema != SCHEMA:
        raise ConfigError(f"{path} has schema {plan.schema}, expected {SCHEMA}", hint="write it with edgecv slim")
    return plan
