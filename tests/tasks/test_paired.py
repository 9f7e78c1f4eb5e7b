from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import DataError
from edgecv.tasks.paired import Z95, mcnemar_p, paired_drop, paired_rise, t_quantile95


def results(both: int, lost: int, won: int, neither: int) -> tuple[list[bool], list[bool]]:
    """Return baseline and candidate with these counts: both right, only the baseline, only the candidate, neither."""
    baseline = [True] * (both + lost) + [False] * (won + neither)
    candidate = [True] * both + [False] * lost + [True] * won + [False] * neither
    return baseline, candidate


def score_by_search(lost: int, won: int, n: int, delta: float) -> float:
    """Return the score statistic of P(lost) - P(won) = delta, with P(won) found on a fine grid."""
    low, high = max(0.0, -delta), (1 - delta) / 2
    p_won = np.linspace(low, high, 2_000_001)[1:-1]
    p_same = np.maximum(1 - 2 * p_won - delta, 1e-300)
    likelihood = lost * np.log(p_won + delta) + won * np.log(p_won) + (n - lost - won) * np.log(p_same)
    best = p_won[likelihood.argmax()]
    return float((lost - won - n * delta) / np.sqrt(n * (2 * best + delta - delta**2)))


COUNTS = st.tuples(*[st.integers(0, 60)] * 4).filter(any)


class TestPairedDrop:
    @pytest.mark.parametrize(("lost", "won", "n"), [(0, 1, 44), (9, 2, 100), (3, 3, 50), (12, 0, 360), (1, 14, 20)])
    def test_ends_are_where_the_score_test_just_accepts(self, lost, won, n):
        """Parity: the likelihood under a fixed difference is maximised by search, not by Tango's formula."""
        for end, expected in zip(paired_drop(*results(n - lost - won, lost, won, 0)).ci95, (Z95, -Z95), strict=True):
            assert score_by_search(lost, won, n, end) == pytest.approx(expected, abs=2e-3)

    def test_agreement_still_has_a_width(self):
        """With nothing discordant the score equation has the closed form z^2 / (n + z^2)."""
        drop = paired_drop(*results(90, 0, 0, 10))
        edge = Z95**2 / (100 + Z95**2)
        assert drop.value == 0
        assert drop.ci95 == pytest.approx((-edge, edge))

    def test_ends_of_the_scale(self):
        assert paired_drop([True], [False]).ci95[1] == pytest.approx(1)
        # With every pair lost the score equation has the closed form (n - z^2) / (n + z^2).
        low, high = paired_drop([True] * 50, [False] * 50).ci95
        assert low == pytest.approx((50 - Z95**2) / (50 + Z95**2))
        assert high == pytest.approx(1)

    @settings(deadline=None)
    @given(COUNTS)
    def test_interval_holds_the_drop_within_the_scale(self, counts):
        drop = paired_drop(*results(*counts))
        low, high = drop.ci95
        assert -1 <= low <= drop.value <= high <= 1
        assert low < high

    @settings(deadline=None)
    @given(COUNTS)
    def test_swapping_the_models_mirrors(self, counts):
        baseline, candidate = results(*counts)
        there, back = paired_drop(baseline, candidate), paired_drop(candidate, baseline)
        assert there.value == -back.value
        assert there.ci95 == pytest.approx((-back.ci95[1], -back.ci95[0]), abs=1e-9)

    def test_approaches_walds_interval_for_many_samples(self):
        """Parity: with thousands of discordant pairs the textbook normal interval is right as well."""
        drop = paired_drop(*results(60000, 6000, 4000, 30000))
        spread = np.sqrt(0.06 + 0.04 - 0.02**2) / np.sqrt(100000)
        assert drop.ci95 == pytest.approx((0.02 - Z95 * spread, 0.02 + Z95 * spread), abs=2e-5)

    @pytest.mark.parametrize(
        ("n", "lost", "won"), [(100, 0.05, 0.02), (360, 0.01, 0.01), (360, 0.02, 0.0), (360, 0.1, 0.05), (60, 0.2, 0.2)]
    )
    def test_covers_the_truth(self, n, lost, won):
        random = np.random.default_rng(0)
        draws = random.multinomial(n, [lost, won, 1 - lost - won], size=600)
        known: dict[tuple[int, int], bool] = {}
        for b, c, _ in draws:
            if (b, c) not in known:
                low, high = paired_drop(*results(n - b - c, b, c, 0)).ci95
                known[b, c] = low <= lost - won <= high
        covered = np.mean([known[b, c] for b, c, _ in draws])
        # 600 draws know a share of 0.95 to within 0.018.
        assert covered >= 0.93

    def test_refused(self):
        for pair in (([True], [True, False]), ([], [])):
            with pytest.raises(DataError, match="equal length"):
                paired_drop(*pair)


class TestPairedRise:
    def test_by_hand(self):
        # Differences 1, 2, 3: mean 2, s = 1, t(0.975, 2) = 4.3027.
        rise = paired_rise([1.0, 1.0, 1.0], [2.0, 3.0, 4.0])
        assert rise.value == 2.0
        assert rise.ci95 == pytest.approx((2 - 4.302653 / np.sqrt(3), 2 + 4.302653 / np.sqrt(3)))

    def test_worse_is_above_zero(self):
        assert paired_rise([1.0, 2.0], [3.0, 5.0]).value > 0
        assert paired_rise([3.0, 5.0], [1.0, 2.0]).value < 0

    def test_matches_scipy(self):
        scipy = pytest.importorskip("scipy.stats", reason="scipy is not installed")
        random = np.random.default_rng(0)
        first, second = random.exponential(1, 40), random.exponential(1.2, 40)
        expected = scipy.ttest_rel(second, first).confidence_interval(0.95)
        assert paired_rise(first, second).ci95 == pytest.approx((expected.low, expected.high), rel=1e-9)

    @pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 30, 199, 200, 201, 5000])
    def test_t_quantiles_match_scipy(self, freedom):
        scipy = pytest.importorskip("scipy.stats", reason="scipy is not installed")
        assert t_quantile95(freedom) == pytest.approx(scipy.t.ppf(0.975, freedom), abs=2e-9)

    def test_t_quantiles_by_table(self):
        assert [round(t_quantile95(n), 3) for n in (1, 2, 10, 120)] == [12.706, 4.303, 2.228, 1.980]

    def test_refused(self):
        for pair in (([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([], [])):
            with pytest.raises(DataError, match="equal length and at least 2"):
                paired_rise(*pair)


class TestMcNemar:
    def test_by_hand(self):
        # 4 discordant, all one way: 2 * (1/2)^4.
        assert mcnemar_p(*results(3, 4, 0, 1)) == pytest.approx(0.125)
        assert mcnemar_p(*results(9, 0, 0, 9)) == 1.0

    @settings(deadline=None)
    @given(COUNTS)
    def test_matches_scipy(self, counts):
        scipy = pytest.importorskip("scipy.stats", reason="scipy is not installed")
        _, lost, won, _ = counts
        expected = scipy.binomtest(lost, lost + won).pvalue if lost + won else 1.0
        assert mcnemar_p(*results(*counts)) == pytest.approx(expected, rel=1e-9)

    def test_many_samples_do_not_overflow(self):
        assert mcnemar_p(*results(0, 5000, 5000, 0)) == pytest.approx(1)
        assert 0 <= mcnemar_p(*results(0, 9000, 1000, 0)) < 1e-300
