"""Detectors from float to int8: as people export them, and by edgecv; accuracy, size, mapping and time in one table.

    python benchmarks/detection.py --case scenes --out results
    python benchmarks/detection.py --case bccd=voc:PATH --network yolo_small --out results --docs

A detector is trained (or taken from `--model`), and becomes int8 five ways: by the stock converter with one output of
decoded boxes in pixels and scores, as exporters of detectors write it; by the stock converter with the raw maps apart;
by edgecv's calibration; by its ladder, which stops where the accuracy budget is held; and by quantisation-aware
training. All are judged on the test split by the average precision at overlaps of 0.50 to 0.95, with paired 95 %
intervals beside the float file.

Times are of this process, one thread: all files in turn, round by round, the network and the decoding apart. What the
Edge TPU takes is predicted. A finished step is not done again. `--docs` puts the tables of all cases of
`benchmarks/reference/detection.json` into docs/detection.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stock_quantisers import by_tflite

import edgecv
from edgecv import runtime
from edgecv.bench.statistics import midmean
from edgecv.convert.check import samples
from edgecv.convert.embed import embed_tflite
from edgecv.core.errors import GateFailure
from edgecv.core.files import atomic_path
from edgecv.data import open_dataset
from edgecv.evaluate import drop_between, evaluate
from edgecv.jobs import models
from edgecv.modelio import env
from edgecv.runtime.reading import frame_for
from edgecv.runtime.stored import stored_input
from edgecv.tasks.detection.assignment import anchor_boxes
from edgecv.tasks.detection.settings import settings_of
from edgecv.tasks.registry import task_of
from edgecv.values import profiles
from edgecv.values.manifest import Manifest, Provenance
from edgecv.values.specs import ModelSpec

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "benchmarks" / "reference" / "detection.json"
DOCS = ROOT / "docs" / "detection.md"
BEGIN, END = "<!-- detection.py: begin -->", "<!-- detection.py: end -->"
ROUNDS, BUDGET = 60, 0.5
WAYS = {
    "float32": "float",
    "stock_joined": "stock int8, one output of pixels and scores",
    "stock_apart": "stock int8, raw maps apart",
    "ptq": "edgecv int8, calibration",
    "ladder": f"edgecv int8, `--max-drop {BUDGET:g}`",
    "qat": "edgecv int8, quantisation-aware training",
}


def decoded(model: Any, spec: ModelSpec) -> Any:
    """Return the model with its answers decoded in the graph: one output (N, 4 + classes), boxes in input pixels."""
    tf, keras = env.tensorflow(), env.keras()
    settings, size = settings_of(spec.head), (spec.input_shape[0], spec.input_shape[1])
    corners = anchor_boxes(settings, size)
    sides, centres = corners[:, 2:] - corners[:, :2], (corners[:, 2:] + corners[:, :2]) / 2
    cells = [sum(1 for _ in own) * round(size[0] / s) * round(size[1] / s) for own, s in _scales(settings)]
    stride = np.repeat(np.asarray(settings.strides, np.float32), cells)[:, None]
    reach = np.repeat(np.asarray(settings.scale_xy or (1.0,) * len(cells), np.float32), cells)[:, None]

    def joined(maps: Sequence[Any]) -> Any:
        rows = [tf.reshape(one, (1, -1, 4)) for one in maps[::2]]
        own = [tf.reshape(one, (1, -1, 1 + len(spec.labels))) for one in maps[1::2]]
        raw, scores = tf.concat(rows, axis=1), tf.concat(own, axis=1)
        centre = (tf.sigmoid(raw[..., :2]) * reach - (reach - 1.0) / 2.0 - 0.5) * stride + centres
        said = tf.nn.softmax(scores[..., 1:]) * tf.sigmoid(scores[..., :1])
        return tf.concat([centre, tf.exp(raw[..., 2:]) * sides, said], axis=-1)

    return keras.Model(model.inputs, keras.layers.Lambda(joined, name="rows")(model.outputs))


def _scales(settings: Any) -> list[tuple[Any, float]]:
    return list(zip(settings.anchors, settings.strides, strict=True))


def rows_spec(spec: ModelSpec) -> ModelSpec:
    """Return how the file of `decoded` is read."""
    head = replace(
        spec.head, outputs=("rows",), activation="probabilities",
        settings={"decoder": "rows", "box": "cxcywh", "unit": "pixels", "iou": settings_of(spec.head).iou},
    )  # fmt: skip
    return replace(spec, heads=(head,))


def made(case: str, data: str, options: argparse.Namespace) -> dict[str, Path]:
    """Return the files of a case; what exists is not made again."""
    folder = options.out / case
    folder.mkdir(parents=True, exist_ok=True)
    keras = options.model or folder / "float.keras"
    if not keras.exists():
        edgecv.train(options.network, data=data, out=keras, recipe=options.recipe)
    files = {way: folder / f"{way}.tflite" for way in WAYS}
    if not files["float32"].exists():
        edgecv.convert(keras, out=files["float32"], data=data)
    if not files["ptq"].exists():
        edgecv.quantize(keras, data=data, out=files["ptq"])
    if not files["ladder"].exists():
        with contextlib.suppress(GateFailure):  # the best file is written, and the table says what it loses
            edgecv.quantize(keras, data=data, out=files["ladder"], max_drop=BUDGET)
    if not files["qat"].exists():
        edgecv.quantize(keras, data=data, out=files["qat"], method="qat", epochs=options.qat_epochs)
    for way in ("stock_joined", "stock_apart"):
        if not files[way].exists():
            stock(keras, data, way, files[way])
    return files


def stock(keras: Path, data: str, way: str, out: Path) -> None:
    """Write an int8 file by the stock converter, with edgecv's calibration images, and its contract beside it."""
    loaded = models.load(models.Source(path=keras))
    manifest = models.require_manifest(loaded)
    dataset = models.open_data(data, manifest)
    images = samples.calibration_inputs(dataset, profiles.calibration("minmax"), manifest.spec, seed=0)[0]
    joined = way == "stock_joined"
    model, spec = (decoded(loaded.model, manifest.spec), rows_spec(manifest.spec)) if joined else (
        loaded.model, manifest.spec)  # fmt: skip
    with atomic_path(out) as partial:
        by_tflite(model, [image for (image,) in images], partial)
        spec = named(spec, partial)
        partial.write_bytes(embed_tflite(partial.read_bytes(), _manifest(spec)))


