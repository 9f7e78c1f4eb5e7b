"""Triplet losses by hand and against a loop, and batches with several samples of each identity."""

from __future__ import annotations

import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.modelio import env
from edgecv.tasks.embedding import EmbeddingSettings
from edgecv.tasks.embedding.task import EmbeddingTask
from edgecv.tasks.embedding.triplets import batch_hard, grouped_order, semi_hard, squared_distances
from edgecv.tasks.learning import LossOptions
from edgecv.values.specs import Head

OPTIONS = LossOptions()


def triplets(**settings):
    given = {"loss": "triplet", "normalise": True, "margin": 0.2, **settings}
    return EmbeddingTask().training(Head("embedding", "embedding", "linear", settings=given))


def constant(values, dtype="float32"):
    return env.tensorflow().constant(values, dtype)


def apart_of(rows):
    """Squared distances between samples 0, 1 of one identity and 2 (and 3) of another, as a full matrix."""
    return constant(np.array(rows) + np.array(rows).T)


@pytest.mark.parametrize("mined", [semi_hard, batch_hard])
@pytest.mark.parametrize(("negative", "expected"), [(0.4, 0.1), (0.6, 0.0)])
def test_one_triplet_by_hand(mined, negative, expected):
    # Positive at 0.3. From sample 0 a negative at 0.4 or 0.6; from sample 1 it is at 4.
    apart = apart_of([[0, 0.3, negative], [0, 0, 4.0], [0, 0, 0]])
    found = mined(apart, constant([7, 7, 8], "int64"), 0.2)
    assert float(found) == pytest.approx(expected / 2)  # the mean over two anchors, of which the other costs nothing


def test_semi_hard_takes_the_nearest_that_is_farther_else_the_farthest():
    ids = constant([1, 1, 2, 2], "int64")
    # Anchor 0: negatives at 0.2 (nearer than its positive at 0.5) and 0.6: 0.6 counts, 0.5 - 0.6 + 0.2.
    # Anchor 1: both at 0.1 and 0.3, nearer: the farthest, 0.5 - 0.3 + 0.2. Anchors 2, 3: positive 0, nothing is lost
    # where negatives are 0.2 or farther; anchor 2 has 0.1, 3 has 0.3.
    apart = apart_of([[0, 0.5, 0.2, 0.6], [0, 0, 0.1, 0.3], [0, 0, 0, 0.0], [0, 0, 0, 0]])
    assert float(semi_hard(apart, ids, 0.2)) == pytest.approx((0.1 + 0.4 + 0.1 + 0.0) / 4, abs=1e-6)
    # Batch-hard: the nearest negatives are 0.2, 0.1, 0.1, 0.3.
    assert float(batch_hard(apart, ids, 0.2)) == pytest.approx((0.5 + 0.6 + 0.1 + 0.0) / 4, abs=1e-6)


