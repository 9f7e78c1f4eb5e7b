"""Files that may be computed in float16: the metadata by which CPUs that have such arithmetic know them.

XNNPACK computes a float .tflite in float16, sums included, on a CPU with float16 arithmetic (Armv8.2's, RISC-V's) whose
metadata says so; on every other CPU nothing changes.
Source: TFLite's tools/optimize/reduced_precision_support.h, and `xnn_is_f16_supported_natively` in XNNPACK.
"""

from __future__ import annotations

KEY = "reduced_precision_support"
HALF = b"fp16accfp16"
"""Values and sums in float16."""


def is_half(content: bytes) -> bool:
    """Say whether the metadata lets XNNPACK compute in float16: sums too, else it does not."""
    return content.startswith(b"fp16") and content.rstrip(b"\0").endswith(b"accfp16")
