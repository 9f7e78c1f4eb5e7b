import numpy as np
import pytest

from edgecv import zoo
from edgecv.modelio import env
from edgecv.zoo import blocks
from tests.zoo.outline import dense


def net(shape, build):
    image = blocks.image_input(shape)
    with zoo.weightless():
        return blocks.model(image, build(image), name="net")


def names(model):
    return [layer.name for layer in model.layers[1:]]


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "valid", "same"),
    [(13, 6, 5, 2, 3), (5, 3, 3, 1, 2), (7, 3, 2, 3, 4), (28, 5, 1, 24, 28), (150, 3, 3, 50, 50), (100, 3, 1, 98, 100)],
)
def test_sizes_of_convolutions(side, kernel, stride, valid, same):
    for padding, expected in (("valid", valid), ("same", same)):
        model = net((side, side, 1), lambda x: blocks.conv(x, 2, kernel, strides=stride, padding=padding, name="c"))  # noqa: B023
        assert model.output_shape == (None, expected, expected, 2)


def test_an_incomplete_window_is_dropped_by_pools():
    assert net((5, 5, 1), lambda x: blocks.max_pool(x, 2, name="p")).output_shape == (None, 2, 2, 1)
    assert net((5, 7, 1), lambda x: blocks.pool(x, 3, strides=2, name="p")).output_shape == (None, 3, 4, 1)
    values = np.array([[1, 3, 5, 7], [4, 5, 11, 3], [4, 1, 21, 6], [13, 15, 1, 2]], np.float32)[None, ..., None]
    assert np.squeeze(blocks.max_pool(values, 2, name="p")).tolist() == [[5, 11], [15, 21]]
    assert np.squeeze(blocks.average_pool(values, 2, name="p")).tolist() == [[3.25, 6.5], [8.25, 7.5]]


def test_two_small_kernels_are_cheaper_than_a_large_one():
    two = net((8, 8, 64), lambda x: blocks.conv(blocks.conv(x, 64, 3, name="a"), 64, 3, name="b"))
    one = net((8, 8, 64), lambda x: blocks.conv(x, 64, 5, name="a"))
    assert (two.count_params(), one.count_params()) == (73_856, 102_464)


def test_a_separable_convolution_is_cheaper_than_a_full_one():
    separable = net((8, 8, 256), lambda x: blocks.separable_norm(x, 256, name="s"))
    full = net((8, 8, 256), lambda x: blocks.conv_norm(x, 256, 3, name="s"))
    normalised = 4 * 256
    assert separable.count_params() - normalised == 67_840
    assert full.count_params() - normalised == 589_824
    assert names(separable) == ["s_dw", "s_pw", "s_bn", "s_act"]


def test_a_pointwise_convolution_changes_the_channels_only():
    assert net((24, 24, 128), lambda x: blocks.conv(x, 16, 1, name="c")).output_shape == (None, 24, 24, 16)


def test_flattening_counts_every_value():
    assert net((20, 20, 16), blocks.flatten).output_shape == (None, 6_400)


def test_squeeze_and_excitation_has_the_weights_of_two_dense_layers():
    model = net((4, 4, 256), lambda x: blocks.squeeze_excite(x, name="se"))
    assert model.count_params() == dense(256, 16, 256) == 8_464
    assert not [layer for layer in model.layers if type(layer).__name__ in ("Dense", "Reshape")]


def test_squeeze_and_excitation_scales_whole_maps():
    keras = env.keras()
    keras.utils.set_random_seed(0)
    image = blocks.image_input((3, 3, 8))
    model = blocks.model(image, blocks.squeeze_excite(image, ratio=4, name="se"), name="net")
    x = np.random.default_rng(0).random((2, 3, 3, 8), dtype=np.float32) + 0.5
    scale = np.asarray(model(x)) / x
    np.testing.assert_allclose(scale, np.broadcast_to(scale[:, :1, :1], scale.shape), rtol=1e-5)
    assert ((scale > 0) & (scale < 1)).all()


def test_hidden_layers_are_numbered_and_drop_only_when_asked():
    assert names(net((4,), lambda x: blocks.hidden_layers(x, (3, 2)))) == ["fc1", "fc2"]
    assert names(net((4,), lambda x: blocks.hidden_layers(x, (3, 2), rate=0.5))) == ["fc1", "drop1", "fc2", "drop2"]
    assert names(net((2, 2, 1), lambda x: blocks.dense_head(x, (3,), 2))) == ["flatten", "fc1", "output"]


def test_widths_round_to_multiples_of_eight():
    assert [blocks.scaled(f, w) for f, w in ((32, 1.0), (32, 0.5), (24, 0.35), (4, 0.5), (16, 1.4))] == [
        32, 16, 8, 8, 24,
    ]  # fmt: skip
    assert all(blocks.scaled(f, 0.35) >= 0.9 * 0.35 * f for f in range(8, 400, 8))


def test_weightless_models_hold_shapes_and_no_memory():
    with zoo.weightless():
        model, _ = zoo.build("lenet5", variant="book")
    assert model.count_params() == 60_840
    held = {w.name: w.numpy().size for w in model.weights if w.shape.num_elements() >= 1024}
    assert held == {"c3/values:0": 0, "c5/kernel:0": 0, "f6/kernel:0": 0}
    assert np.isfinite(zoo.build("lenet5")[0].get_layer("c5").get_weights()[0]).all()
