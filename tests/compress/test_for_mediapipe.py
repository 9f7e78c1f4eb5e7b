"""Models that are made for MediaPipe answer as before, given RGB; and the files that come of them have metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")
pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.compress import FRONT, for_mediapipe
from edgecv.convert import convert
from edgecv.convert.mediapipe import has_metadata
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio import LoadedModel, boundary, env, manifest_for
from edgecv.runtime import preprocess_sample
from edgecv.runtime.predictor import read_outputs
from edgecv.values.binding import bind_outputs
from edgecv.values.specs import Head, Preprocessing, one_input
from tests.reporters import Told

SCORES = Head("out", "classification", "probabilities", ("a", "b", "c"))
UNIT = Preprocessing("rgb", mean=(0.0,) * 3, std=(255.0,) * 3)
SSD = Head(
    "objects", "detection", "logits", ("cat", "dog", "cow"), ("boxes_0", "scores_0", "boxes_1", "scores_1"),
    {"decoder": "ssd", "anchors": [[[8.0, 8.0], [12.0, 6.0]], [[20.0, 20.0]]], "strides": [4.0, 8.0], "score": 0.4},
)  # fmt: skip


def loaded(model: Any, head: Head, preprocessing: Preprocessing, *, method: Any = "none") -> LoadedModel:
    shape = tuple(model.inputs[0].shape)[1:]
    spec = one_input("net", shape, (head,), preprocessing)
    manifest = manifest_for(spec, recipe={"step": "test"}, method=method)
    return LoadedModel(model=model, manifest=manifest, path=Path("net.keras"), sha256="00" * 32)


def classifier(channels: int) -> Any:
    layers = env.keras().layers
    env.keras().utils.set_random_seed(1)
    image = env.keras().Input((12, 16, channels), name="image")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, activation="relu")(image))
    return env.keras().Model(image, layers.Dense(3, activation="softmax", name="out")(x))


def ssd(activation: str | None = None) -> Any:
    layers = env.keras().layers
    env.keras().utils.set_random_seed(2)
    image = env.keras().Input((32, 32, 3), name="image")
    x = layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(image)
    y = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    wide = env.keras().initializers.RandomNormal(0, 1, seed=3)
    found = []
    for index, (maps, anchors) in enumerate(((x, 2), (y, 1))):
        found.append(layers.Conv2D(4 * anchors, 3, padding="same", activation=activation, name=f"boxes_{index}")(maps))
        scores = layers.Conv2D(4 * anchors, 3, padding="same", kernel_initializer=wide, name=f"scores_{index}")
        found.append(scores(maps))
    return env.keras().Model(image, found)


def answer(one: LoadedModel, image: np.ndarray) -> Any:
    spec = one.require_spec()
    given = boundary.call(one.model, preprocess_sample((image,), spec))
    places = bind_outputs(spec, boundary.output_names(one.model), spec.name)
    return read_outputs([np.asarray(output) for output in given], spec, places, (image,))


def image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing("gray", mean=(10.0,), std=(200.0,)),
        Preprocessing("bgr", mean=(104.0, 117.0, 124.0), std=(1.0,) * 3),
        Preprocessing("rgb", mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4), resize="letterbox", pad_value=114),
    ],
    ids=["gray", "bgr", "each channel"],
)
def test_colours_and_scales_go_into_the_network(preprocessing):
    given = loaded(classifier(1 if preprocessing.color == "gray" else 3), SCORES, preprocessing)
    made = for_mediapipe(given)
    assert [layer.name for layer in made.loaded.model.layers][1] == FRONT
    only = made.loaded.require_spec().input
    assert only.shape == (12, 16, 3)
    assert (only.preprocessing.color, only.preprocessing.mean, only.preprocessing.std) == ("rgb", UNIT.mean, UNIT.std)
    assert only.preprocessing.resize == preprocessing.resize
    for seed in range(3):
        before, after = answer(given, image(seed)), answer(made.loaded, image(seed))
        np.testing.assert_allclose(after.scores, before.scores, atol=1e-5)


def test_what_is_taken_as_it_is_stays():
    given = loaded(classifier(3), SCORES, UNIT)
    made = for_mediapipe(given)
    assert made.changes == ()
    assert made.loaded is given


def test_an_ssd_finds_the_same_by_two_outputs():
    given = loaded(ssd(), SSD, UNIT)
    made = for_mediapipe(given)
    assert [tuple(one.shape)[1:] for one in made.loaded.model.outputs] == [(144, 4), (144, 3)]
    before, after = answer(given, image()), answer(made.loaded, image())
    assert len(before) > 3
    np.testing.assert_array_equal(after.class_id, before.class_id)
    np.testing.assert_allclose(after.xyxy, before.xyxy, atol=1e-3)
    np.testing.assert_allclose(after.confidence, before.confidence, atol=1e-5)


def test_boxes_that_cannot_be_reordered_are_refused():
    with pytest.raises(UnsupportedModelError, match="filters of a plain Conv2D"):
        for_mediapipe(loaded(ssd("tanh"), SSD, UNIT))


def test_a_quantised_model_keeps_its_ends():
    with pytest.raises(ConfigError, match="keeps its first and last layers"):
        for_mediapipe(loaded(classifier(1), SCORES, Preprocessing("gray"), method="qat"))


def test_files_have_metadata_or_say_why_not(tmp_path):
    """One conversion each: as it is, not as it is, and made so."""
    given = loaded(classifier(1), SCORES, Preprocessing("gray"))
    common = {"format": "tflite", "scheme": "float32", "reporter": Told()}
    plain = convert(given, out=tmp_path / "plain.tflite", metadata="auto", **common)
    assert plain.mediapipe is not None
    assert plain.mediapipe.kind == ""
    assert "the network takes gray" in plain.mediapipe.reason
    assert not has_metadata(plain.path.read_bytes())
    with pytest.raises(UnsupportedModelError, match="the network takes gray"):
        convert(given, out=tmp_path / "none.tflite", metadata="mediapipe", **common)
    assert not (tmp_path / "none.tflite").exists()
    made = convert(for_mediapipe(given).loaded, out=tmp_path / "made.tflite", metadata="mediapipe", **common)
    assert made.mediapipe is not None
    assert (made.mediapipe.kind, made.mediapipe.labels) == ("image_classifier", 3)
    assert has_metadata(made.path.read_bytes())


def test_metadata_is_of_tflite_files(tmp_path):
    given = loaded(classifier(3), SCORES, UNIT)
    with pytest.raises(ConfigError, match="not onnx"):
        convert(given, format="onnx", scheme="float32", out=tmp_path / "a.onnx", metadata="mediapipe")
    with pytest.raises(ConfigError, match="mediapipe"):
        convert(given, format="tflite", scheme="float32", out=tmp_path / "a.tflite", metadata="mediapip")
