"""Tiny detectors as other tools write them: files without a contract, whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.modelio import env
from edgecv.values.specs import Head, ModelSpec, Preprocessing, one_input

SIDE = 64
AB = ("a", "b")
LETTERBOX = Preprocessing("rgb", resize="letterbox", pad_value=114, mean=(0.0,) * 3, std=(255.0,) * 3)
ROWS = np.array(
    [
        [32, 32, 16, 8, 0.9, 0.1],
        [33, 32, 16, 8, 0.5, 0.1],
        [16, 40, 8, 8, 0.2, 0.6],
        [50, 20, 10, 12, 0.05, 0.3],
    ],
    np.float32,
)
"""Centre, size, and the probabilities of two classes; the second box is the first one, a pixel to the right."""


def spec(head: Head, preprocessing: Preprocessing = LETTERBOX, side: int = SIDE) -> ModelSpec:
    return one_input("detector", (side, side, 3), (head,), preprocessing)


def rows_head(activation: Any = "probabilities", **settings: Any) -> Head:
    return Head("objects", "detection", activation, AB, settings={"decoder": "rows", **settings})


def constant_onnx(path: Path, *values: np.ndarray) -> Path:
    """Write an .onnx that answers every image with `values`: output_0, output_1, … with batch 1."""
    from onnx import helper, numpy_helper

    nodes = [
        helper.make_node("ReduceSum", ["image"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
    ]
    constants = [numpy_helper.from_array(np.float32(0.0), "zero")]
    outputs = []
    for place, one in enumerate(values):
        nodes.append(helper.make_node("Add", [f"values_{place}", "nothing"], [f"output_{place}"]))
        constants.append(numpy_helper.from_array(np.asarray(one, np.float32)[None], f"values_{place}"))
        outputs.append(helper.make_tensor_value_info(f"output_{place}", 1, (1, *np.shape(one))))
    image = helper.make_tensor_value_info("image", 1, (1, SIDE, SIDE, 3))
    graph = helper.make_graph(nodes, "constant", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


Found = Sequence[tuple[int, float, float, float, float]]
"""Objects of an image: class, and centre and size in pixels of the input."""
OBJECTS: Found = ((0, 32, 32, 16, 8), (1, 16, 40, 8, 8))
"""What `ROWS` finds."""


def yolo_folder(folder: Path, count: int = 4, found: Found = OBJECTS) -> Path:
    """Write `count` images of 64x48 with the objects that are found in them, letterboxed: 8 rows are above them."""
    from PIL import Image

    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    lines = [f"{label} {cx / 64} {(cy - 8) / 48} {w / 64} {h / 48}\n" for label, cx, cy, w, h in found]
    rng = np.random.default_rng(0)
    for place in range(count):
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(folder / "images" / f"{place}.png")
        (folder / "labels" / f"{place}.txt").write_text("".join(lines))
    (folder / "classes.txt").write_text("a\nb\n")
    return folder


def stock_float(model: Any, path: Path) -> Path:
    """Write a model as TensorFlow's own converter does."""
    tf = env.tensorflow()
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return path


def spec_file(path: Path, settings: str, *, activation: str = "probabilities", outputs: str = "") -> Path:
    """Write the contract of a detector of this module as TOML."""
    path.write_text(
        f"""name = "detector"

[[inputs]]
name = "image"
shape = [{SIDE}, {SIDE}, 3]
preprocessing = {{color = "rgb", resize = "letterbox", pad_value = 114, mean = [0, 0, 0], std = [255, 255, 255]}}

[[heads]]
name = "objects"
task = "detection"
activation = "{activation}"
labels = ["a", "b"]
settings = {{{settings}}}
{outputs}
"""
    )
    return path


