"""Every layer and function of Keras 3 that a vision network may hold, through edgecv and through the stock converter.

    python benchmarks/layer_conformance.py --out conformance [--case TEXT …] [--architectures] [--part 1/2]

Each case of `tests/conformance/layer_cases.py` is a small model that Keras 3 saves. edgecv imports the file and makes a
float and an int8 .tflite, a float and an int8 .onnx, and an int8 file of the fake-quantised network before any
training step. TensorFlow's converter makes a float and an int8 .tflite of the model in memory. All files answer the
same images, which did not calibrate, and Keras 3 itself says what is right: the largest difference of the float files
in parts of the largest answer, and the signal-to-noise ratio of the int8 files in decibel, of the answers less their
means.

`--architectures` does the same with the networks of `tests/conformance/architecture_cases.py`.

The state of each case is a file in the output folder, so the same line continues a run. The summary goes to
`<out>/layer_conformance.json`, and the list of what is refused to docs/importing.md by `--docs`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv import data
from edgecv.compress.canonical import canonical
from edgecv.compress.fakequant import annotated, set_ranges
from edgecv.convert import convert
from edgecv.core.errors import EdgecvError
from edgecv.core.files import atomic_path
from edgecv.modelio import LoadedModel, env, load_keras
from edgecv.runtime import load
from edgecv.values import profiles
from edgecv.values.specs import Head, Preprocessing, one_input

CALIBRATION, TESTED = 64, 32
TOLERANCE = 1e-4
WAYS = ("float", "int8", "onnx", "int8 onnx", "qat")
STOCK = ("stock float", "stock int8")
BEGIN, END = "<!-- refused: begin -->", "<!-- refused: end -->"
Array = np.ndarray[Any, Any]


def _spec(case: Any) -> Any:
    scale = 255.0 / (case.high - case.low)
    channels = case.image[-1]
    preprocessing = Preprocessing(
        color="gray" if channels == 1 else "rgb", mean=(-case.low * scale,) * channels, std=(scale,) * channels
    )
    task, activation = case.task
    head = Head("answer", task, activation=activation, labels=("a", "b", "c") if task == "classification" else ())
    return one_input("case", case.image, (head,), preprocessing)


def _dataset(case: Any, folder: Path) -> Any:
    pixels = case.pixels(CALIBRATION)
    path = folder / "images.npz"
    np.savez(path, x=pixels)
    return data.open_divided(f"npz:{path}")


def _answers(file: Path, spec: Any, inputs: Array) -> Array:
    """Return float answers (n, 3) of a file."""
    with load(file, spec=spec) as predictor:
        return np.concatenate([predictor.run([one[None]])[0] for one in inputs])


def _run(made: Callable[[], Path], spec: Any, inputs: Array, expected: Array, exact: bool) -> dict[str, Any]:
    """Return what one way gives: an error's first line, or how far the answers are off."""
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            got = _answers(made(), spec, inputs)
    except EdgecvError as error:
        return {"refused": error.message.splitlines()[0][:300]}
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return {"failed": f"{type(error).__name__}: {lines[0][:300]}"}
    if got.shape != expected.shape:
        got = got.reshape(expected.shape)
    if exact:
        return {"difference": float(np.abs(got - expected).max() / max(np.abs(expected).max(), 1e-6))}
    return {"sqnr_db": round(_sqnr(expected, got), 2)}


def _sqnr(expected: Array, got: Array) -> float:
    signal = expected - expected.mean(0)
    noise = float(np.sum((got - expected) ** 2))
    return float(10 * np.log10(max(float(np.sum(signal**2)), 1e-12) / max(noise, 1e-12)))


def measure(case: Any) -> dict[str, Any]:
    """Return what each way gives for a case, by its name in WAYS and STOCK."""
    with tempfile.TemporaryDirectory(prefix="edgecv-conformance-") as text:
        folder, spec = Path(text), _spec(case)
        original = case.model()
        saved = folder / "model.keras"
        original.save(saved)
        dataset, inputs = _dataset(case, folder), case.values(case.pixels(TESTED, seed=9))
        expected = np.concatenate([np.asarray(original(one[None], training=False)) for one in inputs])
        loaded: list[LoadedModel] = []
        recipe = profiles.calibration("minmax")

        def ours(name: str, source: Callable[[], LoadedModel], **options: Any) -> Callable[[], Path]:
            def make() -> Path:
                out = folder / name
                convert(source(), out=out, dataset=dataset, calibration=recipe, **options)
                return out

            return make

        def source() -> LoadedModel:
            if not loaded:
                loaded.append(load_keras(saved, spec=spec))
            return loaded[0]

        int8 = {"scheme": "int8", "method": "ptq"}
        ways = {
            "float": (ours("f.tflite", source, format="tflite", scheme="float32"), True),
            "int8": (ours("i.tflite", source, format="tflite", **int8), False),
            "onnx": (ours("f.onnx", source, format="onnx", scheme="float32"), True),
            "int8 onnx": (ours("i.onnx", source, format="onnx", **int8), False),
            "qat": (
                ours("q.tflite", lambda: _fake(source(), case), format="tflite", scheme="int8", method="qat"),
                False,
            ),
            "stock float": (lambda: _stock(original, folder / "sf.tflite", None), True),
            "stock int8": (
                lambda: _stock(original, folder / "si.tflite", _seen(dataset, case)),
                False,
            ),
        }
        return {name: _run(made, spec, inputs, expected, exact) for name, (made, exact) in ways.items()}


