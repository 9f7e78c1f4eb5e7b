"""Record every candidate of a space: the table that benchmarks/search.py replays searches on.

    python benchmarks/search_table.py MODEL.keras --data npz:PATH --work DIR [--space benchmarks/search_space.toml]
        [--max-drop 3] [--out benchmarks/reference/search_trials.json]

Each candidate is made as `edgecv optimize` makes it, timed by its shape, and judged on the whole validation split. What
is finished stays in --work: the same line continues an interrupted run.

The table in benchmarks/reference is of ResNet-8 at half the width, trained for 14 epochs on 10,000 images of CIFAR-10
(a copy of lossy JPEG files) and judged on 5,000 others:

    edgecv train resnet8 --width 0.5 --data npz:cifar10_part.npz --epochs 14 --out half8.keras
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.core import codec
from edgecv.core.files import write_text
from edgecv.core.progress import QUIET, Unseen
from edgecv.jobs import models
from edgecv.jobs.search import defaults, rules
from edgecv.jobs.search import space as spaces
from edgecv.jobs.search.site import Site
from edgecv.jobs.search.workbench import Workbench
from edgecv.runtime.host import host_facts

HERE = Path(__file__).parent


class Told:
    """A reporter of remarks and warnings, without bars."""

    bar = QUIET.bar

    def info(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    def warn(self, message: str) -> None:
        print(f"warning: {message}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--space", type=Path, default=HERE / "search_space.toml")
    parser.add_argument("--max-drop", type=float, default=3.0)
    parser.add_argument("--out", type=Path, default=HERE / "reference" / "search_trials.json")
    given = parser.parse_args()
    bench = Workbench(Site(source=models.Source(path=given.model), data=given.data), given.work, Unseen(Told()))
    space = spaces.read(given.space)
    candidates, _ = rules.enumerated(space, defaults.facts(bench.loaded, "cpu"))
    rows, costs = [], {}
    for index, one in enumerate(candidates, start=1):
        if one.shape not in costs:
            costs[one.shape] = bench.shape_cost(one)
        began = time.monotonic()
        finding = bench.accuracy(one, "full")
        print(f"{index} of {len(candidates)}: {one.label}: {costs[one.shape].ratio} {finding.drop} {finding.failure} "
              f"({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)  # fmt: skip
        rows.append({"settings": dict(one.settings), "cost": costs[one.shape], "finding": finding})
    document = {
        "schema": "edgecv.search-trials/1", "host": host_facts(), "model": bench.loaded.require_spec().name,
        "dataset": bench.dataset.name, "n": bench.baseline.n, "metric": bench.baseline.metric.name,
        "baseline": bench.baseline.value, "max_drop": given.max_drop, "space": space.document, "trials": rows,
    }  # fmt: skip
    write_text(given.out, json.dumps(codec.encode(document), indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
