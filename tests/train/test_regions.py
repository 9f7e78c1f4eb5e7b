"""Training both networks of a detector of two stages."""

import numpy as np
import pytest

from edgecv import runtime
from edgecv.core.errors import DataError, UnsupportedModelError
from edgecv.data import Dataset
from edgecv.evaluate import assess
from edgecv.jobs import bundle as bundles
from edgecv.jobs.convert import Plan
from edgecv.modelio import env, load_keras, manifest_for, save_keras
from edgecv.tasks.boxes import Objects
from edgecv.tasks.detection import regions as between
from edgecv.tasks.detection.region_training import RegionTraining
from edgecv.tasks.detection.settings import settings_of
from edgecv.tasks.learning import LossOptions
from edgecv.tasks.registry import task_of
from edgecv.train import TrainRecipe
from edgecv.train.regions import CutOuts, Seen, cut_outs, parts_of, train_two_stages
from tests import two_stages

RECIPE = TrainRecipe(epochs=16, batch_size=8, learning_rate=0.05, seed=0)
SETTINGS = settings_of(two_stages.OBJECTS)


def trained(*, proposals=True, **options):
    env.keras().utils.set_random_seed(2)
    model, spec = two_stages.network(proposals=proposals, known=False)
    return train_two_stages(model, spec, two_stages.data(48), RECIPE, **options), spec


@pytest.fixture(scope="module")
def whole():
    return trained()


def test_truths_of_regions_by_hand():
    objects = Objects(np.array([[0, 0, 8, 8], [16, 16, 24, 24], [0, 24, 32, 32]]), [1, 0, 0], [False, False, True])
    regions = np.array([[0, 0, 8, 8], [0, 0, 8, 16.5], [16, 16, 24, 24], [0, 24, 30, 32]], np.float32)
    found = between.truth_of(regions, objects, SETTINGS)
    assert found.code.tolist() == [2, 0, 1, -1, -1, -1]
    assert not found.offsets[:4].any()
    moved = between.truth_of(regions + 1, objects, SETTINGS)
    np.testing.assert_allclose(
        between.moved(moved.regions[:1], moved.offsets[:1], SETTINGS), objects.xyxy[:1], atol=1e-5
    )
    assert between.truth_of(np.zeros((0, 4)), objects, SETTINGS).code.tolist() == [-1] * 6


def test_the_loss_by_hand():
    tf = env.tensorflow()
    training = RegionTraining(two_stages.OBJECTS, SETTINGS)
    truth = between.RegionTruth(
        np.zeros((6, 4), np.float32), np.array([1, 0, 0, -1, -1, -1]), np.zeros((6, 4), np.float32)
    )
    truth.offsets[0] = [0.5, 2.0, 0.0, 0.0]
    (target,) = training.encode(truth, None)
    boxes, scores = np.zeros((1, 6, 1, 4), np.float32), np.zeros((1, 6, 1, 3), np.float32)
    scores[0, 0, 0] = [0.0, 2.0, 0.0]
    found = training.loss([tf.constant(target[None])], [tf.constant(boxes), tf.constant(scores)], LossOptions())
    named, background = np.log(2 + np.e**2) - 2, np.log(3)
    assert float(found) == pytest.approx(named + 2 * background + 0.125 + 1.5, rel=1e-5)


def test_many_empty_regions_weigh_as_three_of_an_object():
    tf = env.tensorflow()
    training = RegionTraining(two_stages.OBJECTS, SETTINGS)
    outputs = [tf.zeros((1, 6, 1, 12)), tf.zeros((1, 6, 1, 3))]
    target = np.zeros((1, 6, 5), np.float32)
    target[0, 0, 4] = 2
    assert float(training.loss([tf.constant(target)], outputs, LossOptions())) == pytest.approx(4 * np.log(3), rel=1e-5)


