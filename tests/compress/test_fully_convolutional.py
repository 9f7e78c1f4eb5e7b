"""Each cell of a fully convolutional network is the classifier's answer for its window: the golden equalities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgecv import zoo
from edgecv.compress.fully_convolutional import FullyConvolutional, fully_convolutional
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.evaluate import KerasPredictor
from edgecv.modelio import env
from edgecv.tasks.registry import task_of
from edgecv.values.presets import preset
from edgecv.values.specs import Head, ModelSpec, one_input
from edgecv.zoo.profiling import profile
from edgecv.zoo.weightless import weightless
from tests.compress.slim.networks import randomised


def contract(shape: tuple[int, ...], classes: int, activation: Any = "probabilities") -> ModelSpec:
    labels = tuple(f"class {index}" for index in range(classes))
    scale = preset("unit", shape[-1]) if shape[-1] in (1, 3) else None
    return one_input("net", shape, (Head("output", "classification", activation, labels),), scale)


def built(body: Callable[[Any, Any], Any], shape: tuple[int, ...] = (8, 8, 3)) -> Any:
    keras = env.keras()
    image = keras.Input(shape, name="image")
    return randomised(keras.Model(image, body(keras.layers, image), name="net"))


def from_zoo(name: str) -> tuple[Any, ModelSpec]:
    model, spec = zoo.build(name, input_shape=zoo.get(name).small_shape, seed=0)
    return randomised(model), spec


def noise(shape: tuple[int, ...], n: int = 2) -> Any:
    return np.random.default_rng(0).random((n, *shape)).astype(np.float32)


def by_window(model: Any, made: FullyConvolutional, canvas: Any) -> Any:
    """The classifier's answer for every window, (rows, columns, K)."""
    (height, width), (down, across), (rows, columns) = made.window, made.stride, made.cells
    crops = [
        canvas[0, down * i : down * i + height, across * j : across * j + width]
        for i in range(rows)
        for j in range(columns)
    ]
    return np.asarray(model(np.stack(crops))).reshape(rows, columns, -1)


def plain(layers: Any, x: Any) -> Any:
    """VALID convolutions, dropout and normalisation in the head."""
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="c1")(x)
    x = layers.Dropout(0.5, name="drop")(layers.Flatten(name="flatten")(x))
    x = layers.BatchNormalization(name="bn")(layers.Dense(7, name="fc")(x))
    x = layers.PReLU(name="slope")(x)
    return layers.Softmax(name="output")(layers.Dense(4, name="scores")(x))


def means(layers: Any, x: Any) -> Any:
    """Global pools of both kinds beside each other."""
    x = layers.Conv2D(5, 3, activation="relu", name="c1")(x)
    both = [layers.GlobalAveragePooling2D(name="mean")(x), layers.GlobalMaxPooling2D(name="most")(x)]
    return layers.Dense(3, activation="softmax", name="output")(layers.Concatenate(name="both")(both))


def kept(layers: Any, x: Any) -> Any:
    """As MobileNet of keras ends: a pool that stays a map, a 1x1 convolution, a reshape."""
    x = layers.Conv2D(5, 3, activation="relu", name="c1")(x)
    x = layers.GlobalAveragePooling2D(keepdims=True, name="mean")(x)
    x = layers.Conv2D(3, 1, name="scores")(x)
    return layers.Activation("softmax", name="output")(layers.Reshape((3,), name="row")(x))


def whole_pool(layers: Any, x: Any) -> Any:
    x = layers.AveragePooling2D(6, name="mean")(layers.Conv2D(5, 3, name="c1")(x))
    return layers.Reshape((5,), name="output")(layers.Reshape((1, 1, 5), name="map")(layers.Flatten(name="f")(x)))


@pytest.mark.parametrize("body", [plain, means, kept, whole_pool])
@pytest.mark.parametrize("size", [(8, 8), (14, 20)])
def test_without_padding_each_cell_is_the_answer_for_its_window(body: Any, size: tuple[int, int]) -> None:
    model = built(body)
    made = fully_convolutional(model, contract((8, 8, 3), model.output_shape[-1], "logits"), size)
    canvas = noise((*size, 3), 1)
    np.testing.assert_allclose(np.asarray(made.model(canvas))[0], by_window(model, made, canvas), atol=1e-5)
    assert made.differs == {}
    assert made.stride == ((2, 2) if body is plain else (1, 1))
    assert made.model.count_params() == model.count_params()


