"""How long calibration takes, and how much memory: edgecv against the stock converter and ai-edge-quantizer.

    python benchmarks/calibration_speed.py --out benchmarks/reference/calibration_speed.json
    python benchmarks/calibration_speed.py --images 20 --repeats 2 --memory 20 60 --json

MobileNetV2-224 with random weights (they do not change the work) runs over the same generated images. Each repeat
times all three, in turn:
- edgecv: `edgecv.convert.tflite.ranges.observe`, what `edgecv quantize` calls, with each recipe asked for;
- stock: `TFLiteConverter` with `representative_dataset`, from the frozen function. Only its calls of
  `Calibrator.calibrate` count, not the conversion and quantisation around them;
- ai-edge-quantizer, when it is installed: `Quantizer.calibrate`, with its default number of threads.
Ratios are geometric means over the repeats, with a 95 % t interval of the log ratios, of wall-clock time and of the
processor time of all threads, which other work on the machine hardly touches. The ranges are compared, tensor by
tensor, with those of the stock calibrator and with those of an interpreter that keeps every tensor. Memory is the peak
of the resident set of fresh processes, each of which calibrates with edgecv on so many images.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.calibration import MinMaxObserver
from edgecv.convert.tflite import flatbuffer, ranges
from edgecv.core import files
from edgecv.core.progress import QUIET
from edgecv.modelio import env
from edgecv.runtime.engines.native_log import captured
from edgecv.tasks.paired import t_quantile95
from edgecv.values import profiles

SIDE = 224
TOLERANCE = 1e-5
KEPT_IMAGES = 5
Array = np.ndarray[Any, Any]
Ranges = list[tuple[float, float]]
Timing = tuple[tuple[float, float], Ranges]  # (wall-clock seconds, processor seconds), ranges in the file's order


class Stopwatch:
    """Wall-clock and processor seconds of this process since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._start[0], time.process_time() - self._start[1]


def images(count: int) -> Iterator[Array]:
    """Yield noise of different brightness, as a preprocessed photograph would come: float32 in -1..1, batch 1."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield (rng.random((1, SIDE, SIDE, 3), np.float32) - 0.5) * np.float32(2 * rng.random())


def ours(data: bytes, count: int, recipe: str) -> Timing:
    chosen = profiles.calibration(recipe)
    watch = Stopwatch()
    found = ranges.observe(data, ([image] for image in images(count)), chosen, reporter=QUIET, total=count)
    return watch.read(), list(found.values())


def stock(function: Any, count: int) -> Timing:
    tf = env.tensorflow()
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    plain, made = Calibrator.calibrate, []

    def timed(self: Any, dataset: Any) -> bytes:
        watch = Stopwatch()
        file = bytes(plain(self, dataset))
        made.append((watch.read(), file))
        return file

    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: ([image] for image in images(count))
    with captured(), mock.patch.object(Calibrator, "calibrate", timed):
        converter.convert()
    ((spent, file),) = made
    tensors = flatbuffer.unpack(file).subgraphs[0].tensors
    found = [tensors[index].quantization for index in ranges.unscaled(file)]
    return spent, [(min(float(q.min[0]), 0.0), max(float(q.max[0]), 0.0)) for q in found]


def ai_edge_quantizer(data: bytes, count: int) -> Timing:
    from ai_edge_quantizer import quantizer, recipe

    tool = quantizer.Quantizer(bytearray(data), recipe.static_wi8_ai8())
    samples = [{"image": image} for image in images(count)]  # it counts them first, so they cannot stream
    with captured(), contextlib.redirect_stdout(sys.stderr):
        watch = Stopwatch()
        tool.calibrate({"serving_default": samples})
        return watch.read(), []


def keeping_all(data: bytes, count: int) -> Ranges:
    """Return the ranges that an interpreter shows which keeps every tensor, on the built-in kernels."""
    from ai_edge_litert import interpreter as litert

    kernels = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = litert.Interpreter(
        model_content=data, experimental_preserve_all_tensors=True, experimental_op_resolver_type=kernels
    )
    interpreter.allocate_tensors()
    observers = {index: MinMaxObserver() for index in ranges.unscaled(data)}
    for image in images(count):
        interpreter.set_tensor(ranges.input_indices(data)[0], image)
        interpreter.invoke()
        for index, observer in observers.items():
            observer.observe(interpreter.get_tensor(index))
    return [observer.result() for observer in observers.values()]


def unavailable(module: str) -> str | None:
    """Say why a module cannot be imported; None where it can."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        return str(error)
    return None


