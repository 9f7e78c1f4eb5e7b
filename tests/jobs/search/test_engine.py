"""What the search asks for next, why it stops, and what it takes for the winner; all without a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecv.jobs.search import engine
from edgecv.jobs.search.candidates import Candidate, candidate
from edgecv.jobs.search.engine import Ask, Study, harsher
from edgecv.jobs.search.objective import objective
from edgecv.jobs.search.surrogate import Seen, belief, grid
from edgecv.values.search import Cost, Finding, Objective
from tests.jobs.search import made_up

A = candidate({"slim.macs": 0.5, "slim.epochs": 4, "quantize.scheme": "int8"})
B = candidate({"slim.macs": 0.75, "slim.epochs": 4, "quantize.scheme": "int8"})
C = candidate({"quantize.scheme": "int8"})
D = candidate({})


def found(one: Candidate, drop: float, half: float = 0.3, level: str = "full", n: int = 1000) -> Finding:
    return Finding(candidate=one.id, level=level, n=n, value=0.9, drop=drop, drop_ci95=(drop - half, drop + half))  # type: ignore[arg-type]


def costs(**ratios: float) -> dict[str, Cost]:
    names = {"a": A, "b": B, "c": C, "d": D}
    return {
        names[name].id: Cost(
            ratio=ratio, ratio_ci95=(0.97 * ratio, 1.03 * ratio), size_bytes=int(1000 * ratio), latency_ms=ratio
        )
        for name, ratio in ratios.items()
    }


def study(sought: Objective, *findings: Finding, **more: object) -> Study:
    made = Study(candidates=(A, B, C, D), costs=costs(a=0.2, b=0.28, c=0.35, d=1.0), objective=sought)
    return replace(made, findings=findings, **more)  # type: ignore[arg-type]


def test_what_is_slower_than_what_passed_is_never_asked() -> None:
    now = study(objective(None, max_drop=1.0), found(B, 0.2))
    assert engine.winner(now) == B
    assert "slower than MACs 0.75" in engine.reasons(now)[C.id].replace("slim epochs 4, ", "")
    step = engine.ask(now)
    assert isinstance(step, Ask)
    assert step.candidate == A


def test_what_is_harsher_than_a_sure_failure_is_never_asked_unless_thorough() -> None:
    now = study(objective(None, max_drop=1.0), found(B, 5.0))
    assert "harsher than" in engine.reasons(now)[A.id]
    assert A.id not in engine.reasons(replace(now, thorough=True))
    # A failure whose interval begins within the budget is not sure.
    unsure = study(objective(None, max_drop=1.0), found(B, 1.2, half=0.4))
    assert A.id not in engine.reasons(unsure)


def test_a_candidate_passes_by_the_upper_end_of_its_interval_only() -> None:
    now = study(objective(None, max_drop=1.0), found(A, 0.9, half=0.3), found(C, 0.1))
    assert engine.winner(now) == C
    missed = study(objective(None, max_drop=1.0), found(A, 0.9, half=0.3))
    assert engine.winner(missed) is None
    assert engine.nearest_miss(missed) == A


def test_the_smallest_the_most_accurate_and_the_front_have_their_own_winner() -> None:
    three = (found(A, 0.9, half=0.05), found(C, 0.4, half=0.05), found(D, 0.0, half=0.05))
    assert engine.winner(study(objective("smallest", max_drop=1.0), *three)) == A
    assert engine.winner(study(objective(None, latency_ms=0.5), *three)) == C
    assert engine.winner(study(objective(None, size_bytes=250), *three)) == A
    assert engine.winner(study(objective(None), *three)) == D
    assert engine.front(study(objective(None), *three)) == (A, C, D)
    # What loses more and takes longer is on no front.
    assert engine.front(study(objective(None), found(A, 0.1), found(C, 0.4), found(D, 0.0))) == (A, D)


def test_limits_on_time_and_size_rule_candidates_out_before_any_look() -> None:
    now = study(objective(None, max_drop=1.0, latency_ms=0.3))
    assert set(engine.reasons(now)) == {C.id, D.id}
    assert engine.reasons(now)[D.id] == "takes 1 ms, allowed 0.3"


def test_a_first_look_comes_before_training_in_full_and_can_end_it() -> None:
    sought = objective(None, max_drop=1.0)
    now = study(sought, coarse=frozenset({A.id, B.id}))
    seen = []
    while isinstance(step := engine.ask(now), Ask):
        seen.append((step.candidate.id, step.level))
        drop = {A.id: 9.0, B.id: 0.5, C.id: 0.3, D.id: 0.0}[step.candidate.id]
        now = now.told(found(step.candidate, drop, level=step.level))
    assert (A.id, "full") not in seen
    if (B.id, "full") in seen:
        assert seen.index((B.id, "coarse")) < seen.index((B.id, "full"))
    assert engine.winner(now) == B


def test_what_is_under_way_is_not_asked_again() -> None:
    now = study(objective(None, max_drop=1.0))
    pending: list[Ask] = []
    for _ in range(4):
        step = engine.ask(now, pending=pending)
        assert isinstance(step, Ask)
        pending.append(step)
    assert len({one.candidate.id for one in pending}) == 4
    assert engine.ask(now, pending=pending) == "done"


def test_harsher_needs_every_knob_that_differs_to_have_an_order() -> None:
    assert harsher(A, B)
    assert not harsher(B, A)
    assert not harsher(A, A)
    other = candidate({"slim.macs": 0.5, "slim.epochs": 4, "quantize.scheme": "int8", "quantize.rung": "adaround"})
    assert not harsher(other, B)
    assert harsher(candidate({"quantize.scheme": "int4"}), C)


@pytest.mark.parametrize("seed", range(6))
def test_it_finds_a_known_optimum_with_few_looks(seed: int) -> None:
    known = {one.id: made_up.cost(one, seed) for one in made_up.CANDIDATES}
    now = Study(candidates=made_up.CANDIDATES, costs=known, objective=made_up.SOUGHT)
    while isinstance(step := engine.ask(now), Ask):
        now = now.told(made_up.finding(step.candidate, seed))
    best = engine.winner(now)
    assert best is not None
    ratio, least = known[best.id].ratio, known[made_up.optimum(seed).id].ratio
    assert ratio is not None
    assert least is not None
    assert ratio <= 1.03 * least
    assert len(now.findings) <= len(made_up.CANDIDATES) / 3


def test_a_belief_agrees_with_a_gaussian_process_of_another_library() -> None:
    sklearn = pytest.importorskip("sklearn.gaussian_process", reason="scikit-learn is not installed")
    kernels = sklearn.kernels
    from edgecv.jobs.search import surrogate

    points = grid(made_up.CANDIDATES).points
    rows = np.arange(0, len(points), 7)
    drops = np.asarray([made_up.finding(made_up.CANDIDATES[row]).drop for row in rows])
    trend = np.arcsinh(1.0) + surrogate.PRIOR_RISE * (grid(made_up.CANDIDATES).harsh - 0.5)
    targets = np.arcsinh(drops / 2.0) - trend[rows]
    noise = np.asarray(
        [np.hypot(max(0.3 / 1.96 / 2.0 / np.hypot(1, d / 2.0), surrogate.LEAST_NOISE), 0.0) for d in drops]
    )
    best = None
    for amplitude in surrogate.AMPLITUDES:
        for length in surrogate.LENGTHS:
            kernel = (kernels.ConstantKernel(surrogate.CONSTANT, "fixed") + kernels.DotProduct(0.0, "fixed")
                      + kernels.ConstantKernel(amplitude**2, "fixed") * kernels.RBF(length, "fixed"))  # fmt: skip
            process = sklearn.GaussianProcessRegressor(kernel, alpha=noise**2, optimizer=None).fit(
                points[rows], targets
            )
            if best is None or process.log_marginal_likelihood_value_ > best.log_marginal_likelihood_value_:
                best = process
    assert best is not None
    mean, deviation = best.predict(points, return_std=True)
    seen = [
        Seen(index=int(row), drop=float(drop), half_width=0.3, coarse=False)
        for row, drop in zip(rows, drops, strict=True)
    ]
    ours = belief(grid(made_up.CANDIDATES), seen, scale=2.0)
    np.testing.assert_allclose(ours.mean, trend + mean, atol=1e-6)
    np.testing.assert_allclose(ours.deviation, deviation, atol=1e-5)


def test_chances_and_gains_are_those_of_a_normal_distribution() -> None:
    ours = belief(grid((A, B)), [], scale=1.0)
    draws = np.random.default_rng(0).normal(ours.mean[:, None], ours.deviation[:, None], (2, 200_000))
    limit = np.arcsinh(0.7)
    np.testing.assert_allclose(ours.chance_below(0.7), (draws <= limit).mean(axis=1), atol=5e-3)
    np.testing.assert_allclose(ours.gain_below(np.full(2, 0.7)), np.maximum(0, limit - draws).mean(axis=1), atol=5e-3)
