"""Checks that every converted file passes before it counts: its structure, and its answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.core.errors import ConversionError
from edgecv.graphs import Graph, Op, Tensor

Array = np.ndarray[Any, Any]

MAX_RELATIVE_DIFFERENCE = {"float32": 1e-4, "float16": 1e-2}
"""Largest difference over the largest reference value, or over 1 if that is more. float32: order of summation;
float16: half precision has a relative step of 2**-11, added up over the layers."""

MIN_SQNR_DB = {"dynamic": 10.0, "int16x8": 20.0, "ptq": 6.0, "qat": 10.0}
"""Signal to quantisation noise of the answers, with their mean taken out, by scheme or else by method. A collapsed
model's answers do not follow the reference: below 3 dB. With int16 activations only the weights' rounding is left.
Accuracy is judged by evaluation; this finds broken files."""

INDICES = ("int32", "int64")
"""Types of an output that holds no numbers to quantise, such as an argmax: no scheme changes it."""

MIN_KAPPA = {"float32": 0.99, "float16": 0.95}
LEAST_KAPPA = 0.4
"""Agreement of indices beyond chance, Cohen 1960, by scheme, and of all others: scores that are nearly equal change
places, and a collapsed model has 0. "Moderate" begins at 0.41 in Landis and Koch 1977."""

QUANTISED_STEPS = 3
"""A difference within so many steps of the output's scale passes too: an answer cannot be finer than its scale."""

STATIC = ("int8", "mixed", "int16x8", "int4")
"""Schemes with integer activations."""

