"""Multiply-accumulates of operators, by hand."""

import pytest

from edgecv.graphs import Graph, Op, Tensor, macs


@pytest.mark.parametrize(
    ("kind", "shapes", "options", "expected"),
    [
        ("CONV_2D", ((1, 8, 8, 3), (16, 3, 3, 3), (1, 4, 4, 16)), {}, 4 * 4 * 16 * 27),
        ("DEPTHWISE_CONV_2D", ((1, 8, 8, 6), (1, 5, 5, 6), (1, 8, 8, 6)), {}, 8 * 8 * 6 * 25),
        ("CONV_3D", ((1, 4, 8, 8, 2), (3, 3, 3, 2, 5), (1, 4, 8, 8, 5)), {}, 4 * 8 * 8 * 5 * 54),
        ("FULLY_CONNECTED", ((1, 9, 32), (10, 32), (1, 9, 10)), {}, 9 * 10 * 32),
        ("BATCH_MATMUL", ((1, 2, 9, 16), (1, 2, 16, 7), (1, 2, 9, 7)), {}, 2 * 9 * 7 * 16),
        ("BATCH_MATMUL", ((1, 2, 16, 9), (1, 2, 16, 7), (1, 2, 9, 7)), {"adj_x": True}, 2 * 9 * 7 * 16),
        ("RELU", ((1, 8), (1, 8), (1, 8)), {}, 0),
    ],
)
def test_by_hand(kind, shapes, options, expected):
    graph, op = one(kind, shapes, options)
    assert macs(graph, op) == expected


def test_each_pixel_of_a_transposed_convolution_meets_the_whole_kernel():
    graph, op = one("TRANSPOSE_CONV", ((4,), (6, 3, 3, 2), (1, 5, 5, 2), (1, 10, 10, 6)), {})
    assert macs(graph, op) == 5 * 5 * 2 * 6 * 9


def one(kind, shapes, options):
    tensors = tuple(
        Tensor(
            index=place, name=str(place), shape=shape, shape_signature=shape, dtype="float32", is_constant=False,
            size_bytes=0,
        )
        for place, shape in enumerate(shapes)
    )  # fmt: skip
    last = len(shapes) - 1
    op = Op(index=0, op=kind, version=1, inputs=tuple(range(last)), outputs=(last,), options=options)
    return Graph(format="tflite", ops=(op,), tensors=tensors, inputs=(0,), outputs=(last,)), op
