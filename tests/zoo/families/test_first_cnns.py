import numpy as np
import pytest

from edgecv import zoo
from edgecv.tasks.registry import task_of
from edgecv.zoo import blocks
from edgecv.zoo.families.first_cnns import CONV_RATE
from tests.zoo.outline import cases, conv, dense, figures, outline, shapes, sides

GOLDEN = {
    ("cnn_signs", "canonical"): (8_402_618, 8_402_618, 8_991_744),
    ("cnn_signs", "edge"): (100_506, 100_506, 14_748_928),
    ("cnn_mnist_b4", "canonical"): (4_738_826, 4_738_826, 15_531_392),
    ("cnn_mnist_b4", "edge"): (1_199_882, 1_199_882, 11_992_448),
    ("cnn_mnist_5x5", "canonical"): (592_074, 592_074, 1_051_904),
    ("cnn_mnist_slide", "canonical"): (1_199_882, 1_199_882, 11_992_448),
    ("cnn_5class", "canonical"): (5_733, 5_733, 684_352),
    ("cnn_catdog", "canonical"): (19_024_513, 19_024_513, 161_408_256),
    ("cnn_catdog", "softmax"): (19_025_026, 19_025_026, 161_408_768),
    ("cnn_catdog", "edge"): (150_658, 150_658, 142_534_400),
    ("histology_v1", "canonical"): (85_512, 85_512, 3_405_696),
    ("histology_v1", "book"): (85_512, 85_512, 3_405_696),
    ("histology_v2", "canonical"): (5_447_912, 5_447_912, 686_513_920),
    ("histology_v2", "edge"): (155_880, 155_880, 681_221_888),
    ("histology_v3", "canonical"): (639_240, 639_240, 207_497_408),
    ("histology_v3", "edge"): (639_240, 639_240, 207_497_408),
}


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


@pytest.mark.parametrize(
    ("name", "layers", "expected"),
    [
        ("cnn_signs", "conv1 pool1", [64, 32]),
        ("cnn_mnist_b4", "conv1 conv2", [26, 24]),
        ("cnn_mnist_slide", "conv1 conv2 pool", [26, 24, 12]),
        ("cnn_mnist_5x5", "conv1 pool1", [24, 12]),
        ("cnn_5class", "conv1 pool1 conv2 pool2", [30, 10, 8, 2]),
        ("cnn_catdog", "conv1 pool1 conv2 pool2 conv3 pool3", [148, 74, 72, 36, 34, 17]),
        ("histology_v1", "conv1 pool1 conv2 pool2", [50, 25, 8, 4]),
        ("histology_v2", "conv1 pool1 pool2 pool3", [150, 75, 37, 18]),
        ("histology_v3", "pool1 pool2 pool3 pool4", [50, 16, 5, 1]),
    ],
)
def test_stages(name, layers, expected):
    assert sides(name, *layers.split()) == expected


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("cnn_signs", 16_384),
        ("cnn_mnist_b4", 36_864),
        ("cnn_mnist_5x5", 4_608),
        ("cnn_mnist_slide", 9_216),
        ("cnn_5class", 128),
        ("cnn_catdog", 36_992),
        ("histology_v1", 1_024),
        ("histology_v2", 20_736),
    ],
)
def test_what_is_flattened(name, features):
    assert shapes(outline(name)[0])["flatten"] == (features,)


def test_one_dense_layer_holds_nearly_all_of_the_signs_net():
    share = dense(16_384, 512) / GOLDEN["cnn_signs", "canonical"][0]
    assert share == pytest.approx(0.998, abs=5e-4)


@pytest.mark.parametrize(
    ("features", "units", "weights"),
    [(100 * 100, 1_000, 10_000_000), (224 * 224 * 3, 1_024, 154_140_672), (784, 512, 401_408)],
)
def test_dense_explosion(features, units, weights):
    with zoo.weightless():
        image = blocks.image_input((features,))
        model = blocks.model(image, blocks.dense(image, units, name="fc"), name="explosion")
    assert zoo.profile(model).macs == weights


def test_parameters_of_the_edge_variants_by_arithmetic():
    signs = conv(3, 1, 16) + conv(3, 16, 32) + conv(3, 32, 64) + conv(3, 64, 128) + dense(128, 26)
    assert GOLDEN["cnn_signs", "edge"][0] == signs
    digits = conv(3, 1, 32) + conv(3, 32, 64) + dense(12 * 12 * 64, 128, 10)
    assert GOLDEN["cnn_mnist_b4", "edge"][0] == digits
    pets = conv(3, 3, 16) + conv(3, 16, 64) + conv(3, 64, 128) + dense(128, 512, 2)
    assert GOLDEN["cnn_catdog", "edge"][0] == pets
    tissue = conv(5, 3, 128) + conv(3, 128, 64) + conv(3, 64, 64) + dense(64, 256, 64, 32, 8)
    assert GOLDEN["histology_v2", "edge"][0] == tissue


def test_a_global_maximum_over_one_pixel_changes_nothing():
    shape = (81, 81, 3)
    canonical, _ = zoo.build("histology_v3", input_shape=shape, seed=4)
    edge, _ = zoo.build("histology_v3", variant="edge", input_shape=shape, seed=5)
    edge.set_weights(canonical.get_weights())
    image = np.random.default_rng(0).random((2, *shape), dtype=np.float32)
    np.testing.assert_array_equal(canonical(image), edge(image))


def test_outputs():
    one, two = (zoo.get("cnn_catdog").spec(variant).head for variant in ("canonical", "softmax"))
    assert (one.task, one.labels, task_of(one).metric.name) == ("multilabel", ("dog",), "exact_match")
    assert (two.task, two.labels, task_of(two).metric.name) == ("classification", ("cat", "dog"), "top1")
    ends = {v: outline("histology_v1", variant=v)[0].get_layer("output").activation for v in ("canonical", "book")}
    assert [end.__name__ for end in ends.values()] == ["softmax", "sigmoid"]


def test_dropout_as_published():
    def rates(name):
        return [layer.rate for layer in outline(name)[0].layers if type(layer).__name__ == "Dropout"]

    assert rates("cnn_mnist_5x5") == [0.2]
    assert rates("cnn_mnist_slide") == [0.25, 0.5]
    assert rates("histology_v1") == [0.5]
    assert rates("histology_v2") == [CONV_RATE] * 3
    assert rates("histology_v3") == [CONV_RATE] * 4
    assert rates("cnn_signs") == rates("cnn_mnist_b4") == rates("cnn_5class") == rates("cnn_catdog") == []
