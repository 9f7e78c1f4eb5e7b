r"""Where the end of a segmentation network runs: time of the network and of reading its answer apart, and the overlap.

    edgecv train deeplab_mnv2 --variant edge --data scenes --width 0.35 --input-size 128 --epochs 20 \
        --learning-rate 5e-3 --batch-size 16 --out deeplab.keras
    python benchmarks/segmentation_outputs.py deeplab.keras --data scenes --out outputs.json

One network with the same weights, four files of it: scores at the network's own size, which the runtime enlarges
("scores"); the best class at that size ("classes"), whose nearest place counts for each pixel; scores enlarged in the
file ("resized"); and the best class of those ("resized classes"). All of them in float32 and in int8. Each image goes
through all of them before the next one, so that what changes on the host changes all. Times are medians, one thread,
and their ratios are to the int8 "scores". What an end loses is against the float32 "scores", on the same images, in
points of mean IoU with the paired 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import edgecv
from edgecv import data, runtime
from edgecv.compress.mask_output import mask_output
from edgecv.jobs.models import require_manifest
from edgecv.modelio import load_keras, manifest_for, save_keras, tool_versions
from edgecv.runtime.host import host_facts
from edgecv.runtime.predictor import Predictor
from edgecv.runtime.reading import read_outputs
from edgecv.tasks.registry import task_of

ENDS: dict[str, dict[str, bool]] = {
    "scores": {},
    "classes": {"argmax": True},
    "resized": {"resized": True},
    "resized classes": {"resized": True, "argmax": True},
}
SCHEMES = ("float32", "int8")
BASE = "scores"
Way = tuple[str, str]
"""An end and a scheme."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a trained .keras of one segmentation head")
    parser.add_argument("--data", default="scenes", help="calibrates, and is judged on its test split")
    parser.add_argument("--images", type=int, help="of the test split; default: all")
    parser.add_argument("--out", type=Path, help="the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = {
            (end, scheme): made(options.model, options.data, Path(folder), end, scheme)
            for end in ENDS
            for scheme in SCHEMES
        }
        predictors = {way: runtime.load(file, threads=1) for way, file in files.items()}
        rows = measured(predictors, options.data, options.images)
        for row, (way, file) in zip(rows, files.items(), strict=True):
            row |= {"bytes": file.stat().st_size, **(mapped(file) if way[1] == "int8" else {})}
            predictors[way].close()
    told = {
        "kind": "measured", "host": host_facts(), "tools": dict(tool_versions()), "model": described(options.model),
        "data": options.data, "rows": rows,
    }  # fmt: skip
    if options.out:
        options.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


def described(source: Path) -> dict[str, Any]:
    """Return what the network is and how large its answer is, and its parameters."""
    loaded = load_keras(source)
    spec = require_manifest(loaded).spec
    return {
        "architecture": spec.name, "variant": spec.variant, "input_shape": list(spec.input_shape),
        "scores": list(loaded.model.output_shape[1:]), "parameters": loaded.model.count_params(),
    }  # fmt: skip


def made(source: Path, name_of_data: str, folder: Path, end: str, scheme: str) -> Path:
    """Return a file of the network with one end, in one scheme."""
    loaded = load_keras(source)
    model, spec = loaded.model, require_manifest(loaded).spec
    if ENDS[end]:
        model, spec = mask_output(model, spec, **ENDS[end])
    keras = folder / f"{end.replace(' ', '-')}-{scheme}.keras"
    save_keras(
        model, keras, manifest_for(spec, recipe={"step": "mask_output", **ENDS[end]}, source_sha256=loaded.sha256)
    )
    out = keras.with_suffix(".tflite")
    edgecv.convert(keras, scheme=scheme, data=name_of_data if scheme == "int8" else None, out=out, quiet=True)
    return out


def mapped(file: Path) -> dict[str, str]:
    """Return how many operators each accelerator takes, and the names of the others."""
    found = {}
    for target in ("edgetpu", "gpu"):
        told = edgecv.inspect(file, target, quiet=True)
        left = ", ".join(sorted({op.op for op in told.ops if not op.mapped}))
        found[target] = f"{told.n_mapped} of {told.n_ops}{f', without {left}' if left else ''}"
    return found


def measured(predictors: dict[Way, Predictor], name_of_data: str, images: int | None) -> list[dict[str, Any]]:
    """Return medians of both times, and the scores, of each file."""
    split = data.open_dataset(name_of_data)
    place = next(index for index, target in enumerate(split.targets) if target.task == "segmentation")
    samples, truths = split.split("test").images, split.split("test").targets[place]
    times: dict[Way, list[tuple[float, float]]] = {way: [] for way in predictors}
    evidence: dict[Way, list[Any]] = {way: [] for way in predictors}
    for index in range(min(images or len(samples), len(samples))):
        image = np.asarray(samples[index])
        for way, model in predictors.items():
            tensor = runtime.preprocess(image, model.spec)
            start = time.perf_counter()
            outputs = model.run([tensor])
            middle = time.perf_counter()
            found = read_outputs(outputs, model.spec, model.bound_outputs, (image,))
            times[way].append((middle - start, time.perf_counter() - middle))
            head = model.spec.head
            evidence[way].append(task_of(head).evidence(truths[index], found, head))
    base = evidence[BASE, SCHEMES[0]]
    return [_row(way, times[way], base, evidence[way], model) for way, model in predictors.items()]


def _row(way: Way, times: list[tuple[float, float]], base: Any, evidence: Any, model: Predictor) -> dict[str, Any]:
    network, reading = (1e3 * statistics.median(part) for part in zip(*times, strict=True))
    head = model.spec.head
    scores, drop = task_of(head).score(evidence, head), task_of(head).drop(base, evidence, head)
    return {
        "end": way[0], "scheme": way[1],
        "output": "x".join(map(str, model.outputs[0].shape)), "dtype": model.outputs[0].dtype,
        "network_ms": network, "reading_ms": reading, "total_ms": network + reading, "images": len(times),
        "miou": scores.value, "boundary_f1": scores.figures["boundary_f1"],
        "drop": round(100 * drop.value, 3), "drop_ci95": [round(100 * bound, 3) for bound in drop.ci95],
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table of Markdown, with times as ratios to those of "scores" in int8."""
    base = next(row["total_ms"] for row in rows if (row["end"], row["scheme"]) == (BASE, "int8"))
    lines = [
        "| the file ends in | scheme | output | mean IoU | drop in points [95 %] | boundary F1 | network | reading "
        "| both | Edge TPU, predicted | GPU, simulated |",
        "|---" * 11 + "|",
    ]
    for row in rows:
        low, high = row["drop_ci95"]
        times = " | ".join(f"{row[key] / base:.2f}" for key in ("network_ms", "reading_ms", "total_ms"))
        lines.append(
            f"| {row['end']} | {row['scheme']} | {row['output']} {row['dtype']} | {row['miou']:.3f} "
            f"| {row['drop']:+.2f} [{low:+.2f}, {high:+.2f}] | {row['boundary_f1']:.3f} | {times} "
            f"| {row.get('edgetpu', '')} | {row.get('gpu', '')} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
