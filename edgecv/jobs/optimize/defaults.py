"""The space of a model and a target for which the user gives none, and what rules have to know of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgecv import zoo
from edgecv.compress import lowrank, units
from edgecv.compress import slim as channels
from edgecv.compress.layer_graph import flattened, read
from edgecv.core.errors import EdgecvError
from edgecv.jobs import float_islands, models, retrain
from edgecv.jobs.optimize.rules import Facts
from edgecv.jobs.optimize.space import Space, space
from edgecv.modelio import LoadedModel
from edgecv.targets import cpu
from edgecv.values import profiles
from edgecv.zoo.profiling import profile

SHARES = [1.0, 0.75, 0.5, 0.35, 0.25]
DENSE = 0.3
"""Share of the multiply-accumulates in dense layers from which on factoring them may gain time."""
DEPTHWISE = ("DepthwiseConv2D", "SeparableConv2D")
"""Layers whose int8 kernels are slower than the float ones on some CPUs."""
MULTIPLES = ((64, (8, 16)), (32, (8,)), (0, (1,)))
"""From so many channels on, which multiples kernels gain by; of several, the times of the shapes decide."""


def facts(loaded: LoadedModel, target: str, *, here: bool = True, half: str = "") -> Facts:
    """Return what a model and a target allow.

    Args:
        loaded: The model.
        target: Its name.
        here: Whether files are made and timed on this machine.
        half: See `Facts`.
    """
    profile = profiles.target(target)
    return Facts(
        target=target, schemes=tuple(profile.schemes), buildable=_why_not(lambda: _buildable(loaded)),
        scalable=_why_not(lambda: _scalable(loaded)), slimmable=_why_not(lambda: _slimmable(loaded.model)),
        factorable=_why_not(lambda: _factorable(loaded)), droppable=_why_not(lambda: _droppable(loaded.model)),
        inputs=len(loaded.require_spec().inputs),
        timed_here=here and float_islands.are_of(target),
        depthwise=not _why_not(lambda: _lacks_depthwise(loaded.model)),
        half=half,
    )  # fmt: skip


def default_space(loaded: LoadedModel, known: Facts) -> Space:
    """Return shares of MACs, types and steps of quantisation that a target runs fast, and training where it helps."""
    pace = {name: rule.pace for name, rule in profiles.target(known.target).kernels.items()}
    fast = [name for name in ("float32", "dynamic", "int8") if name in known.schemes and pace.get(name) != "slow"]
    given: dict[str, list[Any]] = {}
    if not known.slimmable:
        rounds = channels.default_slim_recipe(loaded.require_spec(), budget="macs", share=0.5)
        widest = max(int(tensor) for tensor in _widths(loaded.model))
        given["slim.macs"] = SHARES
        given["slim.multiple"] = next(list(multiples) for least, multiples in MULTIPLES if widest >= least)
        given["slim.rounds"] = [2]
        given["slim.epochs"] = [max(2, rounds.epochs)]
    if not known.factorable and _dense_share(loaded.model) >= DENSE:
        given["low_rank.energy"] = [1.0, 0.7]
        given["low_rank.epochs"] = [2]
    given["quantize.scheme"] = fast or list(known.schemes[:1])
    if not known.half and cpu.computes_half(known.target):
        given["quantize.scheme"].append("float16")
        given["quantize.arithmetic"] = ["float16"]
    if "int8" in given["quantize.scheme"]:
        given["quantize.method"] = ["ptq", "qat"]
        given["quantize.epochs"] = [2]
        given["quantize.rung"] = ["plain", "equalise", "adaround"] if known.inputs == 1 else ["plain"]
        if known.timed_here and known.depthwise:
            given["quantize.keep_float"] = [(), (float_islands.FASTER,)]
    return space(given, where="the default space")


def _dense_share(model: Any) -> float:
    """Return which share of the multiply-accumulates dense layers have."""
    dense = sum(call.weights[0].size for call in _calls(model) if call.kind == "Dense")
    return float(dense) / max(1, profile(model).macs)


def _widths(model: Any) -> list[int]:
    return [int(call.shape[-1]) for call in _calls(model) if call.weights]


def _calls(model: Any) -> Sequence[Any]:
    return read(flattened(model)).calls


def _why_not(look: Any) -> str:
    try:
        return str(look() or "")
    except EdgecvError as error:
        return error.message


def _buildable(loaded: LoadedModel) -> str:
    retrain.architecture_of(models.require_manifest(loaded))
    return "" if len(loaded.require_spec().inputs) == 1 else "the architecture has several inputs"


def _scalable(loaded: LoadedModel) -> str:
    name = str(retrain.architecture_of(models.require_manifest(loaded))["name"])
    return "" if zoo.get(name).scalable else f"{name} has one width"


def _slimmable(model: Any) -> str:
    known = channels.dependencies(read(flattened(model)))
    return "" if known.groups else "the model has no channel that can be removed"


def _lacks_depthwise(model: Any) -> str:
    kinds = {call.kind for call in _calls(model)}
    return "" if kinds & set(DEPTHWISE) else "the model has no depthwise convolution"


def _factorable(loaded: LoadedModel) -> str:
    recipe = lowrank.default_low_rank_recipe(loaded.require_spec(), energy=0.7)
    lowrank.ranks_for(read(flattened(loaded.model)), recipe)
    return ""


def _droppable(model: Any) -> str:
    return "" if units.residual_units(read(flattened(model))) else "the model has no residual unit that can go"
