import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.convert import convert
from edgecv.convert.check.samples import calibration_inputs, check_samples, golden_samples
from edgecv.data import Dataset, Split, Target
from edgecv.data.sources import ArrayImages
from edgecv.modelio import LoadedModel, env, manifest_for
from edgecv.runtime import load
from edgecv.values import profiles
from edgecv.values.specs import Head, InputSpec, ModelSpec, Preprocessing, one_input

HEAD = Head(name="h", task="classification", activation="logits")


def image_spec(**settings):
    return one_input(
        name="m", input_shape=(4, 4, 3), heads=(HEAD,), preprocessing=Preprocessing(color="rgb", **settings)
    )


def test_input_range_by_hand():
    assert image_spec(mean=(0.0,) * 3, std=(255.0,) * 3).input.range == (0.0, 1.0)
    assert image_spec(mean=(127.5,) * 3, std=(127.5,) * 3).input.range == (-1.0, 1.0)
    low, high = image_spec(mean=(100.0, 0.0, 50.0), std=(50.0, 100.0, 50.0)).input.range
    assert (low, high) == (-2.0, pytest.approx(4.1))
    assert one_input(name="v", input_shape=(7,), heads=(HEAD,)).input.range is None


def test_golden_images_keep_small_ones_whole():
    samples = [(np.full((8, 8), i, np.uint8),) for i in range(6)]
    kept = golden_samples(samples, 70_000)
    assert [int(image[0, 0]) for (image,) in kept] == [0, 1, 2, 3]
    assert kept[0][0].shape == (8, 8)


def test_shrinking_averages_blocks():
    image = np.zeros((112, 112), np.uint8)
    image[:2, :2] = [[0, 100], [100, 200]]
    ((small,),) = golden_samples([(image,)], 10_000_000)
    assert small.shape == (56, 56)
    assert small[0, 0] == 100


@given(
    st.integers(1, 300), st.integers(1, 300), st.sampled_from([(), (3,)]), st.integers(0, 3_000_000), st.integers(1, 3)
)
def test_golden_images_fit_their_budget(height, width, channels, size, inputs):
    samples = [(np.zeros((height, width, *channels), np.uint8),) * inputs] * 5
    kept = golden_samples(samples, size)
    assert 1 <= len(kept) <= 4
    assert all(len(sample) == inputs for sample in kept)
    assert max(kept[0][0].shape[:2]) <= 56
    assert sum(image.nbytes for sample in kept for image in sample) <= max(size // 64, 1024)


def test_noise_checks_without_data():
    samples = check_samples(None, image_spec(mean=(0.0,) * 3, std=(1.0,) * 3), seed=3)
    assert len(samples) == 16
    ((image,), *_) = samples
    assert image.shape == (4, 4, 3)
    assert image.dtype == np.uint8
    ((vector,), *_) = check_samples(None, one_input(name="v", input_shape=(7,), heads=(HEAD,)), seed=3)
    assert vector.shape == (7,)


def test_noise_for_several_inputs_is_of_each_one_s_own_shape_and_kind():
    image = InputSpec("image", (4, 6, 3), Preprocessing(color="rgb", mean=(0.0,) * 3, std=(1.0,) * 3))
    spec = ModelSpec(name="two", inputs=(image, InputSpec("facts", (7,))), heads=(HEAD,))
    for seen, facts in check_samples(None, spec, seed=3):
        assert (seen.shape, seen.dtype) == ((4, 6, 3), np.uint8)
        assert (facts.shape, facts.dtype) == ((7,), np.float32)


def test_calibration_takes_training_images_only(dataset, spec, minmax):
    inputs, count = calibration_inputs(dataset, minmax, spec, seed=0)
    seen = [image for (image,) in inputs]
    assert count == len(seen) == 90, "the recipe asks for 100, the split has 90"
    assert seen[0].shape == (1, 12, 12, 1)
    assert 0 <= min(s.min() for s in seen) <= max(s.max() for s in seen) <= 1


def people(n=40):
    """Feature vectors with three targets, the first of which has no classes."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((n, 3)) * [1, 1, 50]).astype(np.float32)
    values = x[:, :1], (np.arange(n) % 4 == 0).astype(np.int64), (x[:, 1:] > 0).astype(np.float32)
    targets = (
        Target(name="age", task="regression", labels=("years",)),
        Target(name="kind", task="classification", labels=("a", "b")),
        Target(name="marks", task="multilabel", labels=("u", "v")),
    )
    splits = {
        name: Split(name=name, images=ArrayImages(x, index), targets=tuple(v[index] for v in values))
        for name, index in (("train", np.arange(30)), ("validation", np.arange(30, n)))
    }
    return Dataset(name="people", uri="test:people", targets=targets, splits=splits)


def test_vectors_with_several_targets_calibrate_and_check():
    recipe = profiles.calibration("minmax")
    spec = one_input(name="v", input_shape=(3,), heads=(HEAD,))
    inputs, count = calibration_inputs(people(), recipe, spec, seed=0)
    seen = np.concatenate([vector for (vector,) in inputs])
    assert (count, seen.shape, seen.dtype) == (30, (30, 3), np.float32)
    checked = check_samples(people(), spec, seed=0)
    ((first,), *_) = checked
    assert (len(checked), first.shape, first.dtype) == (10, (3,), np.float32)
    few = dataclasses.replace(recipe, count=12)
    chosen, _ = calibration_inputs(people(), few, spec, seed=0)
    rows = {row.tobytes() for row in np.concatenate([vector for (vector,) in chosen])}
    train = people().split("train")
    kinds = [int(train.targets[1][i]) for i in range(30) if train.image(i).tobytes() in rows]
    assert sorted(kinds).count(1) == 6, "stratified by the first target with classes"


def test_a_network_of_vectors_is_calibrated_with_the_range_of_its_data(tmp_path):
    keras = env.keras()
    keras.utils.set_random_seed(0)
    vector = keras.layers.Input((3,))
    model = keras.Model(vector, keras.layers.Dense(2, name="h")(keras.layers.Dense(8, activation="relu")(vector)))
    spec = one_input(name="v", input_shape=(3,), heads=(HEAD,))
    source = LoadedModel(model=model, manifest=manifest_for(spec, recipe={}), path=Path("v.keras"), sha256="ab" * 32)
    convert(
        source, format="tflite", scheme="int8", method="ptq", dataset=people(),
        calibration=profiles.calibration("minmax"), out=tmp_path / "v.tflite",
    )  # fmt: skip
    with load(tmp_path / "v.tflite") as predictor:
        (info,) = predictor.inputs
        train = people().split("train")
        rows = np.stack([train.image(i) for i in range(30)])
        assert info.scale == pytest.approx((rows.max() - rows.min()) / 255, rel=1e-3)
        assert predictor.run([rows[:1]])[0].shape == (1, 2)
