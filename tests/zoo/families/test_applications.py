import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from tests.zoo.outline import figures, outline, shapes

GOLDEN = {
    ("vgg16", "canonical"): (138_357_544, 138_357_544, 15_470_264_320),
    ("vgg19", "canonical"): (143_667_240, 143_667_240, 19_632_062_464),
    ("resnet50_v1", "canonical"): (25_636_712, 25_583_592, 3_857_973_248),
    ("resnet50_v2", "canonical"): (25_613_800, 25_568_360, 3_482_255_360),
    ("resnet152", "canonical"): (60_419_944, 60_268_520, 11_282_415_616),
    ("resnet152_v2", "canonical"): (60_380_648, 60_236_904, 10_906_697_728),
    ("inception_v3", "canonical"): (23_851_784, 23_817_352, 5_713_216_096),
    ("inception_resnet_v2", "canonical"): (55_873_736, 55_813_192, 13_155_794_016),
    ("xception", "canonical"): (22_910_480, 22_855_952, 8_357_403_496),
    ("densenet121", "canonical"): (8_062_504, 7_978_856, 2_834_161_664),
    ("densenet169", "canonical"): (14_307_880, 14_149_480, 3_359_843_328),
    ("densenet201", "canonical"): (20_242_984, 20_013_928, 4_291_365_888),
    ("mobilenet_v1", "canonical"): (4_253_864, 4_231_976, 568_740_352),
    ("mobilenet_v2", "canonical"): (3_538_984, 3_504_872, 300_774_272),
    ("nasnet_mobile", "canonical"): (5_326_716, 5_289_978, 563_638_816),
    ("nasnet_large", "canonical"): (88_949_818, 88_753_150, 23_783_414_658),
    ("efficientnet_b0", "canonical"): (5_330_571, 5_288_548, 385_814_752),
    ("efficientnet_b0", "lite"): (4_694_024, 4_652_008, 385_187_552),
}
QUICK = ("vgg16", "vgg19", "resnet50_v1", "xception", "mobilenet_v1", "mobilenet_v2")
CASES = [
    pytest.param(name, variant, numbers, id=f"{name}/{variant}", marks=[] if name in QUICK else pytest.mark.slow)
    for (name, variant), numbers in GOLDEN.items()
]


@pytest.mark.parametrize(("name", "variant", "numbers"), CASES)
def test_golden_numbers(name, variant, numbers):
    assert figures(name, variant) == numbers


@pytest.mark.parametrize("name", sorted({case.values[0] for case in CASES if case.marks}))
@pytest.mark.slow
def test_the_small_input_is_large_enough(name):
    model, spec = outline(name, input_shape=zoo.get(name).small_shape)
    assert tuple(model.output_shape) == (None, len(spec.labels))


@pytest.mark.parametrize("name", ["mobilenet_v2", "deeplab_mnv2"])
def test_statistics_follow_a_training_of_some_hundred_steps(name):
    """Keras' MobileNets keep 0.999 at each step, 0.74 of what they were built with after 300."""
    model, _ = outline(name)
    momenta = {layer.momentum for layer in model.layers if type(layer).__name__ == "BatchNormalization"}
    assert max(momenta) <= 0.99


def test_stages_of_vgg():
    found = shapes(outline("vgg16")[0])
    assert [found[f"block{i}_pool"][0] for i in range(1, 6)] == [112, 56, 28, 14, 7]
    assert shapes(outline("vgg16", input_shape=(150, 150, 3))[0])["block5_pool"] == (4, 4, 512)


def test_stages_of_xception():
    found = shapes(outline("xception")[0])
    names = ("block1_conv2", "block2_pool", "block3_pool", "block4_pool", "block13_pool", "block14_sepconv2")
    assert [found[name] for name in names] == [
        (147, 147, 64), (74, 74, 128), (37, 37, 256), (19, 19, 728), (10, 10, 1024), (10, 10, 2048),
    ]  # fmt: skip


@pytest.mark.slow
def test_efficientnet_lite_has_no_gates_and_takes_weights_from_a_file(tmp_path):
    model, _ = outline("efficientnet_b0", variant="lite", input_shape=(32, 32, 3))
    kinds = {type(layer).__name__ for layer in model.layers}
    assert not kinds & {"Multiply", "Rescaling"}
    options = {"variant": "lite", "labels": ("a", "b"), "input_shape": (32, 32, 3)}
    source, _ = zoo.build("efficientnet_b0", seed=1, **options)
    source.save_weights(tmp_path / "own.weights.h5")
    loaded, _ = zoo.build("efficientnet_b0", weights=str(tmp_path / "own.weights.h5"), seed=2, **options)
    assert all((a == b).all() for a, b in zip(source.get_weights(), loaded.get_weights(), strict=True))
    with pytest.raises(ConfigError, match="no ImageNet weights"):
        zoo.build("efficientnet_b0", weights="imagenet", **options)
