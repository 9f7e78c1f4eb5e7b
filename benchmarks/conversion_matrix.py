"""Every network of the zoo to every scheme and format, checked, and read by every target.

    python benchmarks/conversion_matrix.py --out benchmarks/reference/conversion_matrix_small.json
    python benchmarks/conversion_matrix.py --size full --ways float32 int8-ptq --out full.json [--network NAME …]

Weights are random: this shows graphs, converters, checks and op tables, not accuracy. Each network runs in a process of
its own, and the file is written after each, so the same line goes on after an interruption: networks that have every
file asked for, or have failed, are left alone, and files of ways not asked for stay. `--network` does named ones again.
With `--cluster` the workers of a dask scheduler that have the resource "train" share the networks.
With `--readiness FILE` the verdicts per target also go, summed up, to FILE: what `edgecv zoo show` tells. What FILE
says of other networks stays.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv import zoo
from edgecv.core import codec
from edgecv.core.files import atomic_path
from edgecv.jobs import zoo_check as matrix
from edgecv.jobs.conversions import Conversion, Converted, convert_apart, executor
from edgecv.jobs.trials.asking import asked
from edgecv.jobs.trials.executor import Done


def recorded(task: Conversion, made: Converted) -> dict[str, Any]:
    """Return the record of a network."""
    if made.failure:
        return {"network": task.name, "variant": task.variant, "failed": made.failure}
    return {
        "network": task.name,
        "variant": task.variant,
        "input_shape": list(task.input_shape),
        "seconds": round(made.seconds, 1),
        "peak_rss_mb": None if made.peak_bytes is None else made.peak_bytes >> 20,
        "cells": [_short(codec.encode(cell)) for cell in made.cells],
    }


def _short(cell: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the network's own record says."""
    kept = {key: value for key, value in cell.items() if key not in ("network", "variant", "input_shape")}
    rounded = {key: round(kept[key], 2) for key in ("sqnr_db", "seconds") if kept[key] is not None}
    return kept | rounded


def readiness(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return network -> variant -> target -> way -> what is mapped, in short."""
    out: dict[str, Any] = {}
    for record in records:
        targets: dict[str, Any] = {}
        for cell in record.get("cells", ()):
            for reading in cell["targets"]:
                names = sorted({text.split(":")[0] for text in reading["unmapped"]})
                targets.setdefault(reading["target"], {})[cell["way"]] = {
                    "n_ops": reading["n_ops"],
                    "n_mapped": reading["n_mapped"],
                    "unmapped": names,
                    "kind": reading["kind"],
                }
        out.setdefault(record["network"], {})[record["variant"]] = targets
    return out


def beside(path: Path, new: dict[str, Any]) -> dict[str, Any]:
    """Return the verdicts with those that a file has of other networks and variants."""
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return known | {name: known.get(name, {}) | variants for name, variants in new.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="the records, one per network and variant")
    parser.add_argument("--size", choices=("small", "full"), default="small", help="smallest or published input size")
    parser.add_argument("--network", action="append", help="only this one, done again; repeatable")
    parser.add_argument("--ways", nargs="+", choices=matrix.WAYS, default=list(matrix.WAYS))
    parser.add_argument("--formats", nargs="+", choices=matrix.FORMATS, default=list(matrix.FORMATS))
    parser.add_argument("--canonical", action="store_true", help="leave out the other variants")
    parser.add_argument("--readiness", type=Path, help="write the verdicts per target here as well")
    parser.add_argument("--limit", type=int, default=1800, help="seconds for one network")
    parser.add_argument("--json", action="store_true", help="the records on stdout")
    parser.add_argument("--cluster", help="a dask scheduler whose workers convert: tcp://scheduler:8786")
    options = parser.parse_args()
    records = run(options)
    if options.readiness:
        _write(options.readiness, beside(options.readiness, readiness(records)))
    print(json.dumps(records) if options.json else summary(records))
    return 1 if any(_problems(record) for record in records) else 0


def run(options: Any) -> list[dict[str, Any]]:
    known = json.loads(options.out.read_text()) if options.out and options.out.exists() else []
    done = {(record["network"], record["variant"]): record for record in known}
    left = iter(
        [task for task in asked_for(options) if not _complete(done.get((task.name, task.variant), {}), options)]
    )

    def tell(came: Done[Conversion, Converted]) -> Sequence[Conversion]:
        key = came.task.name, came.task.variant
        done[key] = _merged(done.get(key, {}), recorded(came.task, came.result))
        print(f"{came.task.label}: {_line(done[key])}", file=sys.stderr, flush=True)
        if options.out:
            _write(options.out, list(done.values()))
        return ()

    apart = functools.partial(convert_apart, seconds=options.limit)
    with executor(apart, cluster=options.cluster) as machines:
        asked(machines, lambda: next(left, "done"), tell)
    return list(done.values())


def asked_for(options: Any) -> Iterator[Conversion]:
    """Yield what the options name: every variant of every network, or of some."""
    for name in options.network or zoo.names():
        entry = zoo.get(name)
        for variant in ["canonical"] if options.canonical else entry.variants:
            yield Conversion(
                name=name, variant=variant, ways=tuple(options.ways), formats=tuple(options.formats),
                input_shape=entry.small_shape if options.size == "small" else entry.input_shape,
            )  # fmt: skip


def _complete(record: dict[str, Any], options: Any) -> bool:
    if options.network:
        return False
    has = {(cell["way"], cell["format"]) for cell in record.get("cells", ())}
    return "failed" in record or has >= set(itertools.product(options.ways, options.formats))


def _merged(before: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """Keep earlier cells of the same inputs that were not made again."""
    if "failed" in record:
        return before | record
    if before.get("input_shape") != record["input_shape"]:
        return record
    fresh = {(cell["way"], cell["format"]): cell for cell in record["cells"]}
    cells = {(cell["way"], cell["format"]): cell for cell in before["cells"]} | fresh
    order = [key for key in itertools.product(matrix.WAYS, matrix.FORMATS) if key in cells]
    return record | {"cells": [cells[key] for key in order]}


def _write(path: Path, document: Any) -> None:
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(document, indent=1) + "\n")


def _problems(record: dict[str, Any]) -> list[str]:
    if "failed" in record:
        return [record["failed"]]
    return [f"{cell['way']} {cell['format']}: {cell['error']}" for cell in record["cells"] if cell["error"]]


def _line(record: dict[str, Any]) -> str:
    problems = _problems(record)
    made = sum(not cell["error"] for cell in record.get("cells", ()))
    noise = [c["sqnr_db"] for c in record.get("cells", ()) if c["way"].startswith("int8") and c["sqnr_db"] is not None]
    worst = f", int8 {min(noise):.1f} dB at least" if noise else ""
    return f"{made} of {len(record.get('cells', ()))} in {record.get('seconds', '?')} s{worst} {'; '.join(problems)}"


def summary(records: list[dict[str, Any]]) -> str:
    """Return one line per network, its failures with it."""
    return "\n".join(f"{record['network']}/{record['variant']}: {_line(record)}" for record in records)


if __name__ == "__main__":
    raise SystemExit(main())
