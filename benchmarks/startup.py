"""How long a device waits for `import edgecv.runtime`, and a user for `edgecv --help`.

    python benchmarks/startup.py --runs 15 --json

Whole processes, in turn, the bare interpreter among them: what it takes itself is no part of edgecv. Medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python": [sys.executable, "-c", ""],
    "import numpy": [sys.executable, "-c", "import numpy"],
    "import edgecv.runtime": [sys.executable, "-c", "import edgecv.runtime"],
    "edgecv --help": [sys.executable, "-m", "edgecv.cli.main", "--help"],
}


def measure(runs: int) -> dict[str, float]:
    """Return the median seconds of each command over `runs` interleaved rounds, after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs + 1):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    medians = measure(arguments.runs)
    if arguments.json:
        print(json.dumps({name: round(value, 3) for name, value in medians.items()}))
        return
    for name, value in medians.items():
        print(f"{name:<24}{value:8.3f} s")


if __name__ == "__main__":
    main()
