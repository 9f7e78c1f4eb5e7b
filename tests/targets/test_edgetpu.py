from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.graphs import read_tflite
from edgecv.targets import edgetpu_rules as rules
from edgecv.targets import inspect
from edgecv.targets.edgetpu_memory import layer_bytes, memory_bytes
from edgecv.values import profiles
from tests.graphs.tiny import N, Net, T, build, constant, lenet, options


def unary(
    op: str, before: tuple[int, ...], after: tuple[int, ...] | None = None, opts=None, version=1, **more: T
) -> Net:
    """One operator from x to y, with further (constant) inputs in order."""
    tensors = {"x": T(before), **more, "y": T(after or before)}
    return Net(tensors, [N(op, ["x", *more], ["y"], opts, version)])


def kernel(*shape: int, scale=0.1) -> T:
    return T(shape, "int8", scale, np.ones(shape, np.int8))


def conv(w: T, out: int = 4, bias: T | None = None, version: int = 3, **opts: int) -> Net:
    tensors = {"x": T((1, 8, 8, 4)), "w": w, "b": bias or T((out,), "int32", 0.1, np.zeros(out, np.int32))}
    tensors["y"] = T((1, 8, 8, out))
    settings = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1, **opts}
    return Net(tensors, [N("CONV_2D", ["x", "w", "b"], ["y"], options("Conv2DOptions", **settings), version)])


def test_int8_lenet_maps_completely(judge) -> None:
    found = judge(lenet())
    assert found.n_mapped == found.n_ops == 9
    assert {op.status for op in found.ops} == {"Mapped to Edge TPU"}
    assert found.kind == "predicted"
    assert [op.layer for op in found.ops][:2] == ["c1", "c1"]


def test_float_boundary_stays_on_the_cpu(judge) -> None:
    net = lenet()
    net.tensors |= {"fx": T((1, 28, 28, 1), "float32", None), "fy": T((1, 10), "float32", None)}
    net.ops = [N("QUANTIZE", ["fx"], ["x"]), *net.ops, N("DEQUANTIZE", ["y"], ["fy"], None, 2)]
    net.inputs, net.outputs = ["fx"], ["fy"]
    found = judge(net)
    assert [op.index for op in found.ops if not op.mapped] == [0, 10]
    assert found.ops[0].status == rules.LIMITED
    assert found.ops[10].status == rules.WRONG_TYPE
    assert "float32" in found.ops[0].reason


@pytest.mark.parametrize(("dtype", "scale"), [("float32", None), ("int16", 0.1), ("int8", None)])
def test_other_types_map_nothing_with_a_reason(judge, dtype, scale) -> None:
    net = unary("TANH", (1, 4, 4, 2))
    net.tensors = {name: replace(t, dtype=dtype, scale=scale) for name, t in net.tensors.items()}
    found = judge(net)
    assert found.n_mapped == 0
    assert found.ops[0].status == rules.WRONG_TYPE
    assert dtype in found.ops[0].reason
    assert any("int8" in note for note in found.notes)


@pytest.mark.parametrize(("before", "after"), [("uint8", "int8"), ("int8", "uint8"), ("int8", "int8")])
def test_requantisation_maps(judge, before, after) -> None:
    net = Net({"x": T((1, 4, 4, 2), before), "y": T((1, 4, 4, 2), after)}, [N("QUANTIZE", ["x"], ["y"])])
    assert judge(net).n_mapped == 1


def test_only_three_inner_sizes_may_exceed_one(judge) -> None:
    assert judge(unary("TANH", (1, 1, 4, 4, 2))).n_mapped == 1
    found = judge(unary("TANH", (2, 4, 4, 2)))
    assert (found.n_mapped, found.ops[0].status) == (0, rules.WRONG_RANK)


def test_computed_weights_are_refused(judge) -> None:
    net = conv(T((4, 3, 3, 4)))
    net.inputs = ["x", "w"]
    found = judge(net)
    assert (found.n_mapped, found.ops[0].status) == (0, rules.NOT_CONSTANT)
    assert "'w'" in found.ops[0].reason


