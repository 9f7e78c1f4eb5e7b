"""A model that ends at its logits: the softmax or sigmoid of its heads is left to who reads the file.

An int8 softmax has steps of 1/256: the best classes of an image may get one and the same score, and small ones all 0.
The logits before it have a scale of their own, and float arithmetic behind them loses nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgecv.compress.layer_graph import Call, LayerGraph, build, read
from edgecv.core.errors import ConfigError
from edgecv.modelio import LoadedModel
from edgecv.modelio.boundary import output_names
from edgecv.modelio.env import keras
from edgecv.tasks.prediction import scores, softmax
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_outputs
from edgecv.values.specs import Head

SOFTMAX, SIGMOID = "softmax", "sigmoid"
PLACES = ("file", "runtime")
"""Where the last softmax or sigmoid is computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLogits:
    """A model without the last activation of some heads.

    Attributes:
        loaded: The model; its contract says that these heads give logits.
        heads: Their names.
    """

    loaded: LoadedModel
    heads: tuple[str, ...]


def at_logits(loaded: LoadedModel) -> AtLogits:
    """Return a model that gives logits in each head that ends in what the runtime computes from logits.

    A head is changed when its contract says probabilities, its first output comes from a softmax over the last axis or
    from a sigmoid, and its task reads logits by that same function. The names of outputs stay.

    Raises:
        ConfigError: No head is of that kind, or the model is fake-quantised already.
        UnsupportedModelError: The model's graph cannot be read.
    """
    spec = loaded.require_spec()
    if loaded.manifest is not None and loaded.manifest.method == "qat":
        raise ConfigError(
            "a model that was trained with quantisation keeps its last activation",
            hint="quantise the float model: edgecv quantize FLOAT.keras --method qat --softmax runtime",
        )
    graph = read(loaded.model)
    bound = bind_outputs(spec, output_names(loaded.model), spec.name)
    changed = []
    for head, places in zip(spec.heads, bound, strict=True):
        if head.activation == "probabilities" and _cut(graph, places[0], head):
            changed.append(head.name)
    if not changed:
        raise ConfigError(
            f"no head of '{spec.name}' ends in a softmax or sigmoid that the runtime would compute from logits",
            hint="leave --softmax runtime out",
        )
    heads = tuple(replace(head, activation="logits") if head.name in changed else head for head in spec.heads)
    manifest = loaded.manifest and replace(loaded.manifest, spec=replace(spec, heads=heads))
    return AtLogits(loaded=replace(loaded, model=build(graph), manifest=manifest), heads=tuple(changed))


def _cut(graph: LayerGraph, place: int, head: Head) -> bool:
    """Make an output of a graph that of the layer before its activation; False when it must stay."""
    maker, users = graph.maker(), graph.consumers()
    names: list[Call] = []  # identities that only name the output
    call = maker.get(graph.outputs[place])
    while call is not None and call.kind == "Activation" and _function(call) == "linear":
        if users.get(call.output) and not (names and users[call.output] == [names[-1]]):
            return False
        names.append(call)
        call = maker.get(call.inputs[0])
    if call is None or call.name in graph.shared or not _runtime_does(call, head):
        return False
    others = [user for user in users.get(call.output, []) if not any(user is name for name in names)]
    made: list[Call] = []
    if call.kind in ("Softmax", "Activation"):
        logits = call.inputs[0]
    else:
        logits = graph.key()
        made.append(replace(call, layer=_linear(call.layer), output=logits))
    if others or graph.outputs.count(call.output) > (not names):
        made.append(_layer(_function(call), f"{call.name}_{_function(call)}", logits, call.output, call.shape))
    if names:
        names[-1].inputs = [logits]
    elif call.kind in ("Softmax", "Activation"):
        made.append(_layer("linear", call.name, logits, graph.key(), call.shape))
        graph.outputs[place] = made[-1].output
    else:
        graph.outputs[place] = logits
    graph.replace(call, made)
    return True


def _layer(function: str, name: str, source: int, output: int, shape: tuple[int, ...]) -> Call:
    layer = keras().layers.Activation(function, name=name)
    return Call(name=name, kind="Activation", layer=layer, inputs=[source], output=output, shape=shape)


def _linear(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config() | {"activation": "linear"})


def _function(call: Call) -> str:
    """Return the name of the function that a layer applies last; "" for one that is not the last axis' softmax."""
    if call.kind == "Softmax":
        axis = call.layer.get_config()["axis"]
        axes = [axis] if isinstance(axis, int) else list(axis)
        return SOFTMAX if axes in ([-1], [len(call.shape)]) else ""
    return str(getattr(getattr(call.layer, "activation", None), "__name__", ""))


def _runtime_does(call: Call, head: Head) -> bool:
    """Say whether a head's task makes of logits what a layer's last function makes of them."""
    logits = np.random.default_rng(0).normal(size=(4, call.shape[-1])).astype(np.float32)
    function = _function(call)
    if function == SOFTMAX:
        own = softmax(logits)
    elif function == SIGMOID:
        own = 1 / (1 + np.exp(-logits))
    else:
        return False
    read_as = scores(logits, "logits", independent=not task_of(head).exclusive)
    return bool(np.allclose(read_as, own, atol=1e-6))
