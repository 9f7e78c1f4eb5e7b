"""Float ONNX files of Keras' applications: edgecv's beside those of tf2onnx alone, in operators and in time.

    python benchmarks/onnx_files.py --model MobileNetV3Small --json

Both come from one model with random weights; their answers are compared first. The files run interleaved in ONNX
Runtime, in processes of their own, on one thread; the ratio carries a 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from conversion_memory import ours_onnx, stock_onnx

from edgecv.bench import BenchCase, bench, open_device, plan
from edgecv.modelio import env
from edgecv.runtime.engines.native_log import captured
from edgecv.runtime.host import host_facts

SIZE = 128
NAMES = ("MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "DenseNet121", "ResNet50")
WAYS = {"edgecv": ours_onnx, "tf2onnx": stock_onnx}


def compare(name: str, folder: Path, plan_name: str) -> dict[str, Any]:
    """Convert one model both ways and return what the files are and take."""
    import onnx

    with captured():
        build = getattr(env.keras().applications, name)
        model = build(weights=None, input_shape=(SIZE, SIZE, 3), classes=10, classifier_activation=None)
        files = {way: folder / f"{name}-{way}.onnx" for way in WAYS}
        for way, path in files.items():
            path.write_bytes(WAYS[way](model))
    device = open_device("local")
    cases = {way: BenchCase(name=path.name, path=str(path), engine="onnxruntime") for way, path in files.items()}
    _, timed = bench([cases["edgecv"]], baseline=cases["tf2onnx"], device=device, plan=plan(plan_name))
    record: dict[str, Any] = {"model": name, "input": SIZE, "relative_difference": _difference(files)}
    for way, path in files.items():
        kinds = [node.op_type for node in onnx.load(path).graph.node]
        record[way] = {"nodes": len(kinds), "transposes": kinds.count("Transpose"), "bytes": path.stat().st_size}
    record["time_ratio"] = timed.latency.ratio_to_baseline
    record["time_ratio_ci95"] = timed.latency.ratio_ci95
    return record


def _difference(files: dict[str, Path]) -> float:
    """Return the largest difference of the two files' logits for noise, in shares of the largest one."""
    import onnxruntime

    image = np.random.default_rng(0).normal(size=(1, SIZE, SIZE, 3)).astype(np.float32)
    sessions = [onnxruntime.InferenceSession(path) for path in files.values()]
    first, second = (session.run(None, {session.get_inputs()[0].name: image})[0] for session in sessions)
    return float(np.abs(first - second).max() / np.abs(second).max())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=NAMES, action="append", help="repeatable; default: all")
    parser.add_argument("--plan", default="quick", help="of the measurement: quick, default or thorough")
    parser.add_argument("--out", type=Path, help="write the records here")
    parser.add_argument("--json", action="store_true", help="the records on stdout")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgecv-onnx-") as folder:
        records = [compare(name, Path(folder), options.plan) for name in options.model or NAMES]
    document = {"host": host_facts(), "records": records}
    if options.out:
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document, indent=1) if options.json else "\n".join(map(_line, records)))
    return 0


def _line(record: dict[str, Any]) -> str:
    ours, stock, (low, high) = record["edgecv"], record["tf2onnx"], record["time_ratio_ci95"]
    return (
        f"{record['model']}: {record['time_ratio']:.3f} [{low:.3f}, {high:.3f}] of the time; {ours['nodes']} nodes, "
        f"{ours['transposes']} transpositions against {stock['nodes']} and {stock['transposes']}; answers differ by "
        f"{record['relative_difference']:.1e}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
