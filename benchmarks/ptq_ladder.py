"""What each step of post-training quantisation gains: one trained model, every step, on the same test samples.

    python benchmarks/ptq_ladder.py MODEL.keras --data npz:cifar10.npz --samples 5000 --json

Part "per_channel" takes the model as it is, int8 with a scale per output channel; part "uneven" takes the same function
with the channels between layers scaled apart by up to `--spread` in both directions, and one scale per weight tensor;
parts "int4" and "int16x8" are what they say. Every file is evaluated by LiteRT on the first samples of the test split;
drops are paired with the float model's answers, in percentage points, with their 95 % interval. "int4 nearest" is the
same file format with weights rounded to the nearest of the full range. Seconds are of this machine and include
conversion and check, not evaluation.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.compress import equalise, weight_grid
from edgecv.compress.layer_graph import build, flattened, read
from edgecv.compress.rewrite import standardised
from edgecv.convert import Preparation, convert
from edgecv.convert.check.kernels import computed_by
from edgecv.core.errors import ConversionError
from edgecv.data import Dataset
from edgecv.evaluate import KerasPredictor, drop_between, evaluate
from edgecv.jobs import convert as artifacts
from edgecv.jobs import models
from edgecv.jobs.evaluate import open_artifact
from edgecv.modelio import LoadedModel, tool_versions
from edgecv.values.evaluation import Evaluation
from edgecv.values.profiles import calibration

STEPS: dict[str, dict[str, Any]] = {
    "ptq": {},
    "equalise": {"equalise": True},
    "correct bias": {"correct_bias": True},
    "equalise, correct bias": {"equalise": True, "correct_bias": True},
    "adaround": {"adaround": True},
    "equalise, adaround": {"equalise": True, "adaround": True},
}
PER_TENSOR = 'title = "Per tensor"\ngranularity = "per_tensor"\n'
PARTS = ("per_channel", "uneven", "int4", "int16x8")


class Bench:
    """A model, its data and a scratch folder."""

    def __init__(self, loaded: LoadedModel, dataset: Dataset, samples: int, folder: Path) -> None:
        self.loaded, self.dataset, self.folder = loaded, dataset, folder
        test = dataset.split("test")
        self.some = test.take(np.arange(min(samples, len(test))))
        self.baseline = self.value(KerasPredictor(loaded))

    def value(self, predictor: Any) -> Evaluation:
        return evaluate(predictor, self.some, self.dataset.name, targets=self.dataset.targets)

    def row(self, part: str, step: str, plan: artifacts.Plan, loaded: LoadedModel | None = None) -> dict[str, Any]:
        return self._row(part, step, lambda out: artifacts.built(loaded or self.loaded, plan, self.dataset, out=out))

    def _row(self, part: str, step: str, make: Any) -> dict[str, Any]:
        out, start = self.folder / f"{part}-{step}.tflite", time.perf_counter()
        try:
            made = make(out)
        except ConversionError as error:
            return {"part": part, "step": step, "failure": str(error).splitlines()[0]}
        seconds = time.perf_counter() - start
        with open_artifact(out) as predictor:
            found = self.value(predictor)
        drop = drop_between(self.baseline, found)
        return {
            "part": part, "step": step, "value": round(found.value, 4), "drop": round(100 * drop.value, 3),
            "drop_ci95": [round(100 * bound, 3) for bound in drop.ci95], "size_bytes": made.size_bytes,
            "seconds": round(seconds, 1), "kernels": asdict(computed_by(out)),
        }  # fmt: skip

    def nearest_int4(self) -> dict[str, Any]:
        graph, integers = read(standardised(flattened(self.loaded.model)).model), {}
        for call in graph.calls:
            if weight_grid.solvable(call, graph.shared):
                kernel = call.weights[0]
                matrix = weight_grid.to_matrix(call.kind, kernel)
                scales = weight_grid.full_scales(matrix, bits=4, per_channel=True)
                whole = weight_grid.nearest(matrix, scales, bits=4)
                integers[call.name] = weight_grid.from_matrix(call.kind, whole.astype(np.int8), kernel.shape)
                rounded = weight_grid.real(whole, scales)
                call.weights[0] = weight_grid.from_matrix(call.kind, rounded, kernel.shape)
        preparation = Preparation(reference=self.loaded.model, integers=integers, facts={"steps": ["nearest"]})
        source = replace(self.loaded, model=build(graph))
        return self._row(
            "int4", "nearest",
            lambda out: convert(
                source, format="tflite", scheme="int4", method="ptq", out=out, preparation=preparation,
                calibration=calibration("minmax"), dataset=self.dataset,
            ),
        )  # fmt: skip


def uneven(loaded: LoadedModel, spread: float) -> LoadedModel:
    """Return the same function with channels between layers scaled apart; pairs behind a ReLU6 stay as they are."""
    graph = read(standardised(flattened(loaded.model)).model)
    calls, rng = {call.name: call for call in graph.calls}, np.random.default_rng(0)
    for pair in equalise.find_pairs(graph):
        if pair.clip is None:
            channels = len(calls[pair.first].weights[-1])
            equalise.rescale(pair, calls, np.exp(rng.uniform(-np.log(spread), np.log(spread), channels)))
    return replace(loaded, model=build(graph))


def rows(bench: Bench, parts: list[str], spread: float) -> Iterator[dict[str, Any]]:
    plain = artifacts.Plan(scheme="int8")
    if "per_channel" in parts:
        for name, step in STEPS.items():
            yield bench.row("per_channel", name, replace(plain, **step))
    if "uneven" in parts:
        recipe = bench.folder / "per_tensor.toml"
        recipe.write_text(PER_TENSOR)
        other = uneven(bench.loaded, spread)
        for name, step in STEPS.items():
            yield bench.row("uneven", name, replace(plain, calibration=str(recipe), **step), other)
    if "int4" in parts:
        yield bench.nearest_int4()
        yield bench.row("int4", "adaround", replace(plain, scheme="int4"))
        yield bench.row("int4", "equalise, adaround", replace(plain, scheme="int4", equalise=True))
    if "int16x8" in parts:
        yield bench.row("int16x8", "ptq", replace(plain, scheme="int16x8"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a trained .keras of edgecv")
    parser.add_argument("--data", required=True, help="as edgecv takes it: npz:PATH, folder:PATH, digits")
    parser.add_argument("--samples", type=int, default=5000, help="of the test split")
    parser.add_argument("--spread", type=float, default=32.0, help="of the uneven channels")
    parser.add_argument("--part", action="append", choices=PARTS, help="repeatable; default: all")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    loaded = models.load(models.Source(path=options.model))
    dataset = models.open_data(options.data, models.require_manifest(loaded))
    with tempfile.TemporaryDirectory(prefix="edgecv-ptq-") as scratch:
        bench = Bench(loaded, dataset, options.samples, Path(scratch))
        whole = convert(loaded, format="tflite", scheme="float32", out=bench.folder / "f.tflite", dataset=dataset)
        found = []
        for row in rows(bench, options.part or list(PARTS), options.spread):
            found.append(row)
            print(_line(row), file=sys.stderr if options.json else sys.stdout, flush=True)
        result = {
            "network": f"{models.require_manifest(loaded).spec.name} on {dataset.name}", "split": "test",
            "n": bench.baseline.n, "metric": bench.baseline.metric.name, "float": round(bench.baseline.value, 4),
            "float_size_bytes": whole.size_bytes, "spread": options.spread, "kind": "measured",
            "engine": "LiteRT on the CPU", "tools": dict(tool_versions()), "rows": found,
        }  # fmt: skip
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        print(f"float: {result['float']} on {result['n']} samples, {whole.size_bytes} bytes")
    return 0


def _line(row: dict[str, Any]) -> str:
    if "failure" in row:
        return f"{row['part']:12} {row['step']:24} {row['failure']}"
    low, high = row["drop_ci95"]
    text = f"{row['part']:12} {row['step']:24} {row['value']:.4f} drop {row['drop']:+.2f} [{low:+.2f}, {high:+.2f}]"
    return f"{text} {row['size_bytes']} bytes, {row['seconds']} s"


if __name__ == "__main__":
    sys.exit(main())
