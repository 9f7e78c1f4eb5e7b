"""How what a file kept of pruning and clustering looks in a terminal."""

from __future__ import annotations

from typing import Any

from edgecv.cli.console import emit, emit_table


def kept(found: Any) -> None:
    """Print what the source had, and what is counted in the file."""
    emit(f"  source: {found.source.words}")
    blocks = "" if found.patterned is None else f", {found.source.pattern} in every block of {found.patterned} kernels"
    values = ""
    if found.source.clusters is not None:
        values = (
            f"; at most {found.values_per_channel} values in an output channel, {found.values_per_kernel} in a kernel"
        )
    emit(f"  file: {found.zeros:.1%} zeros{blocks}{values}; {found.gzip_bytes:,} bytes after gzip")


def pruned(found: Any) -> None:
    """Print what a pruned model's zeros are worth in time."""
    total = len(found.layers)
    if found.sparse:
        emit(f"  faster by `edgecv convert --sparse`, in float32 on {found.where}: sparse kernels for {found.sparse} "
             f"of its {total} 1x1 convolutions")  # fmt: skip
    else:
        emit(f"  no faster: {_why(found)}")


def _why(found: Any) -> str:
    if found.danger:
        return f"with sparse kernels XNNPACK would give wrong answers: {found.danger}"
    if not found.layers:
        return "XNNPACK has sparse kernels for 1x1 convolutions only, and it has none"
    return f"XNNPACK has no sparse kernel for its {len(found.layers)} 1x1 convolutions: {found.layers[0].reason}"


def sparse(found: Any) -> None:
    """Print which convolutions of a sparse file have sparse kernels, and why the others have none."""
    if found.sparse:
        emit(f"  sparse kernels: {found.sparse} of {len(found.layers)} 1x1 convolutions on {found.where}; computed "
             "dense elsewhere, in the time of the dense file")  # fmt: skip
    else:
        emit(f"  smaller, and no faster: {_why(found)}")
    rows = [
        (one.layer or f"#{one.op}", f"{one.zeros:.1%}", "yes" if one.sparse else "no", one.reason)
        for one in found.layers
    ]
    if rows:
        emit_table("", ("1x1 convolution", "zeros", "sparse kernel", "why not"), rows, right=(1,))
