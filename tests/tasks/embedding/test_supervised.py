"""The supervised contrastive loss by hand and against a loop."""

from __future__ import annotations

import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.modelio import env
from edgecv.tasks.embedding import EmbeddingSettings
from edgecv.tasks.embedding.supervised import supervised_contrastive
from edgecv.tasks.embedding.task import EmbeddingTask
from edgecv.tasks.embedding.triplets import grouped_order
from edgecv.tasks.learning import LossOptions
from edgecv.values.specs import Head


def constant(values, dtype="float32"):
    return env.tensorflow().constant(values, dtype)


def test_three_vectors_by_hand():
    # Two of one identity at a right angle, the third opposite to the first: cosines 0, -1 and 0.
    vectors = constant([[1, 0], [0, 1], [-1, 0]])
    # Anchor 0: log(e^0 / (e^0 + e^-1)); anchor 1: log(e^0 / (e^0 + e^0)); the third has no partner.
    expected = (np.log(1 + np.exp(-1)) + np.log(2)) / 2
    assert float(supervised_contrastive(vectors, constant([5, 5, 6], "int64"), 1.0)) == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_it_is_that_of_a_loop(temperature):
    rng = np.random.default_rng(3)
    ids, vectors = rng.integers(0, 4, 12), rng.normal(size=(12, 5))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    lost = []
    for anchor in range(12):
        others = [place for place in range(12) if place != anchor]
        whole = np.log(sum(np.exp(unit[anchor] @ unit[place] / temperature) for place in others))
        same = [unit[anchor] @ unit[place] / temperature - whole for place in others if ids[place] == ids[anchor]]
        if same:
            lost.append(-np.mean(same))
    found = supervised_contrastive(constant(unit), constant(ids, "int64"), temperature)
    assert float(found) == pytest.approx(np.mean(lost), rel=1e-4)


def test_without_partners_nothing_is_lost():
    vectors = constant(np.eye(3))
    assert float(supervised_contrastive(vectors, constant([1, 2, 3], "int64"), 0.1)) == 0


def test_the_head_trains_by_it_in_groups():
    settings = {"loss": "supervised_contrastive", "normalise": True, "temperature": 0.2, "samples_per_identity": 3}
    training = EmbeddingTask().training(Head("embedding", "embedding", "linear", settings=settings))
    vectors, ids = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32), np.array([1, 1, 2, 2, 3, 3])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = float(supervised_contrastive(constant(unit), constant(ids, "int64"), 0.2))
    found = training.loss([constant(ids, "int64")], [constant(vectors)], LossOptions())
    assert float(found) == pytest.approx(expected, rel=1e-5)
    order = training.order(np.repeat([4, 5], 9), np.random.default_rng(1))
    assert sorted(order) == list(range(18))
    assert all(len(set(group // 9)) == 1 for group in np.asarray(order).reshape(-1, 3))


def test_its_settings_are_checked():
    with pytest.raises(ConfigError, match="temperature must be > 0"):
        EmbeddingSettings(temperature=0.0)
    with pytest.raises(ConfigError, match="balance must be 0 or 1 or more"):
        EmbeddingSettings(balance=0.5)
    with pytest.raises(ConfigError, match="the supervised contrastive loss is of vectors of length 1"):
        EmbeddingSettings(loss="supervised_contrastive")


def test_large_identities_do_not_fill_every_batch():
    sizes = [400, 9, 8, 8, 10]  # groups of 4: 100, 2, 2, 2, 2
    identities = np.repeat(np.arange(5), sizes)
    order = grouped_order(identities, 4, np.random.default_rng(0), balance=5.0)
    assert np.bincount(identities[order]).tolist() == [40, 9, 8, 8, 10], "five times the two groups of the median"
    assert len(set(order.tolist())) == len(order)
    again = grouped_order(identities, 4, np.random.default_rng(1), balance=5.0)
    large = [set(one[identities[one] == 0].tolist()) for one in (order, again)]
    assert large[0] != large[1], "other samples in the next epoch"
    groups = identities[order[: 4 * 18]].reshape(-1, 4)
    assert (groups == groups[:, :1]).all()
    assert sorted(grouped_order(identities, 4, np.random.default_rng(0))) == list(range(sum(sizes)))
