"""Widths and budgets are respected, and what costs much and matters little goes first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecv.compress.layer_graph import read
from edgecv.compress.slim.channels import Dependencies, dependencies
from edgecv.compress.slim.choice import Limits, fewest_measured, fewest_steps, removed_after, steps
from edgecv.compress.slim.cost import CostModel
from edgecv.compress.slim.plan import plan_of
from edgecv.core.errors import ConfigError
from tests.compress.slim.networks import NETWORKS


@pytest.fixture(scope="module")
def known() -> Dependencies:
    return dependencies(read(NETWORKS["resnet8"]()))


def random_scores(known: Dependencies, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).random(len(known.removable))


@pytest.mark.parametrize(("multiple", "min_share"), [(1, 0.1), (8, 0.0), (4, 0.5), (5, 0.3)])
def test_widths_keep_their_multiple_and_share(known: Dependencies, multiple: int, min_share: float) -> None:
    order = steps(known, random_scores(known), Limits(multiple=multiple, min_share=min_share), by="macs")
    for count in range(len(order) + 1):
        for name, layer in plan_of(known, removed_after(known, order, count)).layers.items():
            width = len(layer.kept)
            assert width == layer.channels or width % multiple == 0, name
            assert width >= max(1, min_share * layer.channels), name


@pytest.mark.parametrize("by", ["macs", "bytes"])
def test_the_budget_is_met_by_the_last_step_only(known: Dependencies, by: Any) -> None:
    field = "macs" if by == "macs" else "weight_bytes"
    order = steps(known, random_scores(known), Limits(multiple=2), by=by)
    costs = CostModel(known)
    limit = 0.5 * getattr(costs.size(costs.sizes), field)
    count = fewest_steps(known, order, lambda size: getattr(size, field) <= limit)

    def cost(count: int) -> int:
        removed = removed_after(known, order, count)
        left = np.array([(~removed[list(group.components)]).sum() for group in known.groups])
        return int(getattr(costs.size(left), field))

    assert cost(count) <= limit < cost(count - 1)


def test_the_first_step_saves_most_for_its_importance(known: Dependencies) -> None:
    scores = np.ones(len(known.removable))
    first = steps(known, scores, Limits(), by="macs")[0]
    costs = CostModel(known)
    macs, _ = costs.after(costs.sizes, np.ones(len(costs.sizes)))
    assert first.group == int(np.argmin(macs))
    least = known.groups[first.group].components[2]
    scores[least] = 0.5
    assert steps(known, scores, Limits(), by="macs")[0].components == (least,)


def test_groups_without_a_score_stay(known: Dependencies) -> None:
    scores = random_scores(known)
    scores[known.groups[0].components[0]] = np.nan
    assert 0 not in {chunk.group for chunk in steps(known, scores, Limits(), by="macs")}


def test_a_budget_out_of_reach_is_refused(known: Dependencies) -> None:
    order = steps(known, random_scores(known), Limits(min_share=0.9), by="macs")
    with pytest.raises(ConfigError, match="out of reach"):
        fewest_steps(known, order, lambda size: size.macs < 1000)
    with pytest.raises(ConfigError, match="out of reach"):
        fewest_measured(order, lambda count: False)


@pytest.mark.parametrize("last", [10**6, 30, 14])
def test_measuring_finds_the_first_that_is_fast_enough(known: Dependencies, last: int) -> None:
    """Also where the smallest networks are slow again."""
    order = steps(known, random_scores(known), Limits(), by="macs")
    start = len(order) // 8 * 3 - 4 if last == 14 else 13
    tried: list[int] = []

    def within(count: int) -> bool:
        tried.append(count)
        return start <= count <= start + last

    assert fewest_measured(order, within) == start
    assert len(tried) == len(set(tried)) <= 9 + int(np.log2(len(order)))


def test_a_network_that_is_fast_enough_stays(known: Dependencies) -> None:
    order = steps(known, random_scores(known), Limits(), by="macs")
    assert fewest_measured(order, lambda count: True) == 0
