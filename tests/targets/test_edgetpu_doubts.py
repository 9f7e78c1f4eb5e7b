"""What later published files leave open about a whole file: one small model for each."""

from __future__ import annotations

import numpy as np
import pytest

from tests.graphs.tiny import N, Net, T, constant, options


def padded(before_after, then: str) -> Net:
    """A PAD of (1, 8, 8, 4) whose result an ADD, a convolution or a ReLU takes."""
    after = tuple(size + sum(pads) for size, pads in zip((1, 8, 8, 4), before_after, strict=True))
    tensors = {"x": T((1, 8, 8, 4)), "p": constant(before_after), "padded": T(after), "y": T(after)}
    first = N("PAD", ["x", "p"], ["padded"], None, 2)
    if then == "ADD":
        tensors["other"] = T(after)
        return Net(
            tensors, [first, N("ADD", ["other", "padded"], ["y"], options("AddOptions"), 2)], inputs=["x", "other"]
        )
    if then == "RELU":
        return Net(tensors, [first, N("RELU", ["padded"], ["y"], None, 2)])
    tensors |= {
        "w": T((4, 1, 1, 4), "int8", 0.1, np.ones((4, 1, 1, 4), np.int8)),
        "b": T((4,), "int32", 0.1, np.zeros(4, np.int32)),
    }
    plain = options("Conv2DOptions", strideW=1, strideH=1, dilationWFactor=1, dilationHFactor=1)
    return Net(tensors, [first, N("CONV_2D", ["padded", "w", "b"], ["y"], plain, 3)])


NONE, ONE, BOTH = [0, 0], [0, 1], [1, 1]


@pytest.mark.parametrize("pads", [[NONE, ONE, NONE, NONE], [NONE, [1, 0], NONE, NONE], [NONE, NONE, [2, 0], NONE]])
def test_a_pad_of_one_side_into_an_addition_leaves_the_file_open(judge, pads) -> None:
    found = judge(padded(pads, "ADD"))
    assert found.n_mapped == 2
    assert {op.certainty for op in found.ops} == {"unknown"}
    assert any("one side" in note for note in found.notes)


@pytest.mark.parametrize(
    ("pads", "then"),
    [
        ([NONE, BOTH, BOTH, NONE], "ADD"),
        ([NONE, ONE, ONE, NONE], "CONV_2D"),
        ([NONE, ONE, NONE, NONE], "RELU"),
    ],
)
def test_other_pads_leave_nothing_open(judge, pads, then) -> None:
    found = judge(padded(pads, then))
    assert found.n_mapped == 2
    assert "unknown" not in {op.certainty for op in found.ops}


@pytest.mark.parametrize(("elements", "certainty"), [(12_656_736, "likely"), (12_656_737, "unknown")])
def test_larger_activations_than_any_that_was_seen_are_open(judge, elements, certainty) -> None:
    net = Net({"x": T((1, 1, elements)), "y": T((1, 1, elements))}, [N("RELU", ["x"], ["y"], None, 2)])
    assert judge(net).ops[0].certainty == certainty


def test_enlarging_to_the_size_that_was_seen_is_certain(judge) -> None:
    tensors = {"x": T((1, 80, 80, 32)), "s": constant([160, 160]), "y": T((1, 160, 160, 32))}  # 819,200 bytes
    net = Net(tensors, [N("RESIZE_NEAREST_NEIGHBOR", ["x", "s"], ["y"], None, 3)])
    assert (judge(net).n_mapped, judge(net).ops[0].certainty) == (1, "certain")


@pytest.mark.parametrize(("classes", "table"), [(10, "576"), (1001, "48,256"), (16, None), (1008, None)])
def test_the_newest_compilers_table_for_softmax_is_told(judge, classes, table) -> None:
    net = Net({"x": T((1, classes)), "y": T((1, classes))}, [N("SOFTMAX", ["x"], ["y"], None, 2)])
    found = judge(net)
    told = [note for note in found.notes if "SOFTMAX" in note]
    assert len(told) == (table is not None)
    assert table is None or f"about {table} bytes" in told[0]
    assert found.parameter_bytes.on_chip == 0  # older compilers add none


def flattened(channels: int, side: int = 6) -> Net:
    size = side * side * channels
    tensors = {
        "x": T((1, side, side, channels)), "flat": T((1, size)), "s": constant([1, size]), "y": T((1, 10)),
        "w": T((10, size), "int8", 0.1, np.ones((10, size), np.int8)),
        "b": T((10,), "int32", 0.1, np.zeros(10, np.int32)),
    }  # fmt: skip
    dense = N("FULLY_CONNECTED", ["flat", "w", "b"], ["y"], options("FullyConnectedOptions"), 4)
    return Net(tensors, [N("RESHAPE", ["x", "s"], ["flat"], options("ReshapeOptions")), dense])


@pytest.mark.parametrize(
    ("channels", "side", "open_"), [(114, 6, True), (64, 6, False), (164, 6, False), (114, 1, False)]
)
def test_a_flattened_map_of_uneven_channels_may_store_more(judge, channels, side, open_) -> None:
    found = judge(flattened(channels, side))
    assert found.n_mapped == 2
    assert any("six times" in note for note in found.notes) == open_


def heads(shared: bool) -> Net:
    """Two levels with a convolution each, of the same weights or not."""

    def weights() -> T:
        return T((4, 1, 1, 4), "int8", 0.1, np.ones((4, 1, 1, 4), np.int8))

    plain = options("Conv2DOptions", strideW=1, strideH=1, dilationWFactor=1, dilationHFactor=1)
    tensors = {
        "x": T((1, 8, 8, 4)), "z": T((1, 4, 4, 4)), "w": weights(), "v": weights(), "y": T((1, 8, 8, 4)),
        "u": T((1, 4, 4, 4)), "b": T((4,), "int32", 0.1, np.zeros(4, np.int32)),
    }  # fmt: skip
    ops = [N("CONV_2D", ["x", "w", "b"], ["y"], plain, 3)]
    ops.append(N("CONV_2D", ["z", "w" if shared else "v", "b"], ["u"], plain, 3))
    return Net(tensors, ops, inputs=["x", "z"], outputs=["y", "u"])


@pytest.mark.parametrize("shared", [True, False])
def test_heads_that_share_weights_store_somewhat_more(judge, shared) -> None:
    told = [note for note in judge(heads(shared)).notes if "share" in note]
    assert len(told) == shared
    assert not shared or "2 operators share 1 sets of weights" in told[0]
    assert not shared or "3.4% more" in told[0]
