import functools

import numpy as np
import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from edgecv.modelio.boundary import output_names
from edgecv.tasks.detection.settings import settings_of
from edgecv.zoo.families import labels, yolo
from tests.zoo.outline import cases, conv, figures, norm, outline, shapes, size

built = functools.cache(lambda name, variant: outline(name, variant=variant))
"""Networks without weights, which these tests only look at."""

GOLDEN = {
    ("yolo_v1", "canonical"): (271_703_550, 271_703_550, 20_285_153_280),
    ("yolo_v1", "edge"): (60_226_270, 60_199_902, 20_075_116_544),
    ("yolo_v1_tiny", "canonical"): (27_099_950, 27_095_374, 1_608_015_360),
    ("yolo_v1_tiny", "edge"): (8_666_510, 8_661_934, 1_589_952_000),
    ("yolo_v2", "canonical"): (50_676_061, 50_655_389, 14_680_167_424),
    ("yolo_v2", "edge"): (50_676_061, 50_655_389, 14_680_167_424),
    ("yolo_v2", "coco"): (50_983_561, 50_962_889, 14_732_084_224),
    ("yolo_v2_tiny", "canonical"): (15_867_885, 15_861_773, 3_485_520_896),
    ("yolo_v2_tiny", "edge"): (15_867_885, 15_861_773, 3_485_520_896),
    ("yolo_v2_tiny", "coco"): (11_237_145, 11_232_057, 2_703_221_248),
    ("yolo_v3", "canonical"): (62_001_757, 61_949_149, 32_932_037_632),
    ("yolo_v3", "edge"): (62_001_757, 61_949_149, 32_932_037_632),
    ("yolo_v3_tiny", "canonical"): (8_858_734, 8_852_366, 2_782_480_896),
    ("yolo_v3_tiny", "edge"): (8_858_734, 8_852_366, 2_782_480_896),
    ("yolo_book_head", "canonical"): (19_877_901, 19_863_501, 9_460_798_464),
    ("yolo_book_head", "edge"): (19_877_901, 19_863_501, 9_460_798_464),
    ("yolo9000", "canonical"): (48_807_501, 48_793_101, 24_531_022_848),
    ("yolo9000", "edge"): (48_807_501, 48_793_101, 24_531_022_848),
    ("yolo_small", "canonical"): (772_934, 770_182, 403_292_160),
    ("yolo_small_gray", "canonical"): (768_746, 765_994, 24_757_248),
    ("yolo_small_classifier", "canonical"): (311_866, 310_138, 10_536_192),
    ("yolo_small_gray_classifier", "canonical"): (311_578, 309_850, 10_241_280),
}
MAPS = {
    "yolo_v2": [(13, 13, 20), (13, 13, 105)],
    "yolo_v2_tiny": [(13, 13, 20), (13, 13, 105)],
    "yolo_v3": [(13, 13, 12), (13, 13, 243), (26, 26, 12), (26, 26, 243), (52, 52, 12), (52, 52, 243)],
    "yolo_v3_tiny": [(13, 13, 12), (13, 13, 243), (26, 26, 12), (26, 26, 243)],
    "yolo_book_head": [(13, 13, 20), (13, 13, 25)],
    "yolo9000": [(17, 17, 12), (17, 17, 28257)],
    "yolo_small": [(16, 16, 12), (16, 16, 63), (32, 32, 12), (32, 32, 63)],
    "yolo_small_gray": [(4, 4, 12), (4, 4, 33), (8, 8, 12), (8, 8, 33)],
    "yolo_v1": [(980,), (98,), (392,)],
    "yolo_v1_tiny": [(980,), (98,), (392,)],
}


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    profile = zoo.profile(built(name, variant)[0])
    assert (profile.parameters, profile.trainable, profile.macs) == (parameters, trainable, macs)


def test_yolo_v3_at_another_size():
    assert figures("yolo_v3", "canonical", input_shape=(608, 608, 3)) == (62_001_757, 61_949_149, 70_345_950_208)


