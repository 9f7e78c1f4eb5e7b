"""Sparse files: the same answers in fewer bytes, and XNNPACK's rules for sparse kernels, each with what breaks it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgecv.convert.freeze import freeze
from edgecv.convert.request import check_request
from edgecv.convert.tflite.converter import convert_float
from edgecv.convert.tflite.sparse import with_sparse_weights
from edgecv.convert.tflite.sparse_rules import judge
from edgecv.core.errors import ConfigError, ConversionError
from edgecv.core.progress import QUIET
from edgecv.graphs import compressed, constant, read_tflite
from edgecv.graphs.sparsity import Dimension, dense
from edgecv.modelio import env

Block = Callable[[Any, Any], Any]


def network(*blocks: Block, zeros: float = 0.8, head: bool = True, size: int = 16) -> bytes:
    """Return the float32 file of a net whose 1x1 convolutions have zeros."""
    keras = env.keras()
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((size, size, 3), name="image")
    for block in blocks:
        x = block(keras.layers, x)
    if head:
        x = keras.layers.Dense(4, name="out")(keras.layers.GlobalAveragePooling2D(name="mean")(x))
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if type(layer).__name__ == "Conv2D" and layer.kernel_size == (1, 1):
            kernel, bias = layer.get_weights()
            layer.set_weights([np.where(rng.random(kernel.shape) < zeros, 0, kernel), bias + 0.1])
    return convert_float(freeze(model), "float32")


def stem(layers: Any, x: Any) -> Any:
    return layers.Conv2D(8, 3, strides=2, activation="relu6", name="stem")(layers.ZeroPadding2D(1)(x))


def same_stem(layers: Any, x: Any) -> Any:
    return layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(x)


def point(filters: int, **options: Any) -> Block:
    return lambda layers, x: layers.Conv2D(filters, 1, **options)(x)


def depthwise(layers: Any, x: Any) -> Any:
    return layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)


def strided(layers: Any, x: Any) -> Any:
    return layers.DepthwiseConv2D(3, strides=2)(layers.ZeroPadding2D(1)(x))


def strided_same(layers: Any, x: Any) -> Any:
    return layers.DepthwiseConv2D(3, strides=2, padding="same")(x)


def gated_sum(layers: Any, x: Any) -> Any:
    channels = int(x.shape[-1])
    y = layers.Conv2D(channels, 1)(layers.Activation("elu")(x))
    gate = layers.Conv2D(channels, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    return layers.Add()([x, layers.Multiply()([y, gate])])


def answers(data: bytes, images: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    found = []
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.array(found)


def test_a_sparse_file_answers_the_same_in_fewer_bytes() -> None:
    data = network(stem, point(64, activation="relu6"), depthwise, point(96), strided, point(64), gated_sum)
    made = with_sparse_weights(data)
    assert made.kernels == 5
    assert len(made.data) < 0.5 * len(data)
    images = np.random.default_rng(1).standard_normal((4, 16, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(answers(made.data, images), answers(data, images))


def test_the_sparse_file_is_read_as_the_dense_one() -> None:
    before = read_tflite(data := network(stem, point(64), point(300)))
    after = read_tflite(with_sparse_weights(data).data)
    names = {tensor.name: tensor.index for tensor in after.tensors}
    kernels = [tensor for tensor in before.tensors if f"{tensor.name}/sparse" in names]
    assert len(kernels) == 2
    for tensor in kernels:
        stored = after.tensors[names[f"{tensor.name}/sparse"]]
        np.testing.assert_array_equal(constant(after, stored.index), constant(before, tensor.index))
        assert stored.size_bytes < 0.3 * tensor.size_bytes
    assert [op.op for op in after.ops[:2]] == ["DENSIFY", "DENSIFY"]
    assert judge(after).sparse == judge(before).sparse == 2


def test_the_stock_converters_sparse_files_are_read_too() -> None:
    tf, keras = env.tensorflow(), env.keras()
    layer = keras.layers.Conv2D(32, 1, name="c")
    model = keras.Sequential([keras.Input((4, 4, 16)), layer])
    kernel = np.where(np.random.default_rng(0).random((1, 1, 16, 32)) < 0.8, 0, 1.5).astype(np.float32)
    layer.set_weights([kernel, np.zeros(32, np.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([freeze(model).function])
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    graph = read_tflite(bytes(converter.convert()))
    densify = next(op for op in graph.ops if op.op == "DENSIFY")
    expected = np.moveaxis(kernel, -1, 0)
    np.testing.assert_array_equal(constant(graph, densify.inputs[0]), expected)


@given(arrays.arrays(np.float32, st.tuples(*[st.integers(1, 5)] * 3), elements=st.sampled_from([0.0, 0.0, 1.5, -2.0])))
def test_rows_come_back_as_the_array(array: Any) -> None:
    rows = compressed(array)
    last = Dimension(0, rows.segments, rows.indices)
    sizes = [Dimension(size) for size in array.shape[:-1]]
    np.testing.assert_array_equal(dense(rows.values, array.shape, range(array.ndim), [*sizes, last]), array)


def test_rows_by_hand_and_wide_ones() -> None:
    rows = compressed(np.array([[0, 7, 0], [0, 0, 0], [5, 0, 6]], np.float32))
    assert (rows.values.tolist(), rows.segments.tolist(), rows.indices.tolist()) == ([7, 5, 6], [0, 1, 1, 3], [1, 0, 2])
    wide = compressed(np.ones((2, 300), np.float32))
    assert (rows.indices.dtype, wide.indices.dtype, wide.segments.dtype) == (np.uint8, np.uint16, np.uint16)


def test_traversal_in_another_order() -> None:
    columns = Dimension(0, np.array([0, 1, 1, 2]), np.array([1, 0]))
    found = dense(np.array([3.0, 4.0]), (2, 3), (1, 0), [Dimension(3), columns])
    np.testing.assert_array_equal(found, [[0, 0, 4], [3, 0, 0]])


def test_a_whole_network_has_sparse_kernels() -> None:
    found = judge(read_tflite(network(stem, point(16), depthwise, point(24), strided, point(16), gated_sum)))
    assert found.danger == ""
    assert (found.sparse, len(found.verdicts)) == (5, 5)


@pytest.mark.parametrize(
    ("blocks", "zeros", "reason"),
    [
        ((same_stem, point(16)), 0.8, "padding 'same' at stride 2"),
        ((point(8), point(16)), 0.8, "reads the model's input"),
        ((stem, point(16)), 0.6, "more than two thirds"),
        ((stem, point(16, strides=2), point(16)), 0.8, "has a stride or padding"),
        ((stem, strided_same, point(16)), 0.8, "ZeroPadding2D\\(1\\)"),
        ((stem, lambda layers, x: layers.MaxPooling2D(2)(x), point(16)), 0.8, "MAX_POOL_2D"),
        ((stem, lambda layers, x: layers.Conv2D(8, 3, padding="same")(x), point(16)), 0.8, "3x3 over 8 channels"),
        ((stem, lambda layers, x: layers.DepthwiseConv2D(7, padding="same")(x), point(16)), 0.8, "7x7"),
    ],
)
def test_each_condition_that_fails_is_named(blocks: tuple[Block, ...], zeros: float, reason: str) -> None:
    found = judge(read_tflite(network(*blocks, zeros=zeros)))
    assert found.sparse == 0
    assert any(re.search(reason, one) for one in found.reasons), found.reasons


def test_without_a_mean_nothing_is_sparse() -> None:
    data = network(stem, point(16), lambda layers, x: layers.Flatten()(x), head=False)
    assert judge(read_tflite(data)).reasons == ("no mean over a whole map, and no DEPTH_TO_SPACE, ends a part",)


@pytest.mark.parametrize(
    "blocks",
    [
        (stem, point(16), point(24), strided_same, point(16)),
        (stem, point(16), point(24), lambda layers, x: layers.MaxPooling2D(2)(x), point(16)),
    ],
)
def test_a_part_that_xnnpack_would_compute_wrongly_is_refused(blocks: tuple[Block, ...]) -> None:
    data = network(*blocks)
    assert "leaves its part" in judge(read_tflite(data)).danger
    with pytest.raises(ConversionError, match="wrong answers on Arm"):
        with_sparse_weights(data)


def test_too_few_zeros_are_no_danger() -> None:
    data = network(stem, point(16), point(24), strided_same, point(16), zeros=0.6)
    assert judge(read_tflite(data)).danger == ""
    assert with_sparse_weights(data).kernels == 3


def test_dense_kernels_are_not_stored_sparse() -> None:
    with pytest.raises(ConversionError, match="no kernel takes fewer bytes"):
        with_sparse_weights(network(stem, point(64), zeros=0.0))


@pytest.mark.parametrize(
    ("format_", "scheme", "target", "message"),
    [
        ("onnx", "float32", "cpu", "no sparse"),
        ("tflite", "float16", "cpu", "no sparse"),
        ("tflite", "int8", "cpu", "no sparse"),
        ("tflite", "float32", "gpu", "DENSIFY"),
    ],
)
def test_other_files_have_no_sparse_form(format_: str, scheme: str, target: str, message: str) -> None:
    method = "ptq" if scheme == "int8" else "none"
    with pytest.raises(ConfigError, match=message):
        check_request(
            format=format_, scheme=scheme, method=method, io_dtype=None, target=target, reporter=QUIET, sparse=True
        )
