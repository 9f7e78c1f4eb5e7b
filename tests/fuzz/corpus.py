"""Sound small files of every kind that edgecv reads, for the fuzzer to damage."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgecv.convert.converted import converted_tflite
from edgecv.convert.embed import embed_tflite
from edgecv.convert.mediapipe import attach, describe
from edgecv.values import bundle as bundles
from edgecv.values.manifest import Golden, Manifest, Provenance, pack_array, pack_output, to_json
from edgecv.values.profiles import data_folder
from edgecv.values.specs import Head, Preprocessing, one_input
from tests.fuzz import flat, others, raw
from tests.graphs.tiny import N, Net, T, build, constant, lenet, options
from tests.mediapipe_files import file_of, spec_of
from tests.modelio.darknet.networks import V2, V3
from tests.modelio.onnx import exported
from tests.runtime.cascade import made as cascade
from tests.runtime.conftest import manifest as tiny_manifest
from tests.runtime.conftest import onnx_model

ROOT = Path(__file__).parents[2]
Mutator = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        suffix: Of the files, with the dot.
        mutate: Damages one.
        weight: How many of the drawn files are of this kind, relative to the others.
        seeds: Sound files.
    """

    suffix: str
    mutate: Mutator
    weight: int
    seeds: tuple[bytes, ...]


def corpus(*, keras: bool = True) -> Mapping[str, Kind]:
    """Return every kind by name; without `keras`, those that need no tensorflow."""
    found = {
        "tflite": Kind(".tflite", flat.damaged_tflite, 40, (*tflite_files(), _with_metadata())),
        "onnx": Kind(".onnx", others.damaged_onnx, 15, (onnx_model(tiny_manifest("onnx", "float32")), _onnx_cnn())),
        "manifest": Kind(".json", _json, 6, (to_json(_manifest("int8", 9)).encode(),)),
        "spec": Kind(".toml", _toml, 5, _texts("benchmarks/specs/*.toml")),
        "target": Kind(".toml", _toml, 4, tuple(path.read_bytes() for path in sorted(_folder("targets")))),
        "calibration": Kind(".toml", _toml, 2, tuple(path.read_bytes() for path in sorted(_folder("calibration")))),
        "recipe": Kind(".toml", _toml, 3, _texts("edgecv/train/shipped/[a-z]*.toml")),
        "gates": Kind(".toml", _toml, 3, _texts("tests/conformance/demo.toml")),
        "devices": Kind(".toml", _toml, 3, (_DEVICES.encode(),)),
        "compression": Kind(".toml", _toml, 3, (_COMPRESSION.encode(),)),
        "space": Kind(".toml", _toml, 3, (*_texts("examples/space.toml"), *_texts("benchmarks/search_*.toml"))),
        "darknet": Kind(
            ".cfg", _toml, 5, (*_texts("edgecv/jobs/demos/left/*.cfg"), *(net.encode() for net in (V2, V3)))
        ),
        "npz": Kind(".npz", others.damaged_archive, 6, (_npz(), _npz(vectors=True))),
        "template": Kind(".npy", raw.damaged, 2, (_npy(),)),
        "state": Kind(".npz", others.damaged_archive, 3, (_state(),)),
        "style state": Kind(".npz", others.damaged_archive, 3, (_style_state(),)),
        "cascade": Kind(".xml", _toml, 3, (_cascade(),)),
        "bundle": Kind(".edgecv", others.damaged_archive, 4, (_bundle(),)),
        "gallery": Kind(".npz", others.damaged_archive, 3, (_gallery(),)),
        "png": Kind(".png", others.damaged_png, 4, tuple(_image("PNG", mode) for mode in ("L", "RGB", "P", "I;16"))),
        "jpeg": Kind(".jpg", raw.damaged, 3, tuple(_image("JPEG", mode) for mode in ("L", "RGB", "CMYK"))),
    }
    return {**found, **_keras_kinds()} if keras else found


def _cascade() -> bytes:
    deep = "<_><internalNodes>1 0 0 .5 -1 -2 1 .25</internalNodes><leafValues>1 2 3</leafValues></_>"
    stages = [cascade.stage(0.5, cascade.stump(0, 3.5)), cascade.stage(-1, deep, cascade.stump(1, 7.0))]
    return cascade.document(stages, [cascade.RIGHT_MINUS_LEFT, cascade.DIAMOND]).encode()


def _gallery() -> bytes:
    from edgecv.runtime.gallery_file import Header, content
    from edgecv.runtime.gallery_origin import Origin

    origin = Origin("encoder", "canonical", "a" * 64, "b" * 64)
    header = Header(length=3, measure="cosine", normalised=False, threshold=0.5, origin=origin, labels=("ada", "bob"))
    return content(header, np.eye(3, dtype=np.float32), np.array([0, 0, 1]))


