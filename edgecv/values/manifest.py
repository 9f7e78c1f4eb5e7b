"""The manifest that travels inside every artifact: contract, provenance, name map, golden vectors.

In a `.tflite` it is the metadata buffer named `edgecv`, in an `.onnx` the `metadata_props` entry `edgecv`, in a
`.keras` archive the member `edgecv.json`: plain JSON each time, so any tool can read it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

from edgecv.core import codec
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.values.specs import Format, Method, ModelSpec, Scheme, upgraded

KEY = "edgecv"
SCHEMA = "edgecv.manifest/2"
SCHEMA_1 = "edgecv.manifest/1"
SAMPLED = 1024
"""Values of one output that golden vectors keep at the most: maps are kept as samples and a digest."""


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
class GoldenOutput:
    """What a file answered at one output: every value, or samples of a large one.

    Attributes:
        name: Of the output.
        shape: Without the batch.
        values: float32, dequantised: all in C order, or those at `sampled_positions`.
        sha256: Of all values as little-endian float32, so that an equal answer is known to be equal as a whole.
    """

    name: str
    shape: Tuple[int, ...]
    values: GoldenArray
    sha256: str


@dataclass(frozen=True)
class Golden:
    """One golden vector: what a file took, and what it answered when it was made.

    Attributes:
        inputs: One per model input: a uint8 image, (H, W) or (H, W, 3), not yet preprocessed; float32 (N,) for
            feature vectors.
        outputs: One per model output, in the file's order.
    """

    inputs: Tuple[GoldenArray, ...]
    outputs: Tuple[GoldenOutput, ...]


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
        ConfigError: The text is no base64, the type no type of numbers, or the bytes do not fit the shape.
    """
    try:
        raw = base64.b64decode(packed.data)
        dtype = np.dtype(packed.dtype)
        if dtype.kind not in "biuf" or min(packed.shape, default=0) < 0:
            raise ValueError("not numbers of a shape")
        array = np.frombuffer(raw, dtype=dtype.newbyteorder("<")).reshape(packed.shape)
    except (ValueError, TypeError, OverflowError, SyntaxError) as error:
        raise ConfigError(
            f"an array of type {packed.dtype!r} and shape {packed.shape} cannot be read: {error}",
            hint="the file is damaged: make it again with edgecv convert",
        ) from error
    return array.astype(dtype)


def pack_output(name: str, values: np.ndarray[Any, Any]) -> GoldenOutput:
    """Return an output, float32 without the batch, in the manifest's form; a large one as samples and a digest."""
    flat = np.ascontiguousarray(values, dtype="<f4").reshape(-1)
    digest = hashlib.sha256(flat.tobytes()).hexdigest()
    kept = flat[sampled_positions(flat.size)]
    return GoldenOutput(name=name, shape=tuple(values.shape), values=pack_array(kept), sha256=digest)


def sampled_positions(size: int) -> np.ndarray[Any, Any]:
    """Return which of `size` values a golden output keeps: all of a small one, else about `SAMPLED`, spread evenly.

    Multiples of 2^32 / golden ratio modulo the size: fixed on every platform and numpy, without a stride that could
    fall on one channel. Source: Knuth, The Art of Computer Programming, volume 3, section 6.4, Fibonacci hashing.
    """
    if size <= SAMPLED:
        return np.arange(size)
    return np.unique(np.arange(SAMPLED, dtype=np.uint64) * np.uint64(0x9E3779B1) % np.uint64(size)).astype(np.int64)


def to_json(manifest: Manifest) -> str:
    """Return the manifest as compact JSON with sorted keys: the same manifest gives the same bytes."""
    document: Dict[str, Any] = {"schema": SCHEMA}
    document.update(codec.encode(manifest))
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def from_json(text: str, *, where: str, outputs: Sequence[str] = ()) -> Manifest:
    """Parse a manifest.

    Args:
        text: The JSON.
        where: The file it was read from, for messages.
        outputs: Names of a keras model's outputs, in order, for a manifest of schema 1, which does not know them.

    Raises:
        UnsupportedModelError: It is not a manifest, or of a newer schema.
    """
    try:
        document = dict(json.loads(text))
        schema = document.pop("schema", None)
        if schema not in (SCHEMA, SCHEMA_1):
            raise UnsupportedModelError(
                f"{where}: manifest schema is {schema!r}, expected '{SCHEMA}'", hint="upgrade edgecv"
            )
        current = document if schema == SCHEMA else _upgraded(document, outputs)
        return codec.decode(Manifest, current, where=f"manifest of {where}")
    except (ValueError, TypeError, AttributeError, KeyError, ConfigError) as error:
        raise UnsupportedModelError(f"{where}: its edgecv manifest cannot be read: {error}") from error


def _upgraded(document: Mapping[str, Any], outputs: Sequence[str]) -> Dict[str, Any]:
    """Return a manifest's document of schema 1 in today's form: heads were bound by place, one input, whole outputs."""
    names = [info["name"] for info in document.get("outputs", ())] or list(outputs)
    golden = [
        {
            "inputs": [vector["image"]],
            "outputs": [_upgraded_output(output, names, place) for place, output in enumerate(vector["outputs"])],
        }
        for vector in document.get("golden", ())
    ]
    return {**document, "spec": upgraded(document["spec"], names), "golden": golden}


def _upgraded_output(packed: Mapping[str, Any], names: Sequence[str], place: int) -> Dict[str, Any]:
    name = names[place] if place < len(names) else str(place)
    values = unpack_array(GoldenArray(packed["dtype"], tuple(packed["shape"]), packed["data"]))
    found: Dict[str, Any] = codec.encode(pack_output(name, values))
    return found
