"""A keras model as one frozen function of static shape: what every converter starts from.

Freezing once, and converting the function, is several times faster than the converter's own `from_keras_model`,
which writes and reads a SavedModel and traces it again (benchmarks/convert_speed.py measures it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A graph without variables.

    Attributes:
        function: The tf ConcreteFunction of one float32 argument that was frozen, its weights still variables.
        graph_def: Its GraphDef with constants in their place.
        input_name: keras name of the input.
        input_shape: With the batch, which is 1.
        output_names: keras names of the output layers, in the order of the outputs.
    """

    function: Any
    graph_def: Any
    input_name: str
    input_shape: tuple[int, ...]
    output_names: tuple[str, ...]


def static_input(model: Any) -> tuple[str, tuple[int, ...]]:
    """Return the name and the shape, with batch 1, of the only input.

    Raises:
        UnsupportedModelError: There are several inputs, one is not float32, or a dimension is open.
    """
    inputs = list(model.inputs or ())
    if len(inputs) != 1:
        raise UnsupportedModelError(
            f"'{model.name}' has {len(inputs)} inputs, expected 1", hint="export one part of it"
        )
    shape, name = tuple(inputs[0].shape), model.input_names[0]
    if any(size is None for size in shape[1:]):
        raise UnsupportedModelError(
            f"input '{name}' of '{model.name}' has the dynamic shape {shape}; devices need every size fixed",
            hint="rebuild the model with a fixed Input(shape=(height, width, channels))",
        )
    if inputs[0].dtype != "float32":
        raise UnsupportedModelError(f"input '{name}' of '{model.name}' is {inputs[0].dtype.name}, expected float32")
    return name, (1, *(int(size) for size in shape[1:]))


def freeze(model: Any) -> Frozen:
    """Trace `model` in inference mode at batch 1 and turn its variables into constants.

    Args:
        model: A tf_keras model with one float32 input of static shape.

    Raises:
        UnsupportedModelError: As `static_input` does.
    """
    name, shape = static_input(model)
    tf = env.tensorflow()
    signature = tf.TensorSpec(shape, tf.float32, name=name)
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(signature)
    return Frozen(
        function=function,
        graph_def=_constant_graph(function),
        input_name=name,
        input_shape=shape,
        output_names=tuple(model.output_names),
    )


def _constant_graph(function: Any) -> Any:
    """Return the GraphDef of a function with constants for variables.

    The public `convert_variables_to_constants_v2` goes on to make a function of it, which takes eight more copies of
    the weights in memory.
    """
    from tensorflow.python.framework import convert_to_constants

    values = convert_to_constants._FunctionConverterDataInEager(
        func=function, lower_control_flow=False, aggressive_inlining=False
    )
    graph_def, _ = convert_to_constants._replace_variables_by_constants(values)
    return graph_def
