"""What the page's scripts compute is what the runtime does: the tensors to the bit, the answers after decoding too."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv.core import codec
from edgecv.runtime.image import preprocess
from edgecv.runtime.tensors import to_real, to_stored
from edgecv.tasks.frame import frame_of
from edgecv.tasks.registry import task_of
from edgecv.values.manifest import TensorInfo
from edgecv.values.specs import Head, InputSpec, Preprocessing
from tests.web.scripts_in_node import computed, node, packed

pytestmark = pytest.mark.skipif(node() is None, reason="node is not installed: make web brings it")

RESIZES = ("stretch", "letterbox", "center_crop", "pad")
SIZES = ((7, 5), (24, 24), (31, 18), (12, 40), (1, 1))
COLORS = {"gray": 1, "rgb": 3, "bgr": 3}
PREPARE = """
  const pixels = { data: typed(given.pixels).values, height: given.pixels.shape[0], width: given.pixels.shape[1] };
  return prepared(pixels, given.input).tensor;
"""


def rgba(image: np.ndarray) -> np.ndarray:
    return np.concatenate([image, np.full((*image.shape[:2], 1), 255, np.uint8)], axis=2)


def test_pictures_become_the_tensors_of_the_runtime(tmp_path: Path) -> None:
    rng, cases, expected = np.random.default_rng(1), [], []
    for resize, interpolation, color, size in itertools.product(RESIZES, ("bilinear", "nearest"), COLORS, SIZES):
        side = 40 if resize == "pad" else 24
        n = COLORS[color]
        settings = Preprocessing(color, resize, interpolation, (123.7, 116.3, 103.5)[:n], (58.4, 57.1, 57.4)[:n], 114)
        spec = InputSpec("image", (side, side - 4 if resize != "pad" else side, n), settings)
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        given = {"shape": list(spec.shape), "preprocessing": codec.encode(settings)}
        cases.append({"pixels": packed(rgba(image)), "input": given})
        expected.append((color, preprocess(image, spec).reshape(-1)))
    found = computed(tmp_path, PREPARE, cases)
    for (color, tensor), ours in zip(expected, found, strict=True):
        # Three products of a luma are summed in another order, which is of the last bit.
        allowed = 1e-5 if color == "gray" else 0.0
        np.testing.assert_allclose(np.array(ours, np.float32), tensor, rtol=0, atol=allowed)


def test_a_gray_picture_is_what_it_is(tmp_path: Path) -> None:
    image = np.random.default_rng(2).integers(0, 256, (9, 14), np.uint8)
    spec = InputSpec("image", (8, 8, 1), Preprocessing("gray"))
    given = {"shape": [8, 8, 1], "preprocessing": codec.encode(spec.preprocessing)}
    (found,) = computed(
        tmp_path, PREPARE, [{"pixels": packed(rgba(np.repeat(image[..., None], 3, axis=2))), "input": given}]
    )
    np.testing.assert_allclose(np.array(found, np.float32), preprocess(image, spec).reshape(-1), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero"), [("int8", 0.0039, -128), ("uint8", 0.5, 128), ("float32", None, None)]
)
def test_numbers_are_stored_and_read_as_the_runtime_does(tmp_path: Path, dtype: str, scale: Any, zero: Any) -> None:
    info = TensorInfo("x", (1,), dtype, scale, zero)
    values = np.concatenate([np.linspace(-90, 90, 4001), np.arange(-20, 20) * 0.25]).astype(np.float32)
    body = "const stored = toStored(typed(given.x).values, given.info); return [stored, toReal(stored, given.info)];"
    ((stored, real),) = computed(tmp_path, body, [{"x": packed(values), "info": codec.encode(info)}])
    expected = to_stored(values, info)
    np.testing.assert_array_equal(np.array(stored, expected.dtype), expected)
    np.testing.assert_array_equal(np.array(real, np.float32), to_real(expected, info))


DECODE = """
  const { decode } = await import(`./tasks/${given.head.task}.js`);
  const { frameOf } = await import("./image.js");
  const frame = frameOf(given.preprocessing, given.size, given.inputSize);
  return decode(given.outputs.map(typed), given.head, frame);
