"""The ways to make a file that `quantisers.py` compares."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EDGECV = (sys.executable, str(ROOT / "cli.py"))
STOCK = (sys.executable, str(ROOT / "benchmarks" / "stock_quantisers.py"))
WHOLE = (sys.executable, str(ROOT / "benchmarks" / "whole_ladder.py"))
MAX_DROP = "0.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to make a file.

    Attributes:
        command: Its program and first words; the model, --data, --spec and --out follow.
        suffix: Of its file.
        stock: Whether it is another tool's.
    """

    title: str
    command: tuple[str, ...]
    more: tuple[str, ...] = ()
    suffix: str = ".tflite"
    stock: bool = False


WAYS = {
    "float32": Way(title="float32", command=(*EDGECV, "convert")),
    "tflite": Way(title="stock TFLite PTQ", command=(*STOCK, "tflite"), stock=True),
    "ai-edge-quantizer": Way(title="ai-edge-quantizer", command=(*STOCK, "ai-edge-quantizer"), stock=True),
    "onnxruntime": Way(title="ONNX Runtime static", command=(*STOCK, "onnxruntime"), suffix=".onnx", stock=True),
    "ptq": Way(title="edgecv PTQ", command=(*EDGECV, "quantize")),
    "ptq-onnx": Way(title="edgecv PTQ, ONNX", command=(*EDGECV, "quantize"), suffix=".onnx"),
    "ladder": Way(title="edgecv ladder", command=(*EDGECV, "quantize"), more=("--max-drop", MAX_DROP, "--json")),
    "qat": Way(title="edgecv QAT", command=(*EDGECV, "quantize"), more=("--method", "qat")),
}


ALONE = {
    "adaround": Way(title="edgecv, learned rounding", command=(*EDGECV, "quantize"), more=("--adaround",)),
    "adaround-mse": Way(
        title="edgecv, learned rounding, ranges mse", command=(*EDGECV, "quantize"),
        more=("--adaround", "--calibration", "mse"),
    ),
    "int4": Way(title="edgecv int4", command=(*EDGECV, "quantize"), more=("--scheme", "int4")),
}  # fmt: skip
"""Ways that only a case with `steps` has, beside the ladder's own."""

SPEED = {
    "islands": Way(
        title="edgecv PTQ, float where faster", command=(*EDGECV, "quantize"), more=("--keep-float", "faster")
    ),
}  # fmt: skip
"""Ways that `integer_speed.py` times beside others."""
