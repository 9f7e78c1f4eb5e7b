import pytest

from edgecv import zoo
from tests.zoo.outline import cases, conv, dense, figures, outline, shapes, sides

GOLDEN = {
    ("resnet8", "canonical"): (78_666, 78_186, 12_501_632),
    ("resnet20", "canonical"): (274_042, 272_474, 40_813_184),
    ("se_resnet20", "canonical"): (278_452, 276_884, 40_817_216),
    ("resnet34", "canonical"): (21_814_696, 21_797_672, 3_663_761_408),
    ("resnet34", "book"): (21_542_376, 21_542_376, 975_835_136),
    ("resnet34", "fix_stride"): (21_542_376, 21_542_376, 3_413_282_816),
    ("se_resnet34", "canonical"): (21_975_892, 21_958_868, 3_663_918_592),
    ("resnet50_v15", "canonical"): (25_636_712, 25_583_592, 4_089_184_256),
    ("resnet50_v15", "bias_free"): (25_610_152, 25_557_032, 4_089_184_256),
    ("se_resnet50", "canonical"): (28_141_144, 28_088_024, 3_860_488_192),
}
TEN = tuple(f"label_{index}" for index in range(10))


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_resnet34_for_ten_classes():
    assert figures("resnet34", "canonical", labels=TEN) == (21_306_826, 21_289_802, 3_663_254_528)


def test_stages_of_resnet34():
    found = shapes(outline("resnet34")[0])
    ends = [found[f"group{group}_unit{units}_out"] for group, units in enumerate((3, 4, 6, 3), start=1)]
    assert ends == [(56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)]


def test_stages_of_resnet50_and_where_it_strides():
    v15, se = outline("resnet50_v15")[0], outline("se_resnet50")[0]
    ends = [shapes(v15)[f"group{g}_unit{u}_out"] for g, u in enumerate((3, 4, 6, 3), start=1)]
    assert ends == [(56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048)]
    strides = [[m.get_layer(f"group2_unit1_conv{i}").strides[0] for i in (1, 2)] for m in (v15, se)]
    assert strides == [[1, 2], [2, 1]]


def test_stages_of_the_small_nets():
    assert sides("resnet8", "stem", "group1_unit1_out", "group2_unit1_out", "group3_unit1_out") == [32, 32, 16, 8]
    assert sides("resnet20", "stem", "group1_unit3_out", "group2_unit3_out", "group3_unit3_out") == [32, 32, 16, 8]


def test_gates_by_arithmetic():
    def gates(ratio, units):
        return sum(count * dense(c, c // ratio, c) for count, c in units)

    assert gates(8, ((3, 16), (3, 32), (3, 64))) == 278_452 - 274_042
    assert gates(16, ((3, 64), (4, 128), (6, 256), (3, 512))) == 21_975_892 - 21_814_696
    assert gates(16, ((3, 256), (4, 512), (6, 1024), (3, 2048))) == 28_141_144 - 25_610_152


def test_resnet8_by_arithmetic():
    widths = ((16, 16), (16, 32), (32, 64))
    total = conv(3, 3, 16) + 4 * 16 + dense(64, 10)
    for inputs, filters in widths:
        total += conv(3, inputs, filters) + conv(3, filters, filters) + 2 * 4 * filters
        total += conv(1, inputs, filters) if inputs != filters else 0
    assert GOLDEN["resnet8", "canonical"][0] == total == 78_666


@pytest.mark.parametrize("variant", ["canonical", "book", "fix_stride"])
def test_width_scales_every_variant(variant):
    whole, _ = zoo.build("resnet34", variant=variant, input_shape=(64, 64, 3), labels=("a", "b"))
    half, _ = zoo.build("resnet34", variant=variant, input_shape=(64, 64, 3), labels=("a", "b"), width=0.5)
    assert half.count_params() == pytest.approx(whole.count_params() / 4, rel=0.02)
