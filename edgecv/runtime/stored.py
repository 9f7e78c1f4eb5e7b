"""From an image straight to what an input tensor stores, without a pass in floats where none is needed.

Without interpolation a stored value depends on a pixel and its channel alone: a table of 256 entries per channel holds
all of them. It is made by the float path, so both give the same bits.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from edgecv.runtime.image import check_image, fitted_pixels, normalised, preprocess
from edgecv.runtime.tensors import to_stored
from edgecv.values.manifest import TensorInfo
from edgecv.values.specs import InputSpec, Preprocessing

Array = NDArray[Any]
_BYTES = np.arange(256, dtype=np.uint8)
_SIGNED = _BYTES ^ np.uint8(128)


def stored_input(given: Any, only: InputSpec, info: TensorInfo) -> Array:
    """Return what an input tensor stores for an image: `to_stored(preprocess(image))`, bit for bit.

    Args:
        given: uint8 (H, W), (H, W, 1) or (H, W, 3), RGB; for an input without preprocessing, numbers of its shape.
        only: The input's contract.
        info: The tensor; its dtype and quantisation.

    Returns:
        (1, H, W, C) of the input's shape and the tensor's dtype.

    Raises:
        DataError: As `preprocess`.
    """
    settings = only.preprocessing
    pixels = None if settings is None else fitted_pixels(check_image(given), settings, only.shape[0], only.shape[1])
    if settings is None or pixels is None:
        return to_stored(preprocess(given, only), info)
    if settings.color == "gray" and pixels.shape[2] == 3:
        return to_stored(preprocess(given, only), info)  # luma mixes channels
    return _looked_up(pixels, settings, info)[None]


def _looked_up(pixels: Array, settings: Preprocessing, info: TensorInfo) -> Array:
    """Return uint8 (H, W, C) pixels through the table of their channels."""
    tables = _tables(settings, info.dtype, info.scale, info.zero_point)
    channels = tables.shape[0]
    if channels == 3 and settings.color == "bgr" and pixels.shape[2] == 3:
        pixels = pixels[..., ::-1]
    if pixels.shape[2] < channels:
        pixels = np.repeat(pixels, channels, axis=2)
    if (tables == tables[0]).all():
        return _by_one(np.ascontiguousarray(pixels), tables[0])
    out = np.empty(pixels.shape, tables.dtype)
    for channel in range(channels):
        out[..., channel] = _by_one(np.ascontiguousarray(pixels[..., channel]), tables[channel])
    return out


def _by_one(pixels: Array, table: Array) -> Array:
    """Return pixels through one table: a view or an exclusive-or where that is what the table does."""
    if table.itemsize > 1:
        return table.take(pixels)
    plain = table.view(np.uint8)
    if (plain == _BYTES).all():
        return pixels.view(table.dtype)
    if (plain == _SIGNED).all():
        return (pixels ^ np.uint8(128)).view(table.dtype)
    return np.frombuffer(bytearray(pixels.tobytes().translate(plain.tobytes())), table.dtype).reshape(pixels.shape)


@lru_cache(maxsize=64)
def _tables(settings: Preprocessing, dtype: str, scale: Optional[float], zero_point: Optional[int]) -> Array:
    """Return (C, 256): what each channel of the tensor stores for each pixel value."""
    info = TensorInfo(name="", shape=(), dtype=dtype, scale=scale, zero_point=zero_point)
    channels = 1 if settings.color == "gray" else 3
    # Colours are in the tensor's order already, so nothing is to be turned here.
    levels = np.repeat(_BYTES[None, :, None], channels, axis=2)[None].astype(np.float32)
    return np.ascontiguousarray(to_stored(normalised(levels, settings), info)[0, 0].T)
