"""How many accuracy evaluations a search needs to reach the optimum: edgecv's, Optuna's TPE, and random choice.

    python benchmarks/search.py [--table benchmarks/reference/search_trials.json] [--seeds 20] [--out FILE] [--json]

Two spaces, both known in full, so that the optimum is known as well: the fastest, or smallest, candidate whose whole
interval is within the budget. A synthetic one, looked through for the fastest, whose drops and times are formulas with
noise of their own for each seed; and a table of real trials that `benchmarks/search_table.py` recorded, looked through
for the smallest. An evaluation is a look at the accuracy of a candidate that was not looked at before; a sampler that
repeats itself pays nothing. All samplers see the same drops and intervals.

Times and sizes need no accuracy. edgecv knows all of them before it begins. Optuna's sampler is run in two ways: as it
comes, where each suggestion is evaluated, and helped: a suggestion that costs no less than the best that passed is told
as such and costs no evaluation.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.core import codec
from edgecv.core.files import write_text
from edgecv.core.optional import require
from edgecv.jobs.optimize import engine
from edgecv.jobs.optimize.candidates import Candidate, candidate
from edgecv.jobs.optimize.objective import objective
from edgecv.jobs.optimize.rules import Facts, enumerated
from edgecv.jobs.optimize.space import space
from edgecv.values.search import Cost, Finding, Objective

TABLE = Path(__file__).parent / "reference" / "search_trials.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A space of which everything is known.

    Attributes:
        candidates: Of the space.
        costs: Of each; `findings` their accuracies in full, by id.
        objective: With its budget.
        optimum: Id of the fastest, or smallest, that passes; candidates that cost as little are as good.
    """

    candidates: tuple[Candidate, ...]
    costs: dict[str, Cost]
    findings: dict[str, Finding]
    objective: Objective
    optimum: str


def known(
    candidates: tuple[Candidate, ...], costs: dict[str, Cost], findings: dict[str, Finding], allowed: float, goal: str
) -> Known:
    sought = objective(goal, max_drop=allowed)
    passed = [
        one.id for one in candidates if not costs[one.id].failure and findings[one.id].against(allowed) == "passed"
    ]
    if not passed:
        raise SystemExit(f"nothing in this space passes {allowed}")
    best = min(passed, key=lambda one: sought.price(costs[one]) or np.inf)
    return Known(candidates=candidates, costs=costs, findings=findings, objective=sought, optimum=best)


def synthetic(seed: int) -> Known:
    """Return a space of 192 candidates: shares of MACs, schemes, steps before calibration, epochs."""
    given = space(
        {
            "slim.macs": [1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.22, 0.15],
            "slim.epochs": [2, 8],
            "quantize.scheme": ["float32", "dynamic", "int8", "int4"],
            "quantize.rung": ["plain", "equalise", "bias", "adaround"],
        }
    )
    candidates, _ = enumerated(given, Facts())
    rng = np.random.default_rng(seed)
    speed = {"float32": 1.0, "dynamic": 0.62, "int8": 0.32, "int4": 0.3}
    lost = {"float32": 0.0, "dynamic": 0.15, "int8": 0.5, "int4": 2.5}
    won = {"plain": 0.0, "equalise": 0.25, "bias": 0.1, "adaround": 0.4}
    costs, findings = {}, {}
    for one in candidates:
        share, scheme = one["slim.macs"], one["quantize.scheme"]
        ratio = speed[scheme] * (0.15 + 0.85 * share) * float(np.exp(rng.normal(0, 0.02)))
        slimmed = 0.0 if share == 1.0 else 0.9 * (1 / share - 1) ** 1.3 * (1.0 if one["slim.epochs"] == 8 else 2.2)
        drop = slimmed + lost[scheme] * (1 + slimmed / 8) * (1 - won[one["quantize.rung"]]) + float(rng.normal(0, 0.12))
        half = 0.35 + 0.05 * max(drop, 0.0)
        costs[one.id] = Cost(ratio=ratio, ratio_ci95=(0.98 * ratio, 1.02 * ratio), size_bytes=int(1e5 * ratio))
        findings[one.id] = Finding(
            candidate=one.id,
            level="full",
            n=5000,
            value=0.9 - drop / 100,
            drop=drop,
            drop_ci95=(drop - half, drop + half),
        )
    return known(candidates, costs, findings, 2.0, "fastest")


def recorded(path: Path) -> Known:
    """Return the table of real trials."""
    document = json.loads(path.read_text())
    candidates, costs, findings = [], {}, {}
    for row in document["trials"]:
        settings = {name: tuple(value) if isinstance(value, list) else value for name, value in row["settings"].items()}
        one = candidate(settings)
        candidates.append(one)
        costs[one.id] = codec.decode(Cost, row["cost"], where=str(path))
        findings[one.id] = codec.decode(Finding, row["finding"], where=str(path))
    return known(tuple(candidates), costs, findings, document["max_drop"], "smallest")


def ours(given: Known, seed: int) -> int:
    """Return how many accuracies edgecv's search asks for until the optimum is among them."""
    study = started(given)
    while True:
        step = engine.ask(study)
        if step == "small gains":
            # It would end here. To compare with samplers that go on, it goes on as well, with what it ruled out too.
            study = replace(study, thorough=True)
            continue
        if isinstance(step, str):
            raise SystemExit(f"seed {seed}: the search ended ({step}) without the optimum, after {len(study.findings)}")
        study = study.told(given.findings[step.candidate.id])
        if reached(given, step.candidate.id):
            return len(study.findings)


