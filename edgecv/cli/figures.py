"""How figures that several commands show are written."""

from __future__ import annotations

from typing import Any

from edgecv.values.report import Report


def baseline_line(result: Report) -> str:
    """Return the sentence that says what everything is compared with."""
    base = result.baseline
    if base is None:
        return "no baseline: latencies stand alone"
    place = base.device if base.accelerator == "gpu" else f"{base.device} (no GPU found, so this is the CPU)"
    value = "" if base.value is None else f", {base.metric} {base.value:.4f}"
    time = "" if base.latency_ms is None else f", p50 {base.latency_ms.p50:.3f} ms"
    return f"baseline: float model on {place} with {base.engine}{value}{time}"


def interval(pair: tuple[float, float] | None, digits: int) -> str:
    return "" if pair is None else f"[{pair[0]:.{digits}f}, {pair[1]:.{digits}f}]"


def size_text(count: int | None) -> str:
    """Return bytes in the unit that fits: "12.3 kB"."""
    if count is None:
        return "unknown"
    return (
        f"{count:,} B"
        if count < 10_000
        else f"{count / 1000:,.1f} kB"
        if count < 10_000_000
        else f"{count / 1e6:,.1f} MB"
    )


def shape_text(shape: Any) -> str:
    """Return "28x28x1"."""
    return "x".join(str(s) for s in shape)
