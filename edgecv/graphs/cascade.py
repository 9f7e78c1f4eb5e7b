"""A cascade of Haar features as a graph: one operator of its own."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from edgecv.graphs.ir import Graph, Op, Tensor
from edgecv.tasks.detection import cascades
from edgecv.values.manifest import TensorInfo

OPERATOR = "HAAR_CASCADE"


def read_cascade_graph(path: Path) -> Graph:
    """Return the graph of a cascade for images of the usual size. What is in the file is not looked at."""
    (image,), (found,) = cascades.tensors((*cascades.SIZE, 1))
    return Graph(
        format="cascade",
        ops=(Op(index=0, op=OPERATOR, version=1, inputs=(0,), outputs=(1,), is_custom=True),),
        tensors=(_tensor(0, image), _tensor(1, found)),
        inputs=(0,),
        outputs=(1,),
        where=str(path),
        size_bytes=path.stat().st_size,
    )


def _tensor(index: int, info: TensorInfo) -> Tensor:
    scales = () if info.scale is None else (info.scale,)
    return Tensor(
        index=index,
        name=info.name,
        shape=info.shape,
        shape_signature=info.shape,
        dtype=info.dtype,
        is_constant=False,
        size_bytes=math.prod(info.shape) * np.dtype(info.dtype).itemsize,
        scales=scales,
        zero_points=(0,) * len(scales),
    )
