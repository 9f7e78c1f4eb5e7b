"""What `edgecv view` prints."""

from __future__ import annotations

from typing import Any

from edgecv.cli.console import emit, emit_table
from edgecv.cli.figures import shape_text


def viewed(found: Any) -> None:
    emit(f"{found.page}: {found.image} in {' and '.join(found.models)}")
    compared = any(one.compared for one in found.layers)
    rows = []
    for one in found.layers:
        counts = [sum(each.why == why for each in one.silent) for why in ("dead", "constant", "duplicate")]
        row = [one.layer, shape_text(one.shape), *(str(count or "") for count in counts)]
        rows.append([*row, _noise(one)] if compared else row)
    columns = ["layer", "shape", "dead", "constant", "duplicate", *(["noise"] if compared else [])]
    emit_table(found.data or "the image alone", columns, rows, right=tuple(range(2, len(columns))))
    for caution in found.cautions:
        emit(f"note: {caution}")
    if found.command:
        emit(f"channels that say nothing of their own: {len(found.removable)}; to take them out:")
        emit(f"  {found.command}")


def _noise(one: Any) -> str:
    if not one.compared:
        return "-"
    return "equal" if one.sqnr_db is None else f"{one.sqnr_db:.1f} dB"