def started(given: Known) -> engine.Study:
    return engine.Study(candidates=given.candidates, costs=given.costs, objective=given.objective)


def by_itself(given: Known) -> tuple[int, float]:
    """Return how many accuracies the search asks for until it ends, and its winner's time over the optimum's."""
    study = started(given)
    while not isinstance(step := engine.ask(study), str):
        study = study.told(given.findings[step.candidate.id])
    best = engine.winner(study)
    assert best is not None
    return len(study.findings), price(given, best.id) / price(given, given.optimum)


def price(given: Known, one: str) -> float:
    return given.objective.price(given.costs[one]) or np.inf


def reached(given: Known, one: str) -> bool:
    """Say whether a candidate is an optimum: it passes, and costs as little as any that does."""
    allowed = given.objective.max_drop or 0.0
    return price(given, one) <= price(given, given.optimum) and given.findings[one].against(allowed) == "passed"


def at_random(given: Known, seed: int) -> int:
    """Return how many it takes when candidates are drawn one after the other, none twice."""
    order = np.random.default_rng(seed).permutation(len(given.candidates))
    return 1 + next(i for i, row in enumerate(order) if reached(given, given.candidates[row].id))


def tpe(helped: bool) -> Callable[[Known, int], int]:
    """Return how Optuna's TPE does: minimises time, under the constraint that the interval is within the budget."""

    def run(given: Known, seed: int) -> int:
        optuna = require("optuna", why="to compare with its sampler")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=FutureWarning)  # of `constraints_func`, which goes in version 7
        names = sorted({name for one in given.candidates for name, _ in one.settings})
        choices = {name: sorted({one[name] for one in given.candidates}, key=str) for name in names}
        by_id = {one.id: one for one in given.candidates}
        sampler = optuna.samplers.TPESampler(seed=seed, constraints_func=lambda trial: trial.user_attrs["over"])
        study = optuna.create_study(sampler=sampler)
        seen: set[str] = set()
        best = np.inf
        for _ in range(20 * len(given.candidates)):
            trial = study.ask()
            one = candidate({name: trial.suggest_categorical(name, values) for name, values in choices.items()})
            if one.id not in by_id:
                trial.set_user_attr("over", (10.0,))
                study.tell(trial, 10.0)
                continue
            cost, finding = price(given, one.id), given.findings[one.id]
            over = (finding.drop_ci95[1] if finding.drop_ci95 else 100.0) - (given.objective.max_drop or 0.0)
            if helped and one.id not in seen and cost >= best:
                trial.set_user_attr("over", (0.0,))
                study.tell(trial, cost)
                continue
            seen.add(one.id)
            trial.set_user_attr("over", (over,))
            study.tell(trial, cost)
            best = min(best, cost) if over <= 0 else best
            if reached(given, one.id):
                return len(seen)
        return len(given.candidates)

    return run


METHODS: dict[str, Callable[[Known, int], int]] = {
    "edgecv, latency first": ours,
    "Optuna TPE": tpe(helped=False),
    "Optuna TPE, helped by times": tpe(helped=True),
    "random": at_random,
}


def measured(spaces: dict[str, Callable[[int], Known]], seeds: int) -> list[dict[str, Any]]:
    rows = []
    for name, make in spaces.items():
        for method, run in METHODS.items():
            counts = [run(make(seed), seed) for seed in range(seeds)]
            found = {"mean": float(np.mean(counts)), "median": float(np.median(counts)), "most": max(counts)}
            size = len(make(0).candidates)
            rows.append({"space": name, "candidates": size, "method": method, "evaluations": counts, **found})
        ends = [by_itself(make(seed)) for seed in range(seeds)]
        rows.append({"space": name, "method": "edgecv, where it ends by itself", "candidates": len(make(0).candidates),
                     "evaluations": [count for count, _ in ends], "mean": float(np.mean([count for count, _ in ends])),
                     "median": float(np.median([count for count, _ in ends])), "most": max(count for count, _ in ends),
                     "winner_over_optimum": [ratio for _, ratio in ends]})  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, help="the figures, as JSON")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    spaces: dict[str, Callable[[int], Known]] = {"synthetic": synthetic}
    if given.table.exists():
        spaces["recorded"] = lambda _: recorded(given.table)
    rows = measured(spaces, given.seeds)
    if given.out:
        optuna = require("optuna", why="to compare with its sampler")
        found = {"schema": "edgecv.search/1", "optuna": optuna.__version__, "seeds": given.seeds, "rows": rows}
        write_text(given.out, json.dumps(found) + "\n")
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    print("| space | method | mean | median | most |\n|---|---|---:|---:|---:|")
    for row in rows:
        print(f"| {row['space']}, {row['candidates']} candidates | {row['method']} | {row['mean']:.1f} | "
              f"{row['median']:.0f} | {row['most']} |")  # fmt: skip
    for row in rows:
        if "winner_over_optimum" in row:
            over = row["winner_over_optimum"]
            same = sum(ratio <= 1.0 for ratio in over)
            print(
                f"\n{row['space']}: where it ends by itself, its winner costs {np.mean(over):.3f} of the optimum "
                f"on average, {max(over):.3f} at most; {same} of {len(over)} are the optimum"
            )


if __name__ == "__main__":
    main()