MAPPING = {
    "conv": conv(kernel(4, 3, 3, 4)),
    "dilated alike": conv(kernel(4, 3, 3, 4), dilationWFactor=2, dilationHFactor=2),
    "dilated 1xk": conv(kernel(4, 1, 3, 4), dilationWFactor=4),
    "per channel": conv(kernel(4, 3, 3, 4, scale=(0.1,) * 4)),
    "mul by constant": unary("MUL", (1, 4, 4, 2), opts=options("MulOptions"), version=2, c=kernel(2)),
    "squared difference": unary("SQUARED_DIFFERENCE", (1, 4, 84), version=2, c=kernel(1, 4, 84)),
    "sum": unary("SUM", (1, 4, 84), (1, 4), options("ReducerOptions"), 2, a=constant([2])),
    "mean of planes": unary("MEAN", (1, 8, 8, 3), (1, 3), options("ReducerOptions"), 2, a=constant([1, 2])),
    "mean of 4 channels": unary("MEAN", (1, 8, 8, 4), (1, 8, 8), options("ReducerOptions"), 2, a=constant([-1])),
    "pad": unary("PAD", (1, 8, 8, 4), (1, 10, 9, 4), None, 2, p=constant([[0, 0], [1, 1], [0, 1], [0, 0]])),
    "softmax": unary("SOFTMAX", (1, 16384), version=2),
    "resize 2x": unary("RESIZE_BILINEAR", (1, 8, 8, 4), (1, 16, 16, 4), None, 3, s=constant([16, 16])),
    "tile": unary("TILE", (1, 1, 1, 128), (1, 33, 33, 128), None, 2, m=constant([1, 33, 33, 1])),
    "reshape": unary("RESHAPE", (1, 400, 336), (1, 134400), s=constant([1, 134400])),
    "zeros appended": unary("CONCATENATION", (1, 4, 4, 2), (1, 4, 4, 3), options("ConcatenationOptions", axis=3), 2,
                            z=T((1, 4, 4, 1), data=np.zeros((1, 4, 4, 1), np.int8))),
    "strided": unary("STRIDED_SLICE", (1, 8, 8, 4), (1, 4, 8, 4), options("StridedSliceOptions"), 2,
                     b=constant([0] * 4), e=constant([1, 8, 8, 4]), s=constant([1, 2, 1, 1])),
    "prelu": unary("PRELU", (1, 4, 4, 2), a=kernel(1, 1, 2)),
    "transpose": unary("TRANSPOSE", (1, 80, 720), (1, 720, 80), None, 2, p=constant([0, 2, 1])),
}  # fmt: skip


@pytest.mark.parametrize("name", MAPPING)
def test_maps(judge, name) -> None:
    found = judge(MAPPING[name])
    assert found.n_mapped == 1, found.ops[0]
    assert found.ops[0].certainty in ("certain", "likely")


