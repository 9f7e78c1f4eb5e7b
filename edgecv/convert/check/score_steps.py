"""Whether a quantised file keeps its scores: boxes in one tensor with them take their steps."""

from __future__ import annotations

from collections.abc import Iterator

from edgecv.graphs import Graph, joined_outputs, output_steps
from edgecv.tasks import coarse
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_outputs
from edgecv.values.specs import ModelSpec


def lost_scores(graph: Graph, spec: ModelSpec | None = None) -> tuple[str, ...]:
    """Return a sentence for each output whose scores have too few quantisation steps; nothing for float files.

    Args:
        graph: Any file's: an output that a concatenation makes of probabilities and of larger values is found without
            a contract.
        spec: The contract, if there is one: it says too what no operator tells.

    Raises:
        UnsupportedModelError: The contract does not fit the file.
    """
    found = {one.place: one for one in joined_outputs(graph) if coarse.is_coarse(one.step)}
    return (
        *(coarse.sentence(one.output, one.step) for one in found.values()),
        *(_by_contract(graph, spec, frozenset(found)) if spec is not None else ()),
    )


def _by_contract(graph: Graph, spec: ModelSpec, told: frozenset[int]) -> Iterator[str]:
    tensors, steps = [graph.tensors[index] for index in graph.outputs], output_steps(graph)
    for head, places in zip(spec.heads, bind_outputs(spec, [one.name for one in tensors], graph.where), strict=True):
        if told.isdisjoint(places):
            shapes = [tensors[place].shape for place in places]
            text = task_of(head).too_coarse(head, shapes, [steps[place] for place in places])
            if text:
                yield text
