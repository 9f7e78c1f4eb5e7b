"""What the rules for operators build with: tensors and how they lie, layers under their names, functions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.modelio import env
from edgecv.modelio.onnx.layout import CHANNELS_LAST, Perm, last, moved, reshaped, same_order
from edgecv.modelio.onnx.net import Array, Names, Net, Node, Refused, Shape, cleaned


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of ONNX, as keras has it.

    Attributes:
        tensor: Of keras; the batch lies first.
        perm: The ONNX axis at each of its places.
        order: Of a map that was flattened as it lies: the column of ONNX's vector that each is; None: as in ONNX.
        map: The name of that map.
    """

    tensor: Any
    perm: Perm
    order: Array | None = None
    map: str = ""


class Building:
    """A network under construction.

    Args:
        net: What is to be built.
        nonnegative: Tensors that are never below zero.
    """

    def __init__(self, net: Net, nonnegative: frozenset[str]) -> None:
        self.net, self.nonnegative = net, nonnegative
        self.consumers = net.consumers()
        self.names = Names()
        self.values: dict[str, Value] = {}
        self.titles: dict[str, str] = {}
        """Of tensors, by the node that gives them."""
        self._given: dict[tuple[str, Perm], Value] = {}

    # What is known of tensors.

    def shape(self, name: str) -> Shape:
        """Return the shape in ONNX, with a batch of 1."""
        return self.net.shapes[name]

    def constant(self, node: Node, place: int) -> Array | None:
        """Return the values of an input that is constant; None for another, or one left out."""
        return self.net.constant(node, place)

    def fixed(self, node: Node, place: int, what: str) -> Array:
        """Return the values of an input that has to be constant. Raises Refused when it is computed."""
        found = self.constant(node, place)
        if found is None:
            raise Refused(f"its {what} is computed in the graph" if self.net.has(node, place) else f"it has no {what}")
        return found

    # Tensors as they have to lie.

    def value(self, name: str) -> Value:
        """Return a tensor as it lies, its columns in ONNX's order."""
        found = self.values.get(name)
        if found is None:
            raise Refused(f"its input '{name}' is a constant where a tensor is expected")
        return found if found.order is None else self._in_order(name, found)

    def _in_order(self, name: str, found: Value) -> Value:
        """A vector whose columns lie otherwise, which nothing but a Dense layer can take."""
        key = (name, (-1,))
        if key not in self._given:
            assert found.order is not None
            places = np.argsort(found.order).astype(np.int32)
            tensor = self.function(
                None, "take", [found.tensor], places, axis=1, name=f"{self.titles.get(name, name)}_columns"
            )
            self._given[key] = Value(tensor, found.perm)
        return self._given[key]

    def lying(self, name: str, perm: Perm) -> Any:
        """Return the keras tensor whose axes lie in an order. Raises Refused when that would move the batch."""
        shape = self.shape(name)
        found = _batched(self.value(name), shape, perm[0])
        if found.perm == perm:
            return found.tensor
        key = (name, perm)
        if key not in self._given:
            self._given[key] = Value(self._moved(name, found, perm, shape), perm)
        return self._given[key].tensor

    def _moved(self, name: str, found: Value, perm: Perm, shape: Shape) -> Any:
        layers = env.keras().layers
        if same_order(shape, found.perm, perm):
            return self.call(layers.Reshape(moved(shape, perm)[1:], name=self.free_title(name, "axes")), found.tensor)
        if found.perm[0] != perm[0]:
            raise Refused("it moves the batch among the other axes")
        axes = tuple(found.perm.index(axis) for axis in perm[1:])
        return self.call(layers.Permute(axes, name=self.free_title(name, "axes")), found.tensor)

    def maps(self, name: str) -> Any:
        """Return a tensor with its channels, ONNX's axis 1, last and the others in order."""
        rank = len(self.shape(name))
        return self.lying(name, CHANNELS_LAST if rank == 4 else (0, *range(2, rank), 1))

    def with_last(self, name: str, axis: int) -> Value:
        """Return a tensor of which one axis lies last, moved only if another lies there."""
        found, shape = self.value(name), self.shape(name)
        axis %= len(shape)
        if found.perm[-1] == axis:
            return found
        if axis == found.perm[0]:
            raise Refused("it computes along the batch")
        wanted = last(found.perm, axis)
        return Value(self.lying(name, wanted), wanted)

    # Layers.

    def base(self, node: Node) -> str:
        """Return the name that a node's layer would like."""
        return self.names.of(node, self.net.constants)

    def _free(self, name: str) -> str:
        return self.names.unique(cleaned(name) or "layer")

    def free_title(self, name: str, suffix: str) -> str:
        """Return the name of a layer behind a tensor, which does what the suffix says."""
        return self._free(f"{self.titles.get(name, name)}_{suffix}")

    def layer(
        self,
        node: Node,
        make: Callable[..., Any],
        x: Any,
        *arguments: Any,
        suffix: str = "",
        weights: Sequence[Array] = (),
        **settings: Any,
    ) -> Any:
        """Return what a new layer gives for a tensor or a list of tensors.

        Args:
            node: Names it.
            make: Its class.
            x: Of keras.
            arguments: Of the class, as `settings`.
            suffix: Behind the node's name, of what stands beside the node's own layer.
            weights: In the order in which the layer has them.
        """
        name = self._free(self.base(node) + (f"_{suffix}" if suffix else ""))
        made = make(*arguments, name=name, **settings)
        result = self.call(made, x)
        if weights:
            expected = [tuple(weight.shape) for weight in made.weights]
            got = [tuple(weight.shape) for weight in weights]
            if expected != got:
                raise Refused(f"its weights of shapes {got} do not fit, expected {expected}")
            made.set_weights([np.asarray(weight, np.float32) for weight in weights])
        return result

    def function(
        self, node: Node | None, function: str, tensors: Sequence[Any], *args: Any, name: str = "", **kwargs: Any
    ) -> Any:
        """Return what a function of `keras.ops` gives; the tensors are its first arguments, or stand among `args`.

        Args:
            node: Names the layer; None where `name` does.
            function: Its name.
            tensors: Of keras.
            args: More arguments; `Placed(i)` stands for tensor i, and then the tensors are not put first.
            name: Of the layer, or behind the node's.
            kwargs: By name.
        """
        from edgecv.modelio.layers import TensorFunction
        from edgecv.modelio.tensor_function import encode

        arrays: list[Any] = []

        def place(value: Any) -> int | None:
            return value.index if isinstance(value, Placed) else None

        placed = any(_holds_place(value) for value in args)
        given = list(args) if placed else [*(Placed(i) for i in range(len(tensors))), *args]
        try:
            arguments = {
                "args": [encode(value, place, arrays) for value in given],
                "kwargs": {key: encode(value, place, arrays) for key, value in kwargs.items()},
            }
        except TypeError as error:
            raise Refused(f"has an argument that a file cannot hold: {error}") from error
        constants = [{"shape": list(array.shape), "dtype": array.dtype.name} for array in arrays]
        title = (self.base(node) if node is not None else "") + (f"_{name}" if node is not None and name else name)
        made = TensorFunction(function, arguments, constants=constants, name=self._free(title))
        result = self.call(made, tensors[0] if len(tensors) == 1 else list(tensors))
        if arrays:
            made.set_weights(arrays)
        return result

    @staticmethod
    def call(layer: Any, x: Any) -> Any:
        """Return what a layer gives for a tensor or a list of tensors. Raises Refused where it cannot."""
        try:
            return layer(x)
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            raise Refused(f"keras refuses it: {str(error).strip().splitlines()[0][:200]}") from error
        except Exception as error:
            if type(error).__module__.startswith("tensorflow"):
                raise Refused(f"tensorflow refuses it: {str(error).strip().splitlines()[0][:200]}") from error
            raise

    def pointwise(self, node: Node, make: Callable[..., Any], *arguments: Any, **settings: Any) -> Value:
        """Return what a layer gives that changes values one by one: they lie as before."""
        found = self.values.get(node.inputs[0]) or self.value(node.inputs[0])
        return dataclasses.replace(found, tensor=self.layer(node, make, found.tensor, *arguments, **settings))

    def reshape(self, node: Node, name: str, after: Shape) -> Value:
        """Return a tensor in another shape of ONNX, with as few moves as there can be."""
        before, found = self.shape(name), self.value(name)
        if math.prod(before) != math.prod(after) or not before or not after:
            raise Refused(f"it reshapes {before} to {after}")
        found = _batched(found, before, 0)
        how = reshaped(before, after, found.perm)
        if how.first != found.perm and found.perm[0] != how.first[0]:
            raise Refused("it moves the batch among the other axes")
        x = found.tensor if how.first == found.perm else self.lying(name, how.first)
        wanted = moved(after, how.perm)
        if moved(before, how.first) == wanted:
            return Value(x, how.perm)
        if before[how.first[0]] == wanted[0]:
            return Value(self.layer(node, env.keras().layers.Reshape, x, wanted[1:]), how.perm)
        return Value(self.function(node, "reshape", [x], newshape=[-1, *wanted[1:]]), how.perm)

    def spread(self, array: Array, perm: Perm) -> Array:
        """Return a constant as it has to lie beside a tensor of some order."""
        rank = len(perm)
        if array.ndim > rank:
            raise Refused(f"its constant of shape {array.shape} has more axes than its input")
        full: Array = array.reshape((1,) * (rank - array.ndim) + array.shape)
        return np.ascontiguousarray(full.transpose(perm))


def _batched(value: Value, shape: Shape, axis: int) -> Value:
    """Return a tensor whose batch is called another axis, where both are of size 1 and so cannot be told apart."""
    old = value.perm[0]
    if old == axis or shape[old] != 1 or shape[axis] != 1:
        return value
    swapped = {old: axis, axis: old}
    return dataclasses.replace(value, perm=tuple(swapped.get(one, one) for one in value.perm))


@dataclass(frozen=True, slots=True)
class Placed:
    """Stands for a tensor among the arguments of a function."""

    index: int


def _holds_place(value: Any) -> bool:
    return isinstance(value, Placed) or (isinstance(value, (list, tuple)) and any(map(_holds_place, value)))
