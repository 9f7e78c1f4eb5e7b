"""Record every candidate of a space: the table that benchmarks/search.py replays searches on.

    edgecv train lenet5 --data digits --epochs 8 --out lenet5.keras
    python benchmarks/search_table.py lenet5.keras --data digits --work DIR [--space benchmarks/search_space.toml]
        [--max-drop 4] [--part 1/4] [--out benchmarks/reference/search_trials.json]

Each candidate is made as `edgecv optimize` makes it, timed by its shape, and judged on the whole validation split. What
is finished stays in --work: the same line continues an interrupted run. With --part several processes share the work
and write no table; a last run without it collects what they did.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.core import codec
from edgecv.core.files import write_text
from edgecv.core.progress import QUIET, Unseen
from edgecv.jobs import models
from edgecv.jobs.optimize import defaults, rules
from edgecv.jobs.optimize import space as spaces
from edgecv.jobs.optimize.candidates import Candidate
from edgecv.jobs.optimize.records import Kind, Task
from edgecv.jobs.optimize.site import Site
from edgecv.jobs.optimize.workbench import Workbench
from edgecv.jobs.trials.executor import Local
from edgecv.runtime.host import host_facts

HERE = Path(__file__).parent


class Told:
    """A reporter of remarks and warnings, without bars."""

    bar = QUIET.bar

    def info(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    def warn(self, message: str) -> None:
        print(f"warning: {message}", file=sys.stderr, flush=True)


def group(one: Candidate) -> tuple[Any, ...]:
    """Return what candidates that share their training have in common."""
    return tuple(item for item in one.settings if not item[0].startswith("quantize."))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--space", type=Path, default=HERE / "search_space.toml")
    parser.add_argument("--max-drop", type=float, default=4.0)
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--out", type=Path, default=HERE / "reference" / "search_trials.json")
    given = parser.parse_args()
    bench = Workbench(Site(source=models.Source(path=given.model), data=given.data), given.work, Unseen(Told()))
    space = spaces.read(given.space)
    candidates, _ = rules.enumerated(space, defaults.facts(bench.loaded, "cpu"))
    groups = list(dict.fromkeys(group(one) for one in candidates))
    part, parts = (int(text) for text in given.part.split("/"))
    own = [one for one in candidates if groups.index(group(one)) % parts == part - 1]
    executor = Local(bench.perform, bench.records)

    def done(kind: Kind, one: Candidate) -> Any:
        executor.start(Task(kind=kind, candidate=one))
        return executor.finished().result

    rows = []
    for index, one in enumerate(own, start=1):
        began = time.monotonic()
        cost, finding = done("shape", one), done("accuracy", one)
        print(f"{index} of {len(own)}: {one.label}: {cost.ratio} {finding.drop} {finding.failure} "
              f"({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)  # fmt: skip
        rows.append({"settings": dict(one.settings), "cost": cost, "finding": finding})
    if parts > 1:
        return
    document = {
        "schema": "edgecv.search-trials/1", "host": host_facts(), "model": bench.loaded.require_spec().name,
        "dataset": bench.dataset.name, "n": bench.baseline.n, "metric": bench.baseline.metric.name,
        "baseline": bench.baseline.value, "max_drop": given.max_drop, "space": space.document, "trials": rows,
    }  # fmt: skip
    write_text(given.out, json.dumps(codec.encode(document), indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
