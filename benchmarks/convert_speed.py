"""How long the conversion of a float keras model to TFLite takes: edgecv's frozen function against the stock call.

    python benchmarks/convert_speed.py --model mobilenet_v2 --repeats 3 --stock-repeats 2 --json

Both sides start from the same model object and end with the bytes of a float32 .tflite without checks or manifest. The
order is interleaved (ours, stock, ours, stock, …), after one untimed conversion of a tiny model that loads the
converter. Weights are random: they do not change the work.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.convert.freeze import freeze
from edgecv.convert.tflite.converter import convert_float
from edgecv.modelio import env
from edgecv.runtime.engines.native_log import captured

MODELS: dict[str, Callable[[Any], Any]] = {
    "mobilenet_v2": lambda keras: keras.applications.MobileNetV2(weights=None),
    "mobilenet_v1": lambda keras: keras.applications.MobileNet(weights=None),
    "resnet50": lambda keras: keras.applications.ResNet50(weights=None),
}


def ours(model: Any) -> bytes:
    return convert_float(freeze(model), "float32")


def stock(model: Any) -> bytes:
    return bytes(env.tensorflow().lite.TFLiteConverter.from_keras_model(model).convert())


def timed(step: Callable[[Any], bytes], model: Any) -> tuple[float, int]:
    start = time.perf_counter()
    with captured():
        data = step(model)
    return time.perf_counter() - start, len(data)


def measure(model: Any, repeats: int, stock_repeats: int) -> dict[str, Any]:
    times: dict[str, list[float]] = {"ours": [], "stock": []}
    sizes: dict[str, int] = {}
    for turn in range(max(repeats, stock_repeats)):
        for name, step, count in (("ours", ours, repeats), ("stock", stock, stock_repeats)):
            if turn < count:
                seconds, sizes[name] = timed(step, model)
                times[name].append(round(seconds, 3))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "seconds": times,
        "median_seconds": medians,
        "size_bytes": sizes,
        "ratio": round(medians["ours"] / medians["stock"], 4),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=sorted(MODELS), default="mobilenet_v2")
    parser.add_argument("--repeats", type=int, default=3, help="conversions of ours")
    parser.add_argument("--stock-repeats", type=int, default=2, help="conversions with from_keras_model")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    keras = env.keras()
    ours(keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)]))
    result = {
        "model": options.model,
        "tensorflow": env.tensorflow().__version__,
        **measure(MODELS[options.model](keras), options.repeats, options.stock_repeats),
    }
    if options.json:
        print(json.dumps(result))
        return 0
    for name in ("ours", "stock"):
        print(f"{name:6} {result['median_seconds'][name]:8.2f} s  median of {result['seconds'][name]}")
    print(f"ratio  {result['ratio']:8.3f}    ({options.model}, float32, {result['size_bytes']['ours']} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
