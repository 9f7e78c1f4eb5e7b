"""Heads and inputs are bound by name: whatever order a converter or keras gives them, each gets its own values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")
pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.bench import BenchCase, BenchPlan, bench, open_device
from edgecv.bench.remote import open_on_device
from edgecv.compress import QatRecipe, quantize_aware
from edgecv.convert import convert
from edgecv.core.errors import UnsupportedModelError
from edgecv.data.synthetic import synthetic
from edgecv.evaluate import KerasPredictor, assess
from edgecv.jobs.run import run
from edgecv.jobs.verify import verify
from edgecv.modelio import LoadedModel, env, load_keras, manifest_for, save_keras
from edgecv.modelio.boundary import call, input_names, output_names
from edgecv.runtime import load, preprocess
from edgecv.values import profiles
from edgecv.values.specs import Head, InputSpec, ModelSpec, Preprocessing, one_input

FILES = [("tflite", "float32"), ("tflite", "int8"), ("onnx", "float32"), ("onnx", "int8")]
ATOL = {"float32": 1e-4, "int8": 0.06}
RGB = Preprocessing(color="rgb", mean=(0.0,) * 3, std=(255.0,) * 3)
GRAY = Preprocessing(color="gray", mean=(127.5,), std=(127.5,))

STEER = Head("steer", "classification", "probabilities", ("left", "straight", "right"))
BRAKE = Head("brake", "classification", "probabilities", ("none", "soft", "hard"))
# "steer" comes first, and "brake" sorts before it; the layers are called otherwise still.
DRIVE = one_input("drive", (16, 16, 3), (STEER, BRAKE), RGB)

LEFT, RIGHT = InputSpec("left", (12, 12, 1), GRAY), InputSpec("right", (6, 8, 3), RGB)
PAIR = ModelSpec("pair", (LEFT, RIGHT), (Head("side", "classification", "probabilities", ("a", "b", "c")),))
TINY = BenchPlan(
    min_launches=3, max_launches=3, launch_seconds=0.01, min_rounds=5, max_rounds=5, warmup_ms=1.0, max_warmup_ms=20.0
)


def drive(keras: Any) -> Any:
    """A model of two heads of one size, given as a dict, whose answers differ."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    image = keras.Input((16, 16, 3), name="frame")
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")(image)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    steer = layers.Dense(3, activation="softmax", name="a_layer", bias_initializer="ones")(x)
    brake = layers.Dense(3, activation="softmax", name="z_layer")(layers.Rescaling(6.0, name="louder")(x))
    return keras.Model(image, {"steer": steer, "brake": brake}, name="drive")


def answers_by_name(model: Any, tensors: list[np.ndarray]) -> dict[str, np.ndarray]:
    return dict(zip(output_names(model), (np.asarray(out) for out in call(model, tensors)), strict=True))


def write(loaded: LoadedModel, folder: Path, format: str, scheme: str, dataset: Any, method: str = "ptq") -> Path:
    static = {"method": method, "calibration": profiles.calibration("minmax")} if scheme == "int8" else {}
    out = folder / f"{method}-{scheme}.{format}"
    return convert(loaded, format=format, scheme=scheme, out=out, dataset=dataset, **static).path


@pytest.fixture(scope="module")
def driving(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, LoadedModel]:
    folder = tmp_path_factory.mktemp("drive")
    model = drive(env.keras())
    model.save(folder / "drive.keras")
    return model, load_keras(folder / "drive.keras", spec=DRIVE)


@pytest.mark.parametrize(("format", "scheme"), FILES)
def test_heads_of_a_dict_keep_their_values(driving, tmp_path, format, scheme):
    model, loaded = driving
    images = synthetic(DRIVE).split("test")
    with load(write(loaded, tmp_path, format, scheme, synthetic(DRIVE))) as predictor:
        for index in range(6):
            image = images.image(index)
            expected = model(preprocess(image, DRIVE), training=False)
            got = predictor.predict(image)
            for name in ("steer", "brake"):
                np.testing.assert_allclose(got.heads[name].scores, expected[name][0], atol=ATOL[scheme], err_msg=name)
            assert np.abs(expected["steer"] - expected["brake"]).max() > 0.15, "the heads can be told apart"


