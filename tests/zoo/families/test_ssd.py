from dataclasses import replace

import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.tasks.detection import anchors, decoders
from edgecv.tasks.detection.settings import settings_of
from edgecv.zoo.families import ssd
from tests.zoo.outline import cases, conv, figures, outline, shapes

GOLDEN = {
    ("ssd300", "canonical"): (26_284_974 + 512, 26_284_974 + 512, 31_373_537_792),
    ("ssd300", "edge"): (26_284_974 + 4 * 512, 26_284_974 + 2 * 512, 31_373_537_792),
    ("ssdlite_mnv2", "canonical"): (4_387_765, 4_337_013, 788_830_144),
}
VOC = tuple(f"class_{index}" for index in range(20))


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_golden_numbers_of_ssdlite_with_the_classes_of_voc():
    assert figures("ssdlite_mnv2", "canonical", labels=VOC) == (3_406_585, 3_355_833, 695_425_984)


def test_heads_of_ssd300_by_arithmetic():
    model, _ = outline("ssd300")
    maps, anchors = (512, 1024, 512, 256, 256, 256), (4, 6, 6, 6, 4, 4)
    for index, (channels, count) in enumerate(zip(maps, anchors, strict=True)):
        assert model.get_layer(f"boxes_{index}").count_params() == conv(3, channels, 4 * count)
        assert model.get_layer(f"scores_{index}").count_params() == conv(3, channels, 21 * count)


@pytest.mark.parametrize(
    ("name", "side", "grids", "boxes"),
    [
        ("ssd300", 300, (38, 19, 10, 5, 3, 1), 8_732),
        ("ssdlite_mnv2", 320, (20, 10, 5, 3, 2, 1), 2_034),
        ("ssdlite_mnv2", 300, (19, 10, 5, 3, 2, 1), 1_917),
    ],
)
def test_maps_and_boxes(name, side, grids, boxes):
    model, spec = outline(name, input_shape=(side, side, 3))
    found, settings = shapes(model), settings_of(spec.head)
    assert tuple(found[f"scores_{index}"][0] for index in range(6)) == grids
    assert sum(grid**2 * len(own) for grid, own in zip(grids, settings.anchors, strict=True)) == boxes
    outputs = [(output.shape[1], output.shape[2], output.shape[3]) for output in model.outputs]
    layout = decoders.layout_of(spec.head, settings, outputs)
    assert (layout.units, layout.joint, layout.flat) == (len(spec.labels) + 1, False, False)


@pytest.mark.parametrize("name", ["ssd300", "ssdlite_mnv2"])
def test_answers_of_zero_are_the_published_anchors(name):
    model, spec = outline(name)
    side, head = spec.input_shape[0], replace(spec.head, activation="probabilities")
    settings = settings_of(head)
    outputs = [np.zeros(output.shape[1:], np.float32) for output in model.outputs]
    found = decoders.candidates(outputs, head, settings, (side, side), 0.0).xyxy[:: len(spec.labels)]
    shapes = [output.shape[:2] for output in outputs[::2]]
    expected = anchors.ssd() if name == "ssd300" else anchors.ssdlite((side, side), shapes)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_steps_of_ssd300_are_the_published_ones():
    assert settings_of(outline("ssd300")[1].head).strides == anchors.SSD300_STEPS


def test_anchors_follow_the_input():
    wide, narrow = (settings_of(outline("ssdlite_mnv2", input_shape=(s, s, 3))[1].head) for s in (320, 96))
    assert narrow.strides == (16, 32, 48, 96, 96, 96)
    np.testing.assert_allclose(np.array(narrow.anchors[3]) / 96, np.array(wide.anchors[3]) / 320, rtol=1e-5)


@pytest.mark.parametrize("name", ["ssd300", "ssdlite_mnv2"])
def test_inputs_are_square(name):
    with pytest.raises(ConfigError, match="takes square inputs, got 320x300"):
        outline(name, input_shape=(320, 300, 3))


def test_a_smaller_input_than_the_last_scale_needs():
    with pytest.raises(ConfigError, match=r"cannot be built for inputs of \(256, 256, 3\).*\n.*\(257, 257, 3\)"):
        outline("ssd300", input_shape=(256, 256, 3))


def test_the_first_map_has_length_20_at_each_position():
    from edgecv.modelio import env

    keras = env.keras()
    image = keras.Input((2, 2, 8))
    norm = keras.Model(image, ssd._length_normalised(image))
    values = np.random.default_rng(0).normal(size=(1, 2, 2, 8)).astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(norm(values), axis=-1), np.full((1, 2, 2), 20.0), rtol=1e-5)


def test_width_scales_the_channels():
    assert shapes(outline("ssd300", width=0.25)[0])["fc7"] == (19, 19, 256)
    assert shapes(outline("ssdlite_mnv2", width=0.5)[0])["extra1c"] == (5, 5, 256)


def test_weights_only_fit_full_width():
    with pytest.raises(ConfigError, match=r"weights are those of VGG16 in full width, got width 0\.5"):
        outline("ssd300", width=0.5, weights="imagenet")
