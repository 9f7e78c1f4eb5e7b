"""What `predict` costs beside the bare interpreter: pixels of the model's size, a camera frame, a large JPEG.

    python benchmarks/predict_overhead.py [--rounds 60] [--size 224] [--json out.json]

One int8 MobileNetV2 with random weights and one thread of the interpreter. Every round times all ways in turn, so
that a change of the machine's speed meets them all; what counts are the ratios of medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import edgecv
from edgecv import runtime

LARGE = (3000, 4000)
"""Height and width of the JPEG: 12 megapixels."""


def main() -> None:
    """Make the file, time it, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = int8_file(folder, given.size)
        with runtime.load(file) as model:
            seconds = timed(ways(model, folder, given.size), given.rounds)
            told = {"engine": model.engine, "rounds": given.rounds, "size": given.size, "milliseconds": seconds}
            told["ratios"] = ratios(seconds)
    for way, value in seconds.items():
        print(f"{way:34} {value:8.3f} ms")
    for what, ratio in told["ratios"].items():
        print(f"{what:58} {ratio:6.3f}")
    if given.json:
        given.json.write_text(json.dumps(told, indent=2) + "\n")


def int8_file(folder: Path, size: int) -> Path:
    """Return an int8 MobileNetV2 of random weights, calibrated with random images."""
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    net = tf_keras.applications.MobileNetV2(input_shape=(size, size, 3), weights=None, classes=1000)
    net.save(folder / "net.keras", save_format="keras")
    images = np.random.default_rng(0).integers(0, 256, (32, size, size, 3), dtype=np.uint8)
    np.savez(folder / "images.npz", x=images)
    model = edgecv.load_model(folder / "net.keras", preset="imagenet-tf")
    out = folder / "net.tflite"
    edgecv.convert(model, scheme="int8", data=f"npz:{folder / 'images.npz'}", out=out, quiet=True)
    return out


def ways(model: runtime.Predictor, folder: Path, size: int) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name."""
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
    frame = np.asarray(Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).resize((640, 480)))
    photo = folder / "photo.jpg"
    Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize(LARGE[::-1]).save(photo, quality=90)
    stored = rng.integers(-128, 128, (1, size, size, 3)).astype(np.int8)

    def raw() -> Any:
        return model.session.run([stored])

    def pillow_and_raw() -> Any:
        resized = Image.fromarray(frame).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=None)
        return model.session.run([(np.asarray(resized) ^ 128).view(np.int8)[None]])

    def decode() -> Any:
        with Image.open(photo) as image:
            return np.asarray(image)

    return {
        "the interpreter alone": raw,
        "predict, pixels of its size": lambda: model.predict(small),
        "Pillow's resize, then the interpreter": pillow_and_raw,
        "predict, a frame of 640x480": lambda: model.predict(frame),
        "decoding a JPEG of 12 megapixels": decode,
        "predict, that JPEG by its path": lambda: model.predict(photo),
    }


def timed(found: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each way, of rounds in which each is called once."""
    seen: dict[str, list[float]] = {name: [] for name in found}
    for number in range(rounds + 3):
        for name, call in found.items():
            began = time.perf_counter()
            call()
            if number >= 3:  # the first ones warm caches
                seen[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in seen.items()}


def ratios(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return each way of `predict` beside what does the same without it."""
    raw, small, pillow, frame, decode, photo = seconds.values()
    return {
        "pixels of its size: predict / interpreter": small / raw,
        "frame: predict / (Pillow's resize and the interpreter)": frame / pillow,
        "JPEG: predict / (decoding and the interpreter)": photo / (decode + raw),
    }


if __name__ == "__main__":
    main()
