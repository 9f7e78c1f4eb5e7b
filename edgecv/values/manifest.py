"""The manifest that travels inside every artifact: contract, provenance, name map, golden vectors.

In a `.tflite` it is the metadata buffer named `edgecv`, in an `.onnx` the `metadata_props` entry `edgecv`, in a
`.keras` archive the member `edgecv.json`: plain JSON each time, so any tool can read it.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from edgecv.core import codec
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.values.specs import Format, Method, ModelSpec, Scheme

KEY = "edgecv"
SCHEMA = "edgecv.manifest/1"


@dataclass(frozen=True)
class TensorInfo:
    """One input or output tensor of the file, as a raw interpreter shows it.

    Attributes:
        name: Tensor name in the file.
        shape: With the batch, which is 1.
        dtype: numpy name: "float32", "int8", "uint8", …
        scale: real = (stored - zero_point) * scale; None for float tensors.
        zero_point: As above; None for float tensors.
    """

    name: str
    shape: Tuple[int, ...]
    dtype: str
    scale: Optional[float] = None
    zero_point: Optional[int] = None


@dataclass(frozen=True)
class Provenance:
    """Where a file comes from; enough to make it again.

    Attributes:
        source_sha256: Of the model it was made from; None for a freshly built one.
        recipe: Name and settings of the step that made it ({"step": "train", "epochs": "20", …}).
        tools: Package name to version.
        seed: Of every random choice in the step.
        dataset: Name of the data set that the model was trained on; None when unknown.
        dataset_sha256: Of the samples used in the step, for training or calibration; None when there were none.
        parents: sha256 and step of earlier stages, oldest first.
    """

    recipe: Mapping[str, Any]
    tools: Mapping[str, str]
    seed: Optional[int] = None
    source_sha256: Optional[str] = None
    dataset: Optional[str] = None
    dataset_sha256: Optional[str] = None
    parents: Tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class GoldenArray:
    """One array: base64 of its C-order little-endian bytes."""

    dtype: str
    shape: Tuple[int, ...]
    data: str


@dataclass(frozen=True)
class Golden:
    """One golden vector: a uint8 image, and what the file answered to it when it was made.

    Attributes:
        image: uint8, (H, W) or (H, W, 3), not yet preprocessed; float32 (N,) for feature vectors.
        outputs: One float32 array per model output, dequantised, without the batch.
    """

    image: GoldenArray
    outputs: Tuple[GoldenArray, ...]


@dataclass(frozen=True)
class Manifest:
    """What a model file says of itself.

    Attributes:
        layer_map: For each operator of the file, in order, the source layer's name, or "" when none is known.
        sparsity: Share of zeros in the prunable weights (0..1); None when not pruned.
        target: Name of the deployment target it was made for.
        golden_engine: Engine and version that produced the golden outputs.
        golden_tolerance: Largest allowed absolute difference of an output when replayed elsewhere, in real units.
        golden_tolerances: The same for each output; empty: `golden_tolerance` holds for all.
    """

    spec: ModelSpec
    format: Format
    scheme: Scheme
    provenance: Provenance
    method: Method = "none"
    target: str = "cpu"
    sparsity: Optional[float] = None
    inputs: Tuple[TensorInfo, ...] = ()
    outputs: Tuple[TensorInfo, ...] = ()
    layer_map: Tuple[str, ...] = ()
    golden: Tuple[Golden, ...] = ()
    golden_engine: str = ""
    golden_tolerance: float = 0.0
    golden_tolerances: Tuple[float, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


def pack_array(array: np.ndarray[Any, Any]) -> GoldenArray:
    """Return `array` in the manifest's form."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return GoldenArray(
        dtype=array.dtype.name, shape=tuple(array.shape), data=base64.b64encode(little.tobytes()).decode("ascii")
    )


def unpack_array(packed: GoldenArray) -> np.ndarray[Any, Any]:
    """Return the array of a packed one.

    Raises:
        ConfigError: The bytes do not fit the shape.
    """
    raw = base64.b64decode(packed.data)
    try:
        array = np.frombuffer(raw, dtype=np.dtype(packed.dtype).newbyteorder("<")).reshape(packed.shape)
    except ValueError as error:
        raise ConfigError(f"a golden array of shape {packed.shape} holds {len(raw)} bytes of {packed.dtype}") from error
    return array.astype(packed.dtype)


def to_json(manifest: Manifest) -> str:
    """Return the manifest as compact JSON with sorted keys: the same manifest gives the same bytes."""
    document: Dict[str, Any] = {"schema": SCHEMA}
    document.update(codec.encode(manifest))
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def from_json(text: str, *, where: str) -> Manifest:
    """Parse a manifest.

    Args:
        text: The JSON.
        where: The file it was read from, for messages.

    Raises:
        UnsupportedModelError: It is not a manifest, or of a newer schema.
    """
    try:
        document = dict(json.loads(text))
        schema = document.pop("schema", None)
        if schema != SCHEMA:
            raise UnsupportedModelError(
                f"{where}: manifest schema is {schema!r}, expected '{SCHEMA}'", hint="upgrade edgecv"
            )
        return codec.decode(Manifest, document, where=f"manifest of {where}")
    except (ValueError, TypeError, ConfigError) as error:
        raise UnsupportedModelError(f"{where}: its edgecv manifest cannot be read: {error}") from error
