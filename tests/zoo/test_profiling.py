import pytest

from edgecv import zoo
from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env

keras = env.keras()
layers = keras.layers


def test_three_strided_convolutions_by_hand():
    # 100, 200, 400 maps of 3x3 stride 2 SAME on 200x300x3: outputs 100x150, 50x75, 25x38
    x = image = keras.Input((200, 300, 3))
    for name, filters in {"first": 100, "second": 200, "third": 400}.items():
        x = layers.Conv2D(filters, 3, strides=2, padding="same", name=name)(x)
    profile = zoo.profile(keras.Model(image, x))
    assert profile.parameters == 2_800 + 180_200 + 720_400
    assert profile.macs == 1_399_500_000
    # the worst moment holds the first two outputs: 6.0 MB + 3.0 MB
    assert profile.peak_activation_bytes == 4 * (100 * 150 * 100 + 50 * 75 * 200)
    assert profile.peak_layer == "second"
    assert profile.depth == 3


def test_a_residual_keeps_its_input_alive():
    image = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 3, padding="same")(image)
    y = layers.Conv2D(4, 3, padding="same")(x)
    y = layers.Conv2D(4, 3, padding="same", name="widest")(y)
    profile = zoo.profile(keras.Model(image, layers.Add()([x, y])))
    assert profile.peak_activation_bytes == 3 * 8 * 8 * 4 * 4
    assert profile.peak_layer == "widest"
    assert profile.depth == 3


def test_the_peak_inside_a_nested_model_is_named_there():
    inner_image = keras.Input((8, 8, 1))
    wide = layers.Conv2D(64, 1, name="wide")(inner_image)
    inner = keras.Model(inner_image, layers.Conv2D(2, 1, name="narrow")(wide), name="inner")
    image = keras.Input((8, 8, 1))
    profile = zoo.profile(keras.Model(image, layers.Conv2D(2, 1)(inner(image))))
    assert profile.peak_layer == "inner/narrow"


def test_views_take_no_memory():
    image = keras.Input((4, 4, 2))
    plain = keras.Model(image, layers.Dense(3)(layers.Flatten()(image)))
    dropped = keras.Model(image, layers.Dense(3)(layers.Dropout(0.5)(layers.Flatten()(image))))
    assert zoo.profile(plain).peak_activation_bytes == zoo.profile(dropped).peak_activation_bytes == (32 + 3) * 4


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (layers.Conv2D(6, 3, groups=2), 6 * 6 * 3 * 3 * 2 * 6),
        (layers.DepthwiseConv2D(3), 6 * 6 * 3 * 3 * 4),
        (layers.SeparableConv2D(5, 3, padding="same"), 8 * 8 * (3 * 3 * 4 + 4 * 5)),
        (layers.Conv2DTranspose(5, 2, strides=2), 8 * 8 * 2 * 2 * 4 * 5),
        (layers.Dense(7), 8 * 8 * 4 * 7),
        (layers.BatchNormalization(), 0),
        (layers.AveragePooling2D(), 0),
    ],
)
def test_macs_of_one_layer(layer, macs):
    image = keras.Input((8, 8, 4))
    assert zoo.profile(keras.Model(image, layer(image))).macs == macs


def test_batch_norm_statistics_do_not_train():
    image = keras.Input((8, 8, 4))
    profile = zoo.profile(keras.Model(image, layers.BatchNormalization()(image)))
    assert (profile.parameters, profile.trainable) == (16, 8)


def test_nested_and_shared_models_count_each_call():
    inner_input = keras.Input((8,))
    inner = keras.Model(inner_input, layers.Dense(4)(inner_input), name="inner")
    a, b = keras.Input((8,)), keras.Input((8,))
    profile = zoo.profile(keras.Model([a, b], layers.Subtract()([inner(a), inner(b)])))
    assert profile.parameters == 36
    assert profile.macs == 2 * 32
    assert profile.depth == 1


def test_a_model_that_is_no_graph_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UnsupportedModelError, match="not a graph of layers"):
        zoo.profile(Own())


def test_a_dynamic_shape_is_refused():
    image = keras.Input((None, None, 3))
    with pytest.raises(UnsupportedModelError, match="dynamic shape"):
        zoo.profile(keras.Model(image, layers.Conv2D(2, 3)(image)))
