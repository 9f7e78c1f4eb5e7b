"""What published files leave open about a whole file on an Edge TPU: whether it compiles, and how much it stores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from edgecv.graphs import Graph, Op, constant
from edgecv.targets.edgetpu_memory import shared_weights, softmax_table_bytes
from edgecv.targets.edgetpu_rules import Doubt, activations
from edgecv.targets.table import limit
from edgecv.values.profiles import TargetProfile


def whole_file_doubts(graph: Graph, mapped: Sequence[Op], profile: TargetProfile) -> tuple[Doubt, ...]:
    """Return what may make the compiler fail on the whole file, by what is known of files that did compile."""
    found = (_unseen_size(graph, mapped, profile), _one_sided_pad(graph, mapped))
    return tuple(doubt for doubt in found if doubt is not None)


def _unseen_size(graph: Graph, mapped: Sequence[Op], profile: TargetProfile) -> Doubt | None:
    largest = max((t.elements for op in mapped for t in activations(graph, op)), default=0)
    seen = int(limit(profile, "activation_elements_mapped"))
    if largest <= seen:
        return None
    return Doubt(
        reason=f"the largest tensor has {largest:,} elements, more than in any file that was seen compiled ({seen:,}): "
        "the compiler may fail due to large activation tensors"
    )


def _one_sided_pad(graph: Graph, mapped: Sequence[Op]) -> Doubt | None:
    """Doubt a file in which a PAD of one side is added to something: both sides map, and PAD before convolutions.

    Source: https://github.com/google-coral/edgetpu/issues/690, and files of one side that did not compile; which side
    fails is not known.
    """
    added = {index for op in mapped if op.op == "ADD" for index in op.inputs}
    for op in mapped:
        if op.op == "PAD" and added & set(op.outputs) and _pads_one_side(graph, op):
            return Doubt(
                reason=f"PAD (operator {op.index}) pads one side only, and its result goes straight into an ADD: the "
                "compiler was seen to fail on whole files with this; pad both sides, or pad before a convolution"
            )
    return None


def _pads_one_side(graph: Graph, op: Op) -> bool:
    if not graph.tensors[op.inputs[1]].is_constant:
        return False
    return any((before > 0) != (after > 0) for before, after in constant(graph, op.inputs[1]).reshape(-1, 2))


def parameter_notes(graph: Graph, mapped: Sequence[Op], profile: TargetProfile) -> Iterator[str]:
    """Yield what the predicted bytes of the weights do not hold, though it was seen."""
    table = softmax_table_bytes(graph, mapped, profile)
    if table:
        yield (
            f"compilers from July 2021 on (16.0) add a table of about {table:,} bytes for SOFTMAX over a count that is "
            "no multiple of 16; parameter_bytes leaves it out, since earlier ones add none"
        )
    for op, channels in _uneven_flattens(graph, mapped):
        yield (
            f"{op.op} (operator {op.index}) reads a flattened map of {channels} channels, no multiple of 4: the one "
            "published file of this kind stores about six times the predicted bytes for such a layer"
        )
    shared = shared_weights(graph, mapped)
    if shared:
        more = limit(profile, "shared_weights_extra")
        yield (
            f"{sum(shared.values())} operators share {len(shared)} sets of weights: published detection heads of this "
            f"kind store about {more:.1%} more than predicted"
        )


def _uneven_flattens(graph: Graph, mapped: Sequence[Op]) -> Iterator[tuple[Op, int]]:
    """Yield the fully connected layers on a flattened map whose channels are no multiple of 4, with these."""
    made_by = {index: op for op in graph.ops for index in op.outputs}
    for op in mapped:
        if op.op != "FULLY_CONNECTED":
            continue
        source = made_by.get(op.inputs[0])
        flattened = source is not None and source.op == "RESHAPE"
        shape = graph.tensors[source.inputs[0] if source is not None and flattened else op.inputs[0]].shape
        if len(shape) >= 3 and math.prod(shape[:-1]) > 1 and shape[-1] % 4:
            yield op, shape[-1]
