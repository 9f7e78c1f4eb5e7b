"""What a detector's answer costs after its network: decoding and non-maximum suppression in numpy.

    python benchmarks/detection_decode.py --runs 40 --json

Three cases, in turn, medians: YOLOv3-tiny's 2,535 boxes beside the network's own inference in this process (float32
and int8, one thread), and YOLOv3's 10,647 boxes of 80 classes at the file's score and at 0.001, at which the average
precision is measured. Outputs are random, like a trained detector's: logits of objectness of mean -6 and deviation
2.5, of classes of mean -3 and deviation 1.5. Milliseconds of wall time, and of this process's processor time, which
other work on the machine does not lengthen and of which the shares are; `candidates` is how many boxes and classes
reach the score.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgecv import zoo
from edgecv.convert.freeze import freeze
from edgecv.convert.tflite.converter import convert_float
from edgecv.modelio import env
from edgecv.runtime.engines import open_session
from edgecv.tasks.detection import decoders
from edgecv.tasks.detection.settings import MEASURED_SCORE, settings_of
from edgecv.tasks.frame import frame_of
from edgecv.tasks.registry import task_of
from edgecv.values.specs import Head, Preprocessing

SIDE, IMAGE = 416, (480, 640)
# Source: Redmon, Farhadi 2018, "YOLOv3": anchors of COCO.
YOLO_V3 = (
    ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),
    ((30.0, 61.0), (62.0, 45.0), (59.0, 119.0)),
    ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0)),
)
STRIDES = (8.0, 16.0, 32.0)
LABELS = tuple(f"class_{place}" for place in range(80))


def yolo_v3() -> Head:
    """Return the head of YOLOv3 at 416 pixels: 10,647 boxes of 80 classes."""
    outputs = tuple(f"{what}_{place}" for place in range(3) for what in ("boxes", "scores"))
    settings = {"decoder": "yolo_v3", "anchors": YOLO_V3, "strides": STRIDES}
    return Head("objects", "detection", "logits", LABELS, outputs, settings)


def outputs_of(head: Head, rng: np.random.Generator) -> list[np.ndarray[Any, Any]]:
    """Return maps of boxes and of scores of each scale, as a trained detector gives them."""
    settings, found = settings_of(head), []
    for anchors, stride in zip(settings.anchors, settings.strides, strict=True):
        cells, count = int(SIDE / stride), len(anchors)
        scores = rng.normal(-3.0, 1.5, (cells, cells, count, 1 + len(head.labels)))
        scores[..., 0] = rng.normal(-6.0, 2.5, scores.shape[:-1])
        found.append(rng.normal(0.0, 0.5, (cells, cells, 4 * count)).astype(np.float32))
        found.append(scores.reshape(cells, cells, -1).astype(np.float32))
    return found


def tiny(folder: Path) -> tuple[Head, dict[str, Path]]:
    """Return the head of YOLOv3-tiny and its files, float32 and int8, of random weights."""
    model, spec = zoo.build("yolo_v3_tiny", input_shape=(SIDE, SIDE, 3))
    files = {"float32": folder / "float32.tflite", "int8": folder / "int8.tflite"}
    files["float32"].write_bytes(convert_float(freeze(model), "float32"))
    tf = env.tensorflow()
    noise = np.random.default_rng(0)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([noise.random((1, SIDE, SIDE, 3), np.float32)] for _ in range(2))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    files["int8"].write_bytes(converter.convert())
    return spec.head, files


def answering(head: Head, score: float | None, rng: np.random.Generator) -> tuple[Callable[[], Any], int, int]:
    """Return what decodes and suppresses one image's outputs, how many boxes it looks at, and how many candidates."""
    if score is not None:
        head = replace(head, settings={**head.settings, "score": score})
    settings, outputs, task = settings_of(head), outputs_of(head, rng), task_of(head)
    frame = frame_of(Preprocessing("rgb", "letterbox", mean=(0.0,) * 3, std=(255.0,) * 3), IMAGE, (SIDE, SIDE))
    count = len(decoders.candidates(outputs, head, settings, (SIDE, SIDE), settings.score).confidence)
    boxes = sum(output.shape[0] * output.shape[1] * output.shape[2] // 4 for output in outputs[::2])
    return lambda: task.decode(outputs, head, frame), boxes, count


def measure(runs: int, files: dict[str, Path], head: Head) -> dict[str, Any]:
    """Return medians in milliseconds of interleaved runs, the first not counted, with boxes and candidates of each."""
    rng = np.random.default_rng(0)
    cases = {"tiny": (head, None), "yolo_v3": (yolo_v3(), None), "yolo_v3 at 0.001": (yolo_v3(), MEASURED_SCORE)}
    answers = {name: answering(own, score, rng) for name, (own, score) in cases.items()}
    work: dict[str, Callable[[], Any]] = {name: call for name, (call, _, _) in answers.items()}
    with contextlib.ExitStack() as stack:
        for scheme, path in files.items():
            session = stack.enter_context(contextlib.closing(open_session(path)))
            given = [np.zeros(session.inputs[0].shape, session.inputs[0].dtype)]
            work[f"inference {scheme}"] = partial(session.run, given)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
        for _ in range(runs + 1):
            for name, call in work.items():
                start, used = time.perf_counter(), time.process_time()
                call()
                times[name].append((time.perf_counter() - start, time.process_time() - used))
    found: dict[str, Any] = {name: _medians(values[1:]) for name, values in times.items()}
    for name, (_, boxes, count) in answers.items():
        found[name].update(boxes=boxes, candidates=count)
    for scheme in files:
        found["tiny"][f"share of {scheme} inference"] = found["tiny"]["cpu_ms"] / found[f"inference {scheme}"]["cpu_ms"]
    return found


def _medians(times: list[tuple[float, float]]) -> dict[str, float]:
    wall, used = zip(*times, strict=True)
    return {"ms": statistics.median(wall) * 1e3, "cpu_ms": statistics.median(used) * 1e3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        head, files = tiny(Path(folder))
        found = measure(arguments.runs, files, head)
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    for name, figures in found.items():
        further = ", ".join(f"{key} {value:.4g}" for key, value in figures.items() if key not in ("ms", "cpu_ms"))
        print(f"{name:<20}{figures['ms']:9.2f} ms, {figures['cpu_ms']:.2f} ms of processor  {further}")


if __name__ == "__main__":
    main()
