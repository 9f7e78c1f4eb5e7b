"""One file for several devices: what it costs on all of them together."""

from __future__ import annotations

from collections.abc import Sequence

from edgecv.values.search import Cost, DeviceCost

CERTAINTY = ("measured", "simulated", "predicted")
"""Kinds of figures, the surest first."""


def together(devices: Sequence[str], costs: Sequence[Cost]) -> Cost:
    """Return the cost of one file on several devices: that of the device that gains least.

    Its ratio, with its interval, is the largest one; its time is the longest, since a limit has to be kept on every
    device. It fails where one device fails.

    Args:
        devices: Their names.
        costs: Of the same file, in their order.
    """
    if len(costs) == 1:
        return costs[0]
    for name, cost in zip(devices, costs, strict=True):
        if cost.failure or cost.ratio is None:
            return Cost(ratio=None, ratio_ci95=None, size_bytes=cost.size_bytes, kind=cost.kind,
                        failure=f"on {name}: {cost.failure or 'its time is not known'}")  # fmt: skip
    least = max(costs, key=lambda cost: cost.ratio or 0.0)
    times = [cost.latency_ms for cost in costs if cost.latency_ms is not None]
    each = tuple(
        DeviceCost(
            device=name, ratio=cost.ratio, ratio_ci95=cost.ratio_ci95, latency_ms=cost.latency_ms, kind=cost.kind
        )
        for name, cost in zip(devices, costs, strict=True)
    )
    return Cost(
        ratio=least.ratio, ratio_ci95=least.ratio_ci95, size_bytes=least.size_bytes,
        latency_ms=max(times) if len(times) == len(costs) else None,
        kind=max((cost.kind for cost in costs), key=CERTAINTY.index), seconds=sum(cost.seconds for cost in costs),
        each=each,
    )  # fmt: skip