@pytest.mark.parametrize("mining", ["semi_hard", "batch_hard"])
@pytest.mark.parametrize("seed", [0, 1])
def test_mining_is_that_of_a_loop(mining, seed):
    rng = np.random.default_rng(seed)
    ids, vectors = rng.integers(0, 4, 14), rng.normal(size=(14, 3)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    apart = ((unit[:, None] - unit[None]) ** 2).sum(-1)
    lost = []
    for a in range(14):
        negatives = apart[a][ids != ids[a]]
        positives = [p for p in range(14) if p != a and ids[p] == ids[a]]
        if mining == "batch_hard" and positives:
            lost.append(max(max(apart[a][positives]) - min(negatives) + 0.2, 0))
        for p in positives if mining == "semi_hard" else []:
            farther = negatives[negatives > apart[a, p]]
            lost.append(max(apart[a, p] - (min(farther) if len(farther) else max(negatives)) + 0.2, 0))
    found = triplets(mining=mining).loss([constant(ids, "int64")], [constant(vectors)], OPTIONS)
    assert float(found) == pytest.approx(np.mean(lost), rel=1e-4)


@pytest.mark.parametrize("mining", ["semi_hard", "batch_hard"])
@pytest.mark.parametrize("ids", [[1, 1, 1], [1, 2, 3], [1, 1, 2]])
def test_batches_without_triplets_cost_nothing_and_gradients_are_finite(mining, ids):
    tf = env.tensorflow()
    vectors = tf.Variable([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = triplets(mining=mining).loss([constant(ids, "int64")], [vectors], OPTIONS)
    if len(set(ids)) != 2:
        assert float(loss) == 0.0
    assert np.isfinite(tape.gradient(loss, vectors).numpy()).all()


def test_length_does_not_count():
    ids, vectors = constant([1, 1, 2], "int64"), np.array([[1.0, 0.2], [0.9, 0.5], [0.9, 0.8]], np.float32)
    losses = [float(triplets(**more).loss([ids], [constant(scale * vectors)], OPTIONS)) for scale, more in (
        (1, {}), (9, {}), (3, {"normalise": False, "distance": "cosine"}),
    )]  # fmt: skip
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    assert losses[0] > 0
    assert np.array_equal(np.diag(squared_distances(constant(vectors))), np.zeros(3))


def test_settings_that_cannot_be_met():
    with pytest.raises(ConfigError, match="vectors of length 1"):
        EmbeddingSettings(loss="triplet")
    with pytest.raises(ConfigError, match="samples_per_identity"):
        EmbeddingSettings(samples_per_identity=1)
    with pytest.raises(ConfigError, match="mining"):
        triplets(mining="hardest")


@pytest.mark.parametrize(("sizes", "each"), [([9, 8, 3, 1], 4), ([2, 2], 4), ([40] * 10, 4), ([5], 2)])
def test_groups_are_of_one_identity_and_every_sample_comes_once(sizes, each):
    identities = np.random.default_rng(1).permutation(np.repeat(np.arange(len(sizes)), sizes))
    order = grouped_order(identities, each, np.random.default_rng(0))
    assert sorted(order) == list(range(len(identities)))
    whole = sum(size // each for size in sizes)
    groups = identities[order[: whole * each]].reshape(whole, each)
    assert (groups == groups[:, :1]).all()
    assert sorted(groups[:, 0]) == sorted(np.repeat(np.arange(len(sizes)), [size // each for size in sizes]))
    assert (order == grouped_order(identities, each, np.random.default_rng(0))).all()
    if len(identities) > each:
        assert (order != grouped_order(identities, each, np.random.default_rng(3))).any()


def test_the_settings_choose_the_order():
    truths = np.repeat(np.arange(6), 6).tolist()
    order = triplets(samples_per_identity=3).order(truths, np.random.default_rng(0))
    groups = np.array(truths)[order].reshape(-1, 3)
    assert (groups == groups[:, :1]).all()


def test_statistics_of_unit_vectors_reach_to_their_largest_distance():
    training = triplets(margin=0.2)
    vectors = constant([[1, 0], [1, 0.5], [-1, 0], [-1, 0.4]])
    sums = training.statistics([constant([1, 1, 2, 2], "int64")], [vectors]).numpy()
    assert training.value(sums) == 1.0


@pytest.mark.parametrize("mining", ["semi_hard", "batch_hard"])
def test_an_encoder_learns_by_triplets(mining):
    tf, keras = env.tensorflow(), env.keras()
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    identities = rng.integers(0, 4, 256)
    samples = (rng.normal(size=(4, 6))[identities] + 0.8 * rng.normal(size=(256, 6))).astype(np.float32)
    model = keras.Sequential([keras.layers.Dense(16, activation="relu"), keras.layers.Dense(4)])
    training, optimizer = triplets(mining=mining), keras.optimizers.Adam(1e-2)

    def value():
        return training.value(training.statistics([constant(identities, "int64")], [model(constant(samples))]).numpy())

    before = value()
    for _ in range(6):
        for batch in training.order(identities.tolist(), rng).reshape(-1, 32):
            with tf.GradientTape() as tape:
                loss = training.loss([constant(identities[batch], "int64")], [model(constant(samples[batch]))], OPTIONS)
            optimizer.apply_gradients(zip(tape.gradient(loss, model.variables), model.variables, strict=True))
    assert value() > max(0.85, before)
