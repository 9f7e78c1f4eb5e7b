"""A model file that is opened once and handed on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edgecv.core.errors import ConfigError
from edgecv.core.files import PathLike
from edgecv.graphs import Graph, read_graph
from edgecv.graphs.layers import layer_names
from edgecv.modelio import contents
from edgecv.runtime.container import read_manifest, sniff
from edgecv.values.manifest import Manifest

KERAS_SUFFIXES = frozenset({".keras", ".h5", ".hdf5"})

QUANTISING = frozenset({
    "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul",
    "QuantizeLinear",
})  # fmt: skip
"""Operators that only quantised .onnx files have."""


# Not slotted: cached_property keeps what was read in the instance.
@dataclass(frozen=True)
class ModelFile:
    """A model file: its format, its manifest and its graph, each read when it is asked for, and once.

    Attributes:
        path: A `.tflite`, an `.onnx`, or a keras model: `.keras`, `.h5`, or the folder of a SavedModel.
    """

    path: Path

    @property
    def name(self) -> str:
        """Its name without the folder."""
        return self.path.name

    @property
    def is_keras(self) -> bool:
        """Whether it is a keras model, by its content; what cannot be read is judged by its name."""
        return self.path.suffix in KERAS_SUFFIXES or contents.is_keras(self.path)

    @cached_property
    def format(self) -> str:
        """One of "tflite", "onnx" and "keras", by its first bytes. Raises as `sniff` does."""
        return "keras" if self.is_keras else sniff(self.path)

    @cached_property
    def manifest(self) -> Manifest | None:
        """What it says of itself; None when it says nothing. Raises as `read_manifest` does."""
        return None if contents.kind_of(self.path) in ("folder", "hdf5") else read_manifest(self.path)

    @property
    def required_manifest(self) -> Manifest:
        """Its manifest. Raises ConfigError when it has none."""
        if self.manifest is None:
            raise ConfigError(
                f"{self.path} carries no manifest: edgecv did not write it", hint="make it with edgecv convert"
            )
        return self.manifest

    @cached_property
    def graph(self) -> Graph:
        """Its operators and tensors. Raises as `read_graph` does; keras models have none."""
        return read_graph(self.path)

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The source layer of each operator, "" where none is known."""
        return layer_names(self.graph, self.manifest.layer_map if self.manifest else ())

    @property
    def is_float_graph(self) -> bool:
        """Whether it is a graph of operators without quantised tensors. Raises as `read_graph` does."""
        if self.is_keras or self.format not in ("tflite", "onnx"):
            return False
        kinds = {op.op for op in self.graph.ops}
        return not any(tensor.scales for tensor in self.graph.tensors) and not kinds & QUANTISING

    @property
    def takes_channels_first(self) -> bool:
        """Whether it is a graph that takes images as PyTorch does, by the shapes of its inputs."""
        if self.is_keras or self.format not in ("tflite", "onnx"):
            return False
        shapes = [self.graph.tensors[index].shape for index in self.graph.inputs]
        return any(len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3) for shape in shapes)

    @property
    def input_names(self) -> list[str]:
        """Names of the graph's inputs, in order."""
        return [self.graph.tensors[index].name for index in self.graph.inputs]


def model_file(file: ModelFile | PathLike) -> ModelFile:
    """Return a file as one that is open: what came in, when it is."""
    return file if isinstance(file, ModelFile) else ModelFile(Path(file))