_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
_ONNX_MOVES = ("Transpose", "Reshape", "Squeeze", "Unsqueeze")
_ONNX_KERNELS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How a file's answers compare with the float (or fake-quantised) keras model's.

    Attributes:
        samples: Images compared.
        max_abs_diff: Largest absolute difference of an output value, real units.
        sqnr_db: Signal to quantisation noise of the worst output, decibels; None when both are equal.
    """

    samples: int
    max_abs_diff: float
    sqnr_db: float | None


def check_structure(graph: Graph, *, scheme: str, io_dtype: str, float_kernels: int = 0) -> None:
    """Check what a file promises by its kind: builtin operators, static shapes at batch 1, the scheme's dtypes.

    Which operators of a .tflite stay in float is told, not judged here: see `stays_float`.

    Args:
        graph: The file.
        scheme: "float32", "float16", "dynamic", "int8", "mixed", "int16x8" or "int4".
        io_dtype: Of an integer file's inputs and outputs; indices, such as those of an argmax, stay int32 or int64.
        float_kernels: Convolutions and products that an int8 ONNX file may compute in float.

    Raises:
        ConversionError: A promise is broken; the message names the operator or tensor.
    """
    custom = sorted({op.op for op in graph.ops if op.is_custom})
    if custom or graph.n_subgraphs != 1:
        _fail(f"it holds custom operators ({', '.join(custom)}) or {graph.n_subgraphs} subgraphs, expected builtins")
    for tensor in _used(graph):
        # An empty constant is how ONNX leaves an input out, such as the region of Resize.
        if not tensor.is_constant and any(size < 1 for size in tensor.shape_signature):
            _fail(f"tensor '{tensor.name}' has the dynamic shape {tensor.shape_signature}")
    for index in (*graph.inputs, *graph.outputs):
        tensor = graph.tensors[index]
        if tensor.shape[:1] != (1,):
            _fail(f"'{tensor.name}' has shape {tensor.shape}, expected batch 1")
        indices = index in graph.outputs and tensor.dtype in INDICES
        if scheme in STATIC and tensor.dtype != io_dtype and not indices:
            _fail(f"'{tensor.name}' is {tensor.dtype}, expected {io_dtype}")
    _check_dtypes(graph, scheme, float_kernels)


def _check_dtypes(graph: Graph, scheme: str, float_kernels: int) -> None:
    if scheme in STATIC and graph.format == "tflite" and not any(_is_integer(graph, op) for op in graph.ops):
        _fail("no operator became integer", hint="use --scheme float32, float16 or dynamic")
    if scheme == "int8" and graph.format == "onnx":
        left = _float_kernels(graph)
        if len(left) > float_kernels:
            _fail(f"{len(left)} kernels stayed float in an int8 file, expected {float_kernels}: {', '.join(left[:5])}")
    if scheme == "int16x8" and not any(t.dtype == "int16" and not t.is_constant for t in _used(graph)):
        _fail("no activation became int16")
    wanted = _WEIGHTS.get(scheme, ())
    if wanted and not any(t.is_constant and t.dtype in wanted and t.elements > 1 for t in _used(graph)):
        _fail(
            f"no weights became {wanted[0]}",
            hint="layers of fewer than 1024 weights stay float; use float32 or int8" if scheme == "dynamic" else "",
        )


_WEIGHTS = {
    "float16": ("float16",), "dynamic": ("int8", "uint8"), "mixed": ("int8",), "int16x8": ("int8",), "int4": ("int4",)
}  # fmt: skip


def _used(graph: Graph) -> tuple[Tensor, ...]:
    used = {i for op in graph.ops for i in (*op.inputs, *op.outputs) if i >= 0}
    return tuple(graph.tensors[i] for i in sorted(used))


def _is_integer(graph: Graph, op: Op) -> bool:
    kinds = {graph.tensors[index].dtype for index in (*op.inputs, *op.outputs) if index >= 0}
    return op.op not in _CONVERSIONS and "float32" not in kinds and bool(kinds & {"int8", "int16", "uint8"})


def _float_kernels(graph: Graph) -> list[str]:
    """Names of kernel operators in a QDQ graph that are not fed with 8-bit integers.

    Constant weights are stored as int8. A product of two activations takes both from quantised tensors, whose type the
    file does not say.
    """
    made_by = {index: op for op in graph.ops for index in op.outputs}
    return [
        graph.tensors[op.outputs[0]].name
        for op in graph.ops
        if op.op in _ONNX_KERNELS and not all(_is_quantised(graph, index, made_by) for index in op.inputs[:2])
    ]


def _is_quantised(graph: Graph, index: int, made_by: Mapping[int, Op]) -> bool:
    """Say whether a tensor is an activation behind DequantizeLinear, or weights that are stored as 8-bit integers."""
    source: Op | None = made_by.get(index)
    while source is not None and source.op in _ONNX_MOVES:
        source = made_by.get(source.inputs[0])
    if source is None or source.op != "DequantizeLinear":
        return False
    stored = graph.tensors[source.inputs[0]]
    return not stored.is_constant or _is_8_bit(stored)


def _is_8_bit(tensor: Tensor) -> bool:
    return tensor.dtype in ("int8", "uint8")


def output_steps(graph: Graph) -> tuple[float | None, ...]:
    """Return the quantisation step of every output, that behind a float boundary included; None for float outputs."""
    made_by = {index: op for op in graph.ops for index in op.outputs}
    return tuple(_step(graph, index, made_by) for index in graph.outputs)


def _step(graph: Graph, index: int, made_by: Mapping[int, Op]) -> float | None:
    tensor = graph.tensors[index]
    if tensor.scales:
        return tensor.scales[0]
    source = made_by.get(index)
    if source is None or source.op != "DEQUANTIZE":
        return None
    scales = graph.tensors[source.inputs[0]].scales
    return scales[0] if scales else None


def check_answers(
    reference: Sequence[Array],
    answers: Sequence[Array],
    *,
    names: Sequence[str],
    scheme: str,
    method: str,
    steps: Sequence[float | None],
    groups: Sequence[tuple[slice, ...]] | None = None,
    indices: Sequence[bool] | None = None,
) -> Check:
    """Compare a file's answers with the source model's.

    Args:
        reference: One array per output, (samples, …), float32, real units: the keras model's.
        answers: The file's, likewise.
        names: Of the outputs, for messages.
        scheme: Chooses the threshold, with `method` for int8: see the constants of this module.
        method: "none", "ptq" or "qat".
        steps: Quantisation step of each output; None for float ones.
        groups: Of each output, the slices of its last axis that are judged apart; None judges it as one.
        indices: Of each output, whether it holds indices, which agree or do not; None where none does.

    Raises:
        ConversionError: An answer is not finite or of another shape, or differs too much; the worst sample is named.
    """
    worst, lowest = 0.0, math.inf
    apart = groups or [(slice(None),)] * len(reference)
    named = indices or [False] * len(reference)
    for name, expected, got, step, group, named_only in zip(
        names, reference, answers, steps, apart, named, strict=True
    ):
        if expected.shape != got.shape or not np.isfinite(got).all():
            _fail(f"output '{name}' has shape {got.shape} (expected {expected.shape}) or is not finite")
        if named_only:
            worst = max(worst, float(np.abs(expected - got).max()))
            _judge_indices(name, expected, got, scheme)
            continue
        for part in group:
            wanted, found = expected[..., part], got[..., part]
            difference, ratio = np.abs(wanted.astype(np.float64) - found), sqnr_db(wanted, found)
            _judge(name, difference, ratio, float(np.abs(wanted).max()), scheme, method, step)
            worst, lowest = max(worst, float(difference.max())), min(lowest, ratio)
    return Check(samples=len(reference[0]), max_abs_diff=worst, sqnr_db=lowest if math.isfinite(lowest) else None)


def _judge(
    name: str, difference: Array, ratio: float, largest: float, scheme: str, method: str, step: float | None
) -> None:
    found, sample = float(difference.max()), int(np.argmax(difference.reshape(len(difference), -1).max(axis=1)))
    if scheme in MAX_RELATIVE_DIFFERENCE:
        allowed = MAX_RELATIVE_DIFFERENCE[scheme] * max(1.0, largest)
        if found > allowed:
            _fail(f"output '{name}' differs from the source by {found:.3g} on sample {sample}, allowed {allowed:.3g}")
        return
    least = MIN_SQNR_DB[scheme if scheme in MIN_SQNR_DB else method]
    if ratio < least and (step is None or found > QUANTISED_STEPS * step):
        _fail(
            f"output '{name}' has a signal to quantisation noise ratio of {ratio:.1f} dB, expected {least:.0f}; "
            f"the worst sample, {sample}, differs by {found:.3g}",
            hint="`edgecv debug MODEL.keras --rank` says which layer it is and what helps; or try another calibration "
            "recipe, more samples, or quantisation-aware training",
        )


def _judge_indices(name: str, expected: Array, got: Array, scheme: str) -> None:
    agreement, least = kappa(expected, got), MIN_KAPPA.get(scheme, LEAST_KAPPA)
    if agreement < least:
        _fail(
            f"output '{name}' has the source's indices in {(expected == got).mean():.1%} of its places, a kappa of "
            f"{agreement:.2f}, expected {least}",
            hint="convert the network without its argmax, and look at its scores: edgecv debug MODEL.keras --rank",
        )


def kappa(first: Array, second: Array) -> float:
    """Return the agreement of two arrays of indices beyond chance: 1 when equal, 0 at chance.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales": (p - c) / (1 - c) of the share p of equal
    places and that of chance, c.
    """
    same = float((first == second).mean())
    values = np.union1d(first, second)
    chance = float(sum((first == value).mean() * (second == value).mean() for value in values))
    return 1.0 if same == 1.0 else (same - chance) / (1.0 - chance)


def sqnr_db(reference: Array, answers: Array) -> float:
    """Return 10 log10(sum (r - mean r)^2 / sum (r - a)^2) in decibels; +inf when they are equal.

    The mean is taken out, so that a constant answer to a signal with a large offset does not count as good.

    Source: signal to quantisation noise ratio, Oppenheim & Schafer, "Discrete-Time Signal Processing", section 4.8.
    """
    expected = reference.astype(np.float64)
    noise = float(np.sum((expected - answers) ** 2))
    signal = float(np.sum((expected - expected.mean()) ** 2))
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def golden_tolerance(scheme: str, output: Sequence[Array], step: float | None) -> float:
    """Return how far another engine's answers of one output may be from the golden ones, absolute, in real units.

    int8, mixed and int4: two steps of the output. int16x8: 2e-3 of the largest value, or of 1. float32: 1e-4 likewise.
    float16: 5e-3 likewise, for engines that also compute in half. dynamic: 2e-2 likewise, since engines quantise
    activations in different ways.

    Args:
        scheme: Of the file.
        output: The golden answers of the output, one per vector.
        step: Its quantisation step; None for float ones.
    """
    if scheme in ("int8", "mixed", "int4") and step is not None:
        return 2 * step
    relative = {"float32": 1e-4, "float16": 5e-3, "int16x8": 2e-3}.get(scheme, 2e-2)
    return relative * max(1.0, *(float(np.abs(answer).max()) for answer in output))


def _fail(message: str, *, hint: str = "") -> None:
    raise ConversionError(f"the converted file failed its check: {message}", hint=hint)
