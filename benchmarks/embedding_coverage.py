"""How often does the interval of a drop in AUC hold the drop of all identities there are? Simulated embeddings.

    python benchmarks/embedding_coverage.py --runs 1000 --json

A candidate adds noise to a baseline's vectors. Each run meets other identities, as with faces, or other samples of the
same ones, as with digits. The pairs, the statistic and the bootstrap are the real ones. About 95 % of the intervals
should hold the mean drop of 2,000 other runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgecv.tasks.bootstrap import bootstrap_drop
from edgecv.tasks.embedding.pairs import distances, pairs_of
from edgecv.tasks.embedding.task import LEAST_IDENTITIES, drawn_units
from edgecv.tasks.roc import auc, weighted_auc
from edgecv.values.scores import Metric

Array = np.ndarray[Any, Any]

LENGTH, SPREAD, NOISE = 4, 0.5, 0.3


@dataclass(frozen=True)
class Case:
    """What each run meets: so many identities of so many samples, always the same ones or others each time."""

    identities: int
    each: int
    same: bool


CASES = (
    Case(identities=24, each=3, same=False),
    Case(identities=60, each=3, same=False),
    Case(identities=10, each=8, same=True),
    Case(identities=10, each=20, same=True),
)


def embeddings(rng: np.random.Generator, case: Case, centres: Array | None = None) -> tuple[Array, Array, Array]:
    """Return identities (n,), and the vectors (n, LENGTH) of a baseline and of a candidate that adds noise to them."""
    identities = np.repeat(np.arange(case.identities), case.each)
    centres = rng.normal(size=(case.identities, LENGTH)) if centres is None else centres
    base = centres[identities] + SPREAD * rng.normal(size=(len(identities), LENGTH))
    candidate = base + NOISE * rng.normal(size=base.shape)
    return identities, base.astype(np.float32), candidate.astype(np.float32)


def coverage(case: Case, *, runs: int, repeats: int = 400, others: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Return how many of `runs` intervals, each of `repeats` draws, hold the mean drop of `others`; as a row."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(case.identities, LENGTH)) if case.same else None
    truth = float(np.mean([_drop(*embeddings(rng, case, centres)) for _ in range(others)]))
    intervals = [_interval(*embeddings(rng, case, centres), repeats) for _ in range(runs)]
    return {
        "kind": "simulated",
        "of": "auc",
        **asdict(case),
        "samples": case.identities * case.each,
        "runs": runs,
        "true_drop": truth,
        "hold_truth": sum(bool(low <= truth <= high) for low, high in intervals),
        "mean_width": sum(high - low for low, high in intervals) / runs,
    }


def of_samples(samples: int, runs: int) -> dict[str, Any]:
    """Return the row of so many samples: three of each identity, others in each run; of few, eight of the same ones."""
    many = samples // 3 >= LEAST_IDENTITIES
    return coverage(Case(samples // 3, 3, same=False) if many else Case(max(2, samples // 8), 8, same=True), runs=runs)


def told(row: dict[str, Any]) -> str:
    """Return a row as a line of text."""
    others = "the same" if row["same"] else "other"
    return (
        f"AUC, {others} {row['identities']} identities of {row['each']} samples each: {row['hold_truth']} of "
        f"{row['runs']} intervals hold {row['true_drop']:.4f}, mean width {row['mean_width']:.4f} (simulated)"
    )


def _drop(identities: Array, base: Array, candidate: Array) -> float:
    pairs = pairs_of(identities)
    first, second = (auc(distances(vectors, pairs, "euclidean"), pairs.same) for vectors in (base, candidate))
    return first - second


def _interval(identities: Array, base: Array, candidate: Array, repeats: int) -> tuple[float, float]:
    pairs = pairs_of(identities)
    units, count = drawn_units(identities)
    first, second = (
        weighted_auc(distances(vectors, pairs, "euclidean"), pairs.same, units[pairs.first], units[pairs.second])
        for vectors in (base, candidate)
    )
    return bootstrap_drop(first, second, count, Metric("auc"), repeats=repeats).ci95


def main() -> int:
    """Parse arguments, run, print JSON or a line per case on stdout."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    found = [coverage(case, runs=arguments.runs) for case in CASES]
    print(json.dumps(found, indent=1) if arguments.json else "\n".join(map(told, found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
