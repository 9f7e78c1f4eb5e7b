"""Resizing that TensorFlow Lite has no operator for, as two dense layers: one along the width, one along the height.

Every output pixel is a fixed sum of input pixels, row by row and column by column. The weights are what the function
makes of unit vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgecv.modelio import env

Array = np.ndarray[Any, Any]


def is_product(shape: Sequence[int | None], options: Mapping[str, Any]) -> bool:
    """Say whether a resize of tensors (n, height, width, channels) has no operator, and two products do it.

    Args:
        shape: Of the tensor, batch included.
        options: Of `keras.ops.image.resize`.
    """
    plain = options.get("interpolation", "bilinear") in ("nearest", "bilinear") and not options.get("antialias")
    framed = options.get("crop_to_aspect_ratio") or options.get("pad_to_aspect_ratio")
    last = options.get("data_format") in (None, "channels_last")
    return not plain and not framed and last and len(shape) == 4 and None not in shape[1:3]


def layers_of(shape: Sequence[Any], size: Sequence[int], options: Mapping[str, Any]) -> list[tuple[Any, list[Array]]]:
    """Return tf_keras layers and their weights that resize one after the other: see `is_product`."""
    chosen = {key: options[key] for key in ("interpolation", "antialias") if key in options}
    rows, columns = (_weights(int(shape[axis]), int(size[axis - 1]), chosen) for axis in (1, 2))
    layers = env.keras().layers
    return [
        (layers.Permute((1, 3, 2)), []),  # h, c, w
        (layers.Dense(columns.shape[1], use_bias=False), [columns]),
        (layers.Permute((3, 2, 1)), []),  # W, c, h
        (layers.Dense(rows.shape[1], use_bias=False), [rows]),
        (layers.Permute((3, 1, 2)), []),  # H, W, c
    ]


def _weights(before: int, after: int, options: Mapping[str, Any]) -> Array:
    """Return float32 (before, after): column j holds the shares of the old pixels in new pixel j."""
    keras3 = env.keras3()
    units = np.eye(before, dtype=np.float32)[None, :, :, None]
    made = keras3.ops.image.resize(units, (before, after), **options)
    return np.asarray(made, np.float32)[0, :, :, 0]
