"""Answers that are indices agree or do not: they are not numbers with noise."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from edgecv.convert.check import structure
from edgecv.core.errors import ConversionError

RNG = np.random.default_rng(0)
TRUE = RNG.integers(0, 5, (2, 20, 30)).astype(np.float32)


def checked(answers, scheme="int8"):
    return structure.check_answers(
        [TRUE], [answers], names=["mask"], scheme=scheme, method="ptq", steps=[None], indices=[True]
    )


def some(share):
    return np.where(RNG.random(TRUE.shape) < share, RNG.integers(0, 5, TRUE.shape), TRUE).astype(np.float32)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_kappa_is_scikit_learns(share):
    other = some(share)
    assert structure.kappa(TRUE, other) == pytest.approx(cohen_kappa_score(TRUE.ravel(), other.ravel()), abs=1e-9)


def test_few_changes_pass_however_far_the_indices_are():
    found = checked(some(0.3))
    assert (found.max_abs_diff, found.sqnr_db) == (4.0, None)
    assert checked(TRUE, "float32").max_abs_diff == 0.0


@pytest.mark.parametrize(
    ("answers", "scheme"), [(some(1.0), "int8"), (np.zeros_like(TRUE), "int8"), (some(0.1), "float32")]
)
def test_a_collapsed_answer_fails(answers, scheme):
    with pytest.raises(ConversionError, match="has the source's indices in"):
        checked(answers, scheme)
