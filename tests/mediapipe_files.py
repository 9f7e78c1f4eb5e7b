"""Small float .tflite files of every kind that MediaPipe reads, built without a converter, each with its manifest."""

from __future__ import annotations

import json
from typing import Any

import flatbuffers.flexbuffers
import numpy as np

from edgecv.convert.converted import converted_tflite
from edgecv.convert.embed import embed_tflite
from edgecv.convert.tflite import flatbuffer
from edgecv.values.manifest import Manifest, Provenance
from edgecv.values.specs import Head, ModelSpec, Preprocessing, one_input
from tests.graphs.tiny import N, Net, T, build, constant, options

SIDE = 8
SYMMETRIC = Preprocessing("rgb", mean=(127.5,) * 3, std=(127.5,) * 3)
ANCHORS = [[[3.0, 3.0], [5.0, 2.5]]]
SSD = {
    "decoder": "ssd", "anchors": ANCHORS, "strides": [2.0], "variances": [0.1, 0.2], "box": "cycxhw",
    "background": False, "classes": "sigmoid", "score": 0.5,
}  # fmt: skip


def weights(*shape: int, seed: int = 0) -> T:
    return constant(np.random.default_rng(seed).normal(size=shape), "float32")


def tensor(*shape: int) -> T:
    return T(shape, "float32", None)


def net(tensors: dict[str, T], ops: list[N], outputs: list[str]) -> bytes:
    return build(Net({"x": tensor(1, SIDE, SIDE, 3), **tensors}, ops, outputs=outputs))


def conv(
    source: str, out: str, filters: int, channels: int, *, stride: int = 1, seed: int = 0
) -> tuple[dict[str, T], N]:
    """A convolution of 3x3, padded."""
    made = {f"{out}_k": weights(filters, 3, 3, channels, seed=seed), f"{out}_b": weights(filters, seed=seed + 1)}
    how = options("Conv2DOptions", strideW=stride, strideH=stride, dilationWFactor=1, dilationHFactor=1)
    return made, N("CONV_2D", [source, f"{out}_k", f"{out}_b"], [out], how)


def vector(*, softmax: bool, units: int = 4) -> bytes:
    """Scores or a vector: a convolution, its mean over places, a dense layer."""
    made, op = conv("x", "c", 6, 3, stride=2)
    tensors = {
        **made, "c": tensor(1, 4, 4, 6), "axes": constant([1, 2]), "m": tensor(1, 6), "k": weights(units, 6, seed=5),
        "v": tensor(1, units), "y": tensor(1, units),
    }  # fmt: skip
    dense = N("FULLY_CONNECTED", ["m", "k", ""], ["v" if softmax else "y"], options("FullyConnectedOptions"))
    ops = [op, N("MEAN", ["c", "axes"], ["m"], options("ReducerOptions")), dense]
    if softmax:
        ops.append(N("SOFTMAX", ["v"], ["y"], options("SoftmaxOptions", beta=1.0)))
    return net(tensors, ops, ["y"])


def integers() -> bytes:
    """Scores of uint8 pixels that are -1..1 but for half a step: a mean over places, and a softmax."""
    x = T((1, SIDE, SIDE, 3), "uint8", 1 / 127.5, zero_point=128)
    tensors = {"x": x, "axes": constant([1, 2]), "m": T((1, 3), "uint8", 1 / 127.5, zero_point=128),
               "y": T((1, 3), "uint8", 1 / 256, zero_point=0)}  # fmt: skip
    ops = [N("MEAN", ["x", "axes"], ["m"], options("ReducerOptions")),
           N("SOFTMAX", ["m"], ["y"], options("SoftmaxOptions", beta=8.0))]  # fmt: skip
    return build(Net(tensors, ops, outputs=["y"]))


def mask(channels: int = 3) -> bytes:
    """Logits of a mask at half the input's size."""
    made, op = conv("x", "y", channels, 3, stride=2)
    return net({**made, "y": tensor(1, 4, 4, channels)}, [op], ["y"])


