"""Where the end of a segmentation network runs: time of the network and of reading its answer apart, and the overlap.

    edgecv train deeplab_mnv2 --variant edge --data scenes --width 0.35 --input-size 128 --epochs 2 --out deeplab.keras
    python benchmarks/segmentation_outputs.py deeplab.keras --data scenes --images 100 --out outputs.json

One network with the same weights, four files of it: scores at the network's own size, which the runtime enlarges
("scores"); the best class at that size ("classes"), whose nearest place counts for each pixel; scores enlarged in the
file ("resized"); and the best class of those ("resized classes"). Each image goes through all of them before the next
one, so that what changes on the host changes all. Times are medians, one thread, ratios are to "scores".
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
from edgecv.modelio import load_keras, manifest_for, save_keras
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a trained .keras of one segmentation head")
    parser.add_argument("--data", default="scenes", help="calibrates, and is judged on its test split")
    parser.add_argument("--images", type=int, default=100, help="of the test split")
    parser.add_argument("--out", type=Path, help="the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = {name: made(options.model, options.data, Path(folder), name) for name in ENDS}
        predictors = {name: runtime.load(file, threads=1) for name, file in files.items()}
        rows = measured(predictors, options.data, options.images)
        for name, file in files.items():
            rows[name] |= {"bytes": file.stat().st_size, **mapped(file)}
            predictors[name].close()
    told = {"host": host_facts(), "model": options.model.name, "data": options.data, "rows": rows}
    if options.out:
        options.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


def made(source: Path, name_of_data: str, folder: Path, name: str) -> Path:
    """Return an int8 file of the network with one end."""
    loaded = load_keras(source)
    if loaded.manifest is None:
        raise SystemExit(f"{source} has no contract: train it with edgecv train")
    model, spec = loaded.model, loaded.manifest.spec
    if ENDS[name]:
        model, spec = mask_output(model, spec, **ENDS[name])
    keras = folder / f"{name.replace(' ', '-')}.keras"
    save_keras(
        model, keras, manifest_for(spec, recipe={"step": "mask_output", **ENDS[name]}, source_sha256=loaded.sha256)
    )
    out = keras.with_suffix(".tflite")
    edgecv.convert(keras, scheme="int8", data=name_of_data, out=out, quiet=True)
    return out


def mapped(file: Path) -> dict[str, str]:
    """Return how many operators each accelerator takes, and the names of the others."""
    found = {}
    for target in ("edgetpu", "gpu"):
        told = edgecv.inspect(file, target, quiet=True)
        left = ", ".join(sorted({op.op for op in told.ops if not op.mapped}))
        found[target] = f"{told.n_mapped} of {told.n_ops}{f', without {left}' if left else ''}"
    return found


def measured(predictors: dict[str, Predictor], name_of_data: str, images: int) -> dict[str, dict[str, Any]]:
    """Return medians of both times, and the scores, of each file."""
    split = data.open_dataset(name_of_data)
    place = next(index for index, target in enumerate(split.targets) if target.task == "segmentation")
    samples, truths = split.split("test").images, split.split("test").targets[place]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in predictors}
    evidence: dict[str, list[Any]] = {name: [] for name in predictors}
    for index in range(min(images, len(samples))):
        image = np.asarray(samples[index])
        for name, model in predictors.items():
            tensor = runtime.preprocess(image, model.spec)
            start = time.perf_counter()
            outputs = model.run([tensor])
            middle = time.perf_counter()
            found = read_outputs(outputs, model.spec, model.bound_outputs, (image,))
            times[name].append((middle - start, time.perf_counter() - middle))
            head = model.spec.head
            evidence[name].append(task_of(head).evidence(truths[index], found, head))
    return {name: _row(times[name], evidence[name], predictors[name]) for name in predictors}


def _row(times: list[tuple[float, float]], evidence: list[Any], model: Predictor) -> dict[str, Any]:
    network, reading = (1e3 * statistics.median(part) for part in zip(*times, strict=True))
    scores = task_of(model.spec.head).score(evidence, model.spec.head)
    return {
        "output": "x".join(map(str, model.outputs[0].shape)), "dtype": model.outputs[0].dtype,
        "network_ms": network, "reading_ms": reading, "total_ms": network + reading,
        "miou": scores.value, "boundary_f1": scores.figures["boundary_f1"], "images": len(times),
    }  # fmt: skip


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows as a table of Markdown, with times as ratios to those of "scores"."""
    base = rows["scores"]["total_ms"]
    lines = [
        "| the file ends in | output | network | reading | both | mean IoU | boundary F1 | Edge TPU | GPU |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        parts = " | ".join(f"{row[key] / base:.2f}" for key in ("network_ms", "reading_ms", "total_ms"))
        lines.append(
            f"| {name} | {row['output']} {row['dtype']} | {parts} | {row['miou']:.3f} | {row['boundary_f1']:.3f} "
            f"| {row['edgetpu']} | {row['gpu']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
