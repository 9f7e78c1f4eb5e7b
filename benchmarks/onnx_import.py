"""ONNX files through `edgecv import`: how far answers are off, what becomes of them as .tflite, beside onnx2tf.

    TORCH_ENVIRONMENT/bin/python benchmarks/onnx_exports.py --out EXPORTS
    python benchmarks/onnx_import.py EXPORTS/*.onnx --light --images FOLDER [--onnx2tf ENVIRONMENT] [--json] [--docs]

Each network is imported, compared with ONNX Runtime, converted to a float .tflite, whose operators are counted, and to
an int8 one, calibrated on a part of the images; on the others its answers are held against ONNX Runtime's float ones:
the same best class, where the weights are trained, and the signal to noise ratio, of all. `--light` adds the nine
networks that the onnx package ships; their weights are equal constants, which would hide mistakes, so random ones take
their place. With `--onnx2tf`, an environment that has onnx2tf converts the same files, and both float .tflite run in
turn, two threads.

A spec beside a file, NAME.toml, is its contract; a file with one counts as trained. Without one, pixels are scaled as
torchvision does. NAME.npz beside it holds images of its own, as `benchmarks/prepare_data.py` writes them: for the two
trained networks in the table, CIFAR-10 and a thousand of ImageNet's, with the specs in `benchmarks/specs/`.
EfficientNet-Lite0 comes as .h5: its .onnx is written by `edgecv convert --format onnx`. `--docs` writes the table into
docs/importing.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- onnx: begin -->", "<!-- onnx: end -->"
CALIBRATION, JUDGED = 32, 32
ROUNDS, LEAST_ROUNDS, TIMED_S = 500, 30, 20.0
CONVERTED_S = 900
MINMAX = "minmax"


def filled(path: Path, out: Path, seed: int = 0) -> None:
    """Write a network of the onnx package with random weights in place of its constants, and without its last softmax.

    Softmax of random scores is one class or none, whose noise says nothing about the layers before it.
    """
    import onnx

    rng = np.random.default_rng(seed)
    model = onnx.load(path)
    sizes = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    takers = {name: (node, place) for node in model.graph.node for place, name in enumerate(node.input)}
    rest = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in sizes:
            rest.append(node)
            continue
        shape = tuple(int(n) for n in sizes[node.input[0]])
        taker, place = takers[node.output[0]]
        values = _drawn(shape, taker.op_type, place, rng)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, node.output[0]))
    (answer,) = model.graph.output
    if rest[-1].op_type == "Softmax" and rest[-1].output[0] == answer.name:
        answer.name = rest.pop().input[0]
    kept = [type(node).FromString(node.SerializeToString()) for node in rest]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx.save(model, out)


def _drawn(shape: tuple[int, ...], op: str, place: int, rng: np.random.Generator) -> Any:
    if op == "BatchNormalization" and place in (1, 4):
        return rng.uniform(0.7, 1.3, shape).astype(np.float32)
    if len(shape) > 1:
        fan = int(np.prod(shape[1:]))
        return rng.normal(0, (2 / fan) ** 0.5, shape).astype(np.float32)
    return rng.normal(0, 0.1, shape).astype(np.float32) + (1.0 if op in ("Mul", "Unsqueeze") and place == 1 else 0.0)


def one(path: Path, images: Path | None, onnx2tf: Path | None, calibration: str) -> dict[str, Any]:
    """Return the record of one file; runs in a process of its own."""
    from edgecv.core.errors import EdgecvError
    from edgecv.jobs.importing import Asked, import_file

    spec = path.with_suffix(".toml")
    record: dict[str, Any] = {"network": named(path, calibration), "trained": spec.is_file(), "imported": False}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        given = {"spec": spec} if spec.is_file() else {"preset": "imagenet-torch"}
        try:
            made = import_file(Asked(source=path, **given), out=folder / "m.keras")  # type: ignore[arg-type]
        except EdgecvError as error:
            return record | {"refused": error.message.replace(f"{path} ", "").replace(str(path), path.name)}
        record |= {
            "imported": True, "nodes": made.nodes, "layers": made.layers, "input": list(made.input_shape),
            "difference": max(made.differences.values()), "seconds": round(time.perf_counter() - start, 1),
        }  # fmt: skip
        record |= _converted(folder, path, images, calibration)
        if onnx2tf is not None:
            record["onnx2tf"] = _beside(folder, path, onnx2tf)
    return record


def named(path: Path, calibration: str) -> str:
    """Return what a row is called: after the file, and after the calibration where that is not the default."""
    return path.stem if calibration == MINMAX else f"{path.stem}, {calibration}"


def _converted(folder: Path, path: Path, images: Path | None, calibration: str) -> dict[str, Any]:
    from edgecv.convert import convert
    from edgecv.core.errors import EdgecvError
    from edgecv.data import open_dataset
    from edgecv.modelio import load_keras
    from edgecv.values import profiles

    loaded = load_keras(folder / "m.keras")
    found: dict[str, Any] = {}
    try:
        convert(loaded, format="tflite", scheme="float32", out=folder / "float.tflite")
        found |= counted(folder / "float.tflite")
    except EdgecvError as error:
        return {"float_refused": error.message}
    if images is None:
        return found
    own = path.with_suffix(".npz")
    dataset = open_dataset(f"npz:{own if own.is_file() else images}")
    try:
        convert(
            loaded, format="tflite", scheme="int8", method="ptq", io_dtype="float32", out=folder / "int8.tflite",
            calibration=profiles.calibration(calibration), dataset=dataset,
        )  # fmt: skip
    except EdgecvError as error:
        return found | {"int8_refused": error.message}
    return found | _held(folder, path, loaded, dataset)


def counted(file: Path) -> dict[str, Any]:
    """Return how many operators a .tflite has, and how many of them transpose."""
    from edgecv.graphs import read_tflite

    kinds = Counter(op.op for op in read_tflite(file).ops)
    return {"operators": sum(kinds.values()), "transposes": kinds["TRANSPOSE"]}


def _held(folder: Path, path: Path, loaded: Any, dataset: Any) -> dict[str, Any]:
    """Return how the int8 file's answers lie beside ONNX Runtime's float ones."""
    import onnxruntime

    from edgecv.convert.check.samples import file_inputs

    spec = loaded.require_spec()
    runtime = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    interpreter = opened(folder / "int8.tflite")
    outputs = interpreter.get_output_details()
    split = dataset.split("test")
    same, signal, noise, count = 0, 0.0, 0.0, 0
    for (image,) in file_inputs(split, spec, [one.name for one in spec.inputs]):
        fed = image if runtime.get_inputs()[0].shape[-1] == image.shape[-1] else image.transpose(0, 3, 1, 2)
        wanted = runtime.run(None, {runtime.get_inputs()[0].name: fed})[0]
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        got = interpreter.get_tensor(outputs[0]["index"])
        if wanted.ndim == 4 and wanted.shape != got.shape:
            wanted = wanted.transpose(0, 2, 3, 1)
        if wanted.size != got.size:
            return {"int8_outputs": "of another order"}
        same += int(wanted.reshape(-1).argmax() == got.reshape(-1).argmax())
        signal += float(wanted.astype(np.float64).var())
        noise += float(((wanted.reshape(-1) - got.reshape(-1)) ** 2).mean())
        count += 1
    return {
        "int8_agreement": same / count,
        "int8_snr_db": round(10 * np.log10(signal / max(noise, 1e-30)), 1),
        "n": count,
    }


def opened(file: Path) -> Any:
    """Return an interpreter of a .tflite with two threads."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=2)
    interpreter.allocate_tensors()
    return interpreter