def test_heads_of_a_keras_3_dict_keep_their_values(tmp_path):
    keras = pytest.importorskip("keras", reason="Keras 3 is not installed", minversion="3.0")
    model = drive(keras)
    model.save(tmp_path / "drive.keras")
    loaded = load_keras(tmp_path / "drive.keras", spec=DRIVE)
    image = synthetic(DRIVE).split("test").image(0)
    expected = model(preprocess(image, DRIVE), training=False)
    with load(write(loaded, tmp_path, "tflite", "float32", None)) as predictor:
        got = predictor.predict(image)
    for name in ("steer", "brake"):
        np.testing.assert_allclose(got.heads[name].scores, np.asarray(expected[name])[0], atol=1e-4, err_msg=name)


def test_keys_that_are_the_names_of_other_layers(tmp_path):
    keras = env.keras()
    image = keras.Input((16, 16, 3), name="frame")
    x = keras.layers.GlobalAveragePooling2D(name="mean")(image)
    first, second = (keras.layers.Dense(3, "softmax", name=name)(x) for name in ("brake", "steer"))
    model = keras.Model(image, {"steer": first, "brake": second}, name="crossed")
    model.save(tmp_path / "crossed.keras")
    loaded = load_keras(tmp_path / "crossed.keras", spec=DRIVE)
    tensor = preprocess(synthetic(DRIVE).split("test").image(0), DRIVE)
    got, expected = answers_by_name(loaded.model, [tensor]), model(tensor, training=False)
    for name in ("steer", "brake"):
        np.testing.assert_allclose(got[name], expected[name], atol=1e-6, err_msg=name)


def test_a_head_without_an_output_of_its_name_is_refused(driving, tmp_path):
    model, _ = driving
    model.save(tmp_path / "drive.keras")
    spec = one_input("drive", (16, 16, 3), (STEER, Head("gas", "classification", "probabilities", BRAKE.labels)), RGB)
    with pytest.raises(UnsupportedModelError, match=r"head .gas. reads the output .gas., .* outputs are brake, steer"):
        load_keras(tmp_path / "drive.keras", spec=spec)


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_heads_of_a_quantisation_aware_model_learn_and_answer_by_name(driving, tmp_path, format):
    """One head's targets are always its last label, the other's its first: swapped heads would learn the opposite."""
    _, loaded = driving
    dataset = constant(synthetic(DRIVE), steer=2, brake=0)
    recipe = QatRecipe(epochs=12, learning_rate=0.02, batch_size=8, seed=0)
    done = quantize_aware(loaded.model, DRIVE, dataset, recipe)
    manifest = manifest_for(DRIVE, recipe={"step": "qat"}, method="qat")
    made = LoadedModel(model=done.model, manifest=manifest, path=Path("qat.keras"), sha256="0" * 64)
    image = dataset.split("test").image(0)
    expected = answers_by_name(done.model, [preprocess(image, DRIVE)])
    with load(write(made, tmp_path, format, "int8", dataset, method="qat")) as predictor:
        got = predictor.predict(image)
        value = assess(predictor, dataset, "test").heads
    assert (got.heads["steer"].label, got.heads["brake"].label) == ("right", "none")
    assert [head.value for head in value] == [1.0, 1.0]
    for name in ("steer", "brake"):
        np.testing.assert_allclose(got.heads[name].scores, expected[name][0], atol=0.06, err_msg=name)


