"""From the names of wrapped layers back to those of the source model."""

from __future__ import annotations

QUANT_PREFIX = "quant_"
PRUNE_PREFIX = "prune_low_magnitude_"
INPUT_QUANTIZER = "quantize_layer"
CALL_QUANTIZER = f"{INPUT_QUANTIZER}_behind"
"""Of the layers that round what each call of a shared layer gives."""
PART = ".."
"""Between the name of a source layer and that of a part that it was split into: "output..softmax"."""


def source_layer_name(name: str) -> str | None:
    """Return the source layer behind a layer of a pruning or fake-quantised model.

    Args:
        name: "quant_c1" and "prune_low_magnitude_c1" give "c1"; the name of an unwrapped layer is returned as it is.

    Returns:
        None for a quantiser that is a layer of its own, behind an input or a call: it has no source layer.
    """
    if name == INPUT_QUANTIZER or name.startswith(INPUT_QUANTIZER + "_"):
        return None
    name = name.split(PART)[0]
    for prefix in (QUANT_PREFIX, PRUNE_PREFIX):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name
