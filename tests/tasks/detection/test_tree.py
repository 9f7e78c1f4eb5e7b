"""A tree of classes: probabilities along its branches, and which class is told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgecv.core.errors import DataError
from edgecv.tasks.detection.tree import read_tree, tree_of

TEXT = "animal -1\nthing -1\ndog 0\ncat 0\npoodle 2\nterrier 2\n"


def test_probabilities_are_products_along_the_branch() -> None:
    names, parents = read_tree(TEXT, "t.tree")
    assert names == ("animal", "thing", "dog", "cat", "poodle", "terrier")
    raw = np.log(np.array([[3.0, 1.0, 4.0, 1.0, 1.0, 1.0]]))
    found = tree_of(parents).probabilities(raw, logits=True)
    np.testing.assert_allclose(found, [[0.75, 0.25, 0.6, 0.15, 0.3, 0.3]], rtol=1e-6)
    np.testing.assert_allclose(found[0, 4:].sum(), found[0, 2], rtol=1e-6)


@pytest.mark.parametrize(("least", "told"), [(0.5, "dog"), (0.2, "poodle"), (0.7, "animal")])
def test_the_most_special_class_that_is_likely_enough_is_told(least: float, told: str) -> None:
    names, parents = read_tree(TEXT, "t.tree")
    likely = np.array([[0.75, 0.25, 0.6, 0.15, 0.35, 0.25]], np.float32)
    best, held = tree_of(parents).told(likely, least)
    assert names[best[0]] == told
    assert math.isclose(held[0], likely[0, best[0]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a -1\nb 1\n", "line 2: 'b' has the parent 1"),
        ("a\n", "line 1"),
        ("a 1\nb 0\n", "no cycle"),
        ("", "no classes"),
    ],
)
def test_what_is_no_tree(text: str, said: str) -> None:
    with pytest.raises(DataError) as error:
        read_tree(text, "t.tree")
    assert said in f"{error.value} {error.value.hint}"