def raw_boxes() -> tuple[dict[str, T], list[N]]:
    """Boxes (32, 4) and logits (32, 3) of a map of 4x4 cells of two anchors."""
    one, boxes = conv("x", "b", 8, 3, stride=2, seed=2)
    two, scores = conv("x", "s", 6, 3, stride=2, seed=4)
    tensors = {
        **one, **two, "b": tensor(1, 4, 4, 8), "s": tensor(1, 4, 4, 6), "to4": constant([1, 32, 4]),
        "to3": constant([1, 32, 3]), "boxes": tensor(1, 32, 4), "scores": tensor(1, 32, 3),
    }  # fmt: skip
    reshape = options("ReshapeOptions")
    return tensors, [boxes, scores, N("RESHAPE", ["b", "to4"], ["boxes"], reshape),
                     N("RESHAPE", ["s", "to3"], ["scores"], reshape)]  # fmt: skip


def postprocessed() -> bytes:
    """The same with TFLite_Detection_PostProcess behind it."""
    tensors, ops = raw_boxes()
    cells = [
        ((c + 0.5) / 4, (r + 0.5) / 4, w / SIDE, h / SIDE) for r in range(4) for c in range(4) for w, h in ANCHORS[0]
    ]
    anchors = np.array([[y, x, h, w] for x, y, w, h in cells])
    tensors.update({
        "anchors": constant(anchors, "float32"), "p": tensor(1, 32, 3),
        "found": tensor(1, 10, 4), "classes": tensor(1, 10), "best": tensor(1, 10), "count": tensor(1),
    })  # fmt: skip
    outputs = ["found", "classes", "best", "count"]
    ops += [N("LOGISTIC", ["scores"], ["p"]), N("TFLite_Detection_PostProcess", ["boxes", "p", "anchors"], outputs)]
    model = flatbuffer.unpack(net(tensors, ops, outputs))
    settings = {
        "max_detections": 10, "max_classes_per_detection": 1, "detections_per_class": 10, "use_regular_nms": False,
        "nms_score_threshold": 0.5, "nms_iou_threshold": 0.5, "num_classes": 3,
        "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
    }  # fmt: skip
    encoded = flatbuffers.flexbuffers.Dumps(settings)
    model.subgraphs[0].operators[-1].customOptions = np.frombuffer(bytes(encoded), np.uint8)
    return flatbuffer.pack(model)


def head(
    task: str, activation: str, labels: tuple[str, ...] = (), outputs: tuple[str, ...] = ("y",), **settings: Any
) -> Head:
    return Head("out", task, activation, labels, outputs, settings)  # type: ignore[arg-type]


CONTRACTS = {
    "classifier": head("classification", "probabilities", ("ape", "bee", "cat", "dog")),
    "multilabel": head("multilabel", "logits", ("ape", "bee", "cat", "dog")),
    "embedder": head("embedding", "linear", normalise=True),
    "segmenter": head("segmentation", "logits", ("ground", "cat", "dog")),
    "raw detector": head("detection", "logits", ("ape", "bee", "cat"), ("boxes", "scores"), **SSD),
    "detector": head(
        "detection", "probabilities", ("ape", "bee", "cat"), ("found", "classes", "best", "count"),
        decoder="postprocessed", unit="share", score=0.5, nms="none", most=10,
    ),
}  # fmt: skip


def spec_of(kind: str, preprocessing: Preprocessing = SYMMETRIC) -> ModelSpec:
    return one_input("tiny", (SIDE, SIDE, 3), (CONTRACTS[kind],), preprocessing)


def network(kind: str) -> bytes:
    """The network of a kind, without manifest."""
    if kind == "raw detector":
        return net(*raw_boxes(), ["boxes", "scores"])
    made = {"segmenter": mask, "detector": postprocessed}
    return made[kind]() if kind in made else vector(softmax=kind == "classifier")


def file_of(kind: str, preprocessing: Preprocessing = SYMMETRIC) -> bytes:
    """A file of a kind with its manifest, without TFLite Metadata."""
    data = network(kind)
    ends = converted_tflite(data)
    made = Provenance(recipe=json.loads('{"step": "convert"}'), tools={})
    manifest = Manifest(
        spec=spec_of(kind, preprocessing), format="tflite", scheme="float32", provenance=made, inputs=ends.inputs,
        outputs=ends.outputs,
    )  # fmt: skip
    return embed_tflite(data, manifest)