def _manifest(spec: ModelSpec) -> Manifest:
    return Manifest(
        spec=spec, format="tflite", scheme="int8", provenance=Provenance(recipe={"step": "stock"}, tools={})
    )


def named(spec: ModelSpec, path: Path) -> ModelSpec:
    """Return a contract with the names that the stock converter gave the outputs, by those of the Keras layers."""
    from ai_edge_litert.interpreter import Interpreter

    told = Interpreter(str(path)).get_signature_runner().get_output_details()
    tensors = {layer: str(details["name"]) for layer, details in told.items()}
    names = tuple(tensors[name] for name in spec.head.outputs)
    return replace(spec, heads=(replace(spec.head, outputs=names),))


def judged(files: dict[str, Path], data: str) -> dict[str, dict[str, Any]]:
    """Return accuracy, drop and scores above nothing of each file on the test split."""
    dataset = open_dataset(data)
    split, found, base = dataset.split("test"), dict[str, dict[str, Any]](), None
    for way, path in files.items():
        with runtime.load(path) as predictor:
            told = evaluate(predictor, split, dataset.name, targets=dataset.targets)
        base = base or told
        drop = drop_between(base, told)
        found[way] = {
            "ap": told.value, "ap50": told.first.figures["ap50"], "n": told.n,
            "drop": 100 * drop.value, "drop_ci95": [100 * end for end in drop.ci95], "bytes": path.stat().st_size,
        }  # fmt: skip
    return found