def test_heads_have_the_channels_of_darknets_one_convolution():
    """45, 125, 255 and 28,269 channels; 845, 2,535 and 10,647 boxes; the book's head of 46,125 weights."""
    channels = {name: sum(shape[-1] for shape in maps[:2]) for name, maps in MAPS.items()}
    assert [channels[name] for name in ("yolo_book_head", "yolo_v2", "yolo_v3", "yolo9000")] == [45, 125, 255, 28_269]
    boxes = {name: sum(size(*shape) // 4 for shape in maps[::2]) for name, maps in MAPS.items()}
    assert [boxes[name] for name in ("yolo_v2", "yolo_v3_tiny", "yolo_v3")] == [845, 2_535, 10_647]
    backbone = GOLDEN["yolo_book_head", "canonical"][0] - 46_125
    assert backbone == 20_856_776 - conv(1, 1024, 1000)


@pytest.mark.parametrize(("name", "variant"), [case for case in GOLDEN if case[0] in MAPS])
def test_maps_are_what_the_settings_say(name, variant):
    model, spec = built(name, variant)
    head, settings = spec.head, settings_of(spec.head)
    assert output_names(model) == head.outputs
    if variant != "coco":
        assert [tuple(shape)[1:] for shape in model.output_shape] == MAPS[name]
    for place, (anchors, stride) in enumerate(zip(settings.anchors, settings.strides, strict=False)):
        boxes, scores = model.output_shape[2 * place], model.output_shape[2 * place + 1]
        assert boxes[1:] == (spec.input_shape[0] // stride, spec.input_shape[1] // stride, 4 * len(anchors))
        shared = settings.decoder == "yolo_book"
        units = len(anchors) + len(head.labels) if shared else len(anchors) * (1 + len(head.labels))
        assert scores[-1] == units
    if name.startswith("yolo_v1"):
        assert settings.strides == (448 / 7,)
    preprocessing = spec.preprocessing
    small = name.startswith("yolo_small")
    assert (preprocessing.resize, preprocessing.std[0]) == ("stretch" if small else "letterbox", 255.0)


def test_anchors_are_in_pixels():
    settings = settings_of(zoo.get("yolo_v2").spec().head)
    assert settings.anchors[0][0] == pytest.approx((1.3221 * 32, 1.73145 * 32), abs=1e-3)
    assert settings_of(zoo.get("yolo_v2").spec("coco").head).anchors[0][0][0] == pytest.approx(0.57273 * 32, abs=1e-3)
    assert settings_of(zoo.get("yolo_v3").spec().head).anchors[0] == ((116, 90), (156, 198), (373, 326))
    assert settings_of(zoo.get("yolo_v3_tiny").spec().head).strides == (32.0, 16.0)


def test_anchors_of_the_small_one_follow_the_input():
    entry = zoo.get("yolo_small")
    whole = settings_of(entry.spec().head).anchors
    wide = settings_of(entry.spec(input_shape=(128, 256, 3)).head).anchors
    for scale, other in zip(whole, wide, strict=True):
        for pair, halved in zip(scale, other, strict=True):
            assert halved == pytest.approx((pair[0], pair[1] / 2))
            assert pair[0] == pair[1]


def test_classes_of_yolo9000_are_roots_until_a_tree_is_given():
    spec = zoo.get("yolo9000").spec(labels=("a", "b", "c"))
    assert settings_of(spec.head).parents == (-1, -1, -1)
    assert len(zoo.get("yolo9000").spec().labels) == 9418


def test_class_names():
    assert (len(labels.VOC), len(labels.COCO)) == (20, 80)
    assert (labels.VOC[0], labels.VOC[-1]) == ("aeroplane", "tvmonitor")
    assert (labels.COCO[0], labels.COCO[9], labels.COCO[-1]) == ("person", "traffic light", "toothbrush")
    assert len(set(labels.COCO)) == 80


def test_outputs_of_yolo_v1_are_cells_in_order():
    """The edge variant's flattened 1x1 convolutions give what the decoder expects: cell by cell."""
    model, _ = zoo.build("yolo_v1_tiny", variant="edge", input_shape=(128, 128, 3), width=0.25)
    image = np.random.default_rng(0).random((1, 128, 128, 3), dtype=np.float32)
    outputs = [tensor.numpy() for tensor in model(image)]
    assert [output.shape for output in outputs] == [(1, 4 * 20), (1, 4 * 2), (1, 4 * 8)]
    boxes = model.get_layer("boxes_cells")
    features = boxes.input
    from edgecv.modelio import env

    maps = env.keras().Model(model.inputs, features)(image)
    assert outputs[2].reshape(2, 2, 8) == pytest.approx(boxes(maps).numpy()[0], abs=1e-6)


def test_objectness_begins_low():
    model, _ = zoo.build("yolo_small_gray")
    for place in (0, 1):
        bias = model.get_layer(f"scores_{place}").get_weights()[1]
        assert 1 / (1 + np.exp(-bias)) == pytest.approx(np.full(33, 0.01), abs=1e-6)


def test_the_small_one_by_arithmetic():
    def layer(kernel, inputs, filters):
        return conv(kernel, inputs, filters, bias=False) + norm(filters)

    def unit(filters):
        return layer(1, filters, filters // 2) + layer(3, filters // 2, filters)

    total = layer(3, 1, 16) + layer(3, 16, 32) + unit(32)
    total += layer(3, 32, 64) + 2 * unit(64) + layer(3, 64, 128) + 2 * unit(128)
    total += layer(3, 128, 128) + layer(1, 128, 64) + layer(3, 128, 64)
    total += 2 * layer(3, 128, 64) + 2 * layer(3, 64, 64) + 2 * (conv(1, 64, 12) + conv(1, 64, 33))
    assert total == GOLDEN["yolo_small_gray", "canonical"][1]
    assert GOLDEN["yolo_small", "canonical"][0] < 2_000_000
    backbone = layer(3, 1, 16) + layer(3, 16, 32) + unit(32)
    backbone += layer(3, 32, 64) + 2 * unit(64) + layer(3, 64, 128) + 2 * unit(128)
    assert GOLDEN["yolo_small_gray_classifier", "canonical"][1] == backbone + 128 * 10 + 10


@pytest.mark.parametrize("name", ["yolo_small", "yolo_small_gray"])
def test_the_classifier_of_the_small_one_is_its_backbone(name):
    detector, classifier = (built(one, "canonical")[0] for one in (name, f"{name}_classifier"))
    own = {layer.name: [tuple(weight.shape) for weight in layer.weights] for layer in detector.layers if layer.weights}
    shared = {layer.name: [tuple(weight.shape) for weight in layer.weights] for layer in classifier.layers[:-1]}
    shared = {layer: shapes for layer, shapes in shared.items() if shapes}
    assert shared.items() <= own.items()
    assert {layer for layer in own if layer.startswith(("stem", "stage"))} == set(shared)


def test_width_scales_and_sizes_are_multiples():
    for name in ("yolo_v1_tiny", "yolo_v3_tiny", "yolo_small"):
        whole = figures(name, "canonical", input_shape=(64, 64, 3))[0]
        half = figures(name, "canonical", input_shape=(64, 64, 3), width=0.5)[0]
        assert half == pytest.approx(whole / 4, rel=0.15)
    with pytest.raises(ConfigError, match="multiples of 32, got 400x416"):
        outline("yolo_v3", input_shape=(400, 416, 3))
    with pytest.raises(ConfigError, match="multiples of 64, got 416x416"):
        outline("yolo_v1", input_shape=(416, 416, 3))
    assert shapes(outline("yolo_v3_tiny", input_shape=(224, 320, 3))[0])["boxes_1"] == (14, 20, 12)


def test_edge_variants_have_no_leaky_relu():
    for name, variant in GOLDEN:
        kinds = {type(layer).__name__ for layer in built(name, variant)[0].layers}
        assert ("LeakyReLU" in kinds) == (variant in ("canonical", "coco") and not name.startswith("yolo_small"))


def test_the_passthrough_puts_blocks_of_cells_into_channels():
    model, _ = zoo.build("yolo_v2", input_shape=(64, 64, 3), width=0.25)
    layer = model.get_layer("passthrough_cells")
    maps = np.arange(4 * 4 * 2, dtype=np.float32).reshape(1, 4, 4, 2)
    found = layer(maps).numpy()
    assert found.shape == (1, 2, 2, 8)
    assert found[0, 1, 0].tolist() == [*maps[0, 2, 0], *maps[0, 2, 1], *maps[0, 3, 0], *maps[0, 3, 1]]
    assert yolo.NODES == 9418
