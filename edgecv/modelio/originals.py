"""The float file that a quantised one was most likely made from: the file beside it of the same name."""

from __future__ import annotations

from pathlib import Path

QUANTISED_WORDS = frozenset(
    {"int8", "uint8", "quant", "quantized", "quantised", "qdq", "ptq", "qat", "static", "dynamic"}
)
FLOAT_ENDINGS = ("", "_float", "_float32", "_fp32")
SUFFIXES = (".onnx", ".tflite", ".keras", ".h5")


def float_original(path: Path) -> Path | None:
    """Return the file beside a quantised one that has its name without "int8", "quant" and the like.

    Args:
        path: Of the quantised file; one of the same suffix goes before others.
    """
    words = _words(path)
    kept = [word for word in words if word not in QUANTISED_WORDS]
    if len(kept) == len(words):
        return None
    wanted = {"_".join(kept) + ending for ending in FLOAT_ENDINGS}
    beside = [one for one in sorted(path.parent.iterdir()) if one != path and one.suffix.lower() in SUFFIXES]
    found = [one for one in beside if "_".join(_words(one)) in wanted]
    return min(found, key=lambda one: (one.suffix != path.suffix, SUFFIXES.index(one.suffix.lower())), default=None)


def _words(path: Path) -> list[str]:
    return path.stem.lower().replace("-", "_").replace(".", "_").split("_")
