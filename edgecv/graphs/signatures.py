"""What a .tflite's signature calls its inputs and outputs; interpreters that know signatures order by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgecv.core import files
from edgecv.graphs.tflite import read_tflite, schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The first signature of a file: names to indices of tensors of its first subgraph, in its own order."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


def signature(path: files.PathLike) -> Signature:
    """Return a file's first signature; of one without, what interpreters make up: the names of its tensors.

    Raises:
        ConfigError, UnsupportedModelError: As `read_tflite`.
    """
    data = files.read_bytes(path, what="model")
    graph = read_tflite(data)
    model = schema().Model.GetRootAs(data)
    if model.SignatureDefsLength():
        found = schema().SignatureDefT.InitFromObj(model.SignatureDefs(0))
        return Signature(
            inputs={one.name.decode(): int(one.tensorIndex) for one in found.inputs or ()},
            outputs={one.name.decode(): int(one.tensorIndex) for one in found.outputs or ()},
        )
    return Signature(
        inputs={graph.tensors[index].name: index for index in graph.inputs},
        outputs={graph.tensors[index].name: index for index in graph.outputs},
    )
