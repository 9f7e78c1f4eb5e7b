"""Read-only views of model files: operators, tensors, constants, partitions, memory."""

from edgecv.graphs.arena import arena_bytes
from edgecv.graphs.ir import Graph, Op, Tensor, constant
from edgecv.graphs.joined import Joined, ends_in, joined_outputs, output_steps
from edgecv.graphs.macs import macs
from edgecv.graphs.malformed import naming_operators
from edgecv.graphs.onnx import read_onnx
from edgecv.graphs.partition import Subset, partition
from edgecv.graphs.reading import read_graph
from edgecv.graphs.sparsity import Rows, compressed
from edgecv.graphs.tflite import read_tflite

__all__ = [
    "Graph",
    "Joined",
    "Op",
    "Rows",
    "Subset",
    "Tensor",
    "arena_bytes",
    "compressed",
    "constant",
    "ends_in",
    "joined_outputs",
    "macs",
    "naming_operators",
    "output_steps",
    "partition",
    "read_graph",
    "read_onnx",
    "read_tflite",
]