REFUSED = {
    "uneven dilation": (conv(kernel(4, 3, 3, 4), dilationWFactor=2), rules.LIMITED, "dilation"),
    "pool with activation": (
        unary("MAX_POOL_2D", (1, 8, 8, 4), (1, 4, 4, 4), options("Pool2DOptions", fusedActivationFunction=1), 2),
        rules.LIMITED, "RELU"),
    "two rows": (unary("FULLY_CONNECTED", (2, 8), (2, 4), options("FullyConnectedOptions"), 4, w=kernel(4, 8)),
                 rules.LIMITED, "2 rows"),
    "kept dimensions": (
        unary("FULLY_CONNECTED", (1, 8), (1, 4), options("FullyConnectedOptions", keepNumDims=True), 4, w=kernel(4, 8)),
        rules.OLD_VERSION, "keep_num_dims"),
    "shuffled weights": (
        unary("FULLY_CONNECTED", (1, 8), (1, 4), options("FullyConnectedOptions", weightsFormat=1), 4, w=kernel(4, 8)),
        rules.LIMITED, "SHUFFLED"),
    "ones appended": (
        unary("CONCATENATION", (1, 4, 4, 2), (1, 4, 4, 3), options("ConcatenationOptions", axis=3), 2,
              z=kernel(1, 4, 4, 1)),
        rules.LIMITED, "zeros"),
    "three with constant": (
        unary("CONCATENATION", (1, 4, 4, 2), (1, 4, 4, 4), options("ConcatenationOptions", axis=3), 2,
              z=kernel(1, 4, 4, 1), z2=kernel(1, 4, 4, 1)), rules.LIMITED, "one other"),
    "new axis": (
        unary("STRIDED_SLICE", (1, 8, 4), (1, 1, 8, 4), options("StridedSliceOptions", newAxisMask=1), 2,
              b=constant([0] * 3), e=constant([1, 8, 4]), s=constant([1] * 3)), rules.LIMITED, "new_axis_mask"),
    "batch reduced": (unary("SUM", (1, 4, 84), (4, 84), options("ReducerOptions"), 2, a=constant([0])),
                      rules.LIMITED, "batch"),
    "batch padded": (unary("PAD", (1, 8, 4), (2, 8, 4), None, 2, p=constant([[0, 1], [0, 0], [0, 0]])),
                     rules.LIMITED, "batch"),
    "mean of 3 channels": (unary("MEAN", (1, 8, 8, 3), (1, 8, 8), options("ReducerOptions"), 2, a=constant([3])),
                           rules.LIMITED, "multiple of 4"),
    "mean of a large plane": (unary("MEAN", (1, 256, 128, 3), (1, 3), options("ReducerOptions"), 2, a=constant([1, 2])),
                              rules.LIMITED, "plane"),
    "alpha per pixel": (unary("PRELU", (1, 4, 4, 2), a=kernel(4, 4, 2)), rules.LIMITED, "shared_axes"),
    "long reshape": (unary("RESHAPE", (1, 17, 40, 300), (1, 204000), s=constant([1, 204000])), rules.LIMITED, "tile"),
    "long logistic": (unary("LOGISTIC", (1, 80, 8400), version=2), rules.LIMITED, "672000"),
    "large transpose": (unary("TRANSPOSE", (1, 80, 1680), (1, 1680, 80), None, 2, p=constant([0, 2, 1])),
                        rules.LIMITED, "134400"),
    "resize 33x": (unary("RESIZE_BILINEAR", (1, 1, 1, 4), (1, 33, 33, 4), None, 3, s=constant([33, 33])),
                   rules.IMPRECISE_RESIZE, "33.0 times"),
    "resize to 8 MiB": (unary("RESIZE_BILINEAR", (1, 256, 256, 32), (1, 512, 512, 32), None, 3, s=constant([512, 512])),
                        rules.LIMITED, "8388608"),
    "unknown operator": (unary("HARD_SWISH", (1, 4, 4, 2)), rules.UNSUPPORTED, "HARD_SWISH"),
    "custom operator": (unary("MyOp", (1, 4, 4, 2)), rules.WRONG_TYPE, "MyOp"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_status_and_reason(judge, name) -> None:
    net, status, word = REFUSED[name]
    found = judge(net)
    assert (found.n_mapped, found.ops[0].status) == (0, status)
    assert word in found.ops[0].reason


OPEN = {
    "transpose": (unary("TRANSPOSE", (1, 80, 800), (1, 800, 80), None, 2, p=constant([0, 2, 1])), True),
    "larger transpose": (unary("TRANSPOSE", (1, 100, 1000), (1, 1000, 100), None, 2, p=constant([0, 2, 1])), False),
    "reshape": (unary("RESHAPE", (1, 400, 450), (1, 180000), s=constant([1, 180000])), True),
    "resize 4x": (unary("RESIZE_BILINEAR", (1, 8, 8, 4), (1, 32, 32, 4), None, 3, s=constant([32, 32])), True),
    "resize 12x": (unary("RESIZE_BILINEAR", (1, 4, 4, 4), (1, 48, 48, 4), None, 3, s=constant([48, 48])), False),
    "huge activations": (unary("TANH", (1, 2048, 2048, 4)), True),
}


@pytest.mark.parametrize("name", OPEN)
def test_what_the_evidence_leaves_open_is_unknown(judge, name) -> None:
    net, mapped = OPEN[name]
    (verdict,) = judge(net).ops
    assert (verdict.mapped, verdict.certainty) == (mapped, "unknown")
    assert verdict.reason


@pytest.mark.parametrize(("op", "certainty"), [("HARD_SWISH", "certain"), ("ELU", "certain"), ("COS", "likely")])
def test_operators_outside_the_table_are_certain_only_where_seen(judge, op, certainty) -> None:
    assert judge(unary(op, (1, 4, 4, 2))).ops[0].certainty == certainty


@pytest.mark.parametrize(("op", "version", "certainty"), [("CONV_2D", 6, "certain"), ("TANH", 4, "likely")])
def test_newer_versions_are_certain_only_where_seen(judge, op, version, certainty) -> None:
    assert {o.certainty for o in judge(unary(op, (1, 4), version=version)).ops} == {certainty}


@pytest.mark.parametrize(("op", "newest"), [("CONV_2D", 5), ("TILE", 2), ("TRANSPOSE_CONV", 3)])
def test_newer_operator_version_rejects_the_whole_file(judge, op, newest) -> None:
    net = Net({"x": T((1, 4)), "h": T((1, 4)), "y": T((1, 4))}, [N("TANH", ["x"], ["h"]), N(op, ["h"], ["y"])])
    net.ops[1].version = newest + 1
    found = judge(net)
    assert found.n_mapped == 0
    assert {o.status for o in found.ops} == {rules.OLD_VERSION}
    assert f"version {newest + 1}" in found.ops[0].reason
    assert profiles.target("edgetpu").ops[op].max_version == newest


def test_shape_known_only_at_run_time_rejects_the_whole_file(judge) -> None:
    net = Net(
        {"x": T((1, 4, 4, 2)), "s": T((2,), "int32", None), "h": T((1, 32)), "y": T((1, 32))},
        [N("RESHAPE", ["x", "s"], ["h"]), N("TANH", ["h"], ["y"])],
        inputs=["x", "s"],
    )
    found = judge(net)
    assert found.n_mapped == 0
    assert "run time" in found.ops[1].reason


def test_only_the_first_part_is_compiled(judge) -> None:
    names = ["x", "a", "b", "y"]
    net = Net({n: T((1, 4, 4, 2)) for n in names}, [
        N("TANH", ["x"], ["a"]), N("HARD_SWISH", ["a"], ["b"]), N("TANH", ["b"], ["y"]),
    ])  # fmt: skip
    assert [(o.mapped, o.status) for o in judge(net).ops] == [
        (True, rules.MAPPED), (False, rules.UNSUPPORTED), (False, rules.SECOND_SUBGRAPH),
    ]  # fmt: skip


def test_historical_sub_sampling_and_rbf_show_what_cannot_map(judge) -> None:
    # The output layer of the 1998 network measures distances to ten patterns; in float it stays on the CPU.
    rbf = {"d": T((1, 10, 84), "float32", None), "p": T((1, 10, 84), "float32", None, np.ones((1, 10, 84), np.float32))}
    net = Net(
        {"x": T((1, 84)), "t": T((1, 84)), "f": T((1, 84), "float32", None), **rbf, "axis": constant([2]),
         "y": T((1, 10), "float32", None)},
        [N("TANH", ["x"], ["t"]), N("DEQUANTIZE", ["t"], ["f"], None, 2), N("SQUARED_DIFFERENCE", ["f", "p"], ["d"]),
         N("SUM", ["d", "axis"], ["y"], options("ReducerOptions"))],
    )  # fmt: skip
    found = judge(net)
    assert [o.mapped for o in found.ops] == [True, False, False, False]
    assert all("float32" in o.reason for o in found.ops[1:])


def test_names_the_runtime_that_the_newest_operator_needs(judge) -> None:
    notes = judge(MAPPING["squared difference"]).notes
    assert any("runtime 14" in note and "SQUARED_DIFFERENCE" in note for note in notes)
    assert not any("runtime" in note for note in judge(MAPPING["conv"]).notes)


def test_compiled_file_is_recognised(judge) -> None:
    found = judge(unary("edgetpu-custom-op", (1, 8)))
    assert (found.n_mapped, found.ops[0].certainty) == (1, "certain")
    assert found.parameter_bytes.on_chip is None
    assert any("compiled already" in note for note in found.notes)


def test_what_the_compiler_left_stays_on_the_cpu(judge) -> None:
    names = ["x", "a", "y"]
    ops = [N("edgetpu-custom-op", ["x"], ["a"]), N("TANH", ["a"], ["y"])]
    found = judge(Net({n: T((1, 4, 4, 2)) for n in names}, ops))
    assert [(o.mapped, o.certainty) for o in found.ops] == [(True, "certain"), (False, "certain")]
    assert found.latency is None


@pytest.mark.parametrize(
    ("w", "expected"),
    [
        (kernel(120, 3, 3, 3, scale=(0.1,) * 120), 128 * (9 * 4 + 8)),  # 120 -> 128 rows, 3 -> 4 channels
        (kernel(41, 3, 3, 41, scale=(0.1,) * 41), 48 * (9 * 44 + 8)),  # up to 64 rows: a multiple of 16
        (kernel(8, 1, 1, 4), 16 * (4 + 4)),  # one scale: only the bias
    ],
)
def test_layer_bytes_by_hand(w, expected) -> None:
    out = w.shape[0]
    graph = read_tflite(build(conv(w, out, bias=T((out,), "int32", 0.1, np.ones(out, np.int32)))))
    assert layer_bytes(graph, graph.ops[0]) == expected


def test_a_convolutions_bias_of_zeros_takes_no_room() -> None:
    graph = read_tflite(build(conv(kernel(1, 1, 1, 3), 1)))
    assert layer_bytes(graph, graph.ops[0]) == 16 * 4  # 64 bytes in nine published files


@pytest.mark.parametrize(("channels", "scales", "expected"), [(24, 1, 24 * 40), (72, 1, 72 * 40), (8, 8, 16 * 40)])
def test_depthwise_layer_bytes_by_hand(channels, scales, expected) -> None:
    shape = (1, 4, 4, channels)
    w = kernel(1, 3, 3, channels, scale=(0.1,) * scales)
    net = unary("DEPTHWISE_CONV_2D", shape, shape, options("DepthwiseConv2DOptions"), 3, w=w)
    graph = read_tflite(build(net))
    assert layer_bytes(graph, graph.ops[0]) == expected


@pytest.mark.parametrize(("filters", "mebibytes"), [(32, 0.0750), (42, 0.1013), (52, 0.1189), (62, 0.1453)])
def test_memory_is_what_published_logs_report(filters, mebibytes) -> None:
    # Five 3x3 convolutions, the first of 3 channels: Jorgitou98/EdgeTPU-QuantRL-Evaluation, CONV_MACs/results.
    layers = [kernel(filters, 3, 3, channels, scale=(0.1,) * filters) for channels in (3, *[filters] * 4)]
    graphs = [read_tflite(build(conv(w, filters))) for w in layers]
    found = sum(memory_bytes(graph, graph.ops[0]) for graph in graphs)
    assert found / 2**20 == pytest.approx(mebibytes, abs=0.001)


def test_weights_beyond_the_cache_are_streamed(judge) -> None:
    big = unary("FULLY_CONNECTED", (1, 16384), (1, 16), options("FullyConnectedOptions"), 4, w=kernel(16, 16384))
    found = judge(big).parameter_bytes
    assert (found.on_chip, found.streamed) == (0, 16 * 16384)
    found = judge(conv(kernel(64, 3, 3, 4), 64)).parameter_bytes
    assert (found.on_chip, found.streamed) == (64 * 36, 0)


def test_every_condition_named_in_the_data_exists() -> None:
    profile = profiles.target("edgetpu")
    named = {name for rule in profile.ops.values() for name in rule.limits}
    assert named == set(rules.CONDITIONS.names())


def test_profile_without_a_limit_is_a_config_error(tmp_path, judge) -> None:
    text = (profiles.data_folder("targets") / "edgetpu.toml").read_text()
    (tmp_path / "own.toml").write_text(text.replace("tile_bytes = 196608", ""))
    path = tmp_path / "m.tflite"
    path.write_bytes(build(unary("LOGISTIC", (1, 8), version=2)))
    with pytest.raises(ConfigError, match="tile_bytes"):
        inspect(path, str(tmp_path / "own.toml"))


def test_sizes_in_the_data_are_consistent() -> None:
    limits = profiles.target("edgetpu").limits
    assert limits["tile_bytes"] == 192 * 1024
    assert limits["cache_bytes"] < limits["resize_output_bytes"] < 8 * 2**20
    for name in (n.removesuffix("_refused") for n in limits if n.endswith("_refused")):
        assert limits[f"{name}_mapped"] <= limits[name] < limits[f"{name}_refused"], name
    assert all(math.isfinite(v) and v > 0 for v in limits.values())


def test_an_older_runtime_leaves_newer_operators_to_the_cpu(tmp_path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(build(MAPPING["squared difference"]))
    (verdict,) = inspect(path, "edgetpu-runtime13").ops
    assert not verdict.mapped
    assert "runtime 14" in verdict.reason
    assert verdict.certainty == "likely"
    (newer,) = inspect(path, "edgetpu").ops
    assert newer.mapped
