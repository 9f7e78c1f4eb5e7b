"""Networks on application backbones: golden numbers, and what their recipes freeze."""

import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from edgecv.train import default_recipe
from edgecv.train.freezing import frozen

# id, variant -> parameters, trainable in the recipe's first stage, multiply-accumulates
GOLDEN = {
    ("tl_xception_flowers", "canonical"): (20_871_725, 10_245, 4_550_841_312),
    ("tl_vgg16_catdog_fused", "canonical"): (15_242_050, 527_362, 6_616_017_664),
    ("tl_vgg16_histology", "canonical"): (23_112_520, 15_477_256, 6_623_888_128),
    ("tl_resnet50_cifar", "canonical"): (23_608_202, 1_075_210, 3_855_945_728),
    # the backbone's 14,714,688 and the head's 4,457,985; the backbone's work and the head's 4,456,960
    ("tl_vgg16_catdog_cached", "canonical"): (14_714_688 + 4_457_985, 4_457_985, 6_615_491_328 + 4_456_960),
    ("tl_vgg16_histology", "edge"): (
        14_714_688 + 512 * 1024 + 1024 + 8200,
        7_079_424 + 533_512,
        6_615_491_328 + 532_480,
    ),
    ("tl_resnet50_cifar", "resize"): (23_608_202, 1_075_210, 78_712_832),
}


@pytest.mark.parametrize(("name", "variant"), list(GOLDEN))
def test_golden_numbers(name, variant):
    model, spec = zoo.build(name, variant=variant)
    profile = zoo.profile(model)
    stage = default_recipe(spec).stages[0]
    with frozen(model, stage):
        trainable = sum(int(weight.shape.num_elements()) for weight in model.trainable_weights)
    assert (profile.parameters, trainable, profile.macs) == GOLDEN[name, variant]


def test_resize_does_less_work_with_the_same_weights():
    padded, _ = zoo.build("tl_resnet50_cifar")
    resized, _ = zoo.build("tl_resnet50_cifar", variant="resize")
    assert resized.count_params() == padded.count_params()
    assert zoo.profile(padded).macs > 40 * zoo.profile(resized).macs


def test_the_edge_variant_has_no_wide_layer():
    model, _ = zoo.build("tl_vgg16_histology", variant="edge")
    assert model.count_params() == GOLDEN["tl_vgg16_histology", "edge"][0]


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"weights file .*none.h5 does not exist"):
        zoo.build("tl_xception_flowers", weights=str(tmp_path / "none.h5"))
