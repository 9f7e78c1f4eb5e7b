"""How much faster a GPU is than the CPU of its host, by the size of the work: products, a dense network, style steps.

    python benchmarks/gpu_ratios.py --out gpu.json
    python benchmarks/gpu_ratios.py --quick --json
    python benchmarks/gpu_ratios.py --quick --against CPU:0     # the CPU against itself: every interval should hold 1

Cases, all in float32 by tensorflow: products of two n x n matrices; the 1024x2 MNIST network of the zoo, a training
step of 64 digits (Adam) and an inference of 64 and of 1; steps of style transfer by Gram matrices of VGG19 with random
weights (which do not change the work), Adam on the pixels. A GPU pays for large work only: below products of about
100 x 100 the time to hand work over is all there is.

A launch is a fresh process that warms each case up on both devices and then alternates short blocks of them, in random
order. A ratio is the time on the CPU over that on the GPU: the exponential of the mean log ratio, with a 95 % interval
over launches and their rounds (`edgecv.bench.statistics`). The result of each block is fetched, so that no work is left
in a queue. Where tensorflow sees no GPU, the CPU's times are measured alone, and the ratios are null with the reason.
Operations that the GPU lacks are errors, not run on the CPU.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv import zoo
from edgecv.bench.statistics import log_ratios, ratio_interval
from edgecv.core.files import atomic_path
from edgecv.modelio import env
from edgecv.runtime.host import has_nvidia, host_facts

CPU = "CPU:0"
SIZES, QUICK_SIZES = (32, 100, 256, 512, 1024, 2048, 4096, 10_000), (32, 100, 512)
SIDES, QUICK_SIDES = (128, 256, 512), (64,)
STYLE_LAYERS = tuple(f"block{number}_conv1" for number in range(1, 6))
CONTENT_LAYER = "block4_conv2"
BLOCK_S, WARM_CALLS, MOST_CALLS = 0.05, 3, 2000
Step = Callable[[], Any]
"""Does one step of the work and returns a tensor that hangs on all of it."""


def product(size: int) -> Step:
    tf = env.tensorflow()
    generator = tf.random.Generator.from_seed(0)
    first, second = (generator.normal((size, size)) for _ in range(2))
    multiply = tf.function(lambda: tf.reduce_sum(tf.matmul(first, second)))
    return lambda: multiply()


def dense_network(samples: int, *, training: bool) -> Step:
    tf, keras = env.tensorflow(), env.keras()
    model, spec = zoo.build("mlp_mnist_1024x2")
    rng = np.random.default_rng(0)
    images = tf.constant(rng.random((samples, *spec.input_shape), np.float32))
    labels = tf.constant(rng.integers(0, 10, samples))
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=spec.head.activation == "logits")

    def step() -> Any:
        with tf.GradientTape() as tape:
            value = loss(labels, model(images, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return value

    compiled = tf.function(step if training else lambda: tf.reduce_sum(model(images, training=False)))
    return lambda: compiled()


def style(side: int) -> Step:
    """One step on the pixels: squared differences of Gram matrices and of content, as in Gatys et al. 2016."""
    tf, keras = env.tensorflow(), env.keras()
    keras.utils.set_random_seed(0)
    backbone = keras.applications.VGG19(include_top=False, weights=None, input_shape=(side, side, 3))
    names = (*STYLE_LAYERS, CONTENT_LAYER)
    maps = keras.Model(backbone.input, [backbone.get_layer(name).output for name in names])
    generator = tf.random.Generator.from_seed(1)
    pictures = [generator.uniform((1, side, side, 3)) for _ in range(3)]
    pixels = tf.Variable(pictures[0])
    grams = [_gram(one) for one in maps(pictures[1])[:-1]]
    content = maps(pictures[2])[-1]
    optimizer = keras.optimizers.Adam(0.02, beta_1=0.99, epsilon=0.1)
    optimizer.build([pixels])

    def step() -> Any:
        with tf.GradientTape() as tape:
            *styles, now = maps(pixels)
            value = 1e4 * tf.reduce_mean(tf.square(now - content))
            for found, wanted in zip(styles, grams, strict=True):
                value += 1e-2 / len(grams) * tf.reduce_mean(tf.square(_gram(found) - wanted))
        optimizer.apply_gradients([(tape.gradient(value, pixels), pixels)])
        pixels.assign(tf.clip_by_value(pixels, 0.0, 1.0))
        return value

    compiled = tf.function(step)
    return lambda: compiled()


def _gram(maps: Any) -> Any:
    tf = env.tensorflow()
    rows = tf.reshape(maps, (-1, maps.shape[-1]))
    return tf.matmul(rows, rows, transpose_a=True) / tf.cast(tf.shape(rows)[0], tf.float32)


def cases(sizes: Sequence[int], sides: Sequence[int]) -> dict[str, Callable[[], Step]]:
    """Return what is measured, by name; each is made under the device that it runs on."""
    found: dict[str, Callable[[], Step]] = {f"product {n}x{n}": functools.partial(product, n) for n in sizes}
    found["mlp_mnist_1024x2, training step of 64"] = lambda: dense_network(64, training=True)
    found["mlp_mnist_1024x2, inference of 64"] = lambda: dense_network(64, training=False)
    found["mlp_mnist_1024x2, inference of 1"] = lambda: dense_network(1, training=False)
    found.update({f"style step, {side} pixels": functools.partial(style, side) for side in sides})
    return found


def block(step: Step, calls: int) -> float:
    """Return the seconds of a step, of several in a row whose last result is fetched."""
    start = time.perf_counter()
    for _ in range(calls):
        last = step()
    last.numpy()
    return (time.perf_counter() - start) / calls


def launch(options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Return the seconds per step of every round, by case and device; of this process."""
    tf = env.tensorflow()
    tf.config.set_soft_device_placement(False)
    devices = [CPU, *([options.against] if options.against else [])]
    order = np.random.default_rng(options.seed)
    found: dict[str, dict[str, list[float]]] = {}
    for name, make in cases(options.sizes, options.sides).items():
        steps, calls = [], []
        for device in devices:
            with tf.device(device):
                step = make()
                for _ in range(WARM_CALLS):
                    step().numpy()
                steps.append(step)
                calls.append(max(1, min(MOST_CALLS, int(BLOCK_S / max(block(step, 1), 1e-7)))))
        seconds: list[list[float]] = [[] for _ in devices]
        for _ in range(options.rounds):
            for place in order.permutation(len(devices)):
                with tf.device(devices[place]):
                    seconds[place].append(block(steps[place], calls[place]))
        found[name] = {
            f"{place} {device}": values for place, (device, values) in enumerate(zip(devices, seconds, strict=True))
        }
        print(
            f"  {name}: {', '.join(f'{1e3 * statistics.median(values):.3g} ms' for values in seconds)}", file=sys.stderr
        )
    return found