def _beside(folder: Path, path: Path, environment: Path) -> dict[str, Any]:
    """Return what onnx2tf makes of the same file, and its time over ours."""
    out = folder / "onnx2tf"
    # Pictures that it would fetch, to compare its answers with the file's.
    pictures = np.random.default_rng(0).random((20, 128, 128, 3), np.float32)
    np.save(folder / "calibration_image_sample_data_20x128x128x3_float32.npy", pictures)
    said = ""
    for way in (
        ["-ois", *_shapes(path)],
        ["-b", "1", "-nuo"],
        ["-b", "1"],
    ):  # it may take a file one way and not another
        line = [environment.absolute() / "bin" / "onnx2tf", "-i", path.absolute(), "-o", out, *way, "-n"]
        try:
            done = subprocess.run(
                list(map(str, line)), capture_output=True, text=True, check=False, timeout=CONVERTED_S, cwd=folder,
                env={"PATH": f"{environment}/bin:/usr/bin:/bin", "HOME": str(folder), "TF_USE_LEGACY_KERAS": "1"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return {"failed": f"longer than {CONVERTED_S} s"}
        said = done.stdout + done.stderr
        if list(out.glob("*_float32.tflite")):
            break
    files = sorted(out.glob("*_float32.tflite"))
    if not files:
        lines = [one for one in said.splitlines() if "ERROR" in one or "Error" in one]
        return {"failed": lines[-1][-160:] if lines else "it wrote no file"}
    try:
        return counted(files[0]) | {"time_over_ours": _ratio(files[0], folder / "float.tflite")}
    except (RuntimeError, ValueError) as error:  # for example operators of TensorFlow
        return {"failed": f"the interpreter refuses its file: {str(error)[:160]}"}


def _shapes(path: Path) -> list[str]:
    """Return the inputs of a file as onnx2tf takes them: NAME:1,3,224,224."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    held = {tensor.name for tensor in graph.initializer}
    return [
        f"{one.name}:" + ",".join(str(max(1, dim.dim_value)) for dim in one.type.tensor_type.shape.dim)
        for one in graph.input
        if one.name not in held
    ]


def _ratio(theirs: Path, ours: Path) -> float | None:
    """Return the median over rounds of one file's time over the other's, run one after the other."""
    both = [opened(file) for file in (theirs, ours)]
    rng = np.random.default_rng(0)
    times: list[list[float]] = [[], []]
    for interpreter in both:
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], rng.random(detail["shape"], np.float32))
        interpreter.invoke()
    began = time.perf_counter()
    while len(times[1]) < ROUNDS and (len(times[1]) < LEAST_ROUNDS or time.perf_counter() - began < TIMED_S):
        for interpreter, found in zip(both, times, strict=True):
            start = time.perf_counter()
            interpreter.invoke()
            found.append(time.perf_counter() - start)
    return round(statistics.median(one / other for one, other in zip(*times, strict=True)), 2)


def packed(folder: Path, out: Path, side: int = 256) -> Path:
    """Write images of a folder as the .npz that edgecv reads: the first calibrate, the others judge."""
    from PIL import Image

    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    files = files[:: max(1, len(files) // (CALIBRATION + JUDGED))][: CALIBRATION + JUDGED]
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB").resize((side, side))) for file in files])
    classes = np.arange(len(files)) % 2  # no one judges by them
    np.savez(
        out, x_train=pixels[:CALIBRATION], y_train=classes[:CALIBRATION], x_test=pixels[CALIBRATION:],
        y_test=classes[CALIBRATION:],
    )  # fmt: skip
    return out


def light(folder: Path) -> list[Path]:
    """Write the networks that the onnx package ships, with random weights."""
    import onnx

    source = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    found = []
    for file in sorted(source.glob("light_*.onnx")):
        found.append(folder / file.name)
        filled(file, found[-1])
    return found


def table(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return the rows of the table for the document."""
    head = (
        "| network | nodes | difference | operators | TRANSPOSE | int8: dB | same class | onnx2tf: operators "
        "| TRANSPOSE | its time over ours |"
    )
    rows = [head, "|" + "---|" * 10]
    for record in records:
        if not record["imported"]:
            rows.append(f"| {record['network']} | refused: {record['refused']} |" + " |" * 8)
            continue
        other = record.get("onnx2tf", {})
        judged = record["trained"] and "int8_agreement" in record
        same = f"{record['int8_agreement']:.3f} of {record['n']:,}" if judged else ""
        cells = (
            record["network"], record["nodes"], f"{record['difference']:.1e}", record.get("operators", "refused"),
            record.get("transposes", ""), record.get("int8_snr_db", "refused" if "int8_refused" in record else ""),
            same, other.get("operators", "fails" if other else ""), other.get("transposes", ""),
            other.get("time_over_ours", ""),
        )  # fmt: skip
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return rows


def summary(records: Sequence[dict[str, Any]]) -> str:
    """Return in a sentence how onnx2tf's files lie beside ours; "" where it was not asked."""
    tried = [record for record in records if record.get("onnx2tf")]
    made = [record for record in tried if "failed" not in record["onnx2tf"]]
    if not made:
        return ""
    ratios = [record["onnx2tf"]["time_over_ours"] for record in made]
    more = sum(record["onnx2tf"]["transposes"] > record["transposes"] for record in made)
    fewer = sum(record["onnx2tf"]["transposes"] < record["transposes"] for record in made)
    return (
        f"Of {len(tried)} networks onnx2tf makes {len(made)} files that run. They take {min(ratios):.2f} to "
        f"{max(ratios):.2f} of the time of ours, in the middle {statistics.median(ratios):.2f}; {more} have more "
        f"TRANSPOSE operators than ours, {fewer} fewer."
    )


def write_docs(records: Sequence[dict[str, Any]]) -> None:
    """Put the table into docs/importing.md."""
    page = ROOT / "docs" / "importing.md"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text("\n".join([before + BEGIN, *table(records), "", summary(records), END]) + after, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--light", action="store_true", help="also the networks that the onnx package ships")
    parser.add_argument("--images", type=Path, help="a folder of images: int8 files are made and judged")
    parser.add_argument("--calibration", default=MINMAX, help="of int8 files: a name, as `edgecv quantize` takes it")
    parser.add_argument("--onnx2tf", type=Path, help="an environment that has onnx2tf")
    parser.add_argument("--json", type=Path, help="write the records here; goes on where such a file was stopped")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/importing.md")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(one(options.one, options.images, options.onnx2tf, options.calibration)))
        return 0
    records = json.loads(options.json.read_text()) if options.json and options.json.is_file() else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = packed(options.images, folder / "images.npz") if options.images else None
        files = [*options.files, *(light(folder) if options.light else [])]
        for file in files:
            known = next((record for record in records if record["network"] == named(file, options.calibration)), None)
            if known is None:
                known = _in_process(file, images, options.onnx2tf, options.calibration)
                records.append(known)
            elif options.onnx2tf and known["imported"] and "onnx2tf" not in known:
                found = _in_process(file, None, options.onnx2tf, options.calibration)
                if "onnx2tf" not in found:
                    raise SystemExit(f"{file}: {found['refused']}")
                known["onnx2tf"] = found["onnx2tf"]
            print(json.dumps(known), file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps(records, indent=1) + "\n")
    if options.docs:
        write_docs(records)
    print("\n".join(table(records)))
    return 0


def _in_process(file: Path, images: Path | None, onnx2tf: Path | None, calibration: str) -> dict[str, Any]:
    line = [sys.executable, __file__, "--one", str(file), "--calibration", calibration]
    line += ["--images", str(images)] if images else []
    line += ["--onnx2tf", str(onnx2tf)] if onnx2tf else []
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        return {
            "network": named(file, calibration),
            "trained": False,
            "imported": False,
            "refused": done.stderr.strip()[-300:],
        }
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    raise SystemExit(main())
