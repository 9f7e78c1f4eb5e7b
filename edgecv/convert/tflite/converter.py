"""keras to TFLite: float schemes and fake-quantised models, builtin operators only, batch 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecv.convert.freeze import Frozen
from edgecv.convert.quiet import conversion
from edgecv.convert.tflite import flatbuffer
from edgecv.core.errors import ConfigError
from edgecv.modelio import env

SCHEMES = ("float32", "float16", "dynamic", "int8", "mixed", "int16x8", "int4")
SIGNATURE = b"serving_default"
_FLEX_HINT = "replace the operators that TFLite lacks; custom and TensorFlow operators do not run on devices"


def convert_float(frozen: Frozen, scheme: str) -> bytes:
    """Return the .tflite of a frozen model with float activations.

    Args:
        frozen: From `freeze`.
        scheme: "float32"; "float16" (weights stored in half, computed in what the device has); "dynamic" (int8
            weights of large layers, activations quantised at run time).

    Raises:
        ConversionError: The converter fails, or an operator is not a TFLite builtin.
    """
    tf = env.tensorflow()
    settings: Mapping[str, tuple[list[Any], list[Any]]] = {
        "float32": ([], []),
        "float16": ([tf.lite.Optimize.DEFAULT], [tf.float16]),
        "dynamic": ([tf.lite.Optimize.DEFAULT], []),
    }
    if scheme not in settings:
        raise ConfigError(f"'{scheme}' is not a float scheme", hint=f"known: {', '.join(settings)}")
    optimizations, types = settings[scheme]
    with conversion("the TFLite converter failed", hint=_FLEX_HINT):
        converter = _converter(tf, frozen)
        converter.optimizations = optimizations
        converter.target_spec.supported_types = types
        # One scale per dense output channel, quantised at run time, needs FULLY_CONNECTED version 12, which
        # tflite-runtime 2.14 does not have; static int8 gets it in a version that it has.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        return bytes(converter.convert())


def convert_fake_quantised(frozen: Frozen, io_dtype: str) -> bytes:
    """Return the .tflite of a frozen model with fake-quantisation nodes (QAT): int8 wherever these give a range.

    Args:
        frozen: Of a quantisation-aware model.
        io_dtype: Of inputs and outputs: "int8", "uint8" or "float32".

    Raises:
        ConversionError: The converter fails.
    """
    tf = env.tensorflow()
    with conversion("the TFLite converter failed on the fake-quantised model", hint=_FLEX_HINT):
        converter = _converter(tf, frozen)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.dtypes.as_dtype(io_dtype)
        return bytes(converter.convert())


def _converter(tf: Any, frozen: Frozen) -> Any:
    class FrozenGraphConverter(tf.lite.TFLiteConverter):  # type: ignore[misc]
        """Takes the frozen graph as it is; freezing once more would cost seconds and many copies of the weights."""

        def _freeze_concrete_function(self) -> tuple[Any, Any, Any, Any]:
            function = frozen.function
            # Behind its arguments the function's inputs are variables, which are constants by now.
            return frozen.graph_def, function.inputs[: len(frozen.inputs)], function.outputs, function

    # Without a trackable object the converter asks for a frozen graph, instead of saving and reloading the model.
    converter = FrozenGraphConverter([frozen.function])
    # It says which converter made the file, as our manifest does, and costs reading and writing the file once more.
    converter.exclude_conversion_metadata = True
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def has_fake_quantisation(frozen: Frozen) -> bool:
    """Say whether the function holds fake-quantisation nodes."""
    definition = frozen.graph_def
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    return any(node.op.startswith("FakeQuant") for node in nodes)


def name_boundary(data: bytes, input_names: tuple[str, ...], output_names: tuple[str, ...]) -> bytes:
    """Return the file with its inputs and outputs named as in keras, and with a signature that says so.

    The file's one signature, "serving_default", maps the names to the tensors; some tools ask for one.
    """
    model, generated = flatbuffer.unpack(data), flatbuffer.schema()
    graph = model.subgraphs[0]
    signature = generated.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    fed = zip(graph.inputs, input_names, strict=True)
    signature.inputs = [_named(generated, graph, index, name) for index, name in fed]
    pairs = zip(graph.outputs, output_names, strict=True)
    signature.outputs = [_named(generated, graph, index, name) for index, name in pairs]
    model.signatureDefs = [signature]
    return flatbuffer.pack(model)


def _named(generated: Any, graph: Any, index: int, name: str) -> Any:
    graph.tensors[index].name = name.encode()
    entry = generated.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), int(index)
    return entry
