"""Which tensor of a model is which input, and which outputs a head reads: by name, never by place."""

from __future__ import annotations

from typing import Sequence, Tuple

from edgecv.core.errors import UnsupportedModelError
from edgecv.values.specs import Head, ModelSpec


def bind_inputs(spec: ModelSpec, names: Sequence[str], where: str) -> Tuple[int, ...]:
    """Return, for each input of a spec, the index of the model's input of its name; a single one needs no name.

    Args:
        spec: The contract.
        names: Of the model's inputs, in its order.
        where: The model, for messages.

    Raises:
        UnsupportedModelError: There are more or fewer inputs than the spec has, or a name is not among them.
    """
    if len(names) != len(spec.inputs):
        raise UnsupportedModelError(
            f"{where}: its spec declares {len(spec.inputs)} inputs ({_listed(i.name for i in spec.inputs)}), "
            f"the model has {len(names)} ({_listed(names)})",
            hint="declare one input per model input, called like it",
        )
    if len(names) == 1:
        return (0,)
    return tuple(_index(only.name, names, f"{where}: its spec declares the input", "inputs") for only in spec.inputs)


def bind_outputs(spec: ModelSpec, names: Sequence[str], where: str) -> Tuple[Tuple[int, ...], ...]:
    """Return, for each head, the indices of its outputs among the model's; a single one needs no name.

    Raises:
        UnsupportedModelError: A head reads an output that the model lacks.
    """
    if len(names) == 1 and len(spec.heads) == 1 and len(spec.head.outputs) == 1:
        return ((0,),)
    return tuple(_places(head, names, where) for head in spec.heads)


def _places(head: Head, names: Sequence[str], where: str) -> Tuple[int, ...]:
    return tuple(
        _index(name, names, f"{where}: head '{head.name}' reads the output", "outputs") for name in head.outputs
    )


def _index(name: str, names: Sequence[str], what: str, kind: str) -> int:
    found = [index for index, other in enumerate(names) if other == name]
    if len(found) != 1:
        raise UnsupportedModelError(
            f"{what} '{name}', and the model's {kind} are {_listed(names)}",
            hint=f"name the model's {kind} in the spec; docs/specs.md shows how",
        )
    return found[0]


def _listed(names: object) -> str:
    return ", ".join(str(name) for name in names) or "none"  # type: ignore[attr-defined]
