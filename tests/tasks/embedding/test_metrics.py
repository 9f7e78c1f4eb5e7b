"""ROC figures: by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, roc_curve

from edgecv.tasks import roc
from edgecv.tasks.embedding import metrics
from edgecv.tasks.embedding.pairs import pairs_of

GENUINE, IMPOSTOR = np.array([0.1, 0.2, 0.6]), np.array([0.2, 0.5, 0.8, 0.9])
APART = np.concatenate([GENUINE, IMPOSTOR])
SAME = np.arange(7) < 3
SAMPLES = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: 0 < sum(same for _, same in rows) < len(rows)
)


def test_auc_by_hand():
    # 0.1 is closer than all 4; 0.2 ties with one and is closer than 3; 0.6 is closer than 2.
    assert roc.auc(APART, SAME) == pytest.approx((4 + 3.5 + 2) / 12)


@given(rows=SAMPLES)
@settings(max_examples=50, deadline=None)
def test_auc_agrees_with_scikit_learn(rows):
    apart, same = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows])
    assert roc.auc(apart, same) == pytest.approx(roc_auc_score(same, -apart))


def by_couples(apart, same, times):
    """The weighted area, couple by couple."""
    genuine, impostor = times[same], times[~same]
    wins = np.sign(apart[~same][None] - apart[same][:, None]) * 0.5 + 0.5
    return genuine @ wins @ impostor / (genuine.sum() * impostor.sum())


@given(rows=SAMPLES, seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_a_pair_of_two_samples_weighs_the_first_order_of_the_product(rows, seed):
    identities = np.random.default_rng(seed).permutation(np.repeat([0, 1, 2], [3, 3, 2]))
    pairs = pairs_of(identities)
    apart = np.resize([row[0] for row in rows], len(pairs.first)).astype(float)
    weights = np.random.default_rng(seed).multinomial(8, np.full(8, 1 / 8), size=3).astype(float)
    found = roc.weighted_auc(apart, pairs.same, pairs.first, pairs.second)(weights)
    for value, drawn in zip(found, weights, strict=True):
        times = drawn[pairs.first] + drawn[pairs.second] - 1
        if times[pairs.same].sum() > 0 and times[~pairs.same].sum() > 0:
            assert value == pytest.approx(np.clip(by_couples(apart, pairs.same, times), 0, 1))
        else:
            assert np.isnan(value)


def test_pairs_within_an_identity_weigh_as_much_as_it():
    identities = np.repeat([0, 1, 2], 3)
    pairs = pairs_of(identities)
    apart = np.random.default_rng(0).random(len(pairs.first))
    statistic = roc.weighted_auc(apart, pairs.same, identities[pairs.first], identities[pairs.second])
    drawn = np.array([2.0, 1.0, 0.0])
    first, second = drawn[identities[pairs.first]], drawn[identities[pairs.second]]
    expected = by_couples(apart, pairs.same, np.where(pairs.same, first, first + second - 1))
    assert statistic(drawn[None])[0] == pytest.approx(expected)


def test_many_pairs_come_in_parts(monkeypatch):
    identities = np.repeat(np.arange(5), 4)
    pairs = pairs_of(identities)
    apart = np.random.default_rng(0).random(len(pairs.first))
    statistic = roc.weighted_auc(apart, pairs.same, pairs.first, pairs.second)
    weights = np.random.default_rng(1).integers(0, 4, (7, 20)).astype(float)
    whole = statistic(weights)
    monkeypatch.setattr(roc, "_CHUNK", 2 * len(apart))
    assert statistic(weights) == pytest.approx(whole)


def test_tar_at_far_by_hand():
    impostor = np.arange(100) / 100
    # 10 of 100 impostors may pass: 0.00 … 0.09. So the threshold is 0.10.
    assert metrics.tar_at_far(np.array([0.05, 0.1, 0.5]), impostor, 0.1) == pytest.approx(1 / 3)
    assert metrics.tar_at_far(np.array([0.05, 0.1, 0.5]), impostor, 0.01) is None
    assert metrics.tar_at_far(np.zeros(0), impostor, 0.1) is None


@pytest.mark.parametrize("rate", metrics.FALSE_ACCEPT_RATES)
@pytest.mark.parametrize("digits", [1, 4])
def test_tar_at_far_and_equal_error_rate_agree_with_scikit_learn(rate, digits):
    rng = np.random.default_rng(digits)
    genuine, impostor = rng.normal(1, 0.5, 400).round(digits), rng.normal(2, 0.5, 12_000).round(digits)
    same = np.arange(12_400) < 400
    far, tar, _ = roc_curve(same, -np.concatenate([genuine, impostor]), drop_intermediate=False)
    assert metrics.tar_at_far(genuine, impostor, rate) == pytest.approx(tar[far <= rate].max())
    # Where the curve rises straight up, interpolation along x is off by at most one genuine pair of 400.
    crossing = brentq(lambda x: 1.0 - x - np.interp(x, far, tar), 0.0, 1.0)
    assert metrics.equal_error_rate(genuine, impostor) == pytest.approx(crossing, abs=2e-3 if digits == 4 else 1e-6)


@pytest.mark.parametrize(
    ("genuine", "impostor", "expected"),
    [([1, 2], [3, 4], 0.0), ([3, 4], [1, 2], 1.0), ([1, 1], [1, 1], 0.5), ([1, 3], [2, 4], 0.5)],
)
def test_equal_error_rate_by_hand(genuine, impostor, expected):
    assert metrics.equal_error_rate(np.array(genuine, float), np.array(impostor, float)) == pytest.approx(expected)


def test_accuracy_at_a_threshold_counts_both_kinds_alike():
    assert metrics.accuracy_at(APART, SAME, 0.5) == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert metrics.accuracy_at(APART, SAME, 0.3) == pytest.approx(balanced_accuracy_score(SAME, APART < 0.3))


@given(rows=SAMPLES)
@settings(max_examples=50, deadline=None)
def test_no_threshold_is_better_than_the_best(rows):
    apart, same = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows])
    best = metrics.accuracy_at(apart, same, metrics.best_threshold(apart, same))
    assert best >= 0.5
    assert best >= max(metrics.accuracy_at(apart, same, t) for t in np.arange(-0.5, 9.0, 0.5)) - 1e-12


def test_pair_accuracy_uses_the_threshold_of_the_other_identities():
    identities = np.repeat(np.arange(4), 2)
    pairs = pairs_of(identities)
    half = identities % 2
    # Identities 0 and 2 are told apart at 1.5, 1 and 3 at 11.5: neither threshold serves the other half.
    apart = np.where(pairs.same, 1.0, 2.0) + 10.0 * (half[pairs.first] == 1)
    assert metrics.pair_accuracy(apart, pairs, identities) == pytest.approx(0.5)
    assert metrics.pair_accuracy(np.where(pairs.same, 1.0, 2.0), pairs, identities) == 1.0


def test_pair_accuracy_of_two_identities_halves_the_pairs():
    identities = np.array([0, 0, 0, 1, 1])
    pairs = pairs_of(identities)
    assert metrics.pair_accuracy(np.where(pairs.same, 1.0, 2.0), pairs, identities) == 1.0
    alone = np.array([0, 0, 1])
    assert metrics.pair_accuracy(np.ones(3), pairs_of(alone), alone) is None


def test_rank_one_by_hand():
    vectors = np.array([[0], [1], [5], [5.5], [1.4]], np.float32)
    # 0 -> 1 right; 1 -> 1.4 wrong; 5 and 5.5 find each other; the last is alone, so nobody asks.
    assert metrics.rank_one(vectors, np.array([0, 0, 1, 1, 2]), "euclidean") == 0.75
    assert metrics.rank_one(vectors, np.arange(5), "euclidean") is None


def test_figures_without_impostors_are_undefined():
    found = metrics.figures(np.array([0.1, 0.2]), np.array([True, True]))
    assert set(found) == {"auc", "tar_at_far_0.1", "tar_at_far_0.01", "tar_at_far_0.001", "eer"}
    assert set(found.values()) == {None}


def test_ten_folds_by_a_loop_and_none_for_few_identities():
    rng = np.random.default_rng(0)
    identities = np.repeat(np.arange(100, 130), 3)
    vectors = rng.normal(size=(30, 4))[identities - 100] + 0.6 * rng.normal(size=(90, 4))
    pairs = pairs_of(identities)
    apart = np.linalg.norm(vectors[pairs.first] - vectors[pairs.second], axis=1)
    right = []
    for fold in range(10):
        inside = [{100 + fold, 110 + fold, 120 + fold} & {identities[a], identities[b]} != set()
                  for a, b in zip(pairs.first, pairs.second, strict=True)]  # fmt: skip
        own = np.isin(identities[pairs.first] % 10, fold) & np.isin(identities[pairs.second] % 10, fold)
        others = ~np.array(inside)
        limit = metrics.best_threshold(apart[others], pairs.same[others])
        right.append(metrics.accuracy_at(apart[own], pairs.same[own], limit))
    mean, error = metrics.folded_accuracy(apart, pairs, identities)
    assert (mean, error) == pytest.approx((np.mean(right), np.std(right, ddof=1) / np.sqrt(10)))
    assert 0.6 < mean < 1
    few = pairs_of(identities % 10)  # one identity in a fold has no impostors
    apart = np.linalg.norm(vectors[few.first] - vectors[few.second], axis=1)
    assert metrics.folded_accuracy(apart, few, identities % 10) == (None, None)
