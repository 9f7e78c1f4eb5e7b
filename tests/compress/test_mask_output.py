"""What may follow the scores of a segmentation network: a resize, the best class."""

from dataclasses import replace

import numpy as np
import pytest

from edgecv import zoo
from edgecv.compress.mask_output import mask_output
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio import env
from edgecv.tasks.frame import frame_of
from edgecv.tasks.registry import task_of
from edgecv.values.specs import Head, InputSpec, ModelSpec
from edgecv.zoo.families.inputs import UNIT

LABELS = ("a", "b", "c")


@pytest.fixture
def network():
    env.keras().utils.set_random_seed(0)
    layers = env.keras().layers
    image = env.keras().Input((16, 24, 3), name="image")
    scores = layers.Conv2D(3, 4, strides=4, name="mask")(image)
    head = Head(name="mask", task="segmentation", activation="logits", labels=LABELS)
    spec = ModelSpec(name="tiny", variant="canonical", inputs=(InputSpec("image", (16, 24, 3), UNIT),), heads=(head,))
    return env.keras().Model(image, scores), spec


def images(spec, count=3):
    return (
        np.random.default_rng(0).uniform(-1, 1, (count, *spec.input_shape)).astype(np.float32)
    )  # around 0: all classes


def test_the_best_class_is_that_of_the_scores(network):
    model, spec = network
    made, told = mask_output(model, spec, argmax=True)
    answers = np.asarray(made(images(spec)))
    assert (answers.dtype, answers.shape) == (np.int32, (3, 4, 6))
    np.testing.assert_array_equal(answers, np.asarray(model(images(spec))).argmax(axis=-1))
    assert (told.head.activation, told.head.outputs) == ("linear", ("mask_classes",))
    task_of(told.head).check(told.head, [(1, *answers.shape[1:])])


@pytest.mark.parametrize("argmax", [False, True])
def test_a_resize_in_the_file_says_what_the_runtime_says(network, argmax):
    model, spec = network
    made, told = mask_output(model, spec, resized=True, argmax=argmax)
    batch = images(spec)
    frame = frame_of(spec.inputs[0].preprocessing, (16, 24), (16, 24))
    for scores, answers in zip(np.asarray(model(batch)), np.asarray(made(batch)), strict=True):
        assert answers.shape == ((16, 24) if argmax else (16, 24, 3))
        wanted = task_of(spec.head).decode([scores], spec.head, frame).mask
        found = task_of(told.head).decode([answers], told.head, frame).mask
        assert (found == wanted).mean() > 0.99  # rounding of equal scores
        assert len(np.unique(wanted)) == len(LABELS)


def test_weights_are_shared(network):
    model, spec = network
    made, _ = mask_output(model, spec, argmax=True)
    assert made.get_layer("mask").kernel is model.get_layer("mask").kernel


def test_refusals(network):
    model, spec = network
    with pytest.raises(ConfigError, match="nothing is to follow"):
        mask_output(model, spec)
    with pytest.raises(ConfigError, match="does not end in the scores"):
        mask_output(*mask_output(model, spec, argmax=True), argmax=True)
    with pytest.raises(UnsupportedModelError, match="no whole multiple"):
        mask_output(model, replace(spec, inputs=(InputSpec("image", (18, 24, 3), UNIT),)), resized=True)
    middle = replace(spec.head, settings={"covers": [1.0, 1.0, 15.0, 15.0]})
    with pytest.raises(UnsupportedModelError, match="is about the box"):
        mask_output(model, replace(spec, heads=(middle,)), resized=True)
    single = env.keras().Model(model.input, model.output[..., :1])
    with pytest.raises(ConfigError, match="mask of one channel"):
        mask_output(single, spec, argmax=True)


def test_an_int8_file_may_end_in_the_best_class(tmp_path):
    import edgecv
    from edgecv import runtime
    from edgecv.modelio import manifest_for, save_keras

    model, spec = zoo.build("unet_small", variant="edge", width=0.125, input_shape=(16, 16, 3), labels=LABELS)
    made, told = mask_output(model, spec, argmax=True)
    save_keras(made, tmp_path / "mask.keras", manifest_for(told, recipe={"step": "mask_output"}))
    edgecv.convert(tmp_path / "mask.keras", out=tmp_path / "mask.tflite", quiet=True)
    with runtime.load(tmp_path / "mask.tflite") as loaded:
        assert loaded.outputs[0].dtype == "int32"
        found = loaded.predict(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))
    assert found.mask.shape == (20, 30)
    assert set(np.unique(found.mask)) <= set(range(3))