def test_digits_are_found_by_one_run_as_by_every_window() -> None:
    model, spec = zoo.build("cnn_mnist_slide", seed=0)
    made = fully_convolutional(model, spec, (140, 140))
    canvas = noise((140, 140, 1), 1)
    assert (made.window, made.stride, made.cells) == ((28, 28), (2, 2), (57, 57))
    answers = np.asarray(made.model(canvas))[0]
    np.testing.assert_allclose(answers[::14, ::14], by_window_at(model, canvas, 28), atol=1e-5)


def by_window_at(model: Any, canvas: Any, step: int) -> Any:
    places = range(0, 140 - 28 + 1, step)
    crops = np.stack([canvas[0, y : y + 28, x : x + 28] for y in places for x in places])
    return np.asarray(model(crops)).reshape(len(places), len(places), -1)


@pytest.mark.parametrize("name", ["lenet5", "cnn_fashion", "vgg16", "mobilenet_v1", "resnet8", "mobilenet_v2_small"])
def test_at_the_size_of_a_window_networks_of_the_zoo_answer_as_before(name: str) -> None:
    model, spec = from_zoo(name)
    made = fully_convolutional(model, spec, spec.input_shape[:2])
    images = noise(spec.input_shape)
    assert made.cells == (1, 1)
    np.testing.assert_allclose(np.asarray(made.model(images))[:, 0, 0], np.asarray(model(images)), atol=1e-5)


@pytest.mark.parametrize("name", ["cnn_fashion", "resnet8", "mobilenet_v2_small"])
def test_networks_that_pad_are_told_by_layer_and_differ(name: str) -> None:
    model, spec = from_zoo(name)
    height, width, channels = spec.input_shape
    first = fully_convolutional(model, spec, (height, width))
    size = (height + first.stride[0], width + 2 * first.stride[1])
    made = fully_convolutional(model, spec, size)
    assert made.cells == (2, 3)
    assert all("pads" in reason for reason in made.differs.values())
    canvas = noise((*size, channels), 1)
    assert np.abs(np.asarray(made.model(canvas))[0] - by_window(model, made, canvas)).max() > 1e-5