"""


def decoded(
    folder: Path, head: Head, outputs: list[np.ndarray], *, resize: Any = "letterbox", size: Any = (90, 130),
    input_size: Any = (64, 64),
) -> tuple[Any, Any]:  # fmt: skip
    """Return what the runtime and what the page says of outputs."""
    settings = Preprocessing("rgb", resize, mean=(0.0,) * 3, std=(255.0,) * 3)
    shown = {**codec.encode(head), "settings": codec.encode(task_of(head).settings(head))}
    case = {
        "head": shown, "outputs": [packed(one) for one in outputs], "preprocessing": codec.encode(settings),
        "size": list(size), "inputSize": list(input_size),
    }  # fmt: skip
    expected = task_of(head).decode(outputs, head, frame_of(settings, size, input_size))
    return expected, computed(folder, DECODE, [case])[0]


def floats(rng: np.random.Generator, *shape: int, low: float = -3, high: float = 3) -> np.ndarray:
    return rng.uniform(low, high, shape).astype(np.float32)


@pytest.mark.parametrize(
    ("activation", "values", "settings"),
    [
        ("probabilities", [0.2, 0.5, 0.2, 0.1], {}), ("logits", [2.0, -1.0, 2.0, 0.5], {}),
        ("distances", [3.0, 1.0, 2.0, 9.0], {}), ("probabilities", [0.35], {"threshold": 0.3}), ("logits", [-0.4], {}),
    ],
)  # fmt: skip
def test_classes(tmp_path: Path, activation: Any, values: list[float], settings: dict[str, float]) -> None:
    labels = ("no", "yes") if len(values) == 1 else ("a", "b", "c", "d")
    head = Head("kind", "classification", activation, labels, settings=settings)
    expected, found = decoded(tmp_path, head, [np.array(values, np.float32)])
    assert [one["label"] for one in found["labels"]] == [label for label, _ in expected.labels]
    np.testing.assert_allclose([one["score"] for one in found["labels"]], [s for _, s in expected.labels], atol=1e-6)


AB, TWO_SCALES = ("a", "b", "c"), {"anchors": [[[8, 8], [16, 12]], [[30, 24]]], "strides": [8.0, 16.0]}


def maps(rng: np.random.Generator, boxes: int, scores: int) -> list[np.ndarray]:
    """Boxes and scores of two scales of 64 pixels, two anchors and one."""
    found = []
    for side, anchors in ((8, 2), (4, 1)):
        found += [floats(rng, side, side, anchors * boxes, low=-1, high=1), floats(rng, side, side, anchors * scores)]
    return found


def _detectors() -> dict[str, tuple[dict[str, Any], Any, Any]]:
    """Of each form of a detector: its settings, its activation, and its outputs."""
    rng = np.random.default_rng(3)
    shared = [floats(rng, 8, 8, 2 * 4), floats(rng, 8, 8, 2 + 3)]
    single = {"anchors": [[[8, 8], [16, 12]]], "strides": [8.0]}
    box = floats(rng, 40, 4, low=5, high=60)
    box[:, 2:] /= 3
    scores = floats(rng, 40, 3, low=0, high=1)
    corner = np.sort(floats(rng, 30, 4, low=0, high=1), axis=1)
    answers = [
        corner,
        rng.integers(1, 4, 30).astype(np.float32),
        floats(rng, 30, low=0, high=1),
        np.array([25.0], np.float32),
    ]
    joint = [floats(rng, 8, 8, 2 * 8), floats(rng, 4, 4, 8)]
    return {
        "yolo_v3": ({**TWO_SCALES, "scale_xy": [1.1, 1.2]}, "logits", maps(rng, 4, 4)),
        "yolo_v3, joint": ({**TWO_SCALES, "decoder": "yolo_v3"}, "logits", joint),
        "yolo_v2": ({**TWO_SCALES, "nms": "agnostic"}, "logits", maps(rng, 4, 4)),
        "yolo_book": (single, "logits", shared),
        "ssd": ({**TWO_SCALES, "box": "cycxhw"}, "logits", maps(rng, 4, 4)),
        "ssd, soft": ({**TWO_SCALES, "decoder": "ssd", "nms": "soft", "classes": "sigmoid"}, "logits", maps(rng, 4, 4)),
        "rpn": (TWO_SCALES, "logits", maps(rng, 4, 2)),
        "rows": ({"box": "cxcywh"}, "probabilities", [np.concatenate([box, scores], axis=1)]),
        "rows, columns": (
            {"decoder": "rows", "columns": True, "objectness": True, "label_scores": {"b": 0.6}, "nms": "none"},
            "probabilities", [np.concatenate([box, scores[:, :1], scores], axis=1).T.copy()],
        ),
        "rows, shares": ({"decoder": "rows", "unit": "share", "box": "yxyx"}, "probabilities", [box / 64, scores]),
        "postprocessed": ({"unit": "share", "label_offset": 1}, "probabilities", answers),
        "yolo_v1": ({"cell_boxes": 2}, "probabilities", [floats(rng, 4 * 4 * (3 + 10), low=0, high=1)]),
    }  # fmt: skip


@pytest.mark.parametrize("form", _detectors())
@pytest.mark.parametrize("resize", ["letterbox", "stretch", "center_crop"])
def test_boxes(tmp_path: Path, form: str, resize: str) -> None:
    settings, activation, outputs = _detectors()[form]
    labels = ("object",) if form == "rpn" else AB
    names = tuple(f"output_{place}" for place in range(len(outputs)))
    chosen = {"decoder": form, "score": 0.3, **settings}
    head = Head("things", "detection", activation, labels, names, chosen)
    expected, page = decoded(tmp_path, head, outputs, resize=resize)
    found = page["detections"]
    assert len(expected) > 5, "a test of few boxes shows little"
    assert [one["class_id"] for one in found] == expected.class_id.tolist()
    np.testing.assert_allclose([one["confidence"] for one in found], expected.confidence, atol=1e-6)
    np.testing.assert_allclose([one["xyxy"] for one in found], expected.xyxy, atol=2e-3)


def test_every_decoder_that_the_page_says_it_reads_is_tested() -> None:
    import json

    from edgecv.web.demo_page import SCRIPTS

    known = json.loads((SCRIPTS / "reads.json").read_text())["detection"]["decoder"]
    tested = {settings.get("decoder", form) for form, (settings, _, _) in _detectors().items()}
    assert tested == set(known)


@pytest.mark.parametrize(
    ("labels", "activation", "settings", "shape"),
    [
        (AB, "probabilities", {}, (16, 16, 3)), (AB, "logits", {"resize": "nearest"}, (16, 16, 3)),
        (("no", "yes"), "logits", {}, (16, 16, 1)), (("no", "yes"), "probabilities", {}, (64, 64, 1)),
        (AB, "linear", {}, (32, 32)), (AB, "logits", {"covers": [8, 8, 56, 56]}, (24, 24, 3)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("resize", ["letterbox", "stretch", "center_crop"])
def test_masks(tmp_path: Path, labels: Any, activation: Any, settings: Any, shape: Any, resize: Any) -> None:
    rng = np.random.default_rng(4)
    output = rng.integers(0, 3, shape).astype(np.float32) if activation == "linear" else floats(rng, *shape, low=-2)
    head = Head("mask", "segmentation", activation, labels, settings=settings)
    expected, found = decoded(tmp_path, head, [output], resize=resize)
    mask = np.array(found["mask"]).reshape(found["size"])
    assert mask.shape == expected.mask.shape
    # Interpolated scores that are equal but for the last bit may go either way.
    assert (mask == expected.mask).mean() > 0.9995
    shares = {one["label"]: one["share"] for one in found["shares"]}
    for label, share in expected.shares.items():
        assert shares[label] == pytest.approx(share, abs=5e-4)


def test_a_large_picture_gets_a_mask_that_is_scaled_down(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    head = Head("mask", "segmentation", "probabilities", AB)
    expected, found = decoded(tmp_path, head, [floats(rng, 8, 8, 3, low=0)], size=(1500, 2048), resize="stretch")
    assert found["size"] == [750, 1024]
    mask = np.array(found["mask"]).reshape(found["size"])
    assert (mask == expected.mask[::2, ::2]).mean() > 0.99
