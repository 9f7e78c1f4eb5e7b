"""Two files of one network with one gallery: figures by hand, and weighted statistics by drawing for real."""

from __future__ import annotations

import numpy as np
import pytest

from edgecv.core.errors import DataError
from edgecv.tasks.embedding import metrics
from edgecv.tasks.embedding.mixing import mixing, weighted_accuracy, weighted_tar
from edgecv.tasks.embedding.pairs import pairs_of


def people(identities: int, each: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(identities, 8))
    codes = np.repeat(np.arange(identities), each)
    return (centres[codes] + spread * rng.normal(size=(len(codes), 8))).astype(np.float32), codes


def evidence(vectors: np.ndarray, codes: np.ndarray) -> list:
    return list(zip(vectors, codes.tolist(), strict=True))


def test_the_same_model_loses_nothing() -> None:
    vectors, codes = people(24, 4, 0.7)
    found = mixing(evidence(vectors, codes), evidence(vectors, codes), "euclidean")
    assert (found.pairs, found.genuine, found.units) == (96 * 95 // 2, 24 * 6, "identities")
    alone, asking, mixed = found.ways
    assert (alone.enrolled, alone.asked, alone.drops) == ("gallery", "gallery", {})
    assert (mixed.enrolled, mixed.asked) == ("gallery", "asking")
    for way in (asking, mixed):
        assert way.figures == alone.figures
        assert {"auc", "accuracy_at_gallery_threshold", "tar_at_far_0.1", "tar_at_far_0.01"} <= set(way.drops)
        assert all(drop.value == 0 and drop.ci95 == (0, 0) for drop in way.drops.values())


def test_a_shift_costs_nothing_alone_and_much_when_mixed() -> None:
    vectors, codes = people(24, 4, 0.7)
    shift = np.zeros(8, np.float32)
    shift[0] = 5
    # All distances of the shifted vectors are the same; between shifted and unshifted ones they are not.
    _, asking, mixed = mixing(evidence(vectors, codes), evidence(vectors + shift, codes), "euclidean").ways
    assert asking.drops["auc"].value == pytest.approx(0, abs=1e-6)
    assert mixed.drops["auc"].ci95[0] > 0.02
    assert mixed.figures["accuracy_at_gallery_threshold"] == pytest.approx(0.5, abs=0.02)


def test_few_identities_are_drawn_by_sample() -> None:
    vectors, codes = people(3, 8, 0.5)
    assert mixing(evidence(vectors, codes), evidence(vectors, codes), "cosine").units == "samples"


def test_results_that_do_not_fit_are_refused() -> None:
    vectors, codes = people(3, 4, 0.5)
    with pytest.raises(DataError, match="same samples"):
        mixing(evidence(vectors, codes), evidence(vectors, codes[::-1]), "euclidean")
    with pytest.raises(DataError, match="8 and of 7"):
        mixing(evidence(vectors, codes), evidence(vectors[:, :7], codes), "euclidean")
    with pytest.raises(DataError, match="two samples of one identity"):
        mixing(evidence(vectors[:3], np.arange(3)), evidence(vectors[:3], np.arange(3)), "euclidean")


def test_weights_of_one_give_the_figures_of_all_pairs() -> None:
    vectors, codes = people(6, 5, 0.9)
    pairs = pairs_of(codes)
    apart = np.linalg.norm(vectors[pairs.first] - vectors[pairs.second], axis=1)
    for units in (codes, np.arange(len(codes))):
        ends, ones = (units[pairs.first], units[pairs.second]), np.ones((1, units.max() + 1))
        expected = metrics.accuracy_at(apart, pairs.same, 2.0)
        assert weighted_accuracy(apart, pairs.same, *ends, 2.0)(ones) == pytest.approx([expected])
        expected = metrics.tar_at_far(apart[pairs.same], apart[~pairs.same], 0.1)
        assert weighted_tar(apart, pairs.same, *ends, 0.1)(ones) == pytest.approx([expected])


def test_weights_are_pairs_repeated() -> None:
    vectors, codes = people(5, 4, 0.9, seed=2)
    pairs = pairs_of(codes)
    apart = np.linalg.norm(vectors[pairs.first] - vectors[pairs.second], axis=1)
    weights = np.array([[2, 0, 1, 1, 1], [0, 3, 0, 2, 0]], float)
    a, b = codes[pairs.first], codes[pairs.second]
    for row, given in zip(weights, weighted_tar(apart, pairs.same, a, b, 0.2)(weights), strict=True):
        times = np.where(a == b, row[a], row[a] * row[b]).astype(int)
        genuine, impostor = (np.repeat(apart[kind], times[kind]) for kind in (pairs.same, ~pairs.same))
        limit = np.sort(impostor)[int(np.floor(0.2 * impostor.size))]
        assert given == pytest.approx((genuine < limit).mean())