def _seen(dataset: Any, case: Any) -> Array:
    """Return what edgecv calibrates with, as the model takes it."""
    images = dataset.split("train").images
    return np.asarray(case.values(np.stack([images[place].reshape(case.image) for place in range(len(images))])))


def _fake(source: LoadedModel, case: Any) -> LoadedModel:
    """Return the network that QAT would train, with the ranges that it starts from."""
    plain = canonical(source.model)
    quantised, _ = annotated(plain, input_ranges=[source.require_spec().inputs[0].range])
    set_ranges(quantised, plain, [(case.values(case.pixels(CALIBRATION)),)])
    return LoadedModel(model=quantised, manifest=source.manifest, path=source.path, sha256=source.sha256)


def _stock(model: Any, out: Path, images: Array | None) -> Path:
    """Convert a Keras 3 model by TensorFlow's converter as its documentation shows it."""
    folder = out.with_suffix("")
    model.export(folder, verbose=False)
    tf = env.tensorflow()
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    if images is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        converter.inference_input_type = converter.inference_output_type = tf.int8
    out.write_bytes(converter.convert())
    return out


def summary(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return counts: made, wrong and refused by way, and what stock makes and edgecv refuses."""
    counts = {}
    for way in (*WAYS, *STOCK):
        rows = {name: row[way] for name, row in found.items()}
        counts[way] = {
            "made": sum("difference" in row or "sqnr_db" in row for row in rows.values()),
            "off": sorted(name for name, row in rows.items() if not row.get("difference", 0.0) <= TOLERANCE),
            "refused": sorted(name for name, row in rows.items() if "refused" in row),
            "failed": sorted(name for name, row in rows.items() if "failed" in row),
        }
    return {
        "cases": len(found),
        "ways": counts,
        "refused_that_stock_makes": {
            way: sorted(
                name
                for name, row in found.items()
                if "difference" in row[stock] or "sqnr_db" in row[stock]
                if not ("difference" in row[way] or "sqnr_db" in row[way])
            )
            for way, stock in zip(WAYS, ("stock float", "stock int8") * 2 + ("stock int8",), strict=False)
        },
        "int8_below_stock_by_1_db": {
            name: [row["int8"]["sqnr_db"], row["stock int8"]["sqnr_db"]]
            for name, row in found.items()
            if "sqnr_db" in row["int8"] and "sqnr_db" in row["stock int8"]
            if row["int8"]["sqnr_db"] < row["stock int8"]["sqnr_db"] - 1.0
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--case", action="append", default=[], help="part of a case's name; several are possible")
    parser.add_argument("--part", default="1/1", help="2/3 does every third case from the second; then run without")
    parser.add_argument("--summary", action="store_true", help="of the cases that are done, without doing others")
    parser.add_argument("--architectures", action="store_true", help="twenty whole networks instead")
    parser.add_argument("--docs", type=Path, help="the page whose list of refusals is written anew")
    options = parser.parse_args()
    env.keras3()
    from tests.conformance.architecture_cases import ARCHITECTURES
    from tests.conformance.layer_cases import CASES

    cases = ARCHITECTURES if options.architectures else CASES
    options.out.mkdir(parents=True, exist_ok=True)
    state = options.out / "cases.jsonl"
    done = {
        row["case"]: row
        for line in (state.read_text().splitlines() if state.exists() else [])
        if (row := json.loads(line))
    }
    chosen = [name for name in cases if not options.case or any(part in name for part in options.case)]
    first, count = map(int, options.part.split("/"))
    chosen = chosen[first - 1 :: count]
    if options.summary:
        chosen = [name for name in chosen if name in done]
    for place, name in enumerate(chosen):
        if name not in done:
            try:
                done[name] = {"case": name, **measure(cases[name])}
            except Exception as error:  # Keras cannot build, save or run it: there is nothing to compare with
                print(f"[{place + 1}/{len(chosen)}] {name}: left out, {type(error).__name__}", file=sys.stderr)
                continue
            with state.open("a") as file:
                file.write(json.dumps(done[name]) + "\n")
            print(f"[{place + 1}/{len(chosen)}] {name}: {_line(done[name])}", file=sys.stderr)
    chosen = [name for name in chosen if name in done]
    found = {name: {key: value for key, value in done[name].items() if key != "case"} for name in chosen}
    result = {"summary": summary(found), "cases": found}
    with atomic_path(options.out / "layer_conformance.json") as partial:
        # Errors name the files of this run.
        partial.write_text(re.sub(r"[^\s\"']*edgecv-conformance-\w+/", "", json.dumps(result, indent=1)) + "\n")
    if options.docs:
        _write_docs(options.docs, found)
    print(json.dumps(result["summary"], indent=1))
    return 0


def _line(row: dict[str, Any]) -> str:
    return ", ".join(f"{way} {_cell(row[way])}" for way in (*WAYS, *STOCK))


def _cell(value: dict[str, Any]) -> str:
    if "sqnr_db" in value:
        return f"{value['sqnr_db']:.1f} dB"
    return f"{value['difference']:.0e}" if "difference" in value else next(iter(value))


def _write_docs(page: Path, found: dict[str, dict[str, Any]]) -> None:
    text = page.read_text()
    rows = [f"| {name} | {row['float']['refused']} |" for name, row in found.items() if "refused" in row["float"]]
    table = "\n".join(["| case | reason |", "|---|---|", *rows])
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    raise SystemExit(main())
