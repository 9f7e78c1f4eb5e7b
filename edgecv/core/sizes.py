"""How numbers of bytes are written, in reports and on terminals alike."""

from __future__ import annotations

from typing import Optional


def size_text(count: Optional[int]) -> str:
    """Return a number of bytes in the largest binary unit that keeps it at or above 1: "69.3 KiB"; None: "unknown"."""
    if count is None:
        return "unknown"
    amount, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount, units = amount / 1024, units[1:]
    return f"{count} B" if units[0] == "B" else f"{amount:.1f} {units[0]}"
