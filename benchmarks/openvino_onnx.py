"""edgecv's .onnx files in OpenVINO beside ONNX Runtime: do they load and agree, in what types do they run, how long.

    python -m venv openvino && openvino/bin/pip install openvino onnxruntime numpy pillow
    PYTHONPATH=. openvino/bin/python benchmarks/openvino_onnx.py lenet5-int8.onnx --images digits/ --out found.json

OpenVINO brings libraries that edgecv's own environment does not need, so it has one of its own; edgecv's runtime runs
there from the checkout. Agreement is on the images of --images, prepared by the file's contract, else on seeded noise.
Times are of one thread, of the two interleaved: each launch is a process of its own, in which rounds take turns who is
first; the ratio has a 95 % interval over launches and rounds (`edgecv.bench.statistics`). OpenVINO is asked for float32
where a file has floats, so that no float16 or bfloat16 of the processor is measured as an advantage of the tool.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino

from edgecv import runtime
from edgecv.bench.statistics import log_ratios, ratio_interval
from edgecv.runtime.engines.onnx import CPU, open_inference
from edgecv.runtime.image import load_image, preprocess_sample
from edgecv.runtime.reading import images_in

LEAST_MS = 5.0
"""Of a half round: a clock's step is far below it."""
WARM_UP = 20


def compiled(path: Path) -> Any:
    """Return the file in OpenVINO on the CPU, one thread, floats as float32."""
    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(str(path), "CPU", settings)


def session(path: Path) -> onnxruntime.InferenceSession:
    """Return the file in ONNX Runtime on the CPU, one thread, as edgecv's runtime opens it."""
    return open_inference(str(path), 1, [CPU])


def inputs_of(path: Path, images: Path | None, count: int) -> list[dict[str, np.ndarray]]:
    """Return prepared inputs by name, of images or of seeded noise."""
    rng = np.random.default_rng(0)
    with runtime.load(path, engine="onnxruntime") as predictor:
        spec, infos = predictor.spec, predictor.inputs
        height, width, channels = spec.input_shape
        if images is None:
            shape = (height, width, 3) if channels == 3 else (height, width)
            pictures = [rng.integers(0, 256, shape, np.uint8) for _ in range(count)]
        else:
            pictures = [load_image(file) for file in images_in(images)[:count]]
        given = [preprocess_sample((picture,), spec) for picture in pictures]
    if any(info.dtype != "float32" for info in infos):
        raise SystemExit(f"{path} takes {infos[0].dtype}: make it with float inputs, the default of .onnx")
    return [{info.name: tensor for info, tensor in zip(infos, tensors, strict=True)} for tensors in given]


def agreement(path: Path, given: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Return how far the answers of both lie apart, of all outputs together."""
    ours, theirs = session(path), compiled(path)
    names = [output.name for output in ours.get_outputs()]
    largest, spread, same = 0.0, 0.0, 0
    for tensors in given:
        expected = ours.run(names, tensors)
        found = theirs(tensors)
        for name, own in zip(names, expected, strict=True):
            other = np.asarray(found[name])
            largest = max(largest, float(np.abs(own - other).max()))
            spread = max(spread, float(np.abs(own).max()))
        same += bool((np.asarray(found[names[0]]).argmax(-1) == expected[0].argmax(-1)).all())
    return {"samples": len(given), "largest_difference": largest, "largest_value": spread, "same_argmax": same}


def precisions(path: Path) -> dict[str, dict[str, int]]:
    """Return, of OpenVINO's executed graph, how many nodes of each kind run in each type."""
    found: dict[str, Counter[str]] = {}
    for node in compiled(path).get_runtime_model().get_ops():
        facts = node.get_rt_info()
        kind = str(facts["layerType"].astype(str)) if "layerType" in facts else node.get_type_name()
        if kind in ("Convolution", "GroupConvolution", "FullyConnected", "MatMul", "Pooling", "Eltwise"):
            found.setdefault(kind, Counter())[str(facts["runtimePrecision"].astype(str))] += 1
    return {kind: dict(counts) for kind, counts in sorted(found.items())}


def launch(path: Path, rounds: int) -> dict[str, list[float]]:
    """Time both in turns in this process; ms of one inference in each round."""
    (given,) = inputs_of(path, None, 1)
    ours, theirs = session(path), compiled(path).create_infer_request()
    names = [output.name for output in ours.get_outputs()]
    runs = {"onnxruntime": lambda: ours.run(names, given), "openvino": lambda: theirs.infer(given)}
    for run in runs.values():
        for _ in range(WARM_UP):
            run()
    each = {name: max(1, round(LEAST_MS / timed(run, 5))) for name, run in runs.items()}
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name in list(runs)[:: 1 if number % 2 else -1]:
            found[name].append(timed(runs[name], each[name]))
    return found


def timed(run: Any, times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - started) * 1e3 / times


def measured(path: Path, launches: int, rounds: int) -> dict[str, Any]:
    """Return medians, and OpenVINO's time over ONNX Runtime's with its interval, over launches."""
    command = [sys.executable, __file__, str(path), "--launch", str(rounds)]
    load = os.getloadavg()[0]
    found = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(launches)
    ]
    calm = np.zeros(rounds, bool)
    ratios = [log_ratios(one["openvino"], one["onnxruntime"], calm) for one in found]
    ratio = ratio_interval(ratios, np.random.default_rng(0))
    medians = {
        name: round(float(np.median([value for one in found for value in one[name]])), 4)
        for name in ("onnxruntime", "openvino")
    }
    ci95 = [None if bound is None else round(bound, 3) for bound in (ratio.low, ratio.high)]
    facts = {"launches": launches, "rounds": rounds, "load_average": [round(load, 1), round(os.getloadavg()[0], 1)]}
    return {"p50_ms": medians, "ratio": round(ratio.value, 3), "ci95": ci95, **facts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="of edgecv: convert or quantize with --out NAME.onnx")
    parser.add_argument("--images", type=Path, help="folder of images for the agreement; else noise")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--launches", type=int, default=5, help="an interval needs three")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--untimed", action="store_true", help="agreement and types alone")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--launch", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.launch:
        print(json.dumps(launch(arguments.files[0], arguments.launch)))
        return
    known = json.loads(arguments.out.read_text())["files"] if arguments.out and arguments.out.exists() else {}
    host = {"processor": processor(), "openvino": openvino.__version__, "onnxruntime": onnxruntime.__version__}
    for path in arguments.files:
        known[path.name] = {
            "size_bytes": path.stat().st_size,
            "inputs": "images" if arguments.images else "noise",
            "agreement": agreement(path, inputs_of(path, arguments.images, arguments.samples)),
            "openvino_runs": precisions(path),
            "latency": None if arguments.untimed else measured(path, arguments.launches, arguments.rounds),
        }
        print(path.name, json.dumps(known[path.name]))
        if arguments.out:
            document = {"host": {**host, "threads": 1}, "files": dict(sorted(known.items()))}
            arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def processor() -> str:
    """Return the processor's name, and which integer instructions of it matter here."""
    facts = Path("/proc/cpuinfo")
    text = facts.read_text() if facts.exists() else ""
    name = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), "")
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    known = [flag for flag in ("avx2", "avx_vnni", "avx512_vnni", "amx_int8") if flag in flags]
    return f"{name or platform.machine()} ({', '.join(known) or 'no such instructions'})"


if __name__ == "__main__":
    main()
