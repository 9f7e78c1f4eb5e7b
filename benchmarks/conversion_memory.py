"""How much memory the conversion of a float keras model takes: edgecv's against the stock calls, to TFLite and to ONNX.

    python benchmarks/conversion_memory.py --model resnet50 --json

Each conversion runs in a process of its own, from a model with random weights to the bytes of a float32 file, without
checks or manifest. Told are the process's resident memory with the model built, its largest during the conversion, and
the difference in copies of the weights; and the seconds, which `convert_speed.py` compares with repetitions.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from convert_speed import MODELS, stock

from edgecv.convert.converted import converted_tflite
from edgecv.convert.freeze import freeze
from edgecv.convert.onnx import converter as onnx
from edgecv.convert.tflite.converter import convert_float, name_boundary
from edgecv.modelio import env
from edgecv.runtime.engines.native_log import captured

MB = 1e6


def ours(model: Any) -> bytes:
    frozen = freeze(model)
    return name_boundary(convert_float(frozen, "float32"), frozen.input_names, frozen.output_names)


def ours_onnx(model: Any) -> bytes:
    return onnx.convert(converted_tflite(ours(model)), "float32").data


def stock_onnx(model: Any) -> bytes:
    import tf2onnx

    shape = (1, *model.input_shape[1:])
    signature = [env.tensorflow().TensorSpec(shape, "float32", name=model.input_names[0])]
    proto, _ = tf2onnx.convert.from_keras(model, input_signature=signature, opset=onnx.OPSET)
    return bytes(proto.SerializeToString())


WAYS: dict[str, Callable[[Any], bytes]] = {
    "edgecv, TFLite": ours,
    "TFLiteConverter.from_keras_model": stock,
    "edgecv, ONNX": ours_onnx,
    "tf2onnx.from_keras": stock_onnx,
}


def one(model: str, way: str) -> dict[str, Any]:
    """Return the record of one conversion, done in this process."""
    with captured():
        keras_model = MODELS[model](env.keras())
        before = _resident()
        peak = _Peak()
        start = time.perf_counter()
        with peak:
            size = len(WAYS[way](keras_model))
        seconds = time.perf_counter() - start
    weights = 4 * keras_model.count_params()
    return {
        "model": model,
        "way": way,
        "weights_mb": round(weights / MB, 1),
        "file_mb": round(size / MB, 1),
        "before_mb": round(before / MB),
        "largest_mb": round(peak.largest / MB),
        "copies_of_weights": round((peak.largest - before) / weights, 1),
        "seconds": round(seconds, 1),
    }


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class _Peak:
    """Looks at the resident memory a hundred times a second: the kernel's own maximum includes building the model."""

    def __init__(self) -> None:
        self.largest, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.largest = max(self.largest, _resident())

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.largest = max(self.largest, _resident())


def in_process(model: str, way: str) -> dict[str, Any]:
    line = [sys.executable, __file__, "--model", model, "--way", way]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{model}, {way}: {done.stderr.strip() or 'killed'}")
    record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return record


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, action="append", help="repeatable; default: all")
    parser.add_argument("--out", type=Path, help="write the records here")
    parser.add_argument("--json", action="store_true", help="the records on stdout")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(one(options.model[0], options.way)))
        return 0
    records = [in_process(model, way) for model in options.model or MODELS for way in WAYS]
    if options.out:
        options.out.write_text(json.dumps(records, indent=1) + "\n")
    print(json.dumps(records, indent=1) if options.json else table(records))
    return 0


def table(records: list[dict[str, Any]]) -> str:
    """Return the records as a Markdown table."""
    lines = ["| model | conversion | largest memory | copies of the weights | seconds |", "|---|---|---|---|---|"]
    lines += [
        f"| {one['model']}, {one['weights_mb']} MB of weights | {one['way']} | {one['largest_mb']} MB | "
        f"{one['copies_of_weights']} | {one['seconds']} |"
        for one in records
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
