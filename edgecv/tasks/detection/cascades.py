"""A cascade as a model file: the contract by which it is evaluated and timed as networks are.

Images come at one size, with their aspect kept: 480x640 unless the spec that a command is given says otherwise. The
output is (1, 100, 5): x1, y1, x2, y2 in pixels of the input and the confidence; rows without a find are zeros.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Tuple

from edgecv.core.files import PathLike
from edgecv.values.manifest import Manifest, Provenance, TensorInfo
from edgecv.values.specs import Head, ModelSpec, Preprocessing, one_input

SIZE = (480, 640)
MOST = 100
OUTPUT = "found"


def manifest_of(path: PathLike) -> Manifest:
    """Return what a cascade says of itself, by the name of its file alone. Its label is not known."""
    spec = spec_of(Path(os.fspath(path)).stem)
    inputs, outputs = tensors(spec.input_shape)
    provenance = Provenance(recipe={"step": "cascade"}, tools={})
    return Manifest(
        spec=spec, format="cascade", scheme="float32", provenance=provenance, inputs=inputs, outputs=outputs
    )


def spec_of(name: str, labels: Tuple[str, ...] = (), size: Tuple[int, int] = SIZE) -> ModelSpec:
    """Return the contract of a cascade.

    Args:
        name: Of the model.
        labels: What it finds, one label; empty when unknown.
        size: (height, width) that images are brought to.
    """
    settings = {"decoder": "rows", "box": "xyxy", "unit": "pixels", "nms": "none", "most": MOST}
    head = Head(OUTPUT, "detection", "probabilities", labels, settings=settings)
    seen = Preprocessing(color="gray", resize="letterbox", mean=(0.0,), std=(1.0,))
    return one_input(name, (*size, 1), (head,), seen)


def tensors(shape: Tuple[int, ...]) -> Tuple[Tuple[TensorInfo, ...], Tuple[TensorInfo, ...]]:
    """Return the input and the output of a cascade for images (height, width, 1)."""
    image = TensorInfo("image", (1, *shape), "uint8", scale=1.0, zero_point=0)
    return (image,), (TensorInfo(OUTPUT, (1, MOST, 5), "float32"),)