def exported(form: str, *, shares: bool = False, side: int = SIDE, seed: int = 0) -> Any:
    """Return a tf_keras detector of random weights as exporters of other tools end it, 64 boxes of two classes.

    Args:
        form: "columns": (1, 6, 64), centres and sizes beside probabilities, as Ultralytics writes them. "rows":
            (1, 80, 7) of two scales with an objectness, as YOLOv5 does. "apart": (1, 64, 4) and (1, 64, 2).
        shares: Boxes are divided by the input's side.
        side: Of the input, pixels.
    """
    keras = env.keras()
    keras.utils.set_random_seed(seed)
    image = keras.Input((side, side, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=side // 8, padding="same", activation="relu", name="maps")(image)
    unit = 1.0 if shares else float(side)
    if form == "rows":
        coarse = keras.layers.MaxPool2D(2, name="pool")(x)
        scales = [_level(x, 8, 3, "fine", unit, whole=True), _level(coarse, 4, 3, "coarse", unit, whole=True)]
        return keras.Model(image, keras.layers.Concatenate(axis=1, name="objects")(scales), name=form)
    boxes, scores = _level(x, 8, 2, "only", unit)
    if form == "apart":
        return keras.Model(image, [boxes, scores], name=form)
    joined = keras.layers.Concatenate(name="joined")([boxes, scores])
    return keras.Model(image, keras.layers.Permute((2, 1), name="objects")(joined), name=form)


def _level(x: Any, side: int, units: int, name: str, unit: float, whole: bool = False) -> Any:
    """Boxes (n, 4), up to `unit`, and scores (n, units) of a map; with `whole`, both in one after a common sigmoid."""
    keras = env.keras()
    if whole:
        likely = _likely(x, side, 4 + units, name)
        place, scores = likely[:, :, :4], likely[:, :, 4:]
    else:
        place, scores = (_likely(x, side, count, f"{name}_{what}") for what, count in (("where", 4), ("what", units)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 2), -1).reshape(-1, 2).astype(np.float32) * unit / side
    centre = place[:, :, :2] * (unit / side) + grid
    size = place[:, :, 2:] * unit
    boxes = keras.layers.Concatenate(name=f"{name}_boxes")([centre, size])
    return keras.layers.Concatenate(name=f"{name}_rows")([boxes, scores]) if whole else (boxes, scores)


def _likely(x: Any, side: int, units: int, name: str) -> Any:
    """What a sigmoid makes of a map, (n, units)."""
    keras = env.keras()
    spread = keras.initializers.RandomNormal(stddev=0.7)
    raw = keras.layers.Conv2D(units, 1, kernel_initializer=spread, name=f"{name}_raw")(x)
    raw = keras.layers.Reshape((side * side, units), name=f"{name}_flat")(raw)
    return keras.layers.Activation("sigmoid", name=f"{name}_sigmoid")(raw)


def stock_int8(model: Any, path: Path, *, io: str = "int8", wide: bool = False) -> Path:
    """Write a model as TensorFlow's own converter quantises it: calibrated with noise, all integers.

    Args:
        io: Type of inputs and outputs.
        wide: Of int16 activations.
    """
    tf = env.tensorflow()
    noise = np.random.default_rng(0)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    shape = (1, *model.inputs[0].shape[1:])
    converter.representative_dataset = lambda: ([noise.random(shape, np.float32)] for _ in range(8))
    sets = tf.lite.OpsSet
    wanted = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8 if wide else sets.TFLITE_BUILTINS_INT8
    converter.target_spec.supported_ops = [wanted]
    converter.inference_input_type = converter.inference_output_type = tf.as_dtype(io)
    path.write_bytes(converter.convert())
    return path


def onnx_detector(path: Path, *, shares: bool = False, side: int = SIDE) -> Path:
    """Write a float .onnx with columns (1, 6, 64), of random weights, as `exported` has them."""
    from onnx import helper, numpy_helper

    rng, unit = np.random.default_rng(0), 1.0 if shares else float(side)
    stride = side // 8
    made = {
        "kernel": rng.normal(0, 2 / stride, (6, 3, stride, stride)),
        "unit": np.full((1, 1, 1), unit),
        "offset": np.linspace(0, unit, 64).reshape(1, 1, 64),
    }
    constants = [numpy_helper.from_array(np.asarray(one, np.float32), name) for name, one in made.items()]
    constants += [
        numpy_helper.from_array(np.array([1, 6, 64], np.int64), "shape"),
        numpy_helper.from_array(np.array([2, 2, 2], np.int64), "parts"),
    ]
    nodes = [
        helper.make_node("Transpose", ["image"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "kernel"], ["raw"], strides=[stride, stride]),
        helper.make_node("Reshape", ["raw", "shape"], ["flat"]),
        helper.make_node("Sigmoid", ["flat"], ["likely"]),
        helper.make_node("Split", ["likely", "parts"], ["xy", "wh", "scores"], axis=1),
        helper.make_node("Add", ["xy", "offset"], ["centre"]),
        helper.make_node("Mul", ["wh", "unit"], ["size"]),
        helper.make_node("Concat", ["centre", "size", "scores"], ["joined"], axis=1),
        helper.make_node("Identity", ["joined"], ["objects"]),
    ]
    ends = [helper.make_tensor_value_info("image", 1, (1, side, side, 3))]
    outputs = [helper.make_tensor_value_info("objects", 1, (1, 6, 64))]
    graph = helper.make_graph(nodes, "detector", ends, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def stock_onnx_int8(source: Path, path: Path, form: str) -> Path:
    """Write an .onnx as ONNX Runtime's own tool quantises it. `form`: "QDQ" or "QOperator"."""
    from onnxruntime import quantization

    class Noise(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            import onnx

            sizes = onnx.load(str(source)).graph.input[0].type.tensor_type.shape.dim
            rng, shape = np.random.default_rng(0), [one.dim_value for one in sizes]
            self.left = iter([{"image": rng.random(shape, np.float32)} for _ in range(4)])

        def get_next(self) -> Any:
            return next(self.left, None)

    quantization.quantize_static(
        str(source), str(path), Noise(), quant_format=getattr(quantization.QuantFormat, form), per_channel=False
    )
    return path


POSTPROCESS = "TFLite_Detection_PostProcess"
ANCHORS = np.array([[0.5, 0.5, 0.25, 0.25], [0.625, 0.25, 0.125, 0.25], [0.25, 0.75, 0.5, 0.25]], np.float32)
"""Of `postprocessed`, as shares of the input: centre y, x, height, width."""


def postprocessed(path: Path, scores: np.ndarray, *, most: int = 4) -> Path:
    """Write a float .tflite that ends in the operator of TensorFlow's object detection: boxes, classes, scores, count.

    Its boxes are `ANCHORS`; the network says nothing else. Tensors are called as the exporter of TensorFlow 1 does.

    Args:
        scores: (3, 1 + classes), the background first.
        most: Detections at most.
    """
    from flatbuffers import flexbuffers

    from edgecv.convert.tflite import flatbuffer

    tf, generated = env.tensorflow(), flatbuffer.schema()

    class Raw(tf.Module):  # type: ignore[misc, name-defined]
        @tf.function(input_signature=[tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32, name="image")])
        def __call__(self, image: Any) -> dict[str, Any]:
            nothing = tf.reduce_mean(image) * 0.0
            return {"boxes": tf.zeros((1, 3, 4)) + nothing, "scores": tf.constant(scores[None], tf.float32) + nothing}

    module = Raw()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.__call__.get_concrete_function()], module)
    model = flatbuffer.unpack(converter.convert())
    graph = model.subgraphs[0]
    raw = sorted(graph.outputs, key=lambda index: int(graph.tensors[index].shape[-1] != 4))

    def tensor(name: str, shape: tuple[int, ...], buffer: int = 0) -> int:
        fresh = generated.TensorT()
        fresh.name, fresh.shape, fresh.buffer = name.encode(), np.array(shape, np.int32), buffer
        fresh.type = generated.TensorType.FLOAT32
        graph.tensors.append(fresh)
        return len(graph.tensors) - 1

    code = generated.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = generated.BuiltinOperator.CUSTOM
    code.customCode, code.version = POSTPROCESS.encode(), 1
    model.operatorCodes.append(code)
    last = generated.OperatorT()
    last.opcodeIndex = len(model.operatorCodes) - 1
    anchors = tensor("anchors", ANCHORS.shape, flatbuffer.add_buffer(model, ANCHORS))
    last.inputs = np.array([*raw, anchors], np.int32)
    shapes = ((1, most, 4), (1, most), (1, most), (1,))
    graph.outputs = np.array(
        [tensor(POSTPROCESS + (f":{place}" if place else ""), shape) for place, shape in enumerate(shapes)], np.int32
    )
    last.outputs = graph.outputs
    options = {
        "max_detections": most, "max_classes_per_detection": 1, "detections_per_class": 100,
        "use_regular_nms": False, "nms_score_threshold": 1e-8, "nms_iou_threshold": 0.6,
        "num_classes": scores.shape[1] - 1, "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
    }  # fmt: skip
    last.customOptions = np.frombuffer(bytes(flexbuffers.Dumps(options)), np.uint8)
    last.customOptionsFormat = generated.CustomOptionsFormat.FLEXBUFFERS
    graph.operators.append(last)
    model.signatureDefs = []
    path.write_bytes(flatbuffer.pack(model))
    return path
