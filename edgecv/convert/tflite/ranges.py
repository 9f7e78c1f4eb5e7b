"""Static int8 from a float .tflite and our own activation ranges: one mechanism for every estimator.

The float file runs over the calibration samples once, in several threads (`float_pass`); each sample leaves a summary
of every activation (its range, or its histogram), which an observer per activation takes in the samples' order. So the
ranges do not depend on the number of threads, nor the memory on the number of samples. The ranges are written into the
tensors' quantisation records, which is where the stock calibrator leaves its own, and TensorFlow Lite's MLIR quantiser
does the rest: per-channel or per-tensor weights, int32 biases, fixed output scales of tanh, logistic and softmax, one
scale through pooling, reshape and concatenation.

Why this route, of three considered; it was tried on LeNet-5 (tanh, average pooling, softmax; and its 1998 form with
squared differences and a sum), a ReLU CNN and MobileNetV2:
- the stock `representative_dataset` knows no estimator but min/max; with min/max this route's files gave the
  stock converter's outputs, up to the rounding of a scale;
- ai-edge-quantizer has its own quantiser and estimators, so a range of ours would need its private calibration
  format, and it needs one more dependency;
- here memory does not grow with the samples, all estimators and granularities work alike, and a partly quantised QAT
  file can be completed the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgecv.calibration import RangeObserver, make_observer
from edgecv.convert.layers import layer_map
from edgecv.convert.quiet import conversion
from edgecv.convert.tflite import flatbuffer, float_pass
from edgecv.convert.tflite.kernel_limits import within_limits
from edgecv.core.errors import ConversionError, DataError
from edgecv.core.progress import Reporter
from edgecv.graphs import read_tflite
from edgecv.modelio import env
from edgecv.values.profiles import CalibrationRecipe

Array = np.ndarray[Any, Any]
Range = tuple[float, float]


def observe(
    data: bytes,
    inputs: Iterable[Sequence[Array]],
    recipe: CalibrationRecipe,
    *,
    reporter: Reporter,
    total: int,
    layers: Mapping[int, str] | None = None,
    workers: int | None = None,
) -> dict[int, Range]:
    """Run the samples and return the range of every float activation that has no scale yet.

    Args:
        data: A .tflite with one float32 input.
        inputs: Preprocessed samples, float32 of the input's shape, with batch 1.
        recipe: Says which estimator.
        reporter: Gets a step per sample.
        total: Number of samples.
        layers: Source layer by tensor index, as far as known, for messages.
        workers: Threads; see `float_pass.look`.

    Returns:
        Tensor index to (min, max), wider where a fast kernel asks for it: see `kernel_limits`.

    Raises:
        DataError: There are no samples, or an activation is not finite; the message names the first such layer.
    """
    observers: dict[int, RangeObserver] = {index: make_observer(recipe) for index in unscaled(data)}
    places = _places(data, layers or {})

    def summarise(index: int, values: Array) -> Any:
        try:
            return observers[index].summarise(values)
        except DataError as error:
            raise DataError(f"{places[index]}: {error.message}", hint=error.hint) from error

    seen = 0
    with reporter.bar("calibrate", total) as advance:
        for summaries in float_pass.look(data, inputs, tuple(observers), summarise, workers=workers):
            for observer, summary in zip(observers.values(), summaries, strict=True):
                observer.merge(summary)
            seen += 1
            advance()
    if not seen:
        raise DataError("calibration got no samples", hint="raise the recipe's count, or check the data set")
    return within_limits(data, {index: observer.result() for index, observer in observers.items()})


def _places(data: bytes, layers: Mapping[int, str]) -> dict[int, str]:
    """Return what to call each activation in a message."""
    graph = read_tflite(data)
    places = dict.fromkeys(graph.inputs, "the input")
    for op in graph.ops:
        for index in op.outputs:
            layer = f"layer '{layers[index]}'" if layers.get(index) else f"tensor '{graph.tensors[index].name}'"
            places[index] = f"the output of {layer} ({op.op})"
    return places


def tensor_layers(data: bytes, model: Any) -> dict[int, str]:
    """Return the source layer of what each operator writes, by tensor index; "" where none is known.

    Args:
        data: A .tflite as the converter left it: its tensors have the converter's names.
        model: The keras model that it was made from.
    """
    graph = read_tflite(data)
    layers = layer_map(graph, [graph.outputs_of(op)[0].name for op in graph.ops], model)
    return {index: layer for op, layer in zip(graph.ops, layers, strict=True) for index in op.outputs}


def input_indices(data: bytes) -> tuple[int, ...]:
    """Return the tensor index of each of the file's inputs, in its order."""
    return tuple(int(index) for index in flatbuffer.unpack(data).subgraphs[0].inputs)


def unscaled(data: bytes, *, boundary: bool = True) -> tuple[int, ...]:
    """Return the float32 activations whose range the file does not say; what comes out of DEQUANTIZE has one.

    Args:
        data: A .tflite.
        boundary: Whether the file's inputs and outputs count.
    """
    model = flatbuffer.unpack(data)
    generated, graph = flatbuffer.schema(), model.subgraphs[0]
    dequantize = generated.BuiltinOperator.DEQUANTIZE
    codes = [flatbuffer.builtin(code) for code in model.operatorCodes]
    written = [int(i) for op in graph.operators if codes[op.opcodeIndex] != dequantize for i in op.outputs]
    found = [int(i) for i in graph.inputs] + written
    left_out = () if boundary else {int(i) for i in (*graph.inputs, *graph.outputs)}
    return tuple(i for i in found if graph.tensors[i].type == generated.TensorType.FLOAT32 and i not in left_out)


def quantize(data: bytes, ranges: Mapping[int, Range], *, io_dtype: str, per_channel: bool, name: str) -> bytes:
    """Return the int8 file for a float one and its activation ranges.

    Args:
        data: The float .tflite.
        ranges: From `observe`; the input's may come from its preprocessing instead.
        io_dtype: Of inputs and outputs: "int8", "uint8" or "float32".
        per_channel: One scale per output channel of convolution and dense weights, else one per tensor.
        name: Of the model, for messages.

    Raises:
        ConversionError: The quantiser fails.
    """
    tf = env.tensorflow()
    from tensorflow.lite.python.convert import mlir_quantize

    with conversion(f"the int8 quantiser failed on '{name}'"):
        return bytes(
            mlir_quantize(
                with_ranges(data, ranges),
                disable_per_channel=not per_channel,
                disable_per_channel_for_dense_layers=not per_channel,
                # True would quantise the boundary too, whatever dtype is asked for there.
                fully_quantize=False,
                input_data_type=tf.dtypes.as_dtype(io_dtype),
                output_data_type=tf.dtypes.as_dtype(io_dtype),
            )
        )


def with_ranges(data: bytes, ranges: Mapping[int, Range]) -> bytes:
    """Return the file with ranges in its tensors' records, as the quantiser reads them.

    Raises:
        ConversionError: A range does not hold zero.
    """
    model = flatbuffer.unpack(data)
    generated = flatbuffer.schema()
    for index, (low, high) in ranges.items():
        if not low <= 0 <= high:
            raise ConversionError(f"the range of tensor {index} is {low} to {high}, which does not hold zero")
        record = generated.QuantizationParametersT()
        record.min, record.max = [low], [high]
        model.subgraphs[0].tensors[index].quantization = record
    return flatbuffer.pack(model)
