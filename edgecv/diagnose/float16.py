"""Whether a model's activations fit into float16, in which GPUs compute: beyond 65504 they become infinite there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from edgecv.core.errors import DataError
from edgecv.core.progress import QUIET, Reporter
from edgecv.diagnose.all_tensors import AllTensors
from edgecv.graphs import Graph
from edgecv.modelio.model_file import ModelFile, model_file
from edgecv.values.inspection import Float16Audit, Float16Tensor

LIMIT = 65504.0
"""Largest finite float16. Source: IEEE 754-2019, binary16."""

MARGIN = 4.0
"""A tensor is near the limit when its largest value is above the limit over this: two powers of two of headroom."""


def audit_float16(
    file: Path,
    inputs: Iterable[Sequence[np.ndarray]],
    *,
    margin: float = MARGIN,
    source: str = "",
    reporter: Reporter = QUIET,
) -> Float16Audit:
    """Run a model on the CPU in float32 and list the tensors that come near float16's limit.

    What operators keep to themselves (sums inside a convolution or a mean) is not seen.

    Args:
        file: A `.tflite`.
        inputs: Preprocessed samples, a float32 tensor with batch 1 for each input of the file.
        margin: At least 1; see `MARGIN`.
        source: What the samples are, for the result.

    Raises:
        DataError: There are no inputs.
        UnsupportedModelError: The file is damaged; CrashError: it ends the process that runs it.
    """
    opened = model_file(file)
    graph = opened.graph
    largest = dict.fromkeys(_activations(graph), 0.0)
    count = 0
    with AllTensors(opened.path) as interpreter:
        for sample in inputs:
            interpreter.run(sample)
            count += 1
            for index, value in zip(largest, interpreter.magnitudes(tuple(largest)), strict=True):
                largest[index] = max(largest[index], value)
    if not count:
        raise DataError("there is nothing to run the model on", hint="give a data set with samples")
    found = [found for found in _named(opened, largest) if found.largest > LIMIT / margin]
    top = max(largest.values(), default=0.0)
    if found:
        reporter.warn(describe(found[0], len(found)))
    return Float16Audit(samples=count, source=source, margin=margin, largest=top, near=tuple(found))


def describe(worst: Float16Tensor, count: int) -> str:
    """Return the sentence about tensors near the limit, worst first."""
    what = "overflows float16 (65504) and is infinite there" if worst.overflows else "comes near float16's 65504"
    others = f", and {count - 1} more" if count > 1 else ""
    reached = f"layer '{worst.layer}' ({worst.op}) reaches {worst.largest:.4g}"
    return f"{reached}, which {what}{others}: use --precision float32"


def _activations(graph: Graph) -> list[int]:
    """Return the tensors that operators write and whose values are real numbers."""
    written = [index for op in graph.ops for index in op.outputs if index >= 0]
    return [i for i in written if graph.tensors[i].dtype in ("float32", "float16") or graph.tensors[i].scales]


def _named(file: ModelFile, largest: dict[int, float]) -> list[Float16Tensor]:
    graph, layers = file.graph, file.layers
    made_by = {index: op for op in graph.ops for index in op.outputs}
    found = [
        Float16Tensor(
            layer=layers[made_by[index].index],
            op=made_by[index].op,
            index=made_by[index].index,
            largest=value,
            overflows=value > LIMIT,
        )
        for index, value in largest.items()
    ]
    return sorted(found, key=lambda tensor: -tensor.largest)
