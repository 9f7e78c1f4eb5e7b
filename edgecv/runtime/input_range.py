"""What an input tensor can hold against what a contract feeds it. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.contradiction import Contradiction
from edgecv.values.manifest import TensorInfo
from edgecv.values.specs import InputSpec

Array = NDArray[Any]

SHARE = 0.05
"""Below this share of one range in the other they cannot be of one scale: 0..1 and 0..255 share 0.4 %."""
REACH, USE, WHOLE_REACH = 0.75, 0.6, 0.95
"""Shares of what is fed that is held, and of what is held that is fed, from which on nothing is said; of whole numbers,
the share of what is fed."""
STEPS = 16
"""Of whole numbers, images need so many at least to be told from each other."""


@dataclass(frozen=True)
class Held:
    """The real values that a tensor of integers holds.

    Attributes:
        low: Smallest; `high` the largest.
        dtype: numpy name.
        is_scaled: Whether the file gives it a scale; without one it holds whole numbers.
        is_symmetric: Whether 0 is in the middle by its kind of quantisation, so that half of it may be unused.
    """

    low: float
    high: float
    dtype: str
    is_scaled: bool = True
    is_symmetric: bool = False


def held_by(info: TensorInfo) -> Optional[Held]:
    """Return what an input or output tensor holds; None of floats, which hold anything, and of booleans."""
    dtype = np.dtype(info.dtype)
    if dtype.kind not in "iu":
        return None
    return held_as(info.dtype, info.scale, info.zero_point)


def held_as(dtype: str, scale: Optional[float], zero_point: Optional[int]) -> Held:
    """Return what integers of a numpy dtype hold with a scale and zero point; without a scale they are the values."""
    limits, zero = np.iinfo(np.dtype(dtype)), zero_point or 0
    step = scale or 1.0
    low, high = (int(limits.min) - zero) * step, (int(limits.max) - zero) * step
    return Held(low, high, dtype, bool(scale), bool(scale) and zero == 0 and limits.min < 0)


def misfit(only: InputSpec, held: Held) -> Optional[Contradiction]:
    """Return what the range of an input tensor says against its contract; None when nothing, and of feature vectors.

    Certain are ranges of another scale, such as 0..1 and 0..255, and whole numbers that cannot hold the pixels. Likely
    is a range that holds less than `REACH` of what is fed, or of which less than `USE` is fed.
    """
    if only.range is None:
        return None
    low, high = only.range
    common = max(0.0, min(high, held.high) - max(low, held.low))
    reach = common / (high - low)
    hint = _hint(held)
    if not held.is_scaled:
        if reach >= WHOLE_REACH and common >= STEPS:
            return None
        text = (
            f"input '{only.name}' is {held.dtype} without a scale, so it takes whole numbers of {held.low:g} to "
            f"{held.high:g}, and the spec feeds {low:.3g} to {high:.3g}"
        )
        return Contradiction(text, hint, True)
    use = common / (_side(held, low, high))
    if reach >= REACH and use >= USE:
        return None
    text = (
        f"input '{only.name}' holds {held.low:.3g} to {held.high:.3g} by its quantisation, and the spec feeds "
        f"{low:.3g} to {high:.3g}"
    )
    return Contradiction(text, hint, min(reach, use) < SHARE)


def outside(values: Array, held: Held) -> float:
    """Return the share of values that a tensor clips, 0..1."""
    margin = (held.high - held.low) * SHARE / 10
    return float(((values < held.low - margin) | (values > held.high + margin)).mean())


def first_misfit(
    inputs: Sequence[InputSpec], held: Sequence[Optional[Held]], *, certain: bool
) -> Optional[Contradiction]:
    """Return the first misfit of that certainty of inputs and what their tensors hold, in one order."""
    found = (misfit(only, one) for only, one in zip(inputs, held) if one is not None)
    return next((one for one in found if one is not None and one.certain == certain), None)


def _side(held: Held, low: float, high: float) -> float:
    """Return the span of a range; of a symmetric one, that of the side on which the values are."""
    if held.is_symmetric and low >= 0:
        return held.high
    if held.is_symmetric and high <= 0:
        return -held.low
    return held.high - held.low


def _hint(held: Held) -> str:
    mean, std = _scaling(held)
    return (
        "say in the spec what the model was trained with; "
        f"mean {mean:.4g} and std {std:.4g} feed all that the tensor holds"
    )


def _scaling(held: Held) -> Tuple[float, float]:
    """Return the mean and std that take pixels to all that a tensor holds, or as they are to wide whole numbers."""
    if not held.is_scaled and held.high > 255:
        return 0.0, 1.0
    std = 255.0 / (held.high - held.low)
    return 0.0 - held.low * std, std