def _json(data: bytes, rng: random.Random) -> bytes:
    return raw.damaged_json(data.decode(), rng).encode("utf-8", "replace")


def _toml(data: bytes, rng: random.Random) -> bytes:
    return raw.damaged_text(data.decode(), rng).encode("utf-8", "surrogateescape")


def _texts(pattern: str) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(ROOT.glob(pattern)))


def _folder(kind: str) -> list[Path]:
    return list(data_folder(kind).glob("*.toml"))  # type: ignore[arg-type]


def _manifest(scheme: str, operators: int) -> Manifest:
    labels = tuple(f"class {i}" for i in range(10))
    spec = one_input(
        name="tiny",
        input_shape=(28, 28, 1),
        heads=(Head(name="class", task="classification", activation="probabilities", labels=labels),),
        preprocessing=Preprocessing(color="gray"),
    )
    image = np.random.default_rng(1).integers(0, 256, (28, 28), dtype=np.uint8)
    golden = Golden(inputs=(pack_array(image),), outputs=(pack_output("y", np.full((1, 10), 0.1, np.float32)),))
    return Manifest(
        spec=spec, format="tflite", scheme=scheme, provenance=Provenance(recipe={"epochs": 1}, tools={"edgecv": "0"}),
        golden=(golden,), golden_tolerance=1.0, layer_map=tuple(f"layer {i}" for i in range(operators)),
    )  # fmt: skip


def tflite_files() -> tuple[bytes, ...]:
    """Return an int8 LeNet, the float one it could be of, and a network of many operators."""
    whole = _manifest("int8", len(lenet().ops))
    return (
        embed_tflite(build(lenet()), whole),
        embed_tflite(build(_float(lenet())), replace(whole, scheme="float32")),
        build(_many_operators()),
    )


def _with_metadata() -> bytes:
    data = file_of("classifier")
    ends = converted_tflite(data)
    return attach(data, describe(spec_of("classifier"), ends.inputs, ends.outputs))


def _float(net: Net) -> Net:
    def real(tensor: T) -> T:
        if tensor.dtype not in ("int8", "int32") or tensor.scale is None:
            return tensor
        data = None if tensor.data is None else tensor.data.astype(np.float32)
        return replace(tensor, dtype="float32", scale=None, data=data, zero_point=0)

    return replace(net, tensors={name: real(tensor) for name, tensor in net.tensors.items()})


def _many_operators() -> Net:
    def real(*shape: int) -> T:
        return T(shape, "float32", None)

    def weights(*shape: int) -> T:
        return T(shape, "float32", None, np.full(shape, 0.1, np.float32))

    tensors = {
        "x": real(1, 8, 8, 4), "pads": constant([[0, 0], [1, 1], [1, 1], [0, 0]]), "padded": real(1, 10, 10, 4),
        "dk": weights(1, 3, 3, 4), "db": weights(4), "depthwise": real(1, 8, 8, 4),
        "size": constant([16, 16]), "resized": real(1, 16, 16, 4),
        "begin": constant([0, 0, 0, 0]), "end": constant([1, 16, 16, 4]), "step": constant([1, 2, 2, 1]),
        "sliced": real(1, 8, 8, 4), "joined": real(1, 8, 8, 8), "axis": constant(3),
        "half1": real(1, 8, 8, 4), "half2": real(1, 8, 8, 4), "product": real(1, 8, 8, 4),
        "tsize": constant([1, 16, 16, 2]), "tk": weights(2, 2, 2, 4), "up": real(1, 16, 16, 2),
        "axes": constant([1, 2]), "mean": real(1, 2), "perm": constant([1, 0]), "turned": real(2, 1),
        "shape": constant([1, 2]), "flat": real(1, 2), "y": real(1, 2),
    }  # fmt: skip
    depthwise = options("DepthwiseConv2DOptions", strideW=1, strideH=1, depthMultiplier=1, padding=1)
    ops = [
        N("PAD", ["x", "pads"], ["padded"], options("PadOptions")),
        N("DEPTHWISE_CONV_2D", ["padded", "dk", "db"], ["depthwise"], depthwise),
        N("RESIZE_BILINEAR", ["depthwise", "size"], ["resized"], options("ResizeBilinearOptions")),
        N("STRIDED_SLICE", ["resized", "begin", "end", "step"], ["sliced"], options("StridedSliceOptions")),
        N("CONCATENATION", ["sliced", "x"], ["joined"], options("ConcatenationOptions", axis=3)),
        N("SPLIT", ["axis", "joined"], ["half1", "half2"], options("SplitOptions", numSplits=2)),
        N("MUL", ["half1", "half2"], ["product"], options("MulOptions")),
        N("TRANSPOSE_CONV", ["tsize", "tk", "product"], ["up"], options("TransposeConvOptions", strideW=2, strideH=2)),
        N("MEAN", ["up", "axes"], ["mean"], options("ReducerOptions")),
        N("TRANSPOSE", ["mean", "perm"], ["turned"], options("TransposeOptions")),
        N("RESHAPE", ["turned", "shape"], ["flat"], options("ReshapeOptions")),
        N("LOGISTIC", ["flat"], ["y"]),
    ]
    return Net(tensors, ops)


