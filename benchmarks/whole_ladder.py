"""Every step of the quantisation ladder, taken to its top whether a file passes or not; `quantisers.py` calls this.

    python benchmarks/whole_ladder.py MODEL.keras --data npz:imagenet.npz --out ladder [--spec SPEC.toml]

`edgecv quantize --max-drop` stops at the first file that is good enough. Here the same steps are all made and measured
on the validation split, to compare them. The files are `<out>/<step>.tflite`; what was measured is printed as JSON. Run
again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.cli.console import ConsoleReporter
from edgecv.core import codec
from edgecv.jobs import convert as artifacts
from edgecv.jobs import models
from edgecv.jobs.ladder.rungs import LAST, rungs
from edgecv.jobs.ladder.steps import Steps
from edgecv.jobs.ladder.values import LadderPlan, Trial
from edgecv.jobs.trials.executor import Local


def climbed(source: models.Source, plan: artifacts.Plan, folder: Path) -> list[Trial]:
    """Take every step; the files stay in the folder."""
    loaded = models.load(source)
    dataset = models.open_data(plan.data, models.require_manifest(loaded))
    request = LadderPlan(max_drop=0.0, plan=plan)
    ladder = Steps(source.path, loaded, request, dataset, folder, ConsoleReporter())
    steps = Local(ladder.make, ladder.records)
    trials: list[Trial] = []
    for rung in rungs(ladder, trials):
        steps.start(rung)
        trials.append(steps.finished().result)
        if rung.step == LAST:
            break
    return trials


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True, help="as edgecv takes it: npz:PATH, folder:PATH, digits")
    parser.add_argument("--spec", type=Path, help="the model's contract, when edgecv did not write it")
    parser.add_argument("--epochs", type=int, help="of quantisation-aware training")
    parser.add_argument("--out", type=Path, required=True, help="folder of the files")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    plan = artifacts.Plan(scheme="int8", data=options.data, epochs=options.epochs)
    trials = climbed(models.Source(path=options.model, spec=options.spec), plan, options.out)
    print(json.dumps([codec.encode(trial) for trial in trials]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
