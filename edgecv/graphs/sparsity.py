"""TFLite's sparse tensors: from a dense array to compressed rows, and back.

Source: schema.fbs, table SparsityParameters, and tensorflow/lite's FormatConverter. Dimensions are traversed in order;
each is dense, or keeps only the indices of what is not zero below each element of the dimensions before it ("CSR").
edgecv writes every dimension but the last dense, without blocks; it reads any order of dimensions without blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """An array whose last dimension is compressed.

    Attributes:
        values: What is not zero, in the order of the array's elements.
        segments: Where each row begins in `values`, and the end: one more than rows, integers.
        indices: Position in its row of each value, integers.
    """

    values: Array
    segments: Array
    indices: Array

    @property
    def nbytes(self) -> int:
        """Bytes that the array takes in a file."""
        return int(self.values.nbytes + self.segments.nbytes + self.indices.nbytes)


@dataclass(frozen=True, slots=True)
class Dimension:
    """One traversed dimension: dense of a size, or compressed (segments and indices, of a size that is not stored)."""

    size: int
    segments: Array | None = None
    indices: Array | None = None


def compressed(array: Array) -> Rows:
    """Return an array of any rank with its last dimension compressed; indices in the smallest type that holds them."""
    rows = array.reshape(-1, array.shape[-1])
    row, column = np.nonzero(rows)
    segments = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(rows)))])
    return Rows(values=rows[row, column], segments=_smallest(segments), indices=_smallest(column))


def _smallest(values: Array) -> Array:
    """uint8, uint16 or int32: what the schema has vectors of."""
    largest = int(values.max(initial=0))
    return np.asarray(values, np.uint8 if largest < 2**8 else np.uint16 if largest < 2**16 else np.int32)


def dense(values: Array, shape: Sequence[int], order: Sequence[int], dimensions: Sequence[Dimension]) -> Array:
    """Return the array of a sparse tensor.

    Args:
        values: What is stored, flat.
        shape: Of the array.
        order: Dimension of the array that each traversed dimension is.
        dimensions: In the order of traversal.

    Raises:
        ValueError: Segments, indices and values do not fit the shape.
    """
    prefixes = np.zeros((1, 0), np.int64)
    for place, dimension in enumerate(dimensions):
        size = shape[order[place]]
        if dimension.segments is None or dimension.indices is None:
            column, counts = np.tile(np.arange(size), len(prefixes)), np.full(len(prefixes), size)
        else:
            counts = np.diff(dimension.segments.astype(np.int64))
            column = dimension.indices.astype(np.int64)
        prefixes = np.concatenate([np.repeat(prefixes, counts, axis=0), column[:, None]], axis=1)
    array = np.zeros([shape[axis] for axis in order], values.dtype)
    array[tuple(prefixes.T)] = values.reshape(-1)
    return np.transpose(array, np.argsort(order))
