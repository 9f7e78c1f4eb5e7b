"""How often does a 95 % interval hold the truth? Simulated benches and evaluations with noise whose size is known.

    python benchmarks/interval_coverage.py --runs 200 --json
    python benchmarks/interval_coverage.py --of miou --runs 2000 --images 40

Of the ratio of two latencies: two equal models on a fake device. Each process has a speed of its own, each block
another, and some blocks are interrupted. The loop, its stopping rule and its statistics are the real ones; only time is
made up, so the figures are simulated. About 95 % of the intervals should hold 1.0.

Of a task's drop: two models on samples from a population whose true drop is known, because it is so large. The task's
own `drop` says the interval, and about 95 % of them should hold the true drop.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecv.tasks.bootstrap import bootstrap_drop
from edgecv.tasks.localisation import Localisation
from edgecv.tasks.localisation.task import Found
from edgecv.tasks.segmentation import SegmentationTask, metrics
from edgecv.values.specs import Head

LAUNCH_SIGMAS = (0.005, 0.02)
BLOCK_SIGMA = 0.03
INTERRUPTION_SHARE = 0.05


def coverage(paths: tuple[Path, Path], launch_sigma: float, runs: int, name: str) -> dict[str, Any]:
    """Bench two equal models `runs` times; count the intervals that hold 1.0."""
    # Imported here, since drops of a metric need no bench.
    from edgecv.bench import BenchCase, bench, plan
    from edgecv.bench.devices.fake import FakeDevice, FakeModel

    cases = [BenchCase(name=path.name, path=str(path)) for path in paths]
    model = FakeModel(
        median_ms=0.4,
        launch_sigma=launch_sigma,
        block_sigma=BLOCK_SIGMA,
        interruption_share=INTERRUPTION_SHARE,
    )
    intervals = []
    for seed in range(runs):
        device = FakeDevice({case.name: model for case in cases}, seed=seed)
        found = bench(cases[:1], baseline=cases[1], device=device, plan=plan(name, seed=seed), clock=device.clock)
        interval = found[1].latency.ratio_ci95
        assert interval is not None
        intervals.append(interval)
    return {
        "kind": "simulated",
        "launch_sigma": launch_sigma,
        "runs": runs,
        "hold_1": sum(low <= 1.0 <= high for low, high in intervals),
        "mean_width": sum(high - low for low, high in intervals) / runs,
    }


def miou_coverage(images: int, runs: int, repeats: int = 1000) -> dict[str, Any]:
    """Draw `images` from a large population `runs` times; count the intervals of mIoU's drop that hold the true one."""
    population = [_counts(spoilt, size=20_000) for spoilt in (0.05, 0.10)]
    whole = [float(metrics.mean_iou(counts.sum(axis=0))) for counts in population]
    truth, intervals = whole[0] - whole[1], []
    for seed in range(runs):
        chosen = np.random.default_rng(seed).integers(0, len(population[0]), images)
        base, candidate = (_mean_iou(counts[chosen]) for counts in population)
        intervals.append(
            bootstrap_drop(base, candidate, images, SegmentationTask.metric, repeats=repeats, seed=seed).ci95
        )
    return {
        "kind": "simulated",
        "of": "miou",
        "samples": images,
        "runs": runs,
        "true_drop": truth,
        "hold_truth": sum(low <= truth <= high for low, high in intervals),
        "mean_width": sum(high - low for low, high in intervals) / runs,
    }


def _mean_iou(counts: npt.NDArray[np.float64]) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    return lambda weights: metrics.mean_iou(np.tensordot(weights, counts, axes=1))


def _counts(spoilt: float, size: int, classes: int = 4) -> npt.NDArray[np.float64]:
    """Counts (size, 3, classes) of images of 1,000 pixels whose classes and mistakes differ from image to image.

    The seed is the same for every share that is spoilt, so that two models see the same images.
    """
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.array([4.0, 2.0, 1.0, 0.5]), size)
    right = np.round(1000 * shares)
    hard = rng.gamma(2.0, 0.5, (size, 1))  # images are not equally hard
    own = np.random.default_rng(round(1000 * spoilt)).gamma(4.0, 0.25, (size, 1))
    missed = np.round(right * np.clip(spoilt * hard * own, 0.0, 1.0))
    said = right - missed + np.roll(missed, 1, axis=1)
    return np.stack([right - missed, said, right], axis=1)


def auc_coverage(samples: int, runs: int) -> dict[str, Any]:
    """As `miou_coverage`, for the area under the ROC curve of embeddings."""
    from embedding_coverage import of_samples

    return of_samples(samples, runs)


def box_iou_coverage(images: int, runs: int) -> dict[str, Any]:
    """As `miou_coverage`, for the mean IoU of one box an image; a third of the boxes are far worse than before."""
    rng, size = np.random.default_rng(1), 20_000
    base = rng.beta(6.0, 2.0, size)  # most overlaps are large, few are small
    lost = np.where(rng.uniform(size=size) < 0.3, rng.uniform(0.0, 0.2, size), 0.0) + rng.normal(0.0, 0.03, size)
    candidate, task = np.clip(base - lost, 0.0, 1.0), Localisation()
    head = Head(name="object", task=task.name, activation="probabilities", outputs=("class", "box"))
    truth, intervals = float((base - candidate).mean()), []
    for seed in range(runs):
        chosen = np.random.default_rng(seed).integers(0, size, images)
        before, after = ([Found(iou, True, 0) for iou in side[chosen].tolist()] for side in (base, candidate))
        intervals.append(task.drop(before, after, head).ci95)
    return {
        "kind": "simulated",
        "of": "mean_iou",
        "samples": images,
        "runs": runs,
        "true_drop": truth,
        "hold_truth": sum(low <= truth <= high for low, high in intervals),
        "mean_width": sum(high - low for low, high in intervals) / runs,
    }


#: From (samples, runs) to a row, by a task's metric.
DROPS: Mapping[str, Callable[[int, int], dict[str, Any]]] = {
    "miou": miou_coverage,
    "auc": auc_coverage,
    "mean_iou": box_iou_coverage,
}


def latency_rows(runs: int, name: str) -> list[dict[str, Any]]:
    """Return a row per noise of the latencies."""
    with tempfile.TemporaryDirectory(prefix="edgecv-coverage-") as folder:
        first, second = (Path(folder) / stem for stem in ("a", "b"))
        for path in (first, second):
            path.write_text(path.name)
        return [coverage((first, second), sigma, runs, name) for sigma in LAUNCH_SIGMAS]


def line(row: dict[str, Any]) -> str:
    """Return a row for people."""
    if "of" in row:
        return (
            f"{row['of']} on {row['samples']} samples: {row['hold_truth']} of {row['runs']} intervals hold "
            f"{row['true_drop']:.4f}, mean width {row['mean_width']:.4f} (simulated)"
        )
    return (
        f"processes that differ by {row['launch_sigma']:.1%}: {row['hold_1']} of {row['runs']} intervals hold "
        f"1.0, mean width {row['mean_width']:.2%} (simulated)"
    )


def main() -> int:
    """Parse arguments, run, print JSON or a line per row on stdout."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--of", choices=("latency", *DROPS), default="latency")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--plan", default="default", help="of the bench, for latency")
    parser.add_argument("--images", type=int, default=40, help="samples of an evaluation, for a task's drop")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    asked = parser.parse_args()
    rows = (
        latency_rows(asked.runs, asked.plan) if asked.of == "latency" else [DROPS[asked.of](asked.images, asked.runs)]
    )
    print(json.dumps(rows, indent=1) if asked.json else "\n".join(line(row) for row in rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
