"""Tiny detectors as other tools write them: files without a contract, whose answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

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


def yolo_folder(folder: Path, count: int = 4) -> Path:
    """Write `count` images of 64x48 with the objects that `ROWS` finds in them, letterboxed: 8 rows are above them."""
    from PIL import Image

    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    lines = [
        f"{label} {ROWS[row, 0] / 64} {(ROWS[row, 1] - 8) / 48} {ROWS[row, 2] / 64} {ROWS[row, 3] / 48}\n"
        for row, label in ((0, 0), (2, 1))
    ]
    rng = np.random.default_rng(0)
    for place in range(count):
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(folder / "images" / f"{place}.png")
        (folder / "labels" / f"{place}.txt").write_text("".join(lines))
    (folder / "classes.txt").write_text("a\nb\n")
    return folder


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
