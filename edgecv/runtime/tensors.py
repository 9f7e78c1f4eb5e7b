"""Between real numbers and what integer tensors store: real = (stored - zero_point) * scale."""

from __future__ import annotations

import dataclasses
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError
from edgecv.values.manifest import TensorInfo

Array = NDArray[Any]


def to_stored(values: Array, info: TensorInfo) -> Array:
    """Return real values as the tensor stores them, saturating at the range of its dtype.

    Halves round to even, as LiteRT's optimised and XNNPACK QUANTIZE kernels do (its reference kernel rounds them away
    from zero; the two differ only when a value lies exactly between two steps).

    Args:
        values: Real units, of any shape, finite.
        info: The tensor. Floating: only cast. Integer without a scale: rounded and saturated.

    Raises:
        DataError: A value is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise DataError(f"the values for tensor '{info.name}' hold NaN or infinity", hint="check the input data")
    dtype = np.dtype(info.dtype)
    if dtype.kind == "f":
        return np.ascontiguousarray(values, dtype)
    scale, zero_point = info.scale or 1.0, info.zero_point or 0
    limits = np.iinfo(dtype)
    steps = values.astype(np.float32) / np.float32(scale)
    np.rint(steps, out=steps)
    if dtype.itemsize > 2:  # float32 counts to 2**24 only, which 8 and 16 bits saturate before
        steps = steps.astype(np.float64)
    steps += zero_point
    np.clip(steps, limits.min, limits.max, out=steps)
    stored: Array = steps.astype(dtype)
    return stored


def to_real(stored: Array, info: TensorInfo) -> Array:
    """Return what a tensor stores as float32 in real units; exact for 8 and 16 bits."""
    if info.scale is None:
        return stored.astype(np.float32)
    steps = stored.astype(np.float32) - np.float32(info.zero_point or 0)
    real: Array = steps * np.float32(info.scale)
    return real


def completed(found: Tuple[TensorInfo, ...], promised: Tuple[TensorInfo, ...]) -> Tuple[TensorInfo, ...]:
    """Add the manifest's quantisation to integer tensors of formats whose inputs and outputs have none (ONNX)."""
    by_name = {info.name: info for info in promised}
    return tuple(_complete(info, by_name.get(info.name)) for info in found)


def _complete(info: TensorInfo, promise: Optional[TensorInfo]) -> TensorInfo:
    if promise is None or info.scale is not None or promise.dtype != info.dtype:
        return info
    return dataclasses.replace(info, scale=promise.scale, zero_point=promise.zero_point)


def seeded_input(shape: Sequence[int], dtype: str, seed: int) -> NDArray[Any]:
    """Return random values for one input: uniform in 0..1 for floats, over the type's whole range for integers."""
    return random_input(shape, dtype, np.random.default_rng(seed))


def random_input(shape: Sequence[int], dtype: str, rng: np.random.Generator) -> NDArray[Any]:
    """Return the next random values for one input, spread as those of `seeded_input`."""
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, size=tuple(shape), dtype=kind, endpoint=True)
    return rng.random(tuple(shape)).astype(kind)


def seeded_inputs(inputs: Sequence[TensorInfo], seed: int) -> List[Array]:
    """Return random values for every input of a model: each has a seed of its own, so that no two are alike."""
    return [seeded_input(info.shape, info.dtype, seed + place) for place, info in enumerate(inputs)]
