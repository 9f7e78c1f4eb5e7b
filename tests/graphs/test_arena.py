from __future__ import annotations

import numpy as np
import pytest

from edgecv.graphs import arena_bytes, read_tflite
from tests.graphs.tiny import N, Net, T, build, constant, options


def chain(*sizes: int) -> Net:
    """PAD after PAD, from each size to the next: no scratch memory, nothing done in place."""
    tensors: dict[str, T] = {f"t{i}": T((1, size), "float32", None) for i, size in enumerate(sizes)}
    ops = []
    for i, (before, after) in enumerate(zip(sizes, sizes[1:])):
        tensors[f"p{i}"] = constant([[0, 0], [0, after - before]])
        ops.append(N("PAD", [f"t{i}", f"p{i}"], [f"t{i + 1}"], options("PadOptions")))
    return Net(tensors, ops, ["t0"], [f"t{len(sizes) - 1}"])


def test_hand_planned_chain() -> None:
    # Input (64 B), output (1024 B) and t2 (512 B) are alive at the last operator; t1 fits where the output will be.
    assert arena_bytes(read_tflite(build(chain(16, 64, 128, 256)))) == 64 + 1024 + 512


def test_dead_tensors_place_is_used_again() -> None:
    # The output (384 B) takes t2's place (256 B), t3 (320 B) takes t1's (128 B).
    assert arena_bytes(read_tflite(build(chain(16, 32, 64, 80, 96)))) == 64 + 384 + 320


def test_reshape_shares_its_input() -> None:
    net = chain(16, 64, 128)
    net.tensors["r"] = T((1, 8, 8), "float32", None)
    net.tensors["s"] = constant([1, 8, 8])
    net.tensors["b"] = T((1, 64), "float32", None)
    net.tensors["s2"] = constant([1, 64])
    pad = net.ops.pop()
    pad.inputs[0] = "b"
    reshape = options("ReshapeOptions")
    net.ops += [N("RESHAPE", ["t1", "s"], ["r"], reshape), N("RESHAPE", ["r", "s2"], ["b"], reshape), pad]
    assert arena_bytes(read_tflite(build(net))) == 64 + 512 + 256


def test_unknown_size_gives_none() -> None:
    net = Net({"x": T((1, 4)), "y": T((0, 4))}, [N("TANH", ["x"], ["y"])])
    assert arena_bytes(read_tflite(build(net))) is None


@pytest.mark.parametrize("sizes", [(16, 64, 128, 256), (16, 32, 64, 80, 96), (4, 100, 101, 300, 301, 500)])
def test_agrees_with_the_interpreters_addresses(sizes) -> None:
    module = pytest.importorskip("ai_edge_litert.interpreter")
    data = build(chain(*sizes))
    plain = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = module.Interpreter(model_content=data, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    graph = read_tflite(data)
    spans = []
    for tensor in graph.tensors:
        if not tensor.is_constant:
            array = interpreter.tensor(tensor.index)()
            start = array.__array_interface__["data"][0]
            spans.append((start, start + array.nbytes))
    used = max(end for _, end in spans) - min(start for start, _ in spans)
    assert arena_bytes(graph) == pytest.approx(used, abs=64)
    assert np.all([start % 64 == spans[0][0] % 64 for start, _ in spans])
