"""How often does the ratio's 95 % interval hold the truth? Simulated benches with noise whose size is known.

    python benchmarks/interval_coverage.py --runs 200 --json

Two equal models on a fake device: each process has a speed of its own, each block another, and some blocks are
interrupted. The loop, its stopping rule and its statistics are the real ones; only time is made up, so the figures are
simulated. About 95 % of the intervals should hold 1.0.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from edgecv.bench import BenchCase, bench, plan
from edgecv.bench.devices.fake import FakeDevice, FakeModel

LAUNCH_SIGMAS = (0.005, 0.02)
BLOCK_SIGMA = 0.03
INTERRUPTION_SHARE = 0.05


def coverage(cases: tuple[BenchCase, BenchCase], launch_sigma: float, runs: int, name: str) -> dict[str, Any]:
    """Bench two equal models `runs` times; count the intervals that hold 1.0."""
    model = FakeModel(
        median_ms=0.4,
        launch_sigma=launch_sigma,
        block_sigma=BLOCK_SIGMA,
        interruption_share=INTERRUPTION_SHARE,
    )
    intervals = []
    for seed in range(runs):
        device = FakeDevice({case.name: model for case in cases}, seed=seed)
        found = bench(cases[:1], baseline=cases[1], device=device, plan=plan(name, seed=seed), clock=device.clock)
        interval = found[1].latency.ratio_ci95
        assert interval is not None
        intervals.append(interval)
    return {
        "kind": "simulated",
        "launch_sigma": launch_sigma,
        "runs": runs,
        "hold_1": sum(low <= 1.0 <= high for low, high in intervals),
        "mean_width": sum(high - low for low, high in intervals) / runs,
    }


def main() -> int:
    """Parse arguments, run, print JSON or a line per noise on stdout."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--plan", default="default")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgecv-coverage-") as folder:
        paths = [Path(folder) / name for name in ("a", "b")]
        for path in paths:
            path.write_text(path.name)
        first, second = (BenchCase(name=path.name, path=str(path)) for path in paths)
        rows = [coverage((first, second), sigma, arguments.runs, arguments.plan) for sigma in LAUNCH_SIGMAS]
    if arguments.json:
        print(json.dumps(rows, indent=1))
    else:
        for row in rows:
            print(
                f"processes that differ by {row['launch_sigma']:.1%}: {row['hold_1']} of {row['runs']} intervals hold "
                f"1.0, mean width {row['mean_width']:.2%} (simulated)"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
