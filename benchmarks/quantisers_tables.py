"""The tables of `quantisers.py`, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from quantisers_ways import ALONE, WAYS


def findings(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what the rows say of edgecv: a sentence for each of its ways."""
    for name in ("ptq", "ladder", "qat"):
        entries = [row for row in rows if "drop" in row["ways"][name]]
        behind = [r["title"] for r in entries if r["ways"][name]["behind_best_stock_ci95"][0] > 0]
        far = [f"{r['title']} ({r['ways'][name]['drop']:.2f})" for r in entries if r["ways"][name]["drop"] > 0.5]
        yield (
            f"{WAYS[name].title}: in {len(entries) - len(behind)} of {len(rows)} networks not behind the best stock "
            f"tool (95 % interval){_list(behind)}; in {len(entries) - len(far)} within 0.5 points of float{_list(far)}."
        )


def _list(names: list[str]) -> str:
    return f" (not: {', '.join(names)})" if names else ""


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the tables of the summary, a network a line and a way a column, and what they say."""
    tables = (
        (
            "Drop against the float file in percentage points [95 %], paired; for the ladder, the step it stopped at",
            _drop,
        ),
        ("Time of one inference as a share of the float .tflite [95 %]", _time),
        ("Size of the file in kB", lambda way: f"{way['size_bytes'] / 1e3:.0f}"),
        ("Seconds to make the file: wall clock, processor; peak memory in MB", _effort),
    )
    parts = [_table(title, rows, cell) for title, cell in tables]
    parts += [steps_table(entry) for entry in rows if "steps" in entry]
    return "\n".join([*parts, *(f"- {sentence}" for sentence in findings(rows)), ""])


def steps_table(entry: dict[str, Any]) -> str:
    """Return a network's table of all ways and all steps of the ladder, and on what it was measured."""
    titles = {name: way.title for name, way in (WAYS | ALONE).items()}
    ways = [(titles[name], way) for name, way in entry["ways"].items() if name != "float32"]
    steps = [(f"ladder's step {step['step']}", step) for step in entry["steps"]]
    lines = [
        f"**{entry['title']}: every file, on {entry['n']} images of {entry['data']}**", "",
        f"Top-1 of the float file: {entry['float']:.4f}. {entry['caution']}".rstrip(), "",
        "| file | top-1 | drop in points [95 %], paired | same first answer as float | kB | seconds |",
        "|---" * 6 + "|",
        *(_step_line(title, found) for title, found in (*ways, *steps)),
    ]  # fmt: skip
    return "\n".join([*lines, ""])


def _step_line(title: str, found: dict[str, Any]) -> str:
    if "value" not in found:
        return f"| {title} | no file: {found.get('failure') or 'it failed'} | | | | {found['seconds']:.0f} |"
    low, high = found["drop_ci95"]
    cells = (
        title, f"{found['value']:.4f}", f"{found['drop']:+.2f} [{low:+.2f}, {high:+.2f}]",
        f"{found['agreement']:.4f}", f"{found['size_bytes'] / 1e3:.0f}", f"{found['seconds']:.0f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _table(title: str, rows: list[dict[str, Any]], cell: Callable[[dict[str, Any]], str]) -> str:
    names = [name for name in WAYS if name != "float32" or cell is not _drop]
    lines = [
        f"**{title}**", "", f"| network | float top-1 | {' | '.join(WAYS[name].title for name in names)} |",
        "|---" * (len(names) + 2) + "|",
    ]  # fmt: skip
    for entry in rows:
        cells = [cell(way) if "value" in (way := entry["ways"][name]) else "failed" for name in names]
        lines.append(f"| {entry['title']} ({entry['kind']}) | {entry['float']:.4f} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _drop(way: dict[str, Any]) -> str:
    low, high = way["drop_ci95"]
    best = min((t for t in way.get("trials", ()) if t["drop"] is not None), key=lambda t: t["drop"], default=None)
    return f"{way['drop']:+.2f} [{low:+.2f}, {high:+.2f}]" + (f" {best['step']}" if best else "")


def _time(way: dict[str, Any]) -> str:
    ratio = way.get("ratio_to_baseline")
    return f"{ratio:.2f} [{way['ratio_ci95'][0]:.2f}, {way['ratio_ci95'][1]:.2f}]" if ratio else "1"


def _effort(way: dict[str, Any]) -> str:
    if way["cpu_seconds"] is None:
        return f"{way['seconds']:.0f}, not measured"
    return f"{way['seconds']:.0f}, {way['cpu_seconds']:.0f}; {way['peak_rss_bytes'] / 1e6:.0f}"
