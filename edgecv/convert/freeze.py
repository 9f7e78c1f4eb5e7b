"""A keras model as one frozen function of static shape: what every converter starts from.

Freezing once, and converting the function, is several times faster than the converter's own `from_keras_model`,
which writes and reads a SavedModel and traces it again (benchmarks/convert_speed.py measures it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgecv.convert.lean_norms import lean
from edgecv.convert.unroll import unrolled
from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env
from edgecv.modelio.boundary import call, input_names, output_names
from edgecv.modelio.constants import constant_graph
from edgecv.modelio.inference import check_inference


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A graph without variables.

    Attributes:
        function: The tf ConcreteFunction of float32 arguments that was frozen, its weights still variables.
        graph_def: Its GraphDef with constants in their place.
        inputs: keras name of each input, and its shape with the batch, which is 1, in the model's order.
        output_names: Names of the outputs, in order: see `edgecv.modelio.boundary`.
    """

    function: Any
    graph_def: Any
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    output_names: tuple[str, ...]

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in the model's order."""
        return tuple(name for name, _ in self.inputs)


def static_inputs(model: Any) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return the name of each input, and its shape with batch 1, in the model's order.

    Raises:
        UnsupportedModelError: There is no input, one is not float32, or a dimension is open.
    """
    if not model.inputs:
        raise UnsupportedModelError(f"'{model.name}' has no inputs", hint="build it with keras' functional API")
    return tuple(_static(model, name, tensor) for name, tensor in zip(input_names(model), model.inputs, strict=True))


def _static(model: Any, name: str, tensor: Any) -> tuple[str, tuple[int, ...]]:
    shape = tuple(tensor.shape)
    if any(size is None for size in shape[1:]):
        raise UnsupportedModelError(
            f"input '{name}' of '{model.name}' has the dynamic shape {shape}; devices need every size fixed",
            hint="rebuild the model with a fixed Input(shape=(height, width, channels))",
        )
    if tensor.dtype != "float32":
        raise UnsupportedModelError(f"input '{name}' of '{model.name}' is {tensor.dtype.name}, expected float32")
    return name, (1, *(int(size) for size in shape[1:]))


def freeze(model: Any) -> Frozen:
    """Trace `model` in inference mode at batch 1, loops over time step by step, with constants for its variables.

    Args:
        model: A tf_keras model with float32 inputs of static shape.

    Raises:
        UnsupportedModelError: As `static_inputs` does, and for a layer that is called with training=True.
    """
    check_inference(model, where=f"'{model.name}'")
    inputs = static_inputs(model)
    tf = env.tensorflow()
    signature = [tf.TensorSpec(shape, tf.float32, name=name) for name, shape in inputs]
    with unrolled(), lean():
        function = tf.function(lambda *tensors: call(model, tensors), autograph=False).get_concrete_function(*signature)
    return Frozen(
        function=function,
        graph_def=constant_graph(function),
        inputs=inputs,
        output_names=output_names(model),
    )
