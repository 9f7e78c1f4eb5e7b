"""How figures that several commands show are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgecv.core.sizes import size_text

if TYPE_CHECKING:
    from edgecv.values.report import Report

__all__ = ["baseline_line", "interval", "shape_text", "size_text"]


def baseline_line(result: Report) -> str:
    """Return the sentence that says what everything is compared with."""
    base = result.baseline
    if base is None:
        return "no baseline: latencies stand alone"
    place = base.device if base.accelerator == "gpu" else f"{base.device} (no GPU found, so this is the CPU)"
    value = "" if base.value is None or base.metric is None else f", {base.metric.name} {base.value:.4f}"
    time = "" if base.latency_ms is None else f", p50 {base.latency_ms.p50:.3f} ms"
    return f"baseline: float model on {place} with {base.engine}{value}{time}"


def interval(pair: tuple[float, float] | None, digits: int) -> str:
    return "" if pair is None else f"[{pair[0]:.{digits}f}, {pair[1]:.{digits}f}]"


def shape_text(shape: Any) -> str:
    """Return "28x28x1"."""
    return "x".join(str(s) for s in shape)
