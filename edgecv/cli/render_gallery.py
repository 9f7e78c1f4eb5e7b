"""How galleries look in a terminal. Each function prints one result to stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgecv.cli.console import emit, emit_table

if TYPE_CHECKING:
    from edgecv.jobs.gallery import Enrolled
    from edgecv.tasks.embedding.thresholds import Calibration

MOST_ROWS = 50
"""Of a table; --json has the rest."""


def enrolled(done: Enrolled) -> None:
    rows = [(label, str(count)) for label, count in done.added.items()]
    if rows:
        _table("enrolled", ("label", "vectors"), rows, right=(1,))
    emit(f"{done.gallery}: {done.labels} labels, {done.vectors} vectors")


def identified(found: Mapping[str, Any]) -> None:
    rows = [
        (row["image"], row["label"] if row["known"] else "unknown", row["label"], f"{row['distance']:.4f}")
        for row in found["answers"]
    ]
    title = f"{found['engine']}; known below {found['threshold']:.4f}"
    _table(title, ("image", "shows", "nearest", "distance"), rows, right=(3,))


def removed(done: Mapping[str, Any]) -> None:
    for label, count in done["removed"].items():
        emit(f"removed {label}: {count} vectors")
    emit(f"{done['gallery']}: {done['labels']} labels")


def listed(found: Mapping[str, Any]) -> None:
    emit(
        f"{found['network']} ({found['variant']}, trained file {found['trained_sha256'][:12]}): vectors of "
        f"{found['length']}, {found['measure']} distance, known below {found['threshold']:.4f}"
    )
    rows = [(label, str(count)) for label, count in found["labels"].items()]
    _table("", ("label", "vectors"), rows, right=(1,))


def calibrated(found: Calibration) -> None:
    emit(f"threshold {found.threshold:.4f}")
    emit(f"  false accept rate {found.far:.4g} of {found.impostor} pairs of two identities (asked: {found.asked:g})")
    emit(f"  true accept rate {found.tar:.4f} of {found.genuine} pairs of one")


def _table(title: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, right: tuple[int, ...]) -> None:
    emit_table(title, header, rows[:MOST_ROWS], right=right, spare=("nearest",))
    if len(rows) > MOST_ROWS:
        emit(f"and {len(rows) - MOST_ROWS} more: see --json")
