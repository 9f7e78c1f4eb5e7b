from pathlib import Path

import pytest

from edgecv.core.errors import ConfigError
from edgecv.modelio import env
from edgecv.modelio.contract import infer, read_labels
from edgecv.values.presets import PRESETS, preset

keras = env.keras()
L = keras.layers


def classifier(first=(), size=32, channels=3, last="softmax", width=4):
    x = image = keras.Input((size, size, channels), name="photo")
    for layer in first:
        x = layer(x)
    x = L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(x))
    return keras.Model(image, L.Dense(width, activation=last, name="answer")(x))


def inferred(model, path=Path("flowers.keras")):
    return infer(model, path)


@pytest.mark.parametrize(
    ("first", "wanted"),
    [
        ([L.Rescaling(1 / 255)], "raw"),
        ([L.Rescaling(1 / 127.5, -1)], "raw"),
        ([L.RandomFlip(), L.Rescaling(1 / 255)], "raw"),
        ([L.Normalization(mean=[120.0] * 3, variance=[3600.0] * 3)], "raw"),
        ([L.Rescaling([1.0, 1.0, 1.0], [-103.9, -116.8, -123.7])], "raw"),
        ([L.Rescaling(2.0, -1.0)], "unit"),
        ([L.Normalization(mean=[0.485] * 3, variance=[0.05] * 3)], "unit"),
    ],
)
def test_a_model_that_scales_its_pixels_says_what_it_takes(first, wanted):
    found = inferred(classifier(first))
    assert found.candidates == ()
    assert found.spec.inputs[0].preprocessing == preset(wanted)
    assert found.spec.inputs[0].shape == (32, 32, 3)


def test_what_a_model_does_not_say_is_open():
    found = inferred(classifier())
    assert set(found.candidates) == set(PRESETS)
    assert any("nothing in the model says" in one for one in found.guessed)
    assert set(inferred(classifier(channels=1)).candidates) == {"raw", "unit", "imagenet-tf"}


@pytest.mark.parametrize(
    ("network", "wanted"),
    [("MobileNetV2", "imagenet-tf"), ("MobileNetV3Small", "raw"),
     *(pytest.param(*one, marks=pytest.mark.slow) for one in (
         ("ResNet50", "imagenet-caffe"), ("DenseNet121", "imagenet-torch"), ("EfficientNetB0", "raw")))],
)  # fmt: skip
def test_networks_of_keras_want_what_they_were_trained_with(network, wanted):
    base = getattr(keras.applications, network)(weights=None, include_top=False, input_shape=(32, 32, 3))
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, L.Dense(3)(L.GlobalAveragePooling2D()(base(image))))
    assert inferred(model).spec.inputs[0].preprocessing == preset(wanted)


@pytest.mark.parametrize(
    ("last", "width", "task", "activation"),
    [("softmax", 4, "classification", "probabilities"), (None, 4, "classification", "logits"),
     ("sigmoid", 4, "multilabel", "probabilities"), (None, 1, "regression", "linear")],
)  # fmt: skip
def test_the_last_layer_says_what_the_outputs_are(last, width, task, activation):
    (head,) = inferred(classifier(last=last, width=width)).spec.heads
    assert (head.name, head.task, head.activation) == ("answer", task, activation)


def test_a_softmax_of_its_own_and_masks_are_seen():
    image = keras.Input((8, 8, 1))
    vector = keras.Model(image, L.Activation("softmax", name="p")(L.Dense(3)(L.Flatten()(image))))
    assert inferred(vector).spec.heads[0].activation == "probabilities"
    mask = keras.Model(image, L.Softmax(name="m")(L.Conv2D(3, 1)(image)))
    assert inferred(mask).spec.heads[0].task == "segmentation"


@pytest.mark.parametrize(
    ("name", "text"),
    [("class_names.json", '["a", "b", "c", "d"]'), ("labels.txt", "a\nb\n\nc\nd\n"),
     ("class_indices.json", '{"b": 1, "a": 0, "d": 3, "c": 2}'),
     ("m_labels.json", '{"0": "a", "1": "b", "3": "d", "2": "c"}'),
     ("label_map.pbtxt", "".join(f"item {{ id: {i} name: '{n}' }}\n" for i, n in enumerate("abcd", 1)))],
)  # fmt: skip
def test_labels_beside_a_model_are_found(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert infer(classifier(), tmp_path / "m.keras").spec.heads[0].labels == ("a", "b", "c", "d")
    assert infer(classifier(width=5), tmp_path / "m.keras").spec.heads[0].labels == ()


def test_what_is_no_image_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no image of 1 or 3 channels"):
        inferred(classifier(channels=5))
    with pytest.raises(ConfigError, match=r"nowhere\.json does not exist"):
        read_labels(Path("nowhere.json"))
    (tmp_path / "labels.json").write_text("[1, ")
    with pytest.raises(ConfigError, match="holds no labels"):
        read_labels(tmp_path / "labels.json")
