"""Every operator that is imported, against ONNX Runtime: many of them in one graph, an output each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecv.modelio.onnx import ImportedOnnx, import_onnx
from tests.modelio.onnx.graphs_by_hand import Branches


def check_imported(graph: Branches, folder: Path) -> ImportedOnnx:
    found = import_onnx(graph.written(folder / "net.onnx"), allow_difference=float("inf"))
    wrong = {one.output: one.relative for one in found.differences if not one.relative <= 1e-5}
    assert not wrong
    assert [one.output for one in found.differences] == graph.outputs
    return found


def test_windows(tmp_path: Path) -> None:
    g = Branches({"x": (1, 6, 13, 12)})
    bias = g.random(8)
    for shape, settings in (
        ((8, 6, 3, 3), {}),
        ((8, 6, 3, 3), {"pads": [1, 1, 1, 1]}),
        ((8, 6, 3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ((8, 6, 5, 3), {"pads": [0, 2, 1, 1], "strides": [1, 2]}),
        ((8, 6, 3, 3), {"pads": [2, 2, 2, 2], "dilations": [2, 2]}),
        ((8, 6, 3, 3), {"pads": [2, 2, 2, 2], "dilations": [2, 2], "strides": [2, 2]}),
        ((8, 3, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
        ((8, 6, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ((8, 6, 2, 2), {"auto_pad": "SAME_LOWER"}),
        ((8, 6, 2, 2), {"auto_pad": "VALID", "strides": [3, 3]}),
    ):
        g.ends(g.node("Conv", "x", g.random(*shape), bias, **settings))
    for shape, settings in (
        ((6, 1, 3, 3), {"group": 6, "pads": [1, 1, 1, 1]}),
        ((12, 1, 3, 3), {"group": 6, "pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ((6, 1, 3, 3), {"group": 6, "strides": [2, 1]}),
    ):
        g.ends(g.node("Conv", "x", g.random(*shape), **settings))
    for shape, settings in (
        ((6, 4, 2, 2), {"strides": [2, 2]}),
        ((6, 4, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ((6, 4, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
        ((6, 1, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1], "group": 6}),
        ((6, 4, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ((6, 4, 3, 3), {}),
        ((6, 4, 3, 3), {"dilations": [2, 3], "pads": [1, 0, 1, 2]}),
        ((6, 4, 3, 3), {"dilations": [2, 2], "strides": [2, 3], "output_padding": [1, 0]}),
        ((6, 4, 3, 3), {"strides": [3, 2], "output_padding": [2, 1]}),
        ((6, 4, 2, 2), {"strides": [3, 3], "output_padding": [1, 2], "pads": [1, 0, 0, 0]}),
        ((6, 2, 3, 3), {"strides": [3, 2], "output_shape": [40, 25], "group": 3}),
        ((6, 4, 3, 4), {"strides": [3, 2], "output_shape": [38, 23]}),
    ):
        g.ends(
            g.node("ConvTranspose", "x", g.random(*shape), g.random(shape[1] * settings.get("group", 1)), **settings)
        )
    check_imported(g, tmp_path)


def test_pools(tmp_path: Path) -> None:
    g = Branches({"x": (1, 3, 13, 12)})
    positive = g.node("Relu", "x")
    for given in ("x", positive):
        for settings in (
            {"kernel_shape": [2, 2], "strides": [2, 2]},
            {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
            {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
            {"kernel_shape": [4, 4], "strides": [3, 3], "pads": [2, 2, 2, 2]},
            {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]},
        ):
            g.ends(g.node("MaxPool", given, **settings))
    for settings in (
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1, "strides": [2, 2]},
        {"kernel_shape": [3, 3], "pads": [0, 1, 1, 0], "strides": [2, 2]},
        {"kernel_shape": [13, 12]},
    ):
        g.ends(g.node("AveragePool", "x", **settings))
    g.ends(g.node("GlobalAveragePool", "x"), g.node("GlobalMaxPool", "x"))
    check_imported(g, tmp_path)


def test_values_one_by_one(tmp_path: Path) -> None:
    g = Branches({"x": (1, 4, 5, 6)}, opset=20)
    plain = "Relu Sigmoid Tanh Softplus Softsign HardSwish Mish Exp Abs Neg Floor Ceil Sign Sin Cos Selu Celu Identity"
    g.ends(*(g.node(op, "x") for op in plain.split()))
    positive = g.node("Add", g.node("Abs", "x"), g.hold(0.5))
    g.ends(*(g.node(op, positive) for op in ("Sqrt", "Log", "Reciprocal")))
    g.ends(g.node("Elu", "x", alpha=0.7), g.node("LeakyRelu", "x", alpha=0.2), g.node("HardSigmoid", "x"))
    g.ends(g.node("HardSigmoid", "x", alpha=1 / 6, beta=0.5), g.node("HardSigmoid", "x", alpha=0.3, beta=0.4))
    g.ends(g.node("Gelu", "x"), g.node("Gelu", "x", approximate="tanh"), g.node("ThresholdedRelu", "x", alpha=0.2))
    for low, high in ((0.0, 6.0), (-0.5, 0.5), (0.0, 0.3)):
        g.ends(g.node("Clip", "x", g.hold(low), g.hold(high)))
    g.ends(g.node("Clip", "x", "", g.hold(0.2)), g.node("Clip", "x", g.hold(-0.2)))
    g.ends(g.node("PRelu", "x", g.random(4, 1, 1)), g.node("PRelu", "x", g.hold([0.3])))
    g.ends(g.node("Pow", "x", g.hold(2.0)), g.node("Pow", positive, g.hold(1.5)), g.node("Dropout", "x"))
    check_imported(g, tmp_path)


def test_arithmetic(tmp_path: Path) -> None:
    g = Branches({"x": (1, 4, 5, 6), "y": (1, 4, 5, 6)})
    maps, gates = g.node("Conv", "x", g.random(4, 4, 1, 1)), g.node("GlobalAveragePool", "y")
    for op in ("Add", "Sub", "Mul", "Div", "Max", "Min"):
        g.ends(g.node(op, "x", "y"), g.node(op, maps, gates))
        for constant in (g.hold(0.7), g.random(4, 1, 1), g.random(1, 4, 1, 1), g.random(5, 6), g.random(1, 4, 5, 6)):
            g.ends(g.node(op, maps, constant), g.node(op, constant, "x"))
    g.ends(g.node("Sum", "x", "y", maps), g.node("Mean", "x", "y"), g.node("Add", "x", "x"), g.node("Mul", maps, maps))
    less = g.node("Less", "x", g.hold(0.5))
    g.ends(g.node("Where", less, "x", "y"), g.node("Where", less, "x", g.hold(0.25)))
    check_imported(g, tmp_path)


def test_moves(tmp_path: Path) -> None:
    g = Branches({"x": (1, 6, 4, 8), "v": (1, 12)})
    maps = g.node("Conv", "x", g.random(6, 6, 1, 1))
    shapes = ((1, 6, 32), (1, -1), (0, 2, 3, 4, 8), (0, 0, -1), (1, 12, 4, 4), (1, 6, 8, 4), (2, 3, 4, 8), (1, 4, 6, 8))
    g.ends(*(g.node("Reshape", maps, g.hold(shape)) for shape in shapes))
    g.ends(*(g.node("Transpose", maps, perm=perm) for perm in ((0, 2, 3, 1), (0, 3, 1, 2), (0, 1, 3, 2))))
    g.ends(g.node("Flatten", maps), g.node("Flatten", maps, axis=2), g.node("Unsqueeze", "v", g.hold([2])))
    g.ends(g.node("Squeeze", g.node("GlobalAveragePool", maps), g.hold([2, 3])))
    g.ends(*(g.node("Concat", maps, "x", axis=axis) for axis in (1, 2, -1)), g.node("Concat", maps, maps, axis=1))
    g.ends(g.node("Concat", g.random(1, 1, 32), g.node("Reshape", maps, g.hold((1, 6, 32))), axis=1))
    g.ends(*g.node("Split", maps, g.hold([2, 4]), outputs=2, axis=1), *g.node("Split", "x", outputs=2, axis=3))
    for starts, ends, axes, steps in (
        ([1], [3], [1], [1]), ([0, 1], [-1, 7], [2, 3], [1, 1]), ([0], [2**31], [3], [2]), ([-1], [-9], [1], [-1]),
        ([1, 2], [5, 4], [1, 2], [1, 1]),
    ):  # fmt: skip
        g.ends(g.node("Slice", maps, *(g.hold(one) for one in (starts, ends, axes, steps))))
    g.ends(g.node("Gather", maps, g.hold(2), axis=1), g.node("Gather", maps, g.hold([3, 0, -1]), axis=2))
    g.ends(g.node("Gather", maps, g.hold([1, 2, 3]), axis=1))
    for pads, mode in (
        ([0, 0, 1, 2, 0, 0, 0, 1], "constant"), ([0, 1, 0, 0, 0, 1, 0, 0], "constant"),
        ([0, 0, 2, 1, 0, 0, 1, 2], "reflect"), ([0, 0, 2, 1, 0, 0, 1, 3], "edge"),
    ):  # fmt: skip
        g.ends(g.node("Pad", maps, g.hold(pads), mode=mode))
    g.ends(g.node("Pad", maps, g.hold([0, 0, 1, 1, 0, 0, 1, 1]), g.hold(-2.5)))
    g.ends(
        g.node("Expand", g.node("GlobalMaxPool", maps), g.hold((1, 6, 4, 8))),
        g.node("Tile", maps, g.hold([1, 1, 2, 1])),
    )
    g.ends(g.node("SpaceToDepth", maps, blocksize=2))
    wide = g.node("Conv", "x", g.random(8, 6, 1, 1))
    g.ends(g.node("DepthToSpace", wide, blocksize=2), g.node("DepthToSpace", wide, blocksize=2, mode="CRD"))
    check_imported(g, tmp_path)


def test_resizes(tmp_path: Path) -> None:
    g = Branches({"x": (1, 3, 6, 5)}, opset=13)
    for coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        for sizes in ((1, 3, 12, 10), (1, 3, 9, 13), (1, 3, 3, 5)):
            for mode in ("nearest", "linear", "cubic"):
                more = {"nearest_mode": "floor"} if coordinates == "asymmetric" else {}
                settings = {"mode": mode, "coordinate_transformation_mode": coordinates, **more}
                g.ends(g.node("Resize", "x", "", "", g.hold(sizes), **settings))
    g.ends(g.node("Resize", "x", "", g.hold([1.0, 1.0, 2.0, 3.0]), mode="nearest"))
    of_tensorflow = {"coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "floor"}
    old = Branches({"x": (1, 3, 6, 5)}, opset=12)
    for scales in ([1.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.5, 0.6]):
        old.ends(old.node("Resize", "x", old.hold([], np.float32), old.hold(scales), mode="nearest", **of_tensorflow))
    check_imported(old, tmp_path)
    check_imported(g, tmp_path)
    some = Branches({"x": (1, 3, 6, 5)}, opset=18)
    for axes, scales in (([2, 3], [2.0, 3.0]), ([3, 2], [3.0, 2.0]), ([-1], [1.7]), ([2], [2.0])):
        for mode in ("nearest", "linear"):
            some.ends(some.node("Resize", "x", "", some.hold(scales), mode=mode, axes=axes))
    for policy in ("not_larger", "not_smaller"):
        sizes = some.hold([12, 15])
        some.ends(some.node("Resize", "x", "", "", sizes, axes=[2, 3], keep_aspect_ratio_policy=policy, mode="linear"))
    check_imported(some, tmp_path)


def test_reductions_and_norms(tmp_path: Path) -> None:
    g = Branches({"x": (1, 4, 5, 6)}, opset=17)
    maps = g.node("Conv", "x", g.random(4, 4, 1, 1))
    for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceL1", "ReduceLogSumExp", "ReduceProd"):
        for axes, keep in (([2, 3], 1), ([2, 3], 0), ([1], 1), ([-1], 0)):
            g.ends(g.node(op, maps, axes=axes, keepdims=keep))
    g.ends(g.node("ReduceSum", maps, g.hold([1]), keepdims=0))
    g.ends(*(g.node("Softmax", maps, axis=axis) for axis in (1, 2, -1)), g.node("LogSoftmax", maps, axis=1))
    channels = [g.random(4), g.random(4), g.random(4), g.random(4, low=0.5)]
    g.ends(g.node("BatchNormalization", maps, *channels), g.node("InstanceNormalization", maps, *channels[:2]))
    for p in (1, 2):
        g.ends(g.node("LpNormalization", maps, axis=1, p=p), g.node("LpNormalization", maps, axis=-1, p=p))
    g.ends(g.node("LRN", maps, size=3, alpha=0.1), g.node("LayerNormalization", maps, g.random(6), g.random(6)))
    g.ends(g.node("LayerNormalization", maps, g.random(4, 5, 6), axis=1))
    turned = g.node("Transpose", maps, perm=[0, 2, 3, 1])
    g.ends(g.node("LayerNormalization", turned, g.random(4), g.random(4)))
    check_imported(g, tmp_path)


def test_places_of_the_largest(tmp_path: Path) -> None:
    g = Branches({"x": (1, 4, 5, 6)})
    whole = [g.node("ArgMax", "x", axis=1, keepdims=0), g.node("ArgMax", "x", axis=3), g.node("ArgMin", "x", axis=1)]
    g.ends(*(g.node("Cast", one, to=1) for one in whole))
    check_imported(g, tmp_path)


def test_products(tmp_path: Path) -> None:
    g = Branches({"x": (1, 4, 5, 6), "v": (1, 12)})
    maps = g.node("Conv", "x", g.random(4, 4, 1, 1))
    flat = g.node("Relu", g.node("Flatten", maps))
    g.ends(g.node("Gemm", flat, g.random(7, 120), g.random(7), transB=1), g.node("MatMul", flat, g.random(120, 3)))
    g.ends(g.node("Gemm", "v", g.random(12, 5), g.random(5), alpha=0.5, beta=2.0), flat)
    g.ends(g.node("Add", g.node("MatMul", maps, g.random(6, 3)), g.random(3)), g.node("MatMul", g.random(3, 5), maps))
    g.ends(g.node("MatMul", maps, g.node("Transpose", "x", perm=[0, 1, 3, 2])))
    check_imported(g, tmp_path)


def test_a_flattened_map_needs_no_transposition(tmp_path: Path) -> None:
    g = Branches({"x": (1, 4, 5, 6)})
    maps = g.node("Relu", g.node("Conv", "x", g.random(4, 4, 1, 1)))
    g.ends(g.node("Gemm", g.node("Flatten", maps), g.random(120, 3)))
    kinds = [type(layer).__name__ for layer in check_imported(g, tmp_path).model.layers]
    assert kinds == ["InputLayer", "Conv2D", "ReLU", "Flatten", "Dense"]


def test_a_convolution_in_front_of_larger_pixels_gives_its_channels_in_order(tmp_path: Path) -> None:
    g = Branches({"x": (1, 4, 5, 6)})
    wide = g.node("Conv", "x", g.random(12, 4, 1, 1), g.random(12))
    g.ends(g.node("DepthToSpace", wide, blocksize=2, mode="CRD"))
    layers = check_imported(g, tmp_path).model.layers
    assert [getattr(layer, "function", type(layer).__name__) for layer in layers[1:]] == ["Conv2D", "depth_to_space"]


@pytest.mark.parametrize("opset", [9, 12])
def test_older_forms(opset: int, tmp_path: Path) -> None:
    g = Branches({"x": (1, 4, 4, 6)}, opset=opset)
    g.ends(g.node("Unsqueeze", g.node("Squeeze", g.node("GlobalAveragePool", "x"), axes=[3]), axes=[3]))
    g.ends(g.node("ReduceSum", "x", axes=[2]), g.node("Softmax", g.node("GlobalAveragePool", "x"), axis=1))
    if opset == 9:
        g.ends(g.node("Upsample", "x", g.hold([1.0, 1.0, 2.0, 2.0]), mode="nearest"))
        g.ends(g.node("Upsample", "x", g.hold([1.0, 1.0, 2.0, 2.0]), mode="linear"))
        g.ends(g.node("Slice", "x", starts=[1], ends=[3], axes=[1]), g.node("Clip", "x", min=0.0, max=6.0))
        g.ends(g.node("Pad", "x", pads=[0, 0, 1, 1, 0, 0, 1, 1], value=0.0), *g.node("Split", "x", outputs=2, axis=1))
    check_imported(g, tmp_path)


def test_patterns(tmp_path: Path) -> None:
    g = Branches({"x": (1, 4, 4, 6)}, opset=13)

    def of(op: str, one: str, other: str | float) -> str:
        made: str = g.node(op, one, g.hold(other) if isinstance(other, float) else other)
        return made

    hard = of("Mul", "x", g.node("Clip", of("Add", "x", 3.0), g.hold(0.0), g.hold(6.0)))
    one = of("Add", g.node("Erf", of("Div", "x", 2.0**0.5)), 1.0)
    cube = of("Add", "x", of("Mul", of("Pow", "x", 3.0), 0.044715))
    two = of("Add", g.node("Tanh", of("Mul", cube, (2 / np.pi) ** 0.5)), 1.0)
    mean = g.node("ReduceMean", "x", axes=[-1])
    centred = g.node("Sub", "x", mean)
    root = g.node("Sqrt", of("Add", g.node("ReduceMean", of("Pow", centred, 2.0), axes=[-1]), 1e-5))
    norm = g.node("Add", g.node("Mul", g.node("Div", centred, root), g.random(6)), g.random(6))
    groups = g.node(
        "InstanceNormalization", g.node("Reshape", "x", g.hold((0, 2, -1))), g.hold([1.0, 1]), g.hold([0.0, 0])
    )
    grouped = g.node("Reshape", groups, g.hold((1, 4, 4, 6)))
    g.ends(
        of("Mul", "x", g.node("Sigmoid", "x")), of("Div", hard, 6.0),
        of("Mul", "x", g.node("Tanh", g.node("Softplus", "x"))), of("Mul", of("Mul", "x", one), 0.5),
        of("Mul", of("Mul", "x", 0.5), two), norm,
        g.node("Add", g.node("Mul", grouped, g.random(4, 1, 1)), g.random(4, 1, 1)),
    )  # fmt: skip
    kinds = {type(layer).__name__ for layer in check_imported(g, tmp_path).model.layers}
    normal = {"GroupNormalization", "LayerNormalization", "Permute"}  # one is along the width
    assert kinds == {"InputLayer", "Activation", "HardSwish", "TanhGelu", *normal}
