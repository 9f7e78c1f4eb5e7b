"""Keras 3's applications through the import: how far the answers are off, how long it takes, how much memory.

    python benchmarks/import_models.py [--model MobileNetV3Small …] [--full] [--json]

Weights are random, batch statistics included: initial ones would hide mistakes. Each model is saved by Keras 3 in one
process and imported, converted to a float .tflite and verified in another, whose seconds and largest memory are told.
"deep" is a stack of 100 convolutions with batch normalisation and ReLU.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

SIZES = {
    "MobileNetV2": 224, "MobileNetV3Small": 224, "MobileNetV3Large": 224, "EfficientNetB0": 224,
    "EfficientNetV2B0": 224, "DenseNet121": 224, "ResNet50V2": 224, "Xception": 299, "InceptionV3": 299,
    "NASNetMobile": 224, "ConvNeXtTiny": 224,
}  # fmt: skip
SMALL = {"Xception": 96, "InceptionV3": 96}
TOLERANCE = 1e-4


def make(name: str, size: int, path: Path) -> dict[str, Any]:
    """Write a model of Keras 3 with random weights, and its answers to a fixed input."""
    from edgecv.modelio import env

    env.tensorflow()
    import keras

    model = _deep(keras, size) if name == "deep" else getattr(keras.applications, name)(
        weights=None, input_shape=(size, size, 3), classes=10
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for weight in model.weights:
        kind = weight.path.split("/")[-1]
        if kind in ("gamma", "moving_variance", "variance"):
            weight.assign(rng.uniform(0.7, 1.3, weight.shape))
        elif kind in ("beta", "moving_mean", "bias", "mean"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    model.save(path)
    image = rng.uniform(0, 1, (2, size, size, 3)).astype(np.float32)
    np.savez(path.with_suffix(".npz"), image=image, answers=np.asarray(model(image, training=False)))
    return {"parameters": int(model.count_params()), "layers": len(model.layers)}


def _deep(keras: Any, size: int) -> Any:
    layers = keras.layers
    x = image = keras.Input((size, size, 3))
    for index in range(100):
        strides = 2 if index in (0, 20, 40) else 1
        x = layers.Conv2D(32 if index < 40 else 64, 3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def take(path: Path) -> dict[str, Any]:
    """Import, convert and verify one file in this process."""
    from edgecv.convert import convert
    from edgecv.core.errors import EdgecvError
    from edgecv.jobs.verify import verify
    from edgecv.modelio import load_keras
    from edgecv.values.specs import Head, Preprocessing, one_input

    known = np.load(path.with_suffix(".npz"))
    shape = tuple(int(size) for size in known["image"].shape[1:])
    head = Head(name="output", task="classification", activation="probabilities")
    spec = one_input(
        name=path.stem, input_shape=shape, heads=(head,),
        preprocessing=Preprocessing(color="rgb", mean=(0.0,) * 3, std=(255.0,) * 3),
    )  # fmt: skip
    start = time.perf_counter()
    try:
        loaded = load_keras(path, spec=spec)
    except EdgecvError as error:
        return {"refused": error.message}
    imported = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    answers = np.asarray(loaded.model(known["image"], training=False))
    difference = float(np.abs(answers - known["answers"]).max() / np.abs(known["answers"]).max())
    out = path.with_suffix(".tflite")
    convert(loaded, format="tflite", scheme="float32", out=out)
    checked = verify(out)
    return {
        "max_relative_difference": difference,
        "import_seconds": round(imported, 1),
        "seconds": round(time.perf_counter() - start, 1),
        "import_peak_rss_mb": memory // 2**20,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10,
        "model_mb": round(loaded.model.count_params() * 4 / 2**20, 1),
        "verified": checked.passed,
    }


def _in_process(step: str, name: str, size: int, path: Path) -> dict[str, Any]:
    line = [sys.executable, __file__, "--step", step, "--model", name, "--size", str(size), "--path", str(path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "killed"}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def one(name: str, size: int) -> dict[str, Any]:
    """Return the record of one model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.keras"
        made = _in_process("make", name, size, path)
        found = made if "failed" in made else made | _in_process("take", name, size, path)
    return {"model": name, "input": size, **found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=[*SIZES, "deep"], help="only this one; repeatable")
    parser.add_argument("--full", action="store_true", help="at the published input size, not the small one")
    parser.add_argument("--json", action="store_true", help="the records on stdout")
    for hidden in ("--step", "--path"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        path = Path(options.path)
        print(json.dumps(make(options.model[0], options.size, path) if options.step == "make" else take(path)))
        return 0
    records = []
    for name in options.model or [*SIZES, "deep"]:
        size = SIZES.get(name, 64) if options.full else SMALL.get(name, 64)
        records.append(one(name, size))
        print(_line(records[-1]), file=sys.stderr, flush=True)
    print(json.dumps(records, indent=1) if options.json else "\n".join(map(_line, records)))
    return 0 if all(r.get("max_relative_difference", 1.0) <= TOLERANCE for r in records) else 1


def _line(record: dict[str, Any]) -> str:
    if "max_relative_difference" not in record:
        return f"{record['model']}: {record.get('refused') or record.get('failed')}"
    return (
        f"{record['model']} at {record['input']}: imported, largest relative difference "
        f"{record['max_relative_difference']:.1e}; import {record['import_seconds']} s, all {record['seconds']} s; "
        f"at most {record['import_peak_rss_mb']} and {record['peak_rss_mb']} MB for a model of {record['model_mb']} MB"
    )


if __name__ == "__main__":
    raise SystemExit(main())
