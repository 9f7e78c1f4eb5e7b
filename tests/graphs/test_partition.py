from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.graphs import Graph, Op, Tensor, partition


def graph_of(edges: list[tuple[tuple[int, ...], int]]) -> Graph:
    """One operator per entry: tensors it reads, tensor it writes."""
    count = 1 + max(t for inputs, output in edges for t in (*inputs, output))
    tensors = tuple(
        Tensor(index=i, name="", shape=(1,), shape_signature=(1,), dtype="int8", is_constant=False, size_bytes=1)
        for i in range(count)
    )
    ops = tuple(Op(index=i, op="A", version=1, inputs=e[0], outputs=(e[1],)) for i, e in enumerate(edges))
    return Graph(format="tflite", ops=ops, tensors=tensors, inputs=(0,), outputs=(count - 1,))


def parts(graph: Graph, supported: set[int]) -> list[tuple[bool, tuple[int, ...]]]:
    return [(p.supported, p.ops) for p in partition(graph, supported)]


CHAIN = graph_of([((0,), 1), ((1,), 2), ((2,), 3), ((3,), 4)])


def test_chain_is_cut_at_the_unsupported_operator() -> None:
    assert parts(CHAIN, {0, 1, 3}) == [(True, (0, 1)), (False, (2,)), (True, (3,))]


def test_leading_unsupported_operator_does_not_block() -> None:
    assert parts(CHAIN, {1, 2, 3}) == [(False, (0,)), (True, (1, 2, 3))]


def test_independent_branch_after_an_unsupported_operator_joins_the_first_part() -> None:
    # 0 -> 1(unsupported); 0 -> 2 -> 3: "everything after the first unsupported one" would lose 2 and 3.
    branches = graph_of([((0,), 1), ((1,), 2), ((1,), 3), ((3,), 4)])
    assert parts(branches, {0, 2, 3})[0] == (True, (0, 2, 3))


def test_optional_inputs_and_later_producers_are_respected() -> None:
    out_of_order = graph_of([((2, -1), 3), ((0,), 2)])
    assert parts(out_of_order, {0, 1}) == [(True, (1, 0))]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_parts_cover_the_graph_and_respect_dependencies(data) -> None:
    n = data.draw(st.integers(1, 12))
    edges = [(tuple(data.draw(st.lists(st.integers(0, i), min_size=1, max_size=3))), i + 1) for i in range(n)]
    supported = set(data.draw(st.sets(st.integers(0, n - 1))))
    graph = graph_of(edges)
    found = partition(graph, supported)
    order = [i for part in found for i in part.ops]
    assert sorted(order) == list(range(n))
    assert all((i in supported) == part.supported for part in found for i in part.ops)
    ready = {0}
    for i in order:
        assert set(graph.ops[i].inputs) <= ready
        ready.add(i + 1)
    assert all(a.supported != b.supported for a, b in zip(found, found[1:]))