def test_a_gate_stays_a_mean_over_the_image() -> None:
    def gate(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(4, 3, name="c1")(x)
        scale = layers.Dense(4, activation="sigmoid", name="excite")(layers.GlobalAveragePooling2D(name="squeeze")(x))
        x = layers.Multiply(name="scaled")([x, layers.Reshape((1, 1, 4), name="places")(scale)])
        return layers.Dense(3, activation="softmax", name="output")(layers.GlobalAveragePooling2D(name="mean")(x))

    model = built(gate)
    made = fully_convolutional(model, contract((8, 8, 3), 3), (10, 12))
    assert list(made.differs) == ["squeeze"]
    image = noise((8, 8, 3))
    same = fully_convolutional(model, contract((8, 8, 3), 3), (8, 8))
    np.testing.assert_allclose(np.asarray(same.model(image))[:, 0, 0], np.asarray(model(image)), atol=1e-5)


def test_a_dense_layer_on_a_map_is_a_convolution_of_its_size() -> None:
    """D200 on 7x7x100 and C200/7 have 980,200 weights each; C10/7 on 14x14x100 gives 8x8x10."""

    def dense(units: int) -> Any:
        return lambda layers, x: layers.Dense(units, name="output")(layers.Flatten(name="flatten")(x))

    model, spec = built(dense(200), (7, 7, 100)), contract((7, 7, 100), 200, "logits")
    made = fully_convolutional(model, spec, (7, 7))
    assert made.model.count_params() == model.count_params() == 980_200
    assert made.model.output_shape == (None, 1, 1, 200)
    maps = noise((7, 7, 100))
    np.testing.assert_allclose(np.asarray(made.model(maps))[:, 0, 0], np.asarray(model(maps)), atol=1e-5)
    ten = fully_convolutional(built(dense(10), (7, 7, 100)), contract((7, 7, 100), 10, "logits"), (14, 14))
    assert ten.model.output_shape == (None, 8, 8, 10)
    assert ten.model.count_params() == 49_010
    assert ten.cells == (8, 8)


def test_vgg16_costs_a_fourteenth_of_its_windows() -> None:
    with weightless():
        model, spec = zoo.build("vgg16")
    small = profile(model)
    made = _counted(model, spec)
    assert made.model.output_shape == (None, 8, 8, 1000)
    assert profile(made.model).parameters == small.parameters
    assert profile(made.model).macs == 69_299_077_120
    assert 64 * small.macs / profile(made.model).macs == pytest.approx(14.3, abs=0.05)


def _counted(model: Any, spec: ModelSpec) -> FullyConvolutional:
    """Convert a network that has shapes and no values."""
    from edgecv.compress import layer_graph

    with weightless(), pytest.MonkeyPatch.context() as patch:
        for layer in model.layers:
            shapes = [np.broadcast_to(np.float32(0), tuple(weight.shape)) for weight in layer.weights]
            patch.setattr(layer, "get_weights", lambda shapes=shapes: shapes)
        patch.setattr(layer_graph, "_set_weights", lambda layer, call: None)
        return fully_convolutional(model, spec, (448, 448))


def test_the_mask_lies_where_the_windows_lie() -> None:
    """Each pixel gets the class of the cell whose window's middle is nearest."""

    def brightest(layers: Any, x: Any) -> Any:
        return layers.Dense(2, activation="softmax", name="output")(layers.Flatten(name="flatten")(x))

    model = built(brightest, (7, 7, 1))
    kernel = np.zeros((49, 2), np.float32)
    kernel[24, 1] = 200.0  # the pixel in the middle of a window alone decides
    model.layers[-1].set_weights([kernel, np.float32([0.0, -100.0])])
    made = fully_convolutional(model, contract((7, 7, 1), 2), (16, 20))
    head = made.spec.head
    assert head.task == "segmentation"
    assert task_of(head).settings(head).covers == (3.0, 3.0, 17.0, 13.0)
    image = np.zeros((16, 20), np.uint8)
    image[6, 9] = image[3, 16] = 255
    image[1, 1] = 255  # in no window's middle
    mask = KerasPredictor.of(made.model, made.spec).predict(image).mask
    # Beyond the last middles the nearest cell counts: those of the upper right corner are right of (3, 16) and above.
    corner = [(y, x) for y in range(4) for x in range(16, 20)]
    assert sorted(map(tuple, np.argwhere(mask).tolist())) == [*corner, (6, 9)]


def test_sizes_that_hold_no_whole_windows_are_refused_with_the_nearest() -> None:
    model = built(plain)
    with pytest.raises(ConfigError, match="8x8, and the next one is 2 pixels down") as caught:
        fully_convolutional(model, contract((8, 8, 3), 4), (13, 16))
    assert "12x16 or 14x16" in caught.value.hint
    with pytest.raises(ConfigError, match="no whole number") as caught:
        fully_convolutional(model, contract((8, 8, 3), 4), (4, 8))
    assert "are 8x8" in caught.value.hint


def test_what_has_no_map_is_refused_by_name() -> None:
    def order(layers: Any, x: Any) -> Any:
        x = layers.BatchNormalization(name="bn")(layers.Flatten(name="flatten")(x))
        return layers.Dense(2, name="output")(x)

    def rows(layers: Any, x: Any) -> Any:
        x = layers.LSTM(3, name="recurrent")(layers.Reshape((8, 24), name="rows")(x))
        return layers.Dense(2, name="output")(x)

    for body, name in ((order, "bn"), (rows, "rows")):
        with pytest.raises(UnsupportedModelError, match=f"layer '{name}'"):
            fully_convolutional(built(body), contract((8, 8, 3), 2), (8, 8))
    regression = one_input("net", (8, 8, 3), (Head("output", "regression", "linear", ("a", "b")),))
    with pytest.raises(ConfigError, match="regression"):
        fully_convolutional(built(plain), regression, (8, 8))
    soft = Head("output", "classification", "logits", ("a", "b"), settings={"threshold": 0.3})
    with pytest.raises(ConfigError, match=r"threshold 0\.3"):
        fully_convolutional(built(plain), one_input("net", (8, 8, 3), (soft,)), (8, 8))
