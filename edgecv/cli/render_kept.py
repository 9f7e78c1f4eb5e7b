"""How what a file kept of pruning and clustering looks in a terminal."""

from __future__ import annotations

from typing import Any

from edgecv.cli.console import emit


def kept(found: Any) -> None:
    """Print what the source had, and what is counted in the file."""
    blocks = "" if found.patterned is None else f", {found.source.pattern} in every block of {found.patterned} kernels"
    emit(f"  source: {found.source.words}")
    emit(
        f"  file: {found.zeros:.1%} zeros{blocks}; at most {found.values_per_channel} values in an output channel, "
        f"{found.values_per_kernel} in a kernel; {found.gzip_bytes:,} bytes after gzip"
    )
