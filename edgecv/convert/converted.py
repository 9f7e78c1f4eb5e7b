"""A converted model before it is checked and written."""

from __future__ import annotations

from dataclasses import dataclass

from edgecv.convert.check.stays_float import StaysFloat
from edgecv.convert.check.structure import output_steps
from edgecv.graphs import Graph, read_tflite
from edgecv.values.manifest import TensorInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """The bytes of a file and what its boundary is.

    Attributes:
        data: The file, without a manifest.
        inputs: As a raw interpreter shows them.
        outputs: Likewise.
        steps: Quantisation step of each output, also behind a float boundary; None for float models.
        op_names: What the converter called each operator, in order: the trace to the source's layers.
        calibrated: Whether ranges of it were found by calibration.
        stays_float: What of a file of integers is in float: of an .onnx, in the .tflite that it was made from.
        float_kernels: Operators with weights among that, and products of two activations.
    """

    data: bytes
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    steps: tuple[float | None, ...]
    op_names: tuple[str, ...]
    calibrated: bool = False
    stays_float: StaysFloat | None = None
    float_kernels: int = 0


def tensor_info(graph: Graph, index: int) -> TensorInfo:
    """Return a tensor as the manifest describes it."""
    tensor = graph.tensors[index]
    return TensorInfo(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=tensor.scales[0] if tensor.scales else None,
        zero_point=tensor.zero_points[0] if tensor.scales else None,
    )


def converted_tflite(data: bytes) -> Converted:
    """Return a .tflite with its boundary."""
    graph = read_tflite(data)
    return Converted(
        data=data,
        inputs=tuple(tensor_info(graph, i) for i in graph.inputs),
        outputs=tuple(tensor_info(graph, i) for i in graph.outputs),
        steps=output_steps(graph),
        op_names=tuple(graph.outputs_of(op)[0].name for op in graph.ops),
    )