def _onnx_cnn() -> bytes:
    from onnx import helper, numpy_helper

    def value(name: str, *shape: int) -> object:
        return helper.make_tensor_value_info(name, 1, shape)

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Reshape", ["g", "s"], ["y"]),
    ]
    weights = np.random.default_rng(2).normal(size=(4, 3, 3, 3)).astype(np.float32)
    stored = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array([1, 4], np.int64), "s")]
    between = [value("c", 1, 4, 4, 4)]
    graph = helper.make_graph(nodes, "cnn", [value("x", 1, 3, 8, 8)], [value("y", 1, 4)], stored, value_info=between)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _npz(*, vectors: bool = False) -> bytes:
    rng, out = np.random.default_rng(3), io.BytesIO()
    x = rng.normal(size=(12, 5)).astype(np.float32) if vectors else rng.integers(0, 256, (12, 8, 8, 1), dtype=np.uint8)
    y = np.arange(12) % 3
    np.savez(out, x_train=x, y_train=y, x_validation=x[:6], y_validation=y[:6], labels=np.array(["a", "b", "c"]))
    return out.getvalue()


def _npy() -> bytes:
    out = io.BytesIO()
    np.save(out, np.arange(20, dtype=np.float32).reshape(4, 5))
    return out.getvalue()


def _state() -> bytes:
    import tempfile

    from edgecv.train.state import Epoch, State, save

    epoch = Epoch(index=0, loss=1.0, val_loss=1.0, val_value=0.5, learning_rate=0.01, head_values=(0.5,))
    arrays = (np.ones((2, 3), np.float32), np.zeros(3, np.float32))
    state = State(fingerprint="f" * 64, history=(epoch,), weights=arrays, optimizer=arrays[:1], best=arrays)
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "state", state)
        return (Path(folder) / "state").read_bytes()


def _style_state() -> bytes:
    import tempfile

    from edgecv.train.style.state import save
    from tests.fuzz.examiner import style_state

    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "state", "f" * 64, style_state())
        return (Path(folder) / "state").read_bytes()


def _bundle() -> bytes:
    found = bundles.Bundle(parts={"features": "features.tflite", "regions": "regions.tflite"})
    members = {bundles.MEMBER: bundles.to_json(found).encode(), "edgecv.json": to_json(_manifest("int8", 9)).encode()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in {**members, **dict.fromkeys(found.parts.values(), tflite_files()[0])}.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def _image(format: str, mode: str) -> bytes:
    from PIL import Image

    rng, out = np.random.default_rng(4), io.BytesIO()
    if mode == "I;16":
        picture = Image.fromarray(rng.integers(0, 65536, (9, 7), dtype=np.uint16))
    else:
        picture = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)).convert(mode)
    picture.save(out, format=format)
    return out.getvalue()


def _keras_kinds() -> dict[str, Kind]:
    import tempfile

    from edgecv.modelio import env, save_keras
    from tests.runtime.conftest import SPEC

    keras = env.keras()
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="softmax", name="class"),
        ]
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = replace(SPEC, heads=(replace(SPEC.head, name="class"),))
        save_keras(model, folder / "m.keras", replace(tiny_manifest("keras", "float32"), spec=spec))
        model.save(folder / "m.h5", save_format="h5")
        model.save_weights(folder / "w.h5", save_format="h5")
        upscaling = exported.written("super_resolution", folder).read_bytes()
        archive, whole, weights = ((folder / file).read_bytes() for file in ("m.keras", "m.h5", "w.h5"))
    return {
        "keras": Kind(".keras", others.damaged_archive, 6, (archive,)),
        "h5": Kind(".h5", raw.damaged, 4, (whole,)),
        "weights": Kind(".h5", raw.damaged, 3, (weights,)),
        "onnx-import": Kind(".onnx", others.damaged_onnx, 6, (_onnx_cnn(), upscaling)),
    }


_DEVICES = """
[board]
kind = "ssh"
host = "pi"
user = "me"
port = 22
python = "python3"
folder = "~/edgecv"
connect_timeout_s = 5

[phone]
kind = "adb"
serial = "0123"

[here]
kind = "local"

[pretended]
kind = "fake"
[pretended.models."m.tflite"]
ms = 1.5
"""

_COMPRESSION = """
title = "Prune, then quantise"
seed = 1

[[step]]
method = "prune"
sparsity = 0.5
epochs = 1

[[step]]
method = "quantize"
"""
