"""A model of several networks that share no layer, taken apart: one network for each group of inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env
from edgecv.modelio.boundary import input_names, output_names
from edgecv.values.specs import ModelSpec


def towers(model: Any, spec: ModelSpec) -> tuple[tuple[Any, ModelSpec], ...]:
    """Return the networks of a model with their part of its contract, in the order of the contract's inputs.

    Outputs that are computed from the same inputs are of one network. A head whose outputs are in several is in the
    contract of each, with those that are there. The layers are shared with the model.

    Args:
        model: A tf_keras functional model.
        spec: Its contract; inputs and outputs are called as in the model.

    Raises:
        UnsupportedModelError: An input belongs to two of them, or to none.
    """
    reads = [_reads(output, model) for output in model.outputs]
    names, ends = input_names(model), output_names(model)
    used = [place for own in dict.fromkeys(reads) for place in own]
    if sorted(used) != list(range(len(names))):
        raise UnsupportedModelError(
            f"'{spec.name}' is no model of separate networks: its outputs share inputs, or leave one out",
            hint="only detectors of two stages are taken apart",
        )
    found: list[tuple[Any, ModelSpec]] = []
    for own in dict.fromkeys(sorted(reads, key=min)):
        places = [place for place, read in enumerate(reads) if read == own]
        inputs, outputs = [names[place] for place in sorted(own)], [ends[place] for place in places]
        part = env.keras().Model(
            [model.inputs[place] for place in sorted(own)],
            [model.outputs[place] for place in places],
            name=f"{model.name}_{len(found) + 1}",
        )
        found.append((part, _contract(spec, inputs, outputs)))
    return tuple(found)


def _reads(output: Any, model: Any) -> frozenset[int]:
    """Return the places of the inputs that an output is computed from."""
    places = {id(tensor): place for place, tensor in enumerate(model.inputs)}
    found, seen, waiting = set[int](), set[int](), [output]
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in places:
            found.add(places[id(tensor)])
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            history = tensor._keras_history
            node = history.layer._inbound_nodes[history.node_index]
            waiting += node.keras_inputs
    return frozenset(found)


def _contract(spec: ModelSpec, inputs: list[str], outputs: list[str]) -> ModelSpec:
    heads = []
    for head in spec.heads:
        own = tuple(name for name in head.outputs if name in outputs)
        if own:
            heads.append(replace(head, outputs=own))
    return replace(spec, inputs=tuple(one for one in spec.inputs if one.name in inputs), heads=tuple(heads))
