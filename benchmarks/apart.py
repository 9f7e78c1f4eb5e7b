"""What a process of its own costs: its start, against a bare interpreter and tensorflow, and each inference.

    python benchmarks/apart.py FILE.tflite --json

Start-ups take turns, so that what changes on the host changes all; medians and their ratios are printed. The file must
carry a manifest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from edgecv import runtime
from edgecv.core.apart import call_apart, child_environment

TURNS = 7
RUNS = 400


def seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def program(code: str) -> Callable[[], object]:
    command = [sys.executable, "-P", "-c", code]
    return lambda: subprocess.run(command, env=child_environment(), stderr=subprocess.DEVNULL, check=True)


def measure(file: str) -> dict[str, float]:
    """Return the medians: seconds of each start, milliseconds of an inference here and apart."""
    ways: dict[str, Callable[[], object]] = {
        "python_s": program("import numpy, ai_edge_litert.interpreter"),
        "apart_s": lambda: call_apart("edgecv.runtime.engines.tflite:delegate_nodes", file, about=file),
        "tensorflow_s": program("import tensorflow"),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, step in ways.items():
            times[name].append(seconds(step))
    with runtime.load(file) as here, runtime.load(file, apart=True) as there:
        inputs = [np.zeros(info.shape, np.float32) for info in here.inputs]
        models = {"inference_here_ms": here, "inference_apart_ms": there}
        runs: dict[str, list[float]] = {name: [] for name in models}
        for _ in range(RUNS):
            for name, model in models.items():
                runs[name].append(1000 * seconds(lambda model=model: model.run(inputs)))  # type: ignore[misc]
    return {name: statistics.median(each) for name, each in {**times, **runs}.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.file)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    apart = found["apart_s"]
    print(f"to ask about a file, apart: {apart:.2f} s, the process's start in it")
    print(f"  {apart / found['python_s']:.2f} times a python that imports numpy and the interpreter")
    print(f"  {apart / found['tensorflow_s']:.2f} times one that imports tensorflow")
    print(f"an inference: {found['inference_here_ms']:.3f} ms here, {found['inference_apart_ms']:.3f} ms apart")


if __name__ == "__main__":
    main()
