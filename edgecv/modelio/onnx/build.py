"""From an observed graph to a tf_keras functional model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env
from edgecv.modelio.boundary import renamed_outputs
from edgecv.modelio.onnx.building import Building, Value
from edgecv.modelio.onnx.layout import CHANNELS_LAST, Perm, identity
from edgecv.modelio.onnx.net import Net, Node, Refused, cleaned
from edgecv.modelio.onnx.rules import RULES
from edgecv.modelio.onnx.signs import nonnegative

STEADY = frozenset({
    "Add", "BatchNormalization", "Cast", "Clip", "Div", "Identity", "Mul", "Pad", "Sub", "Slice",
})  # fmt: skip
"""Operators that do not tell the layout of what they take."""
PROBABILITIES = frozenset({"HardSigmoid", "Sigmoid", "Softmax"})
# What rules that trust a node run into: missing inputs, sizes of zero, attributes of another kind, absurd numbers.
MALFORMED = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError, RecursionError)
SHOWN = 12
"""Nodes that an error names; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A model, and how its inputs and outputs lie beside those of the file.

    Attributes:
        model: tf_keras functional.
        inputs: The ONNX axis at each place of each input.
        outputs: Likewise.
        probabilities: Whether each output is of values between 0 and 1.
    """

    model: Any
    inputs: tuple[Perm, ...]
    outputs: tuple[Perm, ...]
    probabilities: tuple[bool, ...]


def build(net: Net, *, name: str, where: str) -> Built:
    """Return the functional model of a graph.

    Args:
        net: With shapes, patterns recognised.
        name: Of the model.
        where: The file, for messages.

    Raises:
        UnsupportedModelError: Nodes cannot be imported; all of them are named, with a reason each.
    """
    keras, b = env.keras(), Building(net, nonnegative(net))
    inputs, perms = [], []
    for given in net.inputs:
        perm = _lying(net, given)
        title = b.names.unique(cleaned(given) or "input")
        shape = tuple(net.shapes[given][axis] for axis in perm)
        inputs.append(keras.Input(shape[1:], name=title))
        perms.append(perm)
        b.values[given] = Value(inputs[-1], perm)
    problems: list[str] = []
    for node in net.nodes:
        _add(b, node, problems)
    outputs, orders = _outputs(b, problems)
    if problems:
        raise _refusal(problems, where)
    titles = [_title(one, place, len(net.outputs)) for place, one in enumerate(net.outputs)]
    model = renamed_outputs(keras.Model(inputs, outputs, name=name), titles)
    makers = net.producers()
    bounded = tuple(one in makers and makers[one].op in PROBABILITIES for one in net.outputs)
    return Built(model=model, inputs=tuple(perms), outputs=tuple(orders), probabilities=bounded)


def _title(name: str, place: int, count: int) -> str:
    """Return what an output is called: as in the file, unless that is a mere number."""
    found = cleaned(name)
    if any(character.isalpha() for character in found):
        return found
    return "output" if count == 1 else f"output_{place}"


def _lying(net: Net, name: str) -> Perm:
    """Return how an input lies: channels last for images, whatever the file has."""
    shape = net.shapes[name]
    if len(shape) != 4:
        return identity(len(shape))
    return identity(4) if _takes_channels_last(net, name, set()) else CHANNELS_LAST


def _takes_channels_last(net: Net, name: str, seen: set[str]) -> bool:
    """Say whether a file takes images with channels last, as TensorFlow writes it: it turns them round first."""
    for node in net.consumers().get(name, []):
        if node.op == "Transpose":
            return list(node.get("perm", [])) == [0, 3, 1, 2]
        if node.op in STEADY and node.outputs[0] not in seen:
            seen.add(node.outputs[0])
            return _takes_channels_last(net, node.outputs[0], seen)
        if node.op in ("Conv", "MaxPool", "AveragePool"):
            return False
    shape = net.shapes[name]
    return shape[3] in (1, 3, 4) and shape[1] not in (1, 3, 4)


def _add(b: Building, node: Node, problems: list[str]) -> None:
    """Build one node; where that cannot be, go on with stand-ins, so that every such node is found."""
    try:
        rule = RULES.get(node.op)
        if rule is None:
            raise Refused("its operator is not known")
        made = rule(b, node)
    except Refused as refused:
        problems.append(f"{node.op} '{node.name}': {refused.message}")
        made = [_stand_in(b, name) for name in node.outputs]
    except MALFORMED as error:
        said = f"it lacks the inputs, sizes or attributes that its kind has ({type(error).__name__}: {error})"
        problems.append(f"{node.op} '{node.name}': {said}")
        made = [_stand_in(b, name) for name in node.outputs]
    for name, value in zip(node.outputs, made if isinstance(made, list) else [made], strict=False):
        if name:
            b.values[name], b.titles[name] = value, b.base(node)


def _stand_in(b: Building, name: str) -> Value:
    shape = b.net.shapes.get(name) or (1,)
    return Value(env.keras().Input(shape[1:], dtype=b.net.dtypes.get(name, "float32")), identity(len(shape)))


def _outputs(b: Building, problems: list[str]) -> tuple[list[Any], list[Perm]]:
    """Return the outputs: maps with channels last, everything else as in the file."""
    tensors, orders = [], []
    for name in b.net.outputs:
        try:
            if name in b.net.constants:
                raise Refused("it hangs on no input")
            shape, found = b.shape(name), b.value(name)
            perm = CHANNELS_LAST if found.perm == CHANNELS_LAST and len(shape) == 4 else identity(len(shape))
            tensors.append(b.lying(name, perm))
            orders.append(perm)
        except Refused as refused:
            problems.append(f"output '{name}': {refused.message}")
    return tensors, orders


def _refusal(problems: Sequence[str], where: str) -> UnsupportedModelError:
    shown = list(dict.fromkeys(problems))
    more = f"; and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return UnsupportedModelError(
        f"{where} cannot be imported: {'; '.join(shown[:SHOWN])}{more}",
        hint="export the network without these, for example its body without what decodes answers",
    )
