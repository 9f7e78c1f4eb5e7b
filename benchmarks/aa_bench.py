"""Does the benchmark tell the truth? The same file against itself, and against one that does 10 % more work.

    python benchmarks/aa_bench.py --runs 10 --json
    python benchmarks/aa_bench.py lenet5.tflite --runs 10 --slower lenet5-wide.tflite --json

Without a file it makes two: chains of 20 and of 22 equal convolutions, so that the slower one does exactly 1.1 times
the multiplications; one long run (plan thorough) tells how much longer it really takes, since an inference has fixed
costs too. An A/A run is honest when its ratio's 95 % interval contains 1.0, and useful when the interval is narrow. A
run against the slower file should exclude 1.0. Exit status 1 when fewer than 90 % of runs do, or an A/A interval is
wider than 6 %.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from edgecv.bench import BenchCase, bench, judge, open_device, plan
from edgecv.core.errors import EdgecvError
from edgecv.runtime.host import host_facts

MAX_WIDTH = 0.06
PASS_SHARE = 0.9
LAYERS, MORE_LAYERS = 20, 22
SIZE, CHANNELS = 16, 24


def chain(folder: Path, layers: int) -> Path:
    """Write a .tflite of `layers` equal 3x3 convolutions with seeded weights; return its path."""
    from edgecv.modelio import env

    keras = env.keras()
    keras.utils.set_random_seed(0)
    shape = (SIZE, SIZE, CHANNELS)
    model = keras.Sequential([keras.Input(shape, batch_size=1)])
    for _ in range(layers):
        model.add(keras.layers.Conv2D(CHANNELS, 3, padding="same", activation="relu"))
    path = folder / f"chain-{layers}.tflite"
    path.write_bytes(env.tensorflow().lite.TFLiteConverter.from_keras_model(model).convert())
    return path


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
        "verdict": judge(latency.ratio_ci95),
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
        tell(case, baseline, run)
        runs.append(run)
    return runs


def tell(case: Path, baseline: Path, run: dict[str, Any]) -> None:
    """Print one run to stderr."""
    low, high = run["ci95"]
    print(
        f"{case.name} / {baseline.name}: {run['ratio']:.4f} [{low:.4f}, {high:.4f}] width {run['width']:.2%} "
        f"p50 {run['p50_ms']:.4g} ms, {run['seconds']:.1f} s, load {run['load_average']:.1f}: {run['verdict']}",
        file=sys.stderr,
    )


def summarize(arguments: argparse.Namespace, file: Path, more: Path | None, work: float | None) -> dict[str, Any]:
    """Run everything; return the document that --json prints.

    Args:
        arguments: Parsed.
        file: Against itself.
        more: The slower file, if there is one.
        work: How much more it has to do, where that is known by construction.
    """
    same = repeat(file, file, arguments)
    slower = repeat(more, file, arguments) if more else []
    long_run = None
    if more and work:
        long_run = compare(more, file, "thorough", arguments.seed + arguments.runs)
        tell(more, file, long_run)
    contained = sum(run["contains_1"] for run in same)
    widest = max(run["width"] for run in same)
    detected = sum(run["verdict"] == "slower" for run in slower)
    truth = long_run["ratio"] if long_run else None
    held = sum(run["ci95"][0] <= truth <= run["ci95"][1] for run in slower) if truth else None
    need = PASS_SHARE * arguments.runs
    return {
        "file": file.name,
        "plan": arguments.plan,
        "runs": arguments.runs,
        "contain_1": contained,
        "widest": widest,
        "slower_file": more.name if more else None,
        "slower_work_ratio": work,
        "slower_long_run": long_run,
        "slower_detected": detected if slower else None,
        "slower_contain_long_run_ratio": held,
        "passed": contained >= need and widest <= MAX_WIDTH and (not slower or detected >= need),
        "host": host_facts(),
        "same": same,
        "slower": slower,
    }


def main() -> int:
    """Parse arguments, run, print a summary or JSON on stdout."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", help="a .tflite or .onnx file; default: a chain of convolutions")
    parser.add_argument("--slower", type=Path, help="a file that takes longer, to be told from FILE")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--plan", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="edgecv-aa-") as folder:
            if arguments.file:
                document = summarize(arguments, arguments.file, arguments.slower, None)
            else:
                less, more = (chain(Path(folder), layers) for layers in (LAYERS, MORE_LAYERS))
                document = summarize(arguments, less, more, MORE_LAYERS / LAYERS)
    except EdgecvError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if arguments.json:
        print(json.dumps(document, indent=1))
    else:
        print(
            f"{document['contain_1']} of {document['runs']} intervals contain 1.0, widest {document['widest']:.2%}"
            + (f", slower file told {document['slower_detected']} times" if document["slower"] else "")
        )
    return 0 if document["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