def timed(files: dict[str, Path], data: str, rounds: int) -> dict[str, dict[str, float]]:
    """Return milliseconds of the network and of decoding, and both as a ratio to the float file, round by round."""
    opened = {way: runtime.load(path, threads=1) for way, path in files.items()}
    split = open_dataset(data).split("test")
    network: dict[str, list[float]] = {way: [] for way in files}
    decoding: dict[str, list[float]] = {way: [] for way in files}
    for index in range(rounds + 5):
        sample = split.sample(index % len(split))
        for way, predictor in opened.items():
            spec, info = predictor.spec, predictor.inputs[predictor.bound_inputs[0]]
            stored = [stored_input(sample[0], spec.input, info)]
            start = time.perf_counter()
            outputs = predictor._answer(stored)
            middle = time.perf_counter()
            own = [outputs[place][0] for place in predictor.bound_outputs[0]]
            task_of(spec.head).decode(own, spec.head, frame_for(sample, spec))
            end = time.perf_counter()
            if index >= 5:
                network[way].append(1000 * (middle - start))
                decoding[way].append(1000 * (end - middle))
    for predictor in opened.values():
        predictor.close()
    whole = {way: np.asarray(network[way]) + np.asarray(decoding[way]) for way in files}
    return {
        way: {
            "network_ms": float(np.median(network[way])), "decode_ms": float(np.median(decoding[way])),
            "ratio": float(np.exp(midmean(np.log(whole[way]) - np.log(whole["float32"])))),
        }
        for way in files
    }  # fmt: skip


def mapped(files: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Return how many operators the Edge TPU is predicted to take of each int8 file."""
    found = {}
    for way, path in files.items():
        told = edgecv.inspect(path, target="edgetpu", quiet=True) if way != "float32" else None
        found[way] = {"edgetpu": [told.n_mapped, told.n_ops] if told else None}
    return found


def table(case: str, row: dict[str, Any]) -> str:
    """Return a case as a table of Markdown."""
    lines = [
        f"`{row['network']}` on the {row['ways']['float32']['n']} test images of `{case}`:",
        "",
        "| file | AP | AP50 | drop, points, 95 % interval | size | network | decoding | time beside float | Edge TPU |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for way, told in WAYS.items():
        of = row["ways"][way]
        low, high = of["drop_ci95"]
        tpu = "–" if of["edgetpu"] is None else f"{of['edgetpu'][0]} of {of['edgetpu'][1]}"
        lines.append(
            f"| {told} | {of['ap']:.3f} | {of['ap50']:.3f} | {of['drop']:+.2f} [{low:+.2f}, {high:+.2f}] | "
            f"{of['bytes'] / 1e6:.2f} MB | {of['network_ms']:.2f} ms | {of['decode_ms']:.2f} ms | {of['ratio']:.2f} | "
            f"{tpu} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Make what is missing, judge and time it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", required=True, help="scenes, or NAME=ADDRESS of a data set with boxes")
    parser.add_argument("--network", default="yolo_small_gray")
    parser.add_argument("--recipe", help="of training; default: the network's own")
    parser.add_argument("--model", type=Path, help="a trained float model in place of training")
    parser.add_argument("--qat-epochs", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, required=True, help="folder of the files")
    parser.add_argument("--json", action="store_true", help="print the figures in place of the table")
    parser.add_argument("--docs", action="store_true", help="write the reference and docs/detection.md")
    options = parser.parse_args()
    case, _, data = options.case.partition("=")
    data = data or case
    files = made(case, data, options)
    parts = (judged(files, data), timed(files, data, options.rounds), mapped(files))
    row = {
        "network": options.network,
        "machine": platform.processor() or platform.machine(),
        "ways": {way: {key: value for part in parts for key, value in part[way].items()} for way in files},
    }
    print(json.dumps(row, indent=1) if options.json else table(case, row))
    if options.docs:
        known = json.loads(REFERENCE.read_text()) if REFERENCE.exists() else {}
        known[case] = row
        REFERENCE.write_text(json.dumps(known, indent=1) + "\n")
        tables = "\n\n".join(table(name, each) for name, each in known.items())
        before, rest = DOCS.read_text().split(BEGIN)
        DOCS.write_text(f"{before}{BEGIN}\n{tables}\n{END}{rest.split(END)[1]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
