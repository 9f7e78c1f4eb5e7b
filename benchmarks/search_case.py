"""`edgecv optimize` on a trained network, beside what tools do by themselves and what a person does by hand.

    python benchmarks/search_case.py MODEL --data npz:PATH --space benchmarks/search_mnist.toml --work DIR
        [--spec SPEC.toml] [--max-drop 1] [--smaller 8] [--trials N] [--epochs 2] [--first-look 0.34] [--json]

Three files of the same model, each timed interleaved with the float32 file, and judged on the same test split: int8
after training alone; slimmed to half the MACs, then int8, as a person would; and the winner of the search. What is
finished stays in --work: the same line continues an interrupted run.

    edgecv train cnn_mnist_5x5 --data npz:mnist.npz --epochs 3 --out mnist5.keras

trains the network of the published row.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from search_table import Told

from edgecv.core import codec
from edgecv.core.progress import Unseen
from edgecv.jobs import models
from edgecv.jobs.optimize import job
from edgecv.jobs.optimize.candidates import Candidate, candidate
from edgecv.jobs.optimize.site import Site
from edgecv.jobs.optimize.workbench import Workbench
from edgecv.jobs.trials.judge import TEST
from edgecv.runtime.host import host_facts


def row(name: str, one: Candidate, bench: Workbench) -> dict[str, Any]:
    """Return the figures of a candidate's own file, of this run."""
    file = bench.file(one)
    found = bench.judge_on(TEST).judged(file, name=name)
    cost = bench.final_cost(one, file)
    if cost.ratio is None or cost.ratio_ci95 is None:
        raise SystemExit(f"{name}: the file was not timed: {cost.failure}")
    low, high = cost.ratio_ci95
    return {
        "file": name, "recipe": one.label, "faster": 1 / cost.ratio, "faster_ci95": [1 / high, 1 / low],
        "bytes": file.stat().st_size, "smaller": bench.float_file.stat().st_size / file.stat().st_size,
        "float": found.before, "value": found.value, "n": found.n, "drop_points": found.drop.value,
        "drop_points_ci95": list(found.drop.ci95), "kind": cost.kind,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--spec", type=Path)
    parser.add_argument("--space", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=2, help="of training after slimming by hand")
    parser.add_argument("--max-drop", type=float, default=1.0)
    parser.add_argument("--smaller", type=float, default=8.0)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--first-look", type=float, default=0.34, help="its share of the epochs; 1: there is none")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    source = models.Source(path=given.model, spec=given.spec)
    bench = Workbench(Site(source=source, data=given.data), given.work / job.WORK, Unseen(Told()))
    began = time.monotonic()
    plan = job.OptimizePlan(
        data=given.data, space=given.space, max_drop=given.max_drop, trials=given.trials, goal="fastest",
        size_bytes=int(bench.float_file.stat().st_size / given.smaller), coarse_epochs=given.first_look,
    )  # fmt: skip
    done = job.optimize(source, plan, out=given.work, reporter=Told())
    seconds = time.monotonic() - began
    stock = {"quantize.scheme": "int8"}
    rows = [row("int8 alone", candidate(stock), bench)]
    epochs = {"slim.rounds": 1, "slim.epochs": given.epochs, "slim.multiple": 8}
    rows.append(row("by hand", candidate({**stock, **epochs, "slim.macs": 0.5}), bench))
    if done.winner is not None:
        best = next(one for one in done.trials if one.id == done.winner.id)
        rows.append(row("edgecv optimize", candidate(best.settings), bench))
    # Where the files lie says something of one machine alone.
    winner = done.winner and replace(
        done.winner, path=Path(done.winner.path).name, recipe=Path(done.winner.recipe).name
    )
    document = {"schema": "edgecv.search-case/1", "host": host_facts(), "max_drop": given.max_drop,
                "smaller": given.smaller, "accuracies": done.accuracies, "shapes": done.shapes, "seconds": seconds,
                "verdict": done.verdict, "rows": rows, "winner": winner}  # fmt: skip
    if given.json:
        print(json.dumps(codec.encode(document), indent=1))
        return
    print("| file | recipe | times as fast | times as small | float | this file | drop, points | n |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for one in rows:
        low, high = one["drop_points_ci95"]
        print(f"| {one['file']} | {one['recipe']} | {one['faster']:.2f} [{one['faster_ci95'][0]:.2f}, "
              f"{one['faster_ci95'][1]:.2f}] | {one['smaller']:.2f} | {one['float']:.4f} | {one['value']:.4f} | "
              f"{one['drop_points']:+.2f} [{low:+.2f}, {high:+.2f}] | {one['n']:,} |")  # fmt: skip
    print(f"\n{done.shapes} shapes timed, {done.accuracies} accuracies looked at, {seconds / 60:.0f} minutes, "
          f"verdict {done.verdict}")  # fmt: skip


if __name__ == "__main__":
    main()
