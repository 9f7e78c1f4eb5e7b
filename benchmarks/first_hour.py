"""A newcomer's first hour, side by side with what people write without edgecv.

    python benchmarks/first_hour.py [--rounds 60] [--json out.json]

On the computer: the tutorial's Keras 3 model and images become an int8 file, by the stock converter with the usual
script and by one call of edgecv; both files answer the same images, which calibrated neither.

On the board: `predict` beside the bare interpreter, and beside the usual script (Pillow, numpy, interpreter): pixels of
the model's size, a camera frame of 640x480, a JPEG of 12 megapixels. One int8 MobileNetV2-224 with random weights, one
thread. Every round times all ways in turn, so that a change of the machine's speed meets them all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import edgecv
from edgecv import runtime
from edgecv.data import open_dataset

SIZE = 224
LARGE = (3000, 4000)
"""Height and width of the JPEG: 12 megapixels."""


def main() -> None:
    """Make the files, time them, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        computer = files_of_the_tutorial(folder)
        with runtime.load(int8_file(folder, SIZE)) as model:
            milliseconds = timed(ways(model, folder, SIZE), given.rounds)
            engine = model.engine
    told = {
        "computer": computer, "engine": engine, "rounds": given.rounds, "milliseconds": milliseconds,
        "ratios": ratios(milliseconds), "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
    }  # fmt: skip
    for way, row in computer.items():
        print(f"{way:22} {row['bytes']:8,} bytes  top1 {row['top1']:.4f} on {row['n']} images  {row['seconds']:5.1f} s")
    for way, value in milliseconds.items():
        print(f"{way:44} {value:8.3f} ms")
    for what, ratio in told["ratios"].items():
        print(f"{what:58} {ratio:6.3f}")
    if given.json:
        given.json.write_text(json.dumps(told, indent=2) + "\n")


def files_of_the_tutorial(folder: Path) -> dict[str, Any]:
    """Return size, accuracy and seconds of the int8 file that each way makes of the tutorial's model."""
    page = Path(__file__).parents[1] / "docs" / "tutorial.md"
    (folder / "make.py").write_text(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)[0])
    subprocess.run([sys.executable, "make.py"], cwd=folder, check=True, capture_output=True)
    whole = open_dataset(f"folder:{folder / 'digits-png'}").divided()
    train, test = whole.split("train"), whole.split("test")
    began = time.perf_counter()
    stock = folder / "stock.tflite"
    stock.write_bytes(stock_int8(folder / "digits.keras", [train.image(i) for i in range(100)]))
    seconds = time.perf_counter() - began
    found = {"stock, the usual script": row_of(stock, stock_answers(stock, test), test, seconds)}
    began = time.perf_counter()
    ours = folder / "ours.tflite"
    edgecv.quantize(folder / "digits.keras", data=f"folder:{folder / 'digits-png'}", out=ours, quiet=True)
    seconds = time.perf_counter() - began
    with runtime.load(ours) as model:
        answers = [int(model.predict(test.image(i)).label) for i in range(len(test))]
    found["edgecv.quantize"] = row_of(ours, answers, test, seconds)
    return found


def row_of(file: Path, answers: Sequence[int], test: Any, seconds: float) -> dict[str, Any]:
    """Return what the first table says of a file. edgecv's seconds hold its checks and the loss on real data."""
    right = float(np.mean(np.asarray(answers) == test.labels))
    return {"bytes": file.stat().st_size, "top1": right, "n": len(test), "seconds": seconds}


def stock_int8(model: Path, images: Sequence[Any]) -> bytes:
    """Return what the stock converter's usual script makes of a Keras 3 file."""
    import keras
    import tensorflow as tf

    def representative() -> Any:
        for image in images:
            yield [image[None, ..., None].astype(np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(keras.models.load_model(model))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def stock_answers(file: Path, test: Any) -> list[int]:
    """Return the class that a plain interpreter gives for each image."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file))
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    answers = []
    for index in range(len(test)):
        interpreter.set_tensor(source["index"], usual_tensor(test.image(index)[..., None], source))
        interpreter.invoke()
        answers.append(int(interpreter.get_tensor(sink["index"]).argmax()))
    return answers


def usual_tensor(pixels: Any, source: Any) -> Any:
    """Return an input tensor as scripts make it: floats, divided by the scale, rounded and cast."""
    scale, zero_point = source["quantization"]
    return np.clip(np.round(pixels.astype(np.float32) / scale + zero_point), -128, 127).astype(np.int8)[None]


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
    from ai_edge_litert.interpreter import Interpreter

    file = folder / "net.tflite"
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

    interpreter = Interpreter(str(file), num_threads=1)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def usual(image: Any) -> Any:
        resized = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        pixels = np.asarray(resized, np.float32) / 127.5 - 1
        interpreter.set_tensor(source["index"], usual_tensor(pixels, source))
        interpreter.invoke()
        scale, zero_point = sink["quantization"]
        scores = (interpreter.get_tensor(sink["index"])[0].astype(np.float32) - zero_point) * scale
        return sorted(enumerate(scores), key=lambda pair: -pair[1])[:5]

    def usual_photo() -> Any:
        with Image.open(photo) as image:
            return usual(image)

    def decode() -> Any:
        with Image.open(photo) as image:
            return np.asarray(image)

    return {
        "the interpreter alone": raw,
        "usual script, pixels of its size": lambda: usual(Image.fromarray(small)),
        "predict, pixels of its size": lambda: model.predict(small),
        "Pillow's resize, then the interpreter": pillow_and_raw,
        "usual script, a frame of 640x480": lambda: usual(Image.fromarray(frame)),
        "predict, a frame of 640x480": lambda: model.predict(frame),
        "decoding a JPEG of 12 megapixels": decode,
        "usual script, that JPEG by its path": usual_photo,
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
    raw, usual_small, small, pillow, usual_frame, frame, decode, usual_photo, photo = seconds.values()
    return {
        "pixels of its size: predict / interpreter": small / raw,
        "pixels of its size: predict / usual script": small / usual_small,
        "frame: predict / (Pillow's resize and the interpreter)": frame / pillow,
        "frame: predict / usual script": frame / usual_frame,
        "JPEG: predict / (decoding and the interpreter)": photo / (decode + raw),
        "JPEG: predict / usual script": photo / usual_photo,
    }


if __name__ == "__main__":
    main()
