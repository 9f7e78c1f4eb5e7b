"""What each way of making a network smaller is worth: MACs, bytes, accuracy and measured time against its parent.

    python benchmarks/zoo_results.py data --out results --case resnet8-cifar10 --case alexnet_quarter-flowers5
    python benchmarks/slimming.py data --parents results --out slimmed [--case NAME …] [--json]

Every step is a command of edgecv, as a user types it. A finished step is not done again, and a killed one goes on where
it was, so the same line continues an interrupted run. The cases are `benchmarks/slimming.toml`. Parent and result are
both converted to float32 and quantised to int8 after training; accuracy is on the whole test split, through the
on-device runtime, and its drop carries a paired 95 % interval; times are interleaved on this machine's CPU, one thread.

The summary goes to `<out>/slimming.json` and `<out>/slimming.md`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.core import codec
from edgecv.core.files import atomic_path, sha256, write_text
from edgecv.evaluate import drop_between
from edgecv.jobs.evaluate import EvaluationRequest, evaluate_file
from edgecv.modelio import load_keras
from edgecv.runtime.host import host_facts
from edgecv.values.profiles import read_toml
from edgecv.values.scores import Drop
from edgecv.zoo.profiling import profile

ROOT = Path(__file__).resolve().parent.parent
SCHEMES = {"float32": ("convert",), "int8": ("quantize", "--scheme", "int8")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One network made smaller in one or more steps.

    Attributes:
        step_data: Set that the steps train on, when it is a part of `data`.
    """

    name: str
    title: str
    data: str
    parent: str
    steps: tuple[tuple[str, ...], ...]
    step_data: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    case: tuple[Case, ...]


def edgecv(out: Path, *arguments: str) -> Any:
    """Run one command with --json and return what it printed, kept in `out`; a second time, what is kept there."""
    if not out.exists():
        print(f"{out.parent.name}: edgecv {' '.join(arguments)}", file=sys.stderr, flush=True)
        line = [sys.executable, str(ROOT / "cli.py"), *arguments, "--json"]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"edgecv {' '.join(arguments)} ended with {done.returncode}\n{done.stderr}")
        write_text(out, done.stdout)
    return json.loads(out.read_text())


def run(case: Case, data: Path, parents: Path, out: Path) -> dict[str, Any]:
    """Bring one case to its row of the summary."""
    folder = out / case.name
    folder.mkdir(parents=True, exist_ok=True)
    parent = current = parents / case.parent
    samples = ("--data", f"npz:{data / (case.step_data or case.data)}.npz")
    told = []
    for index, (command, *options) in enumerate(case.steps, start=1):
        made = folder / f"step{index}.keras"
        force = ("--force",) if made.exists() else ()
        told.append(edgecv(folder / f"step{index}.json", command, str(current), *options, *samples,
                           "--out", str(made), *force))  # fmt: skip
        current = made
    test = ("--data", f"npz:{data / case.data}.npz")
    of_parent = files(parent, out / f"parent-{sha256(parent)[:8]}", test)
    of_result = files(current, folder, test)
    return {
        "case": case.name,
        "title": case.title,
        "steps": [" ".join(step) for step in case.steps],
        "before": cost(parent),
        "after": cost(current),
        "trained_on": case.step_data or case.data,
        "ablation": [entry for step in told for entry in step.get("ablation", ())],
        "ranks": {name: rank for step in told for name, rank in step.get("ranks", {}).items()},
        **{scheme: against(scheme, of_result[scheme], of_parent[scheme], folder, test[1]) for scheme in SCHEMES},
    }


def files(keras: Path, folder: Path, samples: tuple[str, ...]) -> dict[str, tuple[Path, Any]]:
    """Return, by scheme, the file of a model and its evaluation on the test split."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for scheme, command in SCHEMES.items():
        path = folder / f"{scheme}.tflite"
        force = ("--force",) if path.exists() else ()
        edgecv(folder / f"{scheme}.json", *command, str(keras), *samples, "--out", str(path), *force)
        found[scheme] = path, edgecv(folder / f"{scheme}-test.json", "evaluate", str(path), *samples)
    return found


def paired(first: Path, second: Path, data: str) -> Drop:
    """Return how much worse the second file is on the same test samples."""
    request = EvaluationRequest(data=data)
    return drop_between(evaluate_file(first, request), evaluate_file(second, request))


def against(scheme: str, result: tuple[Path, Any], parent: tuple[Path, Any], folder: Path, data: str) -> dict[str, Any]:
    """Compare a file with its parent's: bytes, accuracy, time."""
    times = edgecv(folder / f"{scheme}-bench.json", "bench", "compare", str(result[0]), str(parent[0]))
    drop = paired(parent[0], result[0], data)
    return {
        "value": result[1]["value"],
        "parent_value": parent[1]["value"],
        "n": result[1]["n"],
        "drop": drop.value,
        "drop_ci95": list(drop.ci95),
        "size_bytes": result[0].stat().st_size,
        "parent_size_bytes": parent[0].stat().st_size,
        "gzip_bytes": zipped(result[0]),
        "parent_gzip_bytes": zipped(parent[0]),
        "time_ratio": times["ratio"],
        "time_ratio_ci95": times["ci95"],
        "time_kind": times["latency_a"]["kind"],
    }


def zipped(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), compresslevel=9, mtime=0))


def cost(keras: Path) -> dict[str, int]:
    found = profile(load_keras(keras).model)
    return {"macs": found.macs, "parameters": found.parameters}


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| case | MACs | weights | file | bytes | gzip | top-1 | drop, points [95 %] | time of the parent's [95 %] |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        before, after = row["before"], row["after"]
        for scheme in SCHEMES:
            one = row[scheme]
            drop = f"{100 * one['drop']:+.2f} [{100 * one['drop_ci95'][0]:.2f}, {100 * one['drop_ci95'][1]:.2f}]"
            low, high = one["time_ratio_ci95"] or (None, None)
            time = "unknown" if one["time_ratio"] is None else f"{one['time_ratio']:.3f} [{low:.3f}, {high:.3f}]"
            lines.append(
                f"| {row['case']} | {after['macs'] / before['macs']:.2f} | "
                f"{after['parameters'] / before['parameters']:.2f} | {scheme} | "
                f"{one['size_bytes']:,} of {one['parent_size_bytes']:,} | "
                f"{one['gzip_bytes']:,} of {one['parent_gzip_bytes']:,} | {one['value']:.4f} | {drop} | {time} |"
            )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of .npz files")
    parser.add_argument("--parents", type=Path, required=True, help="results of zoo_results.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--case", action="append", help="only this case; may be repeated")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    path = Path(__file__).with_suffix(".toml")
    cases = codec.decode(Cases, read_toml(path, what="cases"), where=str(path)).case
    chosen = [case for case in cases if not options.case or case.name in options.case]
    rows = [run(case, options.data, options.parents, options.out) for case in chosen]
    facts = host_facts()
    host = {key: facts[key] for key in ("cpu_model", "usable_cpus", "os", "python", "packages")}
    summary = {"schema": "edgecv.slimming/1", "host": host, "cases": rows}
    with atomic_path(options.out / "slimming.json") as partial:
        partial.write_text(json.dumps(summary, indent=1) + "\n")
    write_text(options.out / "slimming.md", markdown(rows))
    print(json.dumps(summary) if options.json else markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