def test_each_class_moves_its_own_box():
    tf = env.tensorflow()
    training = RegionTraining(two_stages.OBJECTS, SETTINGS)
    boxes = np.zeros((1, 6, 1, 12), np.float32)
    boxes[0, 0, 0, 8:] = 1.0  # of the second class
    target = np.full((1, 6, 5), -1, np.float32)
    target[0, 0] = [1, 1, 1, 1, 2]
    outputs = [tf.constant(boxes), tf.zeros((1, 6, 1, 3))]
    assert float(training.loss([tf.constant(target)], outputs, LossOptions())) == pytest.approx(np.log(3), rel=1e-5)


def test_the_value_is_the_mean_over_classes():
    training = RegionTraining(two_stages.OBJECTS, SETTINGS)
    assert training.value(np.array([3, 0, 1, 4, 0, 2.0])) == pytest.approx((0.75 + 0.5) / 2)
    assert training.value(np.zeros(6)) == 0.0


def test_what_it_learns_of():
    training = task_of(two_stages.OBJECTS).training(two_stages.OBJECTS)
    assert isinstance(training, RegionTraining)
    with pytest.raises(DataError, match="learns of regions, got Objects"):
        training.encode(Objects(np.zeros((0, 4)), []), None)


@pytest.mark.slow
def test_both_networks_learn_and_make_a_bundle(whole, tmp_path):
    done, spec = whole
    assert done.best_value > 0.9
    path = save_keras(done.model, tmp_path / "two.keras", manifest_for(spec, recipe={"step": "test"}))
    found = {}
    for scheme in ("float32", "int8"):
        out = tmp_path / f"{scheme}.edgecv"
        bundles.bundled(load_keras(path), Plan(scheme=scheme), two_stages.data(), out=out)
        with runtime.load(out) as model:
            found[scheme] = assess(model, two_stages.data(48), "test").first
    assert found["float32"].figures["ap50"] > 0.9
    assert found["int8"].value > found["float32"].value - 0.15


def test_a_detector_that_searches_learns_too():
    assert trained(proposals=False)[0].best_value > 0.6


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_alike(whole, tmp_path):
    state = tmp_path / "state"
    trained(state=state)
    assert state.exists()
    assert (tmp_path / "state.1").exists()
    again = trained(state=state)[0].model.get_weights()
    for a, b in zip(whole[0].model.get_weights(), again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_second_network_sees_what_the_bundle_cuts_out(tmp_path):
    loaded = two_stages.loaded(tmp_path)
    out = tmp_path / "float.edgecv"
    bundles.bundled(loaded, Plan(scheme="float32"), None, out=out)
    from edgecv.runtime.engines import open_session
    from edgecv.runtime.image import preprocess

    image = two_stages.squares(np.random.default_rng(3))
    session = open_session(out)
    values = preprocess(image, two_stages.IMAGE)[0]
    seen = session.parts["features"].ask(values)
    regions = session.regions(values, seen)
    theirs = between.cut_out(seen["features"], regions, SETTINGS, (18, 3, 4))
    session.close()
    parts = parts_of(loaded.model, loaded.require_spec())
    data = two_stages.data()
    np.testing.assert_allclose(Seen(parts).cut(image, regions), theirs, atol=1e-5)
    cut = cut_outs(parts, Dataset(name="x", uri="x", targets=data.targets, splits=data.splits)).split("train")
    assert cut.image(0).shape == (18, 3, 4)
    assert cut.take(np.array([1]), "train").images.digest(0) == cut.images.digest(1)
    assert isinstance(cut.images, CutOuts)


def test_crops_are_not_trained():
    model, spec = two_stages.network()
    (_, (second, own)) = parts_of(model, spec).values()
    from dataclasses import replace

    head = replace(own.head, settings={"decoder": "regions", "pooling": "crop"})
    image = replace(own.inputs[0], name="regions")
    with pytest.raises(UnsupportedModelError, match="which edgecv does not train"):
        train_two_stages(second, replace(own, inputs=(image,), heads=(head,)), two_stages.data(), RECIPE)
