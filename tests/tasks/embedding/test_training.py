"""Losses, validation values and the order of an epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from edgecv.core.errors import ConfigError
from edgecv.modelio import env
from edgecv.tasks.embedding.pairs import distances, pairs_of
from edgecv.tasks.embedding.task import EmbeddingTask, VerificationTask
from edgecv.tasks.embedding.training import BINS, contrastive, paired_order
from edgecv.tasks.learning import LossOptions
from edgecv.values.specs import Head

OPTIONS = LossOptions()


def embedding(**settings):
    return EmbeddingTask().training(Head("embedding", "embedding", "linear", settings=settings))


def verification(**settings):
    return VerificationTask().training(Head("distance", "verification", "distances", settings=settings))


def constant(values, dtype="float32"):
    return env.tensorflow().constant(values, dtype)


def test_contrastive_loss_by_hand():
    found = contrastive(constant([0.5, 0.5, 1.2, 1.2]), constant([1, 0, 0, 1]), 1.0)
    assert found.numpy() == pytest.approx([0.25, 0.25, 0.0, 1.44])


def test_neighbours_are_partners_and_an_odd_row_is_left_out():
    vectors = constant([[0, 0], [0, 0.5], [0, 0], [0.8, 0], [9, 9]])
    # 0.25 for the genuine pair, (1 - 0.8)^2 for the impostors.
    loss = embedding().loss([constant([1, 1, 2, 3, 3], "int64")], [vectors], OPTIONS)
    assert float(loss) == pytest.approx((0.25 + 0.04) / 2)
    wide = embedding(margin=2.0).loss([constant([1, 1, 2, 3, 3], "int64")], [vectors], OPTIONS)
    assert float(wide) == pytest.approx((0.25 + 1.44) / 2)
    assert float(embedding().loss([constant([1], "int64")], [constant([[1, 2]])], OPTIONS)) == 0.0


@pytest.mark.parametrize("normalise", [False, True])
def test_cosine_and_length_one(normalise):
    training = embedding(distance="cosine", normalise=normalise)
    loss = training.loss([constant([1, 1], "int64")], [constant([[3, 4], [0, 8]])], OPTIONS)
    assert float(loss) == pytest.approx(0.2**2, rel=1e-5)
    euclidean = embedding(normalise=normalise).loss([constant([1, 1], "int64")], [constant([[3, 4], [0, 8]])], OPTIONS)
    assert float(euclidean) == pytest.approx(0.4 if normalise else 25.0, rel=1e-5)


@pytest.mark.parametrize("settings", [{}, {"normalise": True}, {"distance": "cosine"}])
@pytest.mark.parametrize("vector", [[0.0, 0.0], [1.0, 2.0]])
def test_gradients_of_equal_vectors_are_finite(settings, vector):
    tf = env.tensorflow()
    vectors = tf.Variable([vector] * 4)
    with tf.GradientTape() as tape:
        loss = embedding(**settings).loss([constant([1, 1, 1, 2], "int64")], [vectors], OPTIONS)
    assert np.isfinite(tape.gradient(loss, vectors).numpy()).all()


@pytest.mark.parametrize("settings", [{}, {"margin": 0.2}, {"distance": "cosine"}])
def test_statistics_add_up_to_the_auc_of_the_histogram(settings):
    rng = np.random.default_rng(0)
    training, sums, apart, same = embedding(**settings), 0.0, [], []
    for count in (12, 7):
        identities, vectors = rng.integers(0, 3, count), rng.normal(size=(count, 3)).astype(np.float32) * 0.4
        sums = sums + training.statistics([constant(identities, "int64")], [constant(vectors)]).numpy()
        pairs = pairs_of(identities)
        apart.append(distances(vectors, pairs, training.settings.distance))
        same.append(pairs.same)
    assert sums.shape == (2 * BINS,)
    assert sums[:BINS].sum() == np.concatenate(same).sum()
    assert sums.sum() == 12 * 11 / 2 + 7 * 6 / 2
    end = 2.0 if settings.get("distance") else 2 * training.settings.margin
    bins = np.minimum((np.concatenate(apart) * BINS / end).astype(int), BINS - 1)
    assert training.value(sums) == pytest.approx(roc_auc_score(np.concatenate(same), -bins))


def test_value_without_pairs_is_chance():
    assert embedding().value(np.zeros(2 * BINS)) == 0.5


def test_distilling_is_following_the_vectors():
    teacher, student = constant([[3, 4]]), constant([[0, 8]])
    assert float(embedding().distil([teacher], [student], OPTIONS)) == pytest.approx((9 + 16) / 2)
    unit = embedding(normalise=True).distil([teacher], [student], OPTIONS)
    assert float(unit) == pytest.approx((0.6**2 + 0.2**2) / 2)
    assert float(verification().distil([constant([[1], [2]])], [constant([[1], [4]])], OPTIONS)) == 2.0


def test_verification_learns_from_distances():
    training = verification(margin=1.0, threshold=0.5)
    targets, outputs = [constant([1, 0, 0, 1])], [constant([[0.4], [0.5], [1.2], [0.5]])]
    assert float(training.loss(targets, outputs, OPTIONS)) == pytest.approx((0.16 + 0.25 + 0 + 0.25) / 4)
    sums = training.statistics(targets, outputs).numpy()
    assert sums.tolist() == [3, 4]
    assert training.value(sums + sums) == 0.75
    assert sorted(training.order([0] * 9, np.random.default_rng(0))) == list(range(9))


def test_targets_are_what_encode_gives():
    for training, truth in ((embedding(), 7), (verification(), 1)):
        (spec,), (tensor,) = training.targets, training.encode(truth, None)
        assert (tensor.shape, tensor.dtype) == (spec.shape, np.dtype(spec.dtype))
        assert tensor == truth
        assert training.class_weights([truth]) is None


def test_an_activation_without_a_loss():
    with pytest.raises(ConfigError, match="takes the activation 'linear'"):
        EmbeddingTask().training(Head("e", "embedding", "probabilities"))
    with pytest.raises(ConfigError, match="takes the activation 'distances'"):
        VerificationTask().training(Head("e", "verification", "linear"))


@given(
    identities=st.lists(st.integers(0, 5), min_size=1, max_size=80),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_an_epoch_uses_every_sample_once(identities, seed):
    values = np.array(identities)
    order, again = (paired_order(values, np.random.default_rng(seed)) for _ in range(2))
    assert sorted(order) == list(range(len(values)))
    assert (order == again).all()


@pytest.mark.parametrize(("people", "each"), [(2, 10), (3, 8), (10, 41), (40, 2), (400, 3)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_half_of_the_pairs_are_genuine(people, each, seed):
    identities = np.random.default_rng(seed).permutation(np.repeat(np.arange(people), each))
    order = paired_order(identities, np.random.default_rng(seed))
    count = len(order) // 2
    first, second = identities[order[: 2 * count]].reshape(-1, 2).T
    # Two identities may leave an odd number of each to pair, then one genuine pair more is left.
    assert count // 2 <= (first == second).sum() <= count // 2 + (people == 2)


def test_identities_give_genuine_pairs_in_proportion():
    identities, counts = np.repeat([0, 1, 2, 3], [60, 40, 20, 2]), np.zeros(4)
    rng = np.random.default_rng(0)
    for _ in range(100):
        pairs = identities[paired_order(identities, rng)[:122].reshape(-1, 2)]
        counts += np.bincount(pairs[pairs[:, 0] == pairs[:, 1], 0], minlength=4)
    assert counts / 100 == pytest.approx([15, 10, 5, 0.5], abs=0.3)


def test_single_samples_are_impostors():
    order = paired_order(np.arange(10), np.random.default_rng(0))
    assert sorted(order) == list(range(10))


def test_partners_change_from_epoch_to_epoch():
    identities, rng = np.repeat(np.arange(10), 30), np.random.default_rng(0)
    partners = [{frozenset(pair) for pair in paired_order(identities, rng).reshape(-1, 2).tolist()} for _ in range(2)]
    assert len(partners[0] & partners[1]) < 15


def test_impostors_are_not_always_the_same_two_identities():
    identities = np.repeat(np.arange(10), 100)
    pairs = identities[paired_order(identities, np.random.default_rng(0)).reshape(-1, 2)]
    met = {frozenset(pair) for pair in pairs[pairs[:, 0] != pairs[:, 1]].tolist()}
    assert len(met) == 45


def test_a_small_encoder_learns_to_tell_apart():
    tf, keras = env.tensorflow(), env.keras()
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    identities = rng.integers(0, 4, 256)
    samples = (rng.normal(size=(4, 6))[identities] + 0.8 * rng.normal(size=(256, 6))).astype(np.float32)
    model = keras.Sequential([keras.layers.Dense(16, activation="relu"), keras.layers.Dense(4)])
    training, optimizer = embedding(), keras.optimizers.RMSprop(1e-2)

    def value():
        return training.value(training.statistics([constant(identities, "int64")], [model(constant(samples))]).numpy())

    before = value()
    for _ in range(10):
        for batch in training.order(identities.tolist(), rng).reshape(-1, 32):
            with tf.GradientTape() as tape:
                loss = training.loss([constant(identities[batch], "int64")], [model(constant(samples[batch]))], OPTIONS)
            optimizer.apply_gradients(zip(tape.gradient(loss, model.variables), model.variables, strict=True))
    assert value() > max(0.9, before)
