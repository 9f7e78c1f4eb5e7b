"""How galleries look in a terminal. Each function prints one result to stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgecv.cli import render_assess
from edgecv.cli.console import emit, emit_table

if TYPE_CHECKING:
    from edgecv.jobs.gallery import Enrolled
    from edgecv.jobs.mixing import Mixed
    from edgecv.tasks.embedding.thresholds import Calibration
    from edgecv.values.scores import Drop

MOST_ROWS = 50
"""Of a table; --json has the rest."""


def enrolled(done: Enrolled) -> None:
    rows = [(label, str(count)) for label, count in done.added.items()]
    if rows:
        _table("enrolled", ("label", "vectors"), rows, right=(1,))
    emit(f"{done.gallery}: {_count(done.labels, 'label')}, {_count(done.vectors, 'vector')}")


def identified(found: Mapping[str, Any]) -> None:
    rows = [
        (row["image"], row["label"] if row["known"] else "unknown", row["label"], f"{row['distance']:.4f}")
        for row in found["answers"]
    ]
    title = f"{found['engine']}; known below {found['threshold']:.4f}"
    _table(title, ("image", "shows", "nearest", "distance"), rows, right=(3,))


def removed(done: Mapping[str, Any]) -> None:
    for label, count in done["removed"].items():
        emit(f"removed {label}: {_count(count, 'vector')}")
    emit(f"{done['gallery']}: {_count(done['labels'], 'label')}")


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


def mixed(found: Mixed) -> None:
    render_assess.evaluation(found.evaluation)
    both, ways = found.mixing, found.mixing.ways
    emit(f"with a gallery of {found.gallery_model}, on {both.pairs} pairs, {both.genuine} of one identity:")
    names = [name for name in ways[0].figures if any(way.figures[name] is not None for way in ways)]
    rows = [(name.replace("_", " "), *(_share(way.figures[name]) for way in ways)) for name in names]
    _table("", ("figure", "gallery's model", "this file", "mixed"), rows, right=(1, 2, 3))
    losses = [(name.replace("_", " "), *(_loss(way.drops[name]) for way in ways[1:])) for name in ways[1].drops]
    _table(
        f"points lost, 95 % intervals over {found.mixing.units}", ("figure", "this file", "mixed"), losses, right=(1, 2)
    )


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"


def _loss(drop: Drop) -> str:
    low, high = drop.ci95
    return f"{100 * drop.value:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def _table(title: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, right: tuple[int, ...]) -> None:
    emit_table(title, header, rows[:MOST_ROWS], right=right, spare=("nearest",))
    if len(rows) > MOST_ROWS:
        emit(f"and {len(rows) - MOST_ROWS} more: see --json")
