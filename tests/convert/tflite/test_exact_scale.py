"""Steps of int8 weights: exact where there are some, and files that compute as integers do."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv import runtime, zoo
from edgecv.convert import convert
from edgecv.convert.tflite.exact_scale import TOP, exact_top
from edgecv.core.errors import ConfigError, ConversionError
from edgecv.core.progress import QUIET
from edgecv.data.synthetic import synthetic
from edgecv.graphs import constant, read_graph, read_tflite
from edgecv.modelio import LoadedModel, env
from edgecv.runtime.container import read_manifest
from edgecv.values import profiles
from edgecv.values.specs import Head, Preprocessing, one_input

SIZE = (24, 24, 1)


class Warnings:
    def __init__(self):
        self.texts = []

    def warn(self, text):
        self.texts.append(text)

    def __getattr__(self, name):
        return getattr(QUIET, name)


def quantised(
    model, spec, folder, *, scheme="int8", format="tflite", granularity="per_channel", reporter=QUIET, **options
):
    source = LoadedModel(model=model, manifest=None, path=folder / "m.keras", sha256="0" * 64)
    return convert(
        source, format=format, scheme=scheme, method="ptq", out=folder / f"m.{format}", spec=spec, reporter=reporter,
        calibration=replace(profiles.calibration("minmax"), granularity=granularity), dataset=synthetic(spec),
        force=True, **options,
    )  # fmt: skip


def filter_file(name, folder, **options):
    model, spec = zoo.build(name, input_shape=SIZE)
    return quantised(model, spec, folder, **options)


def kernel_of(path):
    """Weights of the only convolution, their scales, and its input's and output's scale and zero point."""
    graph = read_tflite(path)
    (op,) = [op for op in graph.ops if op.op in ("DEPTHWISE_CONV_2D", "CONV_2D")]
    weights = graph.tensors[op.inputs[1]]
    ends = [graph.tensors[index] for index in (op.inputs[0], op.outputs[0])]
    return constant(graph, op.inputs[1]), np.array(weights.scales), [(t.scales[0], t.zero_points[0]) for t in ends]


# The search for whole numbers.


@pytest.mark.parametrize(
    ("taps", "top"),
    [
        ([1, 1, -4, 1, 1], 4),
        ([-1, 8, -1], 8),
        ([1, 2, 1], 2),
        ([1 / 9] * 9, 1),
        ([0, 0.5, 0], 1),
        ([2 / 3, -1 / 3], 2),
        ([127, 1], 127),
        ([128, 1], 0),
        ([np.pi, 1], 0),
    ],
)
def test_the_least_whole_number_of_the_largest_tap(taps, top):
    assert exact_top(np.asarray(taps, np.float32).astype(np.float64)) == top


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-127, 127), min_size=2, max_size=12), st.floats(1e-3, 1e3))
def test_it_is_that_of_exact_fractions(whole, unit):
    peak = max(map(abs, whole))
    if not peak:
        return
    # The common denominator of the taps as shares of the largest.
    expected = int(np.lcm.reduce([Fraction(tap, peak).denominator for tap in whole]))
    assert exact_top((np.array(whole) * unit).astype(np.float32).astype(np.float64)) == expected <= TOP


def test_random_kernels_have_none():
    rng = np.random.default_rng(0)
    assert not any(exact_top(rng.standard_normal(9).astype(np.float32).astype(np.float64)) for _ in range(300))


# Files.


@pytest.mark.parametrize(
    ("name", "rows", "scale"),
    [
        ("laplacian4", [[0, 31, 0], [31, -124, 31], [0, 31, 0]], 1 / 31),
        ("laplacian8", [[-15, -15, -15], [-15, 120, -15], [-15, -15, -15]], 1 / 15),
    ],
)
@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_laplacians_keep_their_sum_of_zero(tmp_path, name, rows, scale, format):
    made = filter_file(name, tmp_path, format=format, exact_scale=True)
    assert made.exact == ("response",)
    assert read_manifest(made.path).provenance.recipe["exact_scale"] == ["response"]
    graph = read_graph(made.path)
    kernels = [
        constant(graph, t.index) for t in graph.tensors if t.is_constant and t.dtype == "int8" and t.elements == 9
    ]
    assert [kernel.reshape(3, 3).tolist() for kernel in kernels] == [rows]
    if format == "tflite":
        assert kernel_of(made.path)[1] == pytest.approx([scale])


@pytest.mark.parametrize(("name", "unit"), [("laplacian4", 31), ("laplacian8", 15), ("sobel", 63)])
def test_a_file_computes_as_integers_do(tmp_path, name, unit):
    made = filter_file(name, tmp_path)
    kernel, scales, ((step, zero), (out_step, out_zero)) = kernel_of(made.path)
    assert (step, zero) == (1.0, -128)
    assert np.unique(np.abs(kernel)[kernel != 0]).tolist()[0] == unit
    image = np.random.default_rng(7).integers(0, 256, SIZE[:2], np.uint8)
    sums = _sums(image.astype(np.int64), kernel[0].astype(np.int64))
    # The kernels round to even, on the product in float32.
    factor = (scales * step / out_step).astype(np.float32)
    expected = np.clip(np.rint(sums.astype(np.float32) * factor).astype(np.int64) + out_zero, -128, 127)
    with runtime.load(made.path) as predictor:
        (stored,) = predictor.session.run([(image.astype(np.int16) - 128).astype(np.int8).reshape(1, *SIZE)])
        (even,) = predictor.session.run([np.full((1, *SIZE), 73, np.int8)])
    assert (stored[0] == expected).all()
    assert (even == out_zero).all()


@pytest.mark.parametrize("name", ["laplacian4", "laplacian8", "sobel", "prewitt"])
def test_int16_activations_round_to_the_very_integers(tmp_path, name):
    made = filter_file(name, tmp_path, scheme="int16x8")
    split = synthetic(zoo.get(name).spec(input_shape=SIZE)).split("train")
    model, _ = zoo.build(name, input_shape=SIZE)
    with runtime.load(made.path) as predictor:
        for index in range(4):
            image = split.image(index)
            maps = predictor.predict(image).maps
            exact = model(image.astype(np.float32).reshape(1, *SIZE)).numpy()[0]
            assert np.abs(exact).max() > 50
            assert (np.rint(maps) == exact).all()


def _sums(image, kernel):
    """int64 (H, W, C): the correlation of an image (H, W) with kernels (h, w, C), VALID."""
    height, width = (n - k + 1 for n, k in zip(image.shape, kernel.shape[:2], strict=True))
    return sum(
        image[y : y + height, x : x + width, None] * kernel[y, x]
        for y in range(kernel.shape[0])
        for x in range(kernel.shape[1])
    )


# What is not exact.


def network(kernel, bias=0.0, activation="linear"):
    keras = env.keras()
    given = keras.Input(SIZE, name="image")
    layer = keras.layers.Conv2D(kernel.shape[-1], kernel.shape[:2], activation=activation, name="edges")
    model = keras.Model(given, layer(given), name="own")
    layer.set_weights([kernel.astype(np.float32), np.full(kernel.shape[-1], bias, np.float32)])
    head = Head("edges", "response", "linear", tuple(map(str, range(kernel.shape[-1]))), settings={"padding": "valid"})
    return model, one_input("own", SIZE, (head,), Preprocessing("gray", mean=(0.0,), std=(1.0,)))


def test_trained_weights_are_left_as_they_are_and_refused_when_they_must_be_exact(tmp_path):
    kernel = np.random.default_rng(1).standard_normal((3, 3, 1, 4))
    made = quantised(*network(kernel), tmp_path)
    stored, scales, _ = kernel_of(made.path)
    assert made.exact == ()
    assert scales == pytest.approx(np.abs(kernel).max(axis=(0, 1, 2)) / 127)
    assert (np.abs(stored).reshape(4, -1).max(axis=1) == 127).all()
    with pytest.raises(ConversionError, match="rounds weights of layer edges"):
        quantised(*network(kernel), tmp_path, exact_scale=True)


def test_one_exact_channel_beside_a_trained_one_with_its_bias(tmp_path):
    kernel = np.random.default_rng(2).standard_normal((3, 3, 1, 2))
    kernel[..., 0, 1] = [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    made = quantised(*network(kernel, bias=17.0), tmp_path)
    stored, scales, _ = kernel_of(made.path)
    assert made.exact == ("edges",)
    assert stored[1, ..., 0].tolist() == [[0, 31, 0], [31, -124, 31], [0, 31, 0]]
    graph = read_tflite(made.path)
    (op,) = [op for op in graph.ops if op.op == "CONV_2D"]
    bias = graph.tensors[op.inputs[2]]
    assert np.array(bias.scales) == pytest.approx(scales * graph.tensors[op.inputs[0]].scales[0])
    assert constant(graph, op.inputs[2]) * np.array(bias.scales) == pytest.approx([17, 17], abs=0.02)


def test_one_step_for_the_tensor(tmp_path):
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], float)[..., None, None] * np.array([1.0, 0.5])
    made = quantised(*network(kernel), tmp_path, granularity="per_tensor")
    stored, scales, _ = kernel_of(made.path)
    assert len(scales) == 1
    assert (stored[0].min(), stored[1].min(), stored[1].max()) == (-120, -60, 15)


def test_a_sum_of_zero_that_no_step_keeps_is_told(tmp_path):
    values = np.random.default_rng(3).integers(0, 256, (3, 3)).astype(float)
    told = Warnings()
    made = quantised(*network((values - values.mean())[..., None, None]), tmp_path, reporter=told)
    assert made.exact == ()
    if kernel_of(made.path)[0].astype(int).sum():
        assert any("sum to zero" in text for text in told.texts)
    else:
        pytest.fail("the example needs other values: its integers sum to zero by themselves")


@pytest.mark.parametrize("scheme", ["float32", "dynamic", "float16"])
def test_only_static_integer_files_can_be_exact(tmp_path, scheme):
    model, spec = zoo.build("sobel", input_shape=SIZE)
    with pytest.raises(ConfigError, match="no exact steps"):
        quantised(model, spec, tmp_path, scheme=scheme, exact_scale=True)
