"""A contract that contradicts the float model is an error where that is certain, and a warning where it is likely."""

from dataclasses import replace

import numpy as np
import pytest

from edgecv.convert import convert
from edgecv.convert.check import meaning
from edgecv.core.errors import ConfigError
from edgecv.modelio import env, manifest_for
from edgecv.tasks.registry import task_of
from edgecv.values import profiles
from edgecv.values.specs import Head, Preprocessing, one_input
from tests.convert.conftest import LABELS, Stored, loaded
from tests.reporters import Told

keras = env.keras()


def spec(activation="probabilities", task="classification", **preprocessing):
    head = Head(name="side", task=task, activation=activation, labels=LABELS)
    return one_input(
        name="tiny", input_shape=(12, 12, 1), heads=(head,),
        preprocessing=Preprocessing(color="gray", **preprocessing),
    )  # fmt: skip


def model(activation="softmax", scale=None):
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 1), name="image")
    x = image if scale is None else keras.layers.Rescaling(scale)(image)
    return keras.Model(image, keras.layers.Dense(3, activation=activation, name="side")(keras.layers.Flatten()(x)))


def converted(net, contract, dataset, folder):
    told = Told()
    source = loaded(net, manifest_for(contract, recipe={"step": "test"}))
    convert(source, format="tflite", scheme="float32", dataset=dataset, out=folder / "m.tflite", reporter=told)
    return told.warnings


def test_a_fitting_contract_is_told_nothing(dataset, tmp_path):
    assert converted(model(), spec(), dataset, tmp_path) == []


def test_pixels_divided_twice(dataset, tmp_path):
    (text,) = converted(model(scale=1 / 255), spec(mean=(0.0,), std=(255.0,)), dataset, tmp_path)
    assert "'image' is scaled twice: the spec gives 0 to 1" in text
    assert "mean 0 and std 1" in text


def test_pixels_divided_by_the_model_alone(dataset, tmp_path):
    assert converted(model(scale=1 / 255), spec(mean=(0.0,), std=(1.0,)), dataset, tmp_path) == []


def test_logits_that_are_called_probabilities(dataset, tmp_path):
    with pytest.raises(ConfigError, match="said to give probabilities, and the model gives -"):
        converted(model("linear"), spec(), dataset, tmp_path)


def test_probabilities_that_are_called_logits(dataset, tmp_path):
    (text,) = converted(model(), spec("logits"), dataset, tmp_path)
    assert "softmax would be taken twice" in text


def test_answers_that_never_change(dataset, tmp_path):
    net = model()
    net.get_layer("side").kernel.assign(np.zeros((144, 3), np.float32))
    (text,) = converted(net, spec(), dataset, tmp_path)
    assert "the same answer to all 16 check images" in text


def test_calibration_images_that_hardly_use_the_range(dataset, tmp_path):
    dark = {
        name: replace(split, images=Stored([image // 16 for image in split.images]))
        for name, split in dataset.splits.items()
    }
    narrow, told = replace(dataset, splits=dark), Told()
    source = loaded(model(), manifest_for(spec(), recipe={"step": "test"}))
    convert(
        source, format="tflite", scheme="int8", method="ptq", calibration=profiles.calibration("minmax"),
        dataset=narrow, out=tmp_path / "m.tflite", reporter=told,
    )  # fmt: skip
    (text,) = told.warnings
    assert "use 5 % of the range of input 'image'" in text


def test_noise_says_nothing_of_answers(tmp_path):
    assert converted(model("linear"), spec(), None, tmp_path) == []


def test_independent_labels_need_not_sum_to_one():
    head = Head(name="tags", task="multilabel", activation="probabilities", labels=LABELS)
    answers = np.array([[0.9, 0.8, 0.1], [0.1, 0.0, 0.2]], np.float32)
    assert task_of(head).contradiction([answers], head) is None
    found = task_of(replace(head, task="classification")).contradiction([answers], replace(head, task="classification"))
    assert not found.certain
    assert "sum to 0.3 to 1.8" in found.text


def test_a_wide_scale_is_no_second_one():
    assert list(meaning.scaled_twice(model(scale=2.0), spec(mean=(0.0,), std=(255.0,)))) == []


@pytest.mark.parametrize(("rounded", "warnings"), [(True, 0), (False, 1)])
def test_certainty_in_8_bits_is_255_256(rounded, warnings):
    """A model trained with quantisation rounds its own answers: 1 is no step of theirs."""
    told: list[str] = []
    sure = np.eye(len(LABELS), dtype=np.float32) * (255 / 256)
    meaning.check([sure], spec(), model(), [(0,)], real=True, rounded=rounded, tell=told.append)
    assert len(told) == warnings
