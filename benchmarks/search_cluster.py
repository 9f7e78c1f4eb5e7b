"""How a search scales: trials that sleep in place of training, on one and on several dask workers of this machine.

    python benchmarks/search_cluster.py [--trials 100] [--workers 4] [--sleep 1] [--json]

A real scheduler and real workers on the loopback, each a process of its own, with one more that owns the device. Sleeps
take no processor, so that a small machine shows what several would do. The same search runs with one worker that
trains, then with several.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.jobs.optimize import cluster
from edgecv.jobs.optimize.driver import Search
from edgecv.jobs.optimize.engine import Ask, Study, reasons
from edgecv.jobs.optimize.records import SearchRecords
from edgecv.jobs.optimize.rules import Facts, enumerated
from edgecv.jobs.optimize.space import space
from edgecv.jobs.trials.asking import Limits
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


def in_order(study: Study, *, pending: list[Ask]) -> Ask | str:
    """Ask for one candidate after the other: what is looked at must not depend on the number of workers."""
    busy = {one.candidate.id for one in pending} | {one.candidate for one in study.findings}
    left = (one for one in study.candidates if one.id not in busy)
    one = next(left, None)
    return "done" if one is None else Ask(candidate=one, level="full", expected=0.0)


def seconds(workers: int, trials: int, sleep: float) -> float:
    """Return how long the accuracies of a search take."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"EDGECV_TEST_LOG": str(folder / "log"), "EDGECV_TEST_SLEEP": str(sleep)}
        records = SearchRecords(folder / "records", made_up.key)
        workers_of = ["train=1"] * workers + ["device:local=4"]
        with (
            clusters.running(folder, workers_of) as running,
            cluster.executor(running.address, records, None, devices=("local",), work=slept.WORK) as executor,
        ):
            candidates = enumerated(SPACE, Facts())[0]
            search = Search(candidates, made_up.SOUGHT, executor, sampler=in_order, limits=Limits(trials=trials))
            search._price_shapes()
            began = time.monotonic()
            search._look()
            taken = time.monotonic() - began
        assert len(search.study.findings) == trials
        assert reasons(search.study)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--sleep", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    alone, together = (seconds(count, given.trials, given.sleep) for count in (1, given.workers))
    found = {"trials": given.trials, "sleep": given.sleep, "workers": given.workers, "seconds_of_one": alone,
             "seconds_of_several": together, "ratio": together / alone}  # fmt: skip
    if given.json:
        print(json.dumps(found))
    else:
        print(f"{given.trials} trials of {given.sleep:g} s: one worker {alone:.1f} s, {given.workers} workers "
              f"{together:.1f} s, ratio {together / alone:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
