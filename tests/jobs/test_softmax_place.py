"""Files that end at their logits: fewer ties for the first place, and one contract for all that read them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")
pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET
from edgecv.jobs import convert as artifacts
from edgecv.jobs import debug, models, verify
from edgecv.jobs.evaluate import EvaluationRequest, open_predictor
from edgecv.modelio import env
from edgecv.runtime import load
from tests.reporters import Told

CLASSES = 40
SPEC = """name = "close"
[[inputs]]
name = "image"
shape = [8, 8, 1]
preprocessing = {{color = "gray", mean = [127.5], std = [127.5]}}
[[heads]]
name = "out"
task = "{task}"
activation = "probabilities"
labels = [{labels}]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A classifier of 40 classes that never gives one more than a few of 256 steps, its contract, and data."""
    folder = tmp_path_factory.mktemp("close")
    keras = env.keras()
    keras.utils.set_random_seed(4)
    x = keras.Input((8, 8, 1), name="image")
    flat = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="relu", name="conv")(x))
    out = keras.layers.Dense(CLASSES, activation="softmax", name="out")
    model = keras.Model(x, out(flat), name="close")
    model.save(folder / "close.h5")
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1), dtype=np.uint8)
    best = np.asarray(model(images.astype(np.float32) / 127.5 - 1)).argmax(axis=1)
    best[: 2 * CLASSES] = np.tile(np.arange(CLASSES), 2)
    half = len(images) // 2
    np.savez(
        folder / "close.npz", x_train=images[:half], y_train=best[:half], x_test=images[half:], y_test=best[half:],
        x_validation=images[half:], y_validation=best[half:],
    )  # fmt: skip
    labels = ", ".join(f'"{index}"' for index in range(CLASSES))
    (folder / "spec.toml").write_text(SPEC.format(task="classification", labels=labels))
    return folder


def source(place):
    return models.Source(path=place / "close.h5", spec=place / "spec.toml")


def plan(place, **more):
    return artifacts.Plan(scheme="int8", data=f"npz:{place / 'close.npz'}", **more)


def made(place, out, reporter=QUIET, **more):
    return artifacts.make(source(place), plan(place, **more), out=out, judge=True, max_drop=100, reporter=reporter)


@pytest.fixture(scope="module")
def both(place):
    told = {name: Told() for name in ("file", "runtime")}
    found = {
        name: made(place, place / f"{name}.tflite", reporter, softmax=name, seed=1) for name, reporter in told.items()
    }
    return found, told


def test_steps_of_a_softmax_tie_and_logits_hardly_do(both) -> None:
    (file, runtime), told = both[0].values(), both[1]
    heads = [one.loss.heads[0] for one in (file, runtime)]
    assert [head.ties_before for head in heads] == [0, 0]
    samples = file.loss.n
    assert heads[0].ties > samples // 4
    assert heads[1].ties < heads[0].ties // 3
    assert heads[1].drop < heads[0].drop
    assert any("--softmax runtime" in text for text in told["file"].warnings)
    assert not any("--softmax runtime" in text for text in told["runtime"].warnings)


def test_the_contract_says_logits_and_the_answers_are_probabilities(both) -> None:
    _, runtime = both[0].values()
    with load(runtime.path) as predictor, load(both[0]["file"].path) as plain:
        assert predictor.spec.head.activation == "logits"
        assert plain.spec.head.activation == "probabilities"
        image = np.random.default_rng(9).integers(0, 256, (8, 8, 1), dtype=np.uint8)
        ours, theirs = (one.predict(image).heads["out"].scores for one in (predictor, plain))
    assert abs(ours.sum() - 1) < 1e-5
    assert np.abs(ours - theirs).max() < 0.01
    assert len(np.unique(ours)) > 2 * len(np.unique(theirs))


def test_golden_vectors_and_evaluation_read_it_by_its_own_contract(both, place) -> None:
    _, runtime = both[0].values()
    assert verify.verify(runtime.path).passed
    with open_predictor(runtime.path, EvaluationRequest()) as predictor:
        assert predictor.spec.head.activation == "logits"


def test_onnx_files_end_there_too(place) -> None:
    found = made(place, place / "runtime.onnx", softmax="runtime")
    with load(found.path) as predictor:
        assert predictor.spec.head.activation == "logits"
    assert found.loss.heads[0].ties < found.loss.n // 3


@pytest.mark.slow
def test_training_with_quantisation_takes_its_loss_from_logits(place) -> None:
    found = made(place, place / "qat.tflite", softmax="runtime", method="qat", epochs=1)
    with load(found.path) as predictor:
        assert predictor.spec.head.activation == "logits"
    assert found.loss.heads[0].after > 1 / CLASSES


def test_debug_wants_two_files_that_end_alike(both, place) -> None:
    plain = artifacts.Plan(scheme="float32", data=f"npz:{place / 'close.npz'}")
    for softmax in ("file", "runtime"):
        artifacts.make(source(place), replace(plain, softmax=softmax), out=place / f"float-{softmax}.tflite")
    runtime, where = place / "runtime.tflite", plain.data
    with pytest.raises(ConfigError, match=r"gives probabilities, .* logits") as caught:
        debug.debug(place / "float-file.tflite", runtime, data=where)
    assert "--softmax" in caught.value.hint
    found = debug.debug(place / "float-runtime.tflite", runtime, data=where)
    assert found.layers[-1].layer == "out"


def test_an_unknown_place_is_named(place) -> None:
    with pytest.raises(ConfigError, match="runtme"):
        artifacts.make(source(place), replace(plan(place), softmax="runtme"), out=place / "no.tflite")


@pytest.mark.parametrize("classes", [1, 2])
def test_sigmoids_saturate_like_softmax(classes, tmp_path) -> None:
    keras = env.keras()
    keras.utils.set_random_seed(2)
    x = keras.Input((8, 8, 1), name="image")
    out = keras.layers.Dense(classes, activation="sigmoid", name="out", kernel_initializer="random_normal")
    keras.Model(x, out(keras.layers.Flatten()(40 * x)), name="close").save(tmp_path / "net.h5")
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "net.npz", x=images, y=(np.arange(60 * classes).reshape(60, classes) % 2).astype(bool))
    labels = ", ".join(f'"{index}"' for index in range(classes))
    (tmp_path / "spec.toml").write_text(SPEC.format(task="multilabel", labels=labels))
    origin = models.Source(path=tmp_path / "net.h5", spec=tmp_path / "spec.toml")
    found = {}
    for softmax in ("file", "runtime"):
        asked = artifacts.Plan(scheme="int8", data=f"npz:{tmp_path / 'net.npz'}", softmax=softmax)
        done = artifacts.make(origin, asked, out=tmp_path / f"{softmax}.tflite")
        with load(done.path) as predictor:
            found[softmax] = np.array([predictor.predict(image).heads["out"].scores for image in images])
    # The largest probability that 8 bits hold is 255/256: whatever is surer becomes equal.
    assert (found["file"] == found["file"].max()).sum() > 3 * (found["runtime"] == found["runtime"].max()).sum()
    assert found["runtime"].max() > 255 / 256
