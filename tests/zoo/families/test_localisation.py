"""Networks for the class and the box of one object: golden numbers, outputs, recipes."""

import numpy as np
import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from edgecv.tasks.localisation import Localisation
from edgecv.train import default_recipe
from edgecv.train.freezing import frozen
from tests.zoo.outline import cases, conv, dense, figures, norm, outline, size

GOLDEN = {
    ("loc_two_heads", "canonical"): (20_879_921, 20_825_393, 4_550_849_504),
    ("loc_two_heads", "sqrt"): (20_879_921, 20_825_393, 4_550_849_504),
    ("loc_multitask", "canonical"): (268_382, 267_486, 28_034_240),
}

# of the maps of 64x64 inputs: a sixteenth, a quarter … of their pixels
STEM = conv(3, 1, 16, bias=False)
TRUNK = [conv(3, *pair, bias=False) for pair in ((16, 32), (32, 64), (64, 64), (64, 96), (96, 96))]
SIDES = (32, 16, 16, 8, 8)


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_two_heads_on_xception_train_the_heads_first():
    model = outline("loc_two_heads")[0]
    with frozen(model, default_recipe(zoo.get("loc_two_heads").spec()).stages[0]):
        trainable = sum(int(weight.shape.num_elements()) for weight in model.trainable_weights)
    assert trainable == 18_441


def test_the_small_network_costs_what_its_layers_do():
    box_conv, box_fc = conv(1, 96, 16, bias=False), size(8, 8, 16) * 64
    weights = STEM + sum(TRUNK) + box_conv + box_fc + dense(64, 4) + dense(96, 10)
    norms = [norm(channels) for channels in (16, 32, 64, 64, 96, 96, 16, 64)]
    work = STEM * 32 * 32 + sum(a * side**2 for a, side in zip(TRUNK, SIDES, strict=True))
    parameters, trainable, macs = figures("loc_multitask", "canonical")
    assert parameters == weights + 2 * sum(norms)
    assert trainable == weights + sum(norms)
    assert macs == work + box_conv * 64 + box_fc + 64 * 4 + 96 * 10
    assert parameters < 300_000


@pytest.mark.parametrize("name", ["loc_two_heads", "loc_multitask"])
def test_one_head_reads_both_outputs_by_name(name):
    model, spec = outline(name, labels=("a", "b", "c"))
    assert [head.outputs for head in spec.heads] == [("class", "box")]
    assert list(model.output_names) == list(spec.outputs)
    Localisation().check(spec.head, model.output_shape)
    assert zoo.inference(model, spec) is model


def test_the_variant_with_square_roots():
    task = Localisation()
    assert task.settings(zoo.get("loc_two_heads").spec().head).sqrt is False
    settings = task.settings(zoo.get("loc_two_heads").spec("sqrt").head)
    assert (settings.sqrt, settings.class_weight, settings.box_weight) == (True, 0.8, 0.2)


def test_width_and_size_of_the_small_network():
    half = figures("loc_multitask", "canonical", width=0.5)
    assert half[0] < 0.55 * figures("loc_multitask", "canonical")[0]
    assert outline("loc_multitask", input_shape=(96, 48, 1))[0].output_shape == [(None, 10), (None, 4)]
    with pytest.raises(ConfigError):
        zoo.build("loc_two_heads", width=0.5)


def test_where_the_object_is_reaches_the_box():
    model, _ = zoo.build("loc_multitask")
    corner = np.zeros((2, 64, 64, 1), np.float32)
    corner[0, 8:24, 8:24] = corner[1, 40:56, 40:56] = 1
    boxes = model.predict(corner, verbose=0)[1]
    assert np.abs(boxes[0] - boxes[1]).max() > 1e-3
