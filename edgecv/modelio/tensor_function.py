"""A function of `keras.ops` as a layer of tf_keras: its name and its arguments, and no code.

Importing this module imports tensorflow: do it inside functions.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.core.optional import require
from edgecv.modelio import env
from edgecv.modelio.functions import FUNCTIONS, RENAMED, Role

tf, keras = env.tensorflow(), env.keras()
register = keras.saving.register_keras_serializable(package="edgecv")
IMMEDIATE = 16
"""Arrays of at most this many values are arguments; larger ones are weights that do not train."""


@register
class TensorFunction(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """What one function of `keras.ops` gives for the layer's inputs and fixed arguments.

    It is built of tensorflow's operations, whatever the function's name; a function that gives several tensors is one
    layer for each.

    Args:
        function: A name in `edgecv.modelio.functions.FUNCTIONS`.
        arguments: "args" and "kwargs" of the call, encoded by `encode`: a tensor is {"tensor": place among the inputs},
            an array {"constant": place among the weights}.
        constants: Shape and dtype of each weight.
        output: Which of several results it gives; None where there is one.

    Raises:
        ConfigError: The function is not one of those.
    """

    def __init__(
        self,
        function: str,
        arguments: Mapping[str, Any],
        *,
        constants: Sequence[Mapping[str, Any]] = (),
        output: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if function not in FUNCTIONS:
            raise ConfigError(f"layer '{self.name}': '{function}' is no function that a model may hold")
        self.function, self.output_index = function, output
        # As text, because Keras wraps an attribute that is a dict, and what it saves then is none.
        self._arguments = json.dumps({"args": arguments["args"], "kwargs": arguments["kwargs"]})
        self._shapes = json.dumps([dict(constant) for constant in constants])

    @property
    def arguments(self) -> dict[str, Any]:
        """The encoded arguments, by "args" and "kwargs"."""
        found: dict[str, Any] = json.loads(self._arguments)
        return found

    @property
    def role(self) -> Role:
        """What the function does to a tensor."""
        return FUNCTIONS[self.function]

    def build(self, input_shape: Any) -> None:
        self._constants = [
            self.add_weight(
                name=f"constant_{place}",
                shape=tuple(constant["shape"]),
                dtype=constant["dtype"],
                trainable=False,
                initializer="zeros",
            )
            for place, constant in enumerate(json.loads(self._shapes))
        ]
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        tensors = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        arguments = self.arguments
        args = decode(arguments["args"], tensors, self._constants)
        kwargs = {key: decode(value, tensors, self._constants) for key, value in arguments["kwargs"].items()}
        given = tf.autograph.experimental.do_not_convert(public(self.function))(*args, **kwargs)
        return given if self.output_index is None else given[self.output_index]

    def get_config(self) -> dict[str, Any]:
        own = {
            "function": self.function,
            "arguments": self.arguments,
            "constants": json.loads(self._shapes),
            "output": self.output_index,
        }
        return {**super().get_config(), **own}


def public(name: str) -> Callable[..., Any]:
    """Return a function of `keras.ops` by its public name."""
    ops = env.keras3().ops
    found: Callable[..., Any] = getattr(ops, name, None) or getattr(ops.image, name)
    return found


def call_of(operation: Any, node: Any) -> tuple[str, list[Any], dict[str, Any]]:
    """Return the public function that an operation of a Keras 3 graph calls, with all of its arguments.

    Keras keeps some of them in the operation and some in the call; the function takes them all by name.

    Args:
        operation: Of `keras.ops`, as `node` calls it.
        node: Of a Keras 3 graph.

    Raises:
        KeyError: No public function has this name or these arguments.
    """
    naming = require("keras.src.utils.naming", why="to read models written by Keras 3")
    name = str(naming.to_snake_case(type(operation).__name__))  # as Keras names its operations
    name = RENAMED.get(name, name)
    if name not in FUNCTIONS:
        raise KeyError(name)
    given = _settings(operation)
    bound = inspect.signature(operation.call).bind(*node.arguments.args, **node.arguments.kwargs)
    parameters = inspect.signature(public(name)).parameters
    star = next((p.name for p in parameters.values() if p.kind is p.VAR_POSITIONAL), None)
    more: list[Any] = []
    for key, value in bound.arguments.items():
        kind = bound.signature.parameters[key].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            more = list(value)
        elif kind is inspect.Parameter.VAR_KEYWORD:
            given.update(value)
        else:
            given[key] = value
    # What the function lacks changes nothing when it is off.
    given = {key: value for key, value in given.items() if key in parameters or value not in (None, False)}
    unknown = [key for key in given if key not in parameters]
    if unknown:
        raise KeyError(f"{name}({', '.join(unknown)})")
    if star is None:
        return name, [], given
    before = [given.pop(p.name) for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD and p.name in given]
    return name, [*before, *more], given


def _settings(operation: Any) -> dict[str, Any]:
    """Return what an operation was made with, apart from its name."""
    known = getattr(operation, "_auto_config", None)
    names = [name for name in inspect.signature(type(operation).__init__).parameters if name not in ("self", "name")]
    return {name: known.config[name] if known is not None else getattr(operation, name) for name in names}


def encode(value: Any, place: Callable[[Any], int | None], arrays: list[Any]) -> Any:
    """Return an argument as JSON holds it; arrays of some size go to `arrays`.

    Args:
        value: Numbers, text, None, slices, Ellipsis, arrays, tensors of the graph; sequences and mappings of them.
        place: From a value to its place among the layer's inputs, None for what is no tensor.
        arrays: Grows by the numpy arrays that become weights.

    Raises:
        TypeError: The value is something else, a function for example.
    """
    index = place(value)
    if index is not None:
        return {"tensor": index}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, slice):
        return {"slice": [encode(part, place, arrays) for part in (value.start, value.stop, value.step)]}
    if isinstance(value, (tuple, list)):
        inner = [encode(part, place, arrays) for part in value]
        return {"tuple": inner} if isinstance(value, tuple) else inner
    if isinstance(value, np.generic):
        return value.item()
    return _encoded_array(_array(value), arrays)


def _array(value: Any) -> Any:
    if callable(value) or isinstance(value, Mapping):
        raise TypeError(f"{type(value).__name__} is no constant")
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{type(value).__name__} is no number")
    return array


def _encoded_array(array: Any, arrays: list[Any]) -> Any:
    if array.size <= IMMEDIATE:
        return {"array": array.tolist(), "dtype": array.dtype.name}
    arrays.append(array)
    return {"constant": len(arrays) - 1}


def decode(value: Any, tensors: Sequence[Any], constants: Sequence[Any]) -> Any:
    """Return an argument that `encode` wrote, with the layer's inputs and weights in their places."""
    if isinstance(value, (list, tuple)):
        return [decode(part, tensors, constants) for part in value]
    if not isinstance(value, Mapping):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "constant" in value:
        return tf.convert_to_tensor(constants[value["constant"]])
    if "array" in value:
        return np.array(value["array"], value["dtype"])
    if "slice" in value:
        return slice(*decode(value["slice"], tensors, constants))
    if "tuple" in value:
        return tuple(decode(part, tensors, constants) for part in value["tuple"])
    return Ellipsis