def missing_gpu() -> str:
    """Say why there is no GPU to measure; "" where tensorflow sees one."""
    tf = env.tensorflow()
    if tf.config.list_physical_devices("GPU"):
        return ""
    if not tf.test.is_built_with_gpu_support():
        built = f"tensorflow {tf.__version__} is built without support of GPUs"
        return (
            f"{built}; install tensorflow[and-cuda]" if has_nvidia() else f"{built}, and this host shows no NVIDIA GPU"
        )
    return "tensorflow sees no GPU" + ("; its driver or CUDA libraries do not fit" if has_nvidia() else " on this host")


def summary(launches: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Return for each case the median times in milliseconds and the ratio with its interval."""
    rows = []
    for name in launches[0]:
        by_launch = [list(one[name].values()) for one in launches]
        medians = [1e3 * statistics.median(value for one in by_launch for value in one[place])
                   for place in range(len(by_launch[0]))]  # fmt: skip
        row: dict[str, Any] = {"case": name, "cpu_ms": medians[0], "other_ms": None, "ratio": None, "ci95": None}
        if len(medians) == 2:
            quiet = np.zeros(len(by_launch[0][0]), bool)
            ratio = ratio_interval(
                [log_ratios(one[0], one[1], quiet) for one in by_launch], np.random.default_rng(seed)
            )
            row |= {"other_ms": medians[1], "ratio": ratio.value}
            row["ci95"] = None if ratio.low is None else [ratio.low, ratio.high]
        rows.append(row)
    return rows


def launched(options: argparse.Namespace, index: int) -> dict[str, Any]:
    """Return what a fresh process measures."""
    given = ["--sizes", *map(str, options.sizes), "--sides", *map(str, options.sides), "--rounds", str(options.rounds)]
    given += ["--against", options.against] if options.against else []
    print(f"launch {index + 1} of {options.launches}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, __file__, "--child", "--seed", str(options.seed + index), *given],
        check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def table(result: dict[str, Any]) -> str:
    lines = [f"{'case':42} {'CPU, ms':>10} {'other, ms':>10}  CPU over other, 95 %"]
    for row in result["rows"]:
        other = "" if row["other_ms"] is None else f"{row['other_ms']:.3g}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        interval = "" if row["ci95"] is None else " [{:.2f}, {:.2f}]".format(*row["ci95"])
        lines.append(f"{row['case']:42} {row['cpu_ms']:>10.3g} {other:>10}  {ratio}{interval}")
    return "\n".join([*lines, *([f"skipped: ratios. {result['skipped']}"] if result["skipped"] else [])])


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="file to write, JSON")
    parser.add_argument("--json", action="store_true", help="the same on stdout")
    parser.add_argument("--quick", action="store_true", help="small sizes, and launches of a few rounds")
    parser.add_argument("--sizes", type=int, nargs="+", help=f"of products; default: {' '.join(map(str, SIZES))}")
    parser.add_argument("--sides", type=int, nargs="+", help=f"of pictures; default: {' '.join(map(str, SIDES))}")
    parser.add_argument("--launches", type=int, help="fresh processes; default: 5")
    parser.add_argument("--rounds", type=int, help="of each; default: 8")
    parser.add_argument("--against", help="a device of tensorflow; default: GPU:0 where there is one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.sizes = options.sizes or (QUICK_SIZES if options.quick else SIZES)
    options.sides = options.sides or (QUICK_SIDES if options.quick else SIDES)
    options.launches = options.launches or (3 if options.quick else 5)
    options.rounds = options.rounds or (5 if options.quick else 8)
    return options


def main() -> int:
    options = parsed()
    if options.child:
        print(json.dumps(launch(options)))
        return 0
    reason = "" if options.against else missing_gpu()
    options.against = options.against or (None if reason else "GPU:0")
    launches = [launched(options, index) for index in range(options.launches)]
    result = {
        "host": host_facts(), "tensorflow": env.tensorflow().__version__, "against": options.against, "skipped": reason,
        "kind": "measured", "launches": options.launches, "rounds": options.rounds,
        "rows": summary(launches, options.seed), "samples_s": launches,
    }  # fmt: skip
    if options.out is not None:
        with atomic_path(options.out) as partial:
            partial.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1) if options.json else table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