def interval(numerators: list[float], denominators: list[float]) -> dict[str, Any]:
    """Return the geometric mean of paired ratios with its 95 % t interval; null for a single pair."""
    logs = [math.log(a / b) for a, b in zip(numerators, denominators, strict=True)]
    middle = statistics.fmean(logs)
    found: dict[str, Any] = {"ratio": round(math.exp(middle), 4), "ci95": None}
    if len(logs) > 1:
        half = t_quantile95(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
        found["ci95"] = [round(math.exp(middle - half), 4), round(math.exp(middle + half), 4)]
    return found


def difference(data: bytes, found: Ranges, expected: Ranges) -> dict[str, Any]:
    """Compare ranges: an end may differ by 1e-5 of the range; the tensors where one differs by more are named."""
    names = [flatbuffer.unpack(data).subgraphs[0].tensors[i].name.decode() for i in ranges.unscaled(data)]
    shares = [max(abs(e[0] - f[0]), abs(e[1] - f[1])) / (f[1] - f[0]) for f, e in zip(found, expected, strict=True)]
    equal = [share for share in shares if share < TOLERANCE]
    return {
        "tensors": len(shares),
        "equal": len(equal),
        "largest_difference_of_equal": max(equal),
        "others": {name: round(share, 4) for name, share in zip(names, shares, strict=True) if share >= TOLERANCE},
    }


def peak_rss_bytes(path: Path, count: int) -> int:
    """Return the peak resident set of a fresh process that calibrates on `count` images."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(path), "--images", str(count)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return int(done.stdout)


def child(path: Path, count: int) -> None:
    ours(path.read_bytes(), count, "minmax")
    # getrusage would count what the parent had in memory when it forked.
    status = Path("/proc/self/status").read_text()
    print(1024 * int(status.split("VmHWM:")[1].split()[0]))


def timings(options: argparse.Namespace, function: Any, data: bytes) -> dict[str, Any]:
    steps: dict[str, Callable[[], Timing]] = {
        f"edgecv {recipe}": partial(ours, data, options.images, recipe) for recipe in options.recipes
    }
    steps["stock"] = lambda: stock(function, options.images)
    missing = unavailable("ai_edge_quantizer")
    if missing is None:
        steps["ai-edge-quantizer"] = lambda: ai_edge_quantizer(data, options.images)
    ours(data, 1, "minmax")  # untimed: loads the interpreter
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    last: dict[str, Ranges] = {}
    for turn in range(options.repeats):
        for name, step in steps.items():
            seconds, last[name] = step()
            spent[name].append(seconds)
            print(f"{turn + 1}/{options.repeats} {name}: {seconds[0]:.2f} s", file=sys.stderr)
    wall, processor = ({name: [round(v[part], 3) for v in values] for name, values in spent.items()} for part in (0, 1))
    return {
        "seconds": wall,
        "processor_seconds": processor,
        "median_seconds": {name: statistics.median(values) for name, values in wall.items()},
        "ratio_to_stock": {name: interval(v, wall["stock"]) for name, v in wall.items() if name != "stock"},
        "processor_ratio_to_stock": {
            name: interval(v, processor["stock"]) for name, v in processor.items() if name != "stock"
        },
        "left_out": {"ai-edge-quantizer": missing} if missing else {},
        "ranges_against_stock": difference(data, ours(data, options.images, "minmax")[1], last["stock"]),
        "ranges_against_kept_tensors": difference(
            data, ours(data, KEPT_IMAGES, "minmax")[1], keeping_all(data, KEPT_IMAGES)
        ),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    from edgecv.convert.freeze import freeze
    from edgecv.convert.tflite.converter import convert_float, name_boundary

    keras = env.keras()
    keras.utils.set_random_seed(0)
    frozen = freeze(keras.applications.MobileNetV2(weights=None))
    plain = convert_float(frozen, "float32")
    result: dict[str, Any] = {
        "model": f"MobileNetV2-{SIDE}",
        "weights": "random",
        "images": options.images,
        "kind": "measured",
        "processors": os.cpu_count(),
        "tools": {name: version(name) for name in ("ai-edge-litert", "tf-keras", "numpy")},
        "tensorflow": env.tensorflow().__version__,
        **timings(options, frozen.function, name_boundary(plain, ("image",), ("scores",))),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.tflite"
        path.write_bytes(plain)
        result["peak_rss_bytes"] = {str(count): peak_rss_bytes(path, count) for count in options.memory}
    return result


def show(result: dict[str, Any]) -> None:
    for name, seconds in result["median_seconds"].items():
        ratio = result["ratio_to_stock"].get(name)
        busy = result["processor_ratio_to_stock"].get(name)
        against = f"  {ratio['ratio']:.3f} of stock, 95 % {ratio['ci95']}, processor {busy['ratio']}" if ratio else ""
        print(f"{name:24} {seconds:7.2f} s{against}")
    for what in ("ranges_against_stock", "ranges_against_kept_tensors"):
        print(f"{what.replace('_', ' ')}: {result[what]['equal']} of {result[what]['tensors']} equal")
    for count, peak in result["peak_rss_bytes"].items():
        print(f"peak memory, {count:>5} images: {peak / 2**20:.0f} MiB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--recipes", nargs="*", default=["minmax", "percentile"])
    parser.add_argument("--memory", type=int, nargs="*", default=[100, 1000], help="numbers of images; none: left out")
    parser.add_argument("--out", type=Path, help="write the result here")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.images)
        return 0
    result = measure(options)
    text = json.dumps(result, indent=1)
    if options.out:
        files.write_text(options.out, text + "\n")
    print(text) if options.json else show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
