import functools

import numpy as np
import pytest

from edgecv import zoo
from tests.zoo.outline import cases, conv, dense, norm, outline, shapes

built = functools.cache(lambda name, variant="canonical": outline(name, variant=variant)[0])
"""Networks without weights, which these tests only look at."""

GOLDEN = {
    ("darknet19", "canonical"): (20_856_776, 20_842_376, 2_790_989_824),
    ("darknet19", "edge"): (20_856_776, 20_842_376, 2_790_989_824),
    ("darknet53", "canonical"): (41_645_640, 41_609_928, 9_285_115_904),
    ("darknet53", "edge"): (41_645_640, 41_609_928, 9_285_115_904),
}


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    profile = zoo.profile(built(name, variant))
    assert (profile.parameters, profile.trainable, profile.macs) == (parameters, trainable, macs)


def test_darknet19_by_arithmetic():
    widths = [3, 32, 64, 128, 64, 128, 256, 128, 256, 512, 256, 512, 256, 512, 1024, 512, 1024, 512, 1024]
    kernels = [3, 3, 3, 1, 3, 3, 1, 3, 3, 1, 3, 1, 3, 3, 1, 3, 1, 3]
    total = sum(conv(k, a, b, bias=False) + norm(b) for k, a, b in zip(kernels, widths, widths[1:], strict=False))
    assert total + conv(1, 1024, 1000) == GOLDEN["darknet19", "canonical"][1]
    assert len(kernels) + 1 == 19


def test_darknet53_by_arithmetic():
    total, inputs = conv(3, 3, 32, bias=False) + norm(32), 32
    for filters, units in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        half = filters // 2
        total += conv(3, inputs, filters, bias=False) + norm(filters)
        unit = conv(1, filters, half, bias=False) + norm(half) + conv(3, half, filters, bias=False) + norm(filters)
        total, inputs = total + units * unit, filters
    assert total + dense(1024, 1000) == GOLDEN["darknet53", "canonical"][1]


def test_stages():
    found = shapes(built("darknet19"))
    assert [found[name] for name in ("conv1a", "conv2a", "conv3c", "conv4c", "conv5e", "conv6e", "scores")] == [
        (224, 224, 32), (112, 112, 64), (56, 56, 128), (28, 28, 256), (14, 14, 512), (7, 7, 1024), (7, 7, 1000),
    ]  # fmt: skip
    found = shapes(built("darknet53"))
    ends = [found[f"stage{stage}_unit{units}_add"] for stage, units in enumerate((1, 2, 8, 8, 4), start=1)]
    assert ends == [(128, 128, 64), (64, 64, 128), (32, 32, 256), (16, 16, 512), (8, 8, 1024)]


def test_activations():
    for name in ("darknet19", "darknet53"):
        kinds = {type(layer).__name__ for layer in built(name).layers}
        assert "LeakyReLU" in kinds
        assert "ReLU" not in kinds
        kinds = {type(layer).__name__ for layer in built(name, "edge").layers}
        assert "ReLU" in kinds
        assert not kinds & {"LeakyReLU", "ZeroPadding2D"}
    layer = built("darknet53").get_layer("stem_act")
    assert layer.alpha == pytest.approx(0.1)


def test_a_stride_goes_over_maps_with_zeros_on_each_side_as_in_darknet():
    model, _ = zoo.build("darknet53", width=0.25, input_shape=(64, 64, 3), labels=("a", "b"))
    layer = model.get_layer("stage1_down")
    kernel = layer.get_weights()[0]
    seen = np.random.default_rng(0).random((1, 64, 64, kernel.shape[2]), dtype=np.float32)
    padded = np.pad(seen[0], ((1, 1), (1, 1), (0, 0)))
    by_hand = np.einsum("hwc,hwcf->f", padded[6:9, 10:13], kernel)
    found = layer(model.get_layer("stage1_down_pad")(seen)).numpy()
    assert found.shape == (1, 32, 32, kernel.shape[3])
    assert found[0, 3, 5] == pytest.approx(by_hand, abs=1e-5)
