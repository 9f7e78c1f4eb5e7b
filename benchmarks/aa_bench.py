"""Does the benchmark tell the truth? The same file against itself, and against a slower one.

    python benchmarks/aa_bench.py lenet5.tflite --runs 10 --slower lenet5-wide.tflite --json

An A/A run is honest when its ratio's 95 % interval contains 1.0, and useful when the interval is narrow. A run
against a slower file should exclude 1.0. Exit status 1 when fewer than 90 % of runs do, or an A/A interval is wider
than 6 %.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from edgecv.bench import BenchCase, bench, open_device, plan
from edgecv.errors import EdgecvError
from edgecv.runtime.host import host_facts

MAX_WIDTH = 0.06
PASS_SHARE = 0.9


def compare(case: Path, baseline: Path, name: str, seed: int) -> dict[str, Any]:
    """Bench `case` against `baseline` once; return its ratio, interval, width and cost."""
    start = time.monotonic()
    results = bench(
        (BenchCase(name=case.name, path=str(case)),),
        baseline=BenchCase(name="baseline", path=str(baseline)),
        device=open_device("local"),
        plan=plan(name, seed=seed),
    )
    latency = results[1].latency
    assert latency.ratio_ci95 is not None
    low, high = latency.ratio_ci95
    return {
        "ratio": latency.ratio_to_baseline,
        "ci95": [low, high],
        "width": high - low,
        "contains_1": low <= 1.0 <= high,
        "p50_ms": latency.p50,
        "samples": len(latency.samples),
        "seconds": time.monotonic() - start,
        "load_average": os.getloadavg()[0],
        "warnings": list(latency.warnings),
    }


def repeat(case: Path, baseline: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Bench a pair `arguments.runs` times, telling stderr of each."""
    runs = []
    for seed in range(arguments.seed, arguments.seed + arguments.runs):
        run = compare(case, baseline, arguments.plan, seed)
        low, high = run["ci95"]
        print(
            f"{case.name} / {baseline.name}: {run['ratio']:.4f} [{low:.4f}, {high:.4f}] width {run['width']:.2%} "
            f"p50 {run['p50_ms']:.4g} ms, {run['seconds']:.1f} s, load {run['load_average']:.1f}",
            file=sys.stderr,
        )
        runs.append(run)
    return runs


def summarize(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run everything; return the document that --json prints."""
    same = repeat(arguments.file, arguments.file, arguments)
    slower = repeat(arguments.slower, arguments.file, arguments) if arguments.slower else []
    contained = sum(run["contains_1"] for run in same)
    widest = max(run["width"] for run in same)
    detected = sum(run["ci95"][0] > 1.0 for run in slower)
    need = PASS_SHARE * arguments.runs
    return {
        "file": arguments.file.name,
        "plan": arguments.plan,
        "runs": arguments.runs,
        "contain_1": contained,
        "widest": widest,
        "slower_detected": detected if slower else None,
        "passed": contained >= need and widest <= MAX_WIDTH and (not slower or detected >= need),
        "host": host_facts(),
        "same": same,
        "slower": slower,
    }


def main() -> int:
    """Parse arguments, run, print a summary or JSON on stdout."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="a .tflite or .onnx file")
    parser.add_argument("--slower", type=Path, help="a file that takes longer, to be told from FILE")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--plan", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    try:
        document = summarize(parser.parse_args())
    except EdgecvError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if parser.parse_args().json:
        print(json.dumps(document, indent=1))
    else:
        print(
            f"{document['contain_1']} of {document['runs']} intervals contain 1.0, widest {document['widest']:.2%}"
            + (f", slower file told {document['slower_detected']} times" if document["slower"] else "")
        )
    return 0 if document["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
