"""How what a file kept of pruning and clustering looks in a terminal."""

from __future__ import annotations

from typing import Any

from edgecv.cli.console import emit, emit_table


def kept(found: Any) -> None:
    """Print what the source had, and what is counted in the file."""
    blocks = "" if found.patterned is None else f", {found.source.pattern} in every block of {found.patterned} kernels"
    emit(f"  source: {found.source.words}")
    emit(
        f"  file: {found.zeros:.1%} zeros{blocks}; at most {found.values_per_channel} values in an output channel, "
        f"{found.values_per_kernel} in a kernel; {found.gzip_bytes:,} bytes after gzip"
    )


def sparse_kernels(found: Any) -> None:
    """Print what a pruned model's zeros are worth in time."""
    total = len(found.layers)
    if found.danger:
        emit(f"  no faster: XNNPACK would compute a sparse file wrongly: {found.danger}")
    elif found.sparse:
        emit(f"  faster with `edgecv convert --sparse`: XNNPACK has sparse kernels for {found.sparse} of its {total} "
             f"1x1 convolutions ({found.where}; a float32 file)")  # fmt: skip
    elif total:
        emit(f"  no faster: XNNPACK has no sparse kernel for its {total} 1x1 convolutions: {found.layers[0].reason}")
    else:
        emit("  no faster: it has no 1x1 convolution, and XNNPACK has sparse kernels for these alone")


def sparse_layers(found: Any) -> None:
    """Print which convolutions of a sparse file have sparse kernels, and why the others have none."""
    sparse_kernels(found)
    rows = [
        (one.layer or f"#{one.op}", f"{one.zeros:.1%}", "yes" if one.sparse else "no", one.reason)
        for one in found.layers
    ]
    if rows:
        emit_table("", ("1x1 convolution", "zeros", "sparse kernel", "why not"), rows, right=(1,))