def constant(dataset: Any, **labels: int) -> Any:
    """Return a data set whose targets, in another order than the heads, all have one class each."""
    from dataclasses import replace

    order = [1, 0]
    targets = tuple(dataset.targets[index] for index in order)
    splits = {
        name: replace(split, targets=tuple(np.full(len(split), labels[target.name], np.int64) for target in targets))
        for name, split in dataset.splits.items()
    }
    return replace(dataset, targets=targets, splits=splits)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A model that takes "right" before "left", which the spec has the other way round; their shapes differ."""
    keras = env.keras()
    keras.utils.set_random_seed(3)
    layers = keras.layers
    right, left = keras.Input(RIGHT.shape, name="right"), keras.Input(LEFT.shape, name="left")
    parts = [
        layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, activation="relu", name=f"conv_{name}")(x))
        for name, x in (("right", right), ("left", left))
    ]
    x = layers.Rescaling(5.0)(layers.Concatenate(name="both")(parts))
    model = keras.Model([right, left], layers.Dense(3, activation="softmax", name="side")(x), name="pair")
    assert input_names(model) == ("right", "left")
    folder = tmp_path_factory.mktemp("pair")
    return load_keras(save_keras(model, folder / "pair.keras", manifest_for(PAIR, recipe={"step": "test"})))


def expected_of(loaded: LoadedModel, sample: tuple[np.ndarray, ...]) -> np.ndarray:
    """What keras answers when each input is fed by its own name."""
    named = {only.name: preprocess(image, only) for only, image in zip(PAIR.inputs, sample, strict=True)}
    return np.asarray(loaded.model(named, training=False))[0]


@pytest.mark.parametrize(("format", "scheme"), FILES)
def test_two_inputs_are_fed_by_name_everywhere(pair, tmp_path, format, scheme):
    dataset = synthetic(PAIR)
    split = dataset.split("test")
    file = write(pair, tmp_path, format, scheme, dataset)
    samples = [split.sample(index) for index in range(len(split))]
    expected = np.stack([expected_of(pair, sample) for sample in samples])
    assert np.ptp(expected, axis=0).max() > 0.05, "the answers depend on the inputs"
    with load(file) as predictor:
        got = np.stack([predictor.predict(sample).scores for sample in samples])
        figures = assess(predictor, dataset, "test")
    np.testing.assert_allclose(got, expected, atol=ATOL[scheme])
    truths = np.asarray(split.targets[0])
    assert figures.value == pytest.approx(float((got.argmax(axis=1) == truths).mean()))
    assert verify(file).passed
    assert pictures_answer(file, samples[0], tmp_path) == pytest.approx(expected[0], abs=ATOL[scheme])


def pictures_answer(file: Path, sample: tuple[np.ndarray, ...], folder: Path) -> list[float]:
    """Return what `edgecv predict` says of a sample's images as files."""
    image = pytest.importorskip("PIL.Image", reason="Pillow writes the images")
    paths = [folder / f"{only.name}.png" for only in PAIR.inputs]
    for path, pixels in zip(paths, sample, strict=True):
        image.fromarray(pixels).save(path)
    said = {one["label"]: one["score"] for one in run(file, paths)["labels"]}
    return [said[label] for label in PAIR.labels]


def test_the_keras_model_itself_is_fed_by_name(pair):
    sample = synthetic(PAIR).split("test").sample(0)
    with KerasPredictor(pair) as predictor:
        np.testing.assert_allclose(predictor.predict(sample).scores, expected_of(pair, sample), atol=1e-6)


@pytest.mark.parametrize(("format", "scheme"), [("tflite", "int8"), ("onnx", "float32")])
def test_two_inputs_go_through_the_agent(pair, tmp_path, format, scheme):
    """The process that benchmarks feeds every input, and asked for answers it gives those of keras."""
    dataset, device = synthetic(PAIR), open_device("local")
    file = write(pair, tmp_path, format, scheme, dataset)
    (found,) = bench([BenchCase(name="pair", path=str(file))], baseline=None, device=device, plan=TINY)
    assert found.latency.p50 > 0
    sample = dataset.split("test").sample(0)
    with open_on_device(file, device) as predictor:
        got = predictor.predict(sample)
    np.testing.assert_allclose(got.scores, expected_of(pair, sample), atol=ATOL[scheme])
