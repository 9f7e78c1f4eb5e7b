"""How the outcome of a search looks in a terminal."""

from __future__ import annotations

from typing import Any

from edgecv.cli.console import emit, emit_table
from edgecv.cli.figures import size_text

MOST = 20
"""Trials that the table has; the report has all."""


def outcome(done: Any) -> None:
    """Print a search's outcome."""
    emit(f"float model: {done.metric} {done.baseline:.4f} on {done.n:,} samples of validation (measured)")
    for rule in done.rules:
        emit(f"left out {rule.combinations:,} of {done.combinations:,} combinations: {rule.why}")
    emit(
        f"{len(done.trials)} candidates, {done.shapes} shapes timed on {done.device} ({done.kind}), "
        f"{done.accuracies} accuracies looked at ({done.made} now), stopped: {done.stopped}"
    )
    judged = [trial for trial in done.trials if trial.full is not None or trial.coarse is not None]
    rows = [_row(trial) for trial in judged[:MOST]]
    unit = "milliseconds" if done.kind == "predicted" else "shares of the float32 file's"
    columns = ("candidate", "time", "95 % time", "bytes", "drop", "95 %", "n", "standing")
    if rows:
        emit_table(
            f"times are {unit}, {done.kind}; drops in {done.unit}", columns, rows, right=(1, 2, 3, 4, 5, 6),
            spare=("n", "95 % time", "bytes", "95 %"),
        )  # fmt: skip
    if len(judged) > MOST:
        emit(f"and {len(judged) - MOST} more in {done.path}/report.html")
    if done.winner is not None:
        _winner(done)


def outcomes(done: Any) -> None:
    """Print the outcomes of searches for each of several devices."""
    for name, found in done.outcomes.items():
        emit(f"{name}:")
        outcome(found)


def _row(trial: Any) -> tuple[str, ...]:
    found = trial.full or trial.coarse
    cost = trial.cost
    ratio = "-" if cost is None or cost.ratio is None else f"{cost.ratio:.3f}"
    within = f"[{cost.ratio_ci95[0]:.3f}, {cost.ratio_ci95[1]:.3f}]" if cost is not None and cost.ratio_ci95 else "-"
    size = found.size_bytes or (cost.size_bytes if cost else None)
    drop = "-" if found.drop is None else f"{found.drop:+.2f}"
    interval = "-" if found.drop_ci95 is None else f"[{found.drop_ci95[0]:+.2f}, {found.drop_ci95[1]:+.2f}]"
    standing = trial.standing + (f", needs n={trial.needed:,}" if trial.needed else "")
    return (trial.label, ratio, within, "-" if size is None else f"{size:,}", drop, interval, f"{found.n:,}", standing)


def _winner(done: Any) -> None:
    best = done.winner
    how = "" if best.faster is None else f", {best.faster:.2f} times as fast as the float file"
    title = "winner" if best.shown else "nearest miss, not shown to keep the limit"
    emit(f"{title}: {best.label}{how}, {best.smaller:.1f} times as small: {size_text(best.size_bytes)}")
    for device in best.cost.each:
        low, high = device.ratio_ci95 or (None, None)
        within = f" [{1 / high:.2f}, {1 / low:.2f}]" if low and high else ""
        emit(f"  on {device.device}: {1 / device.ratio:.2f}{within} times as fast ({device.kind})")
    for one in (best.validation, best.test):
        if one is not None:
            low, high = one.drop_ci95
            verdict = "" if one.verdict is None else f": {one.verdict}"
            allowed = "" if done.objective.max_drop is None else f" (allowed {done.objective.max_drop:g})"
            there = "" if one.device is None else f", on {one.device}"
            emit(
                f"  {one.split}{there}: {done.metric} {one.before:.4f} in float, {one.after:.4f} in this file, loses "
                f"{one.drop:+.2f} {done.unit} [{low:+.2f}, {high:+.2f}] on {one.n:,} samples{verdict}{allowed}"
            )
    if best.test is None and done.stopped != "interrupted":
        emit("  not judged on a test split")
    if best.tied:
        emit(f"  passed as well, and not shown to be slower: {'; '.join(best.tied[:3])}")
    parts = [part for part in best.trail if part.label != best.label]
    for part in parts:
        emit(f"  on the way: {part.label}: {_gains(part, done.unit)}")
    emit(f"file: {best.path}; recipe: {best.recipe}; trials: {done.path}/report.html")


def _gains(part: Any, unit: str) -> str:
    told = []
    if part.faster is not None:
        told.append(f"{part.faster:.2f} times as fast")
    if part.smaller is not None:
        told.append(f"{part.smaller:.1f} times as small")
    told.append("accuracy not looked at" if part.drop is None else f"loses {part.drop:+.2f} {unit}")
    return ", ".join(told)
