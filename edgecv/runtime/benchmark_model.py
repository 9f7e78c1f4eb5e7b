"""TensorFlow's `benchmark_model` program, where it is on PATH: operator profiles for devices without LiteRT's Python.

Source: TensorFlow, lite/tools/benchmark/README.md (flags), core/util/stats_calculator.cc (the CSV's columns).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import List, Optional

from edgecv.core.errors import DeviceError
from edgecv.runtime.op_records import Record, Runs

PROGRAM = "benchmark_model"
SOURCE = f"{PROGRAM} --enable_op_profiling"
TIMEOUT_S = 300.0
_REGULAR = "Regular Benchmark Runs"
_RUN_ORDER = "Run Order"
_NODE = re.compile(r"^\[(?P<outputs>.*)\]:(?P<index>\d+)$")
_INFERENCE = re.compile(r"Inference \(avg\): ([0-9.e+]+)")


def program() -> Optional[str]:
    """Return the program's path, None when it is not on PATH."""
    return shutil.which(PROGRAM)


def profile(path: str, threads: int, runs: int) -> Runs:
    """Profile a .tflite. Raises DeviceError when the program fails or writes what edgecv does not read."""
    with tempfile.TemporaryDirectory(prefix="edgecv-profile-") as folder:
        csv = Path(folder) / "ops.csv"
        command = [
            program() or PROGRAM,
            f"--graph={path}",
            f"--num_threads={threads}",
            f"--num_runs={runs}",
            "--enable_op_profiling=true",
            f"--profiling_output_csv_file={csv}",
        ]
        done = _run(command)
        text = csv.read_text(encoding="utf-8", errors="replace") if csv.is_file() else ""
    records = read_csv(text)
    found = _INFERENCE.search(done.stdout + done.stderr)
    if not records or found is None:
        raise DeviceError(f"{PROGRAM} wrote no operator profile", hint=_last(done.stderr or done.stdout))
    note = f"made by the program {PROGRAM}, which may be another version of TFLite than the one that is benchmarked"
    return Runs(SOURCE, [records], [float(found.group(1))], 1.0, note)


def read_csv(text: str) -> List[Record]:
    """Read the run order of the regular runs; operators inside delegates have names of their own and no index."""
    regular = text.partition(_REGULAR)[2] or text
    rows = regular.partition(_RUN_ORDER)[2].splitlines()[1:]
    if not rows:
        return []
    columns = [column.strip() for column in rows[0].split(",")]
    records = []
    for row in rows[1:]:
        # Commas in the first column (the operator) are not escaped; those in the last one are.
        fields = row.rsplit(",", len(columns) - 1)
        if len(fields) < len(columns):
            break
        values = dict(zip(columns, (field.strip() for field in fields)))
        records.append(_record(values))
    return records


def _record(values: dict[str, str]) -> Record:
    kind, name = values["node type"], values.get("name", "")
    inside = kind.startswith("Delegate/")
    node = _NODE.match(name)
    index = int(node.group("index")) if node and not inside else None
    called = float(values.get("times called", "1"))
    plain = kind[len("Delegate/") :] if inside else kind
    return Record(plain, "" if inside else kind, index, None, float(values["avg_ms"]) * called * 1e3)


def _run(command: List[str]) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"{PROGRAM} could not be run: {error}") from error
    if done.returncode:
        raise DeviceError(f"{PROGRAM} ended with status {done.returncode}", hint=_last(done.stderr or done.stdout))
    return done


def _last(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-3:])
