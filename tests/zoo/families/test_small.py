import pytest

from tests.zoo.outline import cases, dense, figures, norm, sides

GOLDEN = {
    ("mobilenet_v2_small", "canonical"): (137_610, 130_410, 19_637_120),
    ("mobilenet_v2_small", "centred"): (137_610, 130_410, 4_910_720),
    ("mobilenet_v2_small", "gated"): (277_918, 270_718, 19_775_488),
    ("xception_small", "canonical"): (112_234, 109_786, 14_434_176),
    ("densenet_small", "canonical"): (181_210, 176_122, 72_365_352),
}


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_mobilenet_by_arithmetic():
    total, macs, side, channels = 27 * 16 + norm(16), 32 * 32 * 27 * 16, 32, 16
    for expansion, filters, repeats, stride in (
        (1, 8, 1, 1), (6, 16, 2, 1), (6, 24, 3, 2), (6, 32, 3, 2), (6, 48, 2, 1),
    ):  # fmt: skip
        for index in range(repeats):
            inner, before = expansion * channels, side
            side //= stride if index == 0 else 1
            expand = channels * inner if expansion > 1 else 0
            total += expand + norm(inner) * (expansion > 1) + 9 * inner + norm(inner) + inner * filters + norm(filters)
            macs += before**2 * expand + side**2 * (9 * inner + inner * filters)
            channels = filters
    total += 48 * 192 + norm(192) + dense(192, 10)
    macs += side**2 * 48 * 192 + 1_920
    assert GOLDEN["mobilenet_v2_small", "canonical"][1:] == (total, macs)
    assert side == 8
    quarter = (macs - 1_920) // 4 + 1_920  # the stem's stride halves each side
    assert GOLDEN["mobilenet_v2_small", "centred"][1:] == (total, quarter)


def test_xception_by_arithmetic():
    def separable(inputs, filters):
        return 9 * inputs + inputs * filters

    total, macs, channels, side = 27 * 24 + norm(24), 32 * 32 * 27 * 24, 24, 32
    for filters in (48, 96):
        weights = separable(channels, filters) + separable(filters, filters)
        macs += side**2 * weights + (side // 2) ** 2 * channels * filters
        total += weights + channels * filters + 3 * norm(filters)
        channels, side = filters, side // 2
    middle = 6 * separable(96, 96)
    total += middle + 6 * norm(96) + separable(96, 192) + norm(192) + dense(192, 10)
    macs += side**2 * (middle + separable(96, 192)) + 1_920
    assert GOLDEN["xception_small", "canonical"][1:] == (total, macs)


def test_densenet_by_arithmetic():
    growth, channels, side = 12, 24, 32
    total, macs = 27 * channels, side**2 * 27 * channels
    for block in range(3):
        for _ in range(6):
            weights = channels * 4 * growth + 9 * 4 * growth * growth
            total += weights + norm(channels) + norm(4 * growth)
            macs += side**2 * weights
            channels += growth
        if block < 2:
            total += norm(channels) + channels * (channels // 2)
            macs += side**2 * channels * (channels // 2)
            channels, side = channels // 2, side // 2
    total += norm(channels) + dense(channels, 10)
    assert GOLDEN["densenet_small", "canonical"][1:] == (total, macs + channels * 10)


def test_stages():
    assert sides("mobilenet_v2_small", "stem", "block2_2_add", "block3_3_add", "last") == [32, 32, 16, 8]
    assert sides("xception_small", "stem", "entry1_add", "entry2_add", "exit_pw") == [32, 16, 8, 8]
    assert sides("densenet_small", "dense1_6_concat", "dense2_6_concat", "dense3_6_concat") == [32, 16, 8]
