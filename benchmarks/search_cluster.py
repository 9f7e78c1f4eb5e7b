"""What several workers are worth to a search, and what one that is killed costs, with sleeps in place of training.

    python benchmarks/search_cluster.py [--trials 100] [--workers 4] [--sleep 1] [--out FILE] [--json]

A real dask scheduler and real workers on the loopback, each a process of its own, with one more that owns the device.
Sleeps take no processor, so that a small machine shows what several would do. The same search runs with one worker that
trains, with several, and with several of which one is killed in mid-trial, a quarter of the way.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.core.files import write_text
from edgecv.jobs.optimize import cluster
from edgecv.jobs.optimize.driver import Sampler, Search
from edgecv.jobs.optimize.engine import Ask, Study
from edgecv.jobs.optimize.records import SearchRecords
from edgecv.jobs.optimize.rules import Facts, enumerated
from edgecv.jobs.optimize.space import space
from edgecv.runtime.host import host_facts
from tests.jobs.optimize import made_up, slept
from tests.jobs.trials import clusters

SPACE = space(
    {
        "slim.macs": [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.22, 0.15],
        "slim.epochs": [2, 8],
        "quantize.scheme": ["float32", "dynamic", "int8"],
        "quantize.rung": ["plain", "equalise", "bias", "adaround"],
    }
)


def in_order(trials: int) -> Sampler:
    """Return what asks for one candidate after the other: what is looked at must not depend on the workers."""

    def ask(study: Study, *, pending: Sequence[Ask]) -> Ask | str:
        busy = {one.candidate.id for one in pending} | {one.candidate for one in study.findings}
        left = (one for one in study.candidates if one.id not in busy)
        one = next(left, None) if len(busy) < trials else None
        return "done" if one is None else Ask(candidate=one, level="full", expected=0.0)

    return ask


def ran(workers: int, trials: int, sleep: float, *, kill: bool = False) -> dict[str, Any]:
    """Return how long the accuracies of a search take, and what was begun more than once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "log"
        os.environ |= {"EDGECV_TEST_LOG": str(log), "EDGECV_TEST_SLEEP": str(sleep)}
        records = SearchRecords(folder / "records", made_up.key)
        workers_of = ["train=1"] * workers + ["device:local=4"]
        with (
            clusters.running(folder, workers_of) as running,
            cluster.executor(running.address, records, None, devices=("local",), work=slept.WORK) as executor,
        ):
            search = Search(enumerated(SPACE, Facts())[0], made_up.SOUGHT, executor, sampler=in_order(trials))
            search._price_shapes()
            if kill:
                threading.Thread(
                    target=kill_one, args=(running.workers[0], log, trials // 4, sleep / 2), daemon=True
                ).start()
            began = time.monotonic()
            search._look()
            taken = time.monotonic() - began
        begun = [line.split()[1] for line in lines(log) if line.startswith("begin")]
    assert len(search.study.findings) == trials
    return {"workers": workers, "killed": int(kill), "seconds": taken, "trials": len(search.study.findings),
            "begun_again": len(begun) - len(set(begun))}  # fmt: skip


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def kill_one(worker: subprocess.Popen[bytes], log: Path, after: int, middle_s: float) -> None:
    """Kill a worker that is in mid-trial, once so many trials have ended."""
    while True:
        known = lines(log)
        own = [line for line in known if line.endswith(f" {worker.pid}")]
        if sum(line.startswith("end") for line in known) >= after and own and own[-1].startswith("begin"):
            time.sleep(middle_s)
            worker.kill()
            return
        time.sleep(0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--sleep", type=float, default=1.0)
    parser.add_argument("--out", type=Path, help="the figures, as JSON")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = [
        ran(1, given.trials, given.sleep), ran(given.workers, given.trials, given.sleep),
        ran(given.workers, given.trials, given.sleep, kill=True),
    ]  # fmt: skip
    found = {"schema": "edgecv.search-cluster/1", "host": host_facts(), "sleep": given.sleep,
             "runs": [{**row, "of_one": row["seconds"] / rows[0]["seconds"]} for row in rows]}  # fmt: skip
    if given.out:
        write_text(given.out, json.dumps(found, indent=1) + "\n")
    if given.json:
        print(json.dumps(found))
        return
    print("| workers | killed | seconds | of one worker's | trials | begun again |\n|---:|---:|---:|---:|---:|---:|")
    for row in found["runs"]:
        print(f"| {row['workers']} | {row['killed']} | {row['seconds']:.1f} | {row['of_one']:.2f} | {row['trials']} | "
              f"{row['begun_again']} |")  # fmt: skip


if __name__ == "__main__":
    main()
