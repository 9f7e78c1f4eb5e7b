"""Does the operator profile tell the truth? A chain of equal convolutions must have equal shares that add up.

    python benchmarks/op_profile.py --json
    python benchmarks/op_profile.py mobilenet.tflite

For each file: what the operators add up to, against the profiled inference and against the latency that the benchmark
measures of the same file; for the chain also the smallest and largest share of an operator, times their number: 1.0
would be perfect.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from aa_bench import LAYERS, chain

from edgecv.bench import BenchCase, bench, open_device, plan, profile
from edgecv.core.errors import EdgecvError
from edgecv.runtime.host import host_facts


def check(file: Path) -> dict[str, Any]:
    """Profile and bench one file; return the sums side by side."""
    case, device = BenchCase(name=file.name, path=str(file)), open_device("local")
    found = profile(case, device, runs=300, seconds=20.0)
    if found.profile is None:
        return {"file": file.name, "reason": found.reason}
    (timed,) = bench([case], baseline=None, device=device, plan=plan("quick"))
    shares = [op.share * len(found.profile.ops) for op in found.profile.ops]
    return {
        "file": file.name,
        "source": found.profile.source,
        "runs": found.profile.runs,
        "operators": len(found.profile.ops),
        "with_layer": sum(bool(op.layer) for op in found.profile.ops),
        "certain": sum(op.certain for op in found.profile.ops),
        "sum_ms": found.profile.sum_ms,
        "profiled_inference_ms": found.profile.inference_ms,
        "plain_p50_ms": timed.latency.p50,
        "sum_over_profiled": found.profile.sum_ms / found.profile.inference_ms,
        "sum_over_plain": found.profile.sum_ms / timed.latency.p50,
        "smallest_share_times_operators": min(shares),
        "largest_share_times_operators": max(shares),
    }


def main() -> int:
    """Parse arguments, run, print JSON or a line per file on stdout."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*", help=".tflite or .onnx files; default: a chain of convolutions")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="edgecv-profile-") as folder:
            rows = [check(file) for file in arguments.files or [chain(Path(folder), LAYERS)]]
    except EdgecvError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if arguments.json:
        print(json.dumps({"host": host_facts(), "files": rows}, indent=1))
    else:
        for row in rows:
            print(
                ", ".join(
                    f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
                )
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
