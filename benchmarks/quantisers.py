"""Quantisers side by side on the same trained networks: TFLite's, ai-edge-quantizer, ONNX Runtime's and edgecv's.

    python benchmarks/prepare_data.py SETS --out data --part cifar10:10000
    python benchmarks/zoo_results.py data --out results
    python benchmarks/quantisers.py data --parents results --out compared [--case NAME …] [--json]

Every file is made by a process of its own from the same .keras, on the same 100 calibration images: the others as in
`stock_quantisers.py`, edgecv by its commands. Wall time, processor time and peak memory are of that whole process,
imports included. Accuracy is on the whole test split through the on-device runtime, with paired 95 % intervals; latency
is interleaved with the float .tflite in one run, one thread. A finished step is not done again: the same line
continues a run.

The summary goes to `<out>/quantisers.json`, `<out>/quantisers.md` and `<out>/quantisers.svg`. The exit code is 1 when
something failed to be made.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from quantisers_chart import chart

from edgecv.core import codec
from edgecv.core.files import atomic_path
from edgecv.evaluate import drop_between, evaluate
from edgecv.jobs import models
from edgecv.jobs.evaluate import open_artifact
from edgecv.modelio import tool_versions
from edgecv.report import host_facts
from edgecv.values.evaluation import Evaluation
from edgecv.values.profiles import read_toml

ROOT = Path(__file__).resolve().parent.parent
EDGECV = (sys.executable, str(ROOT / "cli.py"))
STOCK = (sys.executable, str(ROOT / "benchmarks" / "stock_quantisers.py"))
MAX_DROP = "0.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One trained network.

    Attributes:
        kind: What its family is known for.
        data: Set of calibration and test.
        parent: Its file in the folder of --parents; or `model`, in that of --models, with its contract `spec`.
        qat: Options of quantisation-aware training; `qat_data` the set that it trains on, when it is a part of `data`.
    """

    name: str
    title: str
    kind: str
    data: str
    parent: str | None = None
    model: str | None = None
    spec: str | None = None
    qat: tuple[str, ...] = ()
    qat_data: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    case: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to make a file.

    Attributes:
        command: Its program and first words; the model, --data, --spec and --out follow.
        suffix: Of its file.
        stock: Whether it is another tool's.
    """

    title: str
    command: tuple[str, ...]
    more: tuple[str, ...] = ()
    suffix: str = ".tflite"
    stock: bool = False


WAYS = {
    "float32": Way(title="float32", command=(*EDGECV, "convert")),
    "tflite": Way(title="stock TFLite PTQ", command=(*STOCK, "tflite"), stock=True),
    "ai-edge-quantizer": Way(title="ai-edge-quantizer", command=(*STOCK, "ai-edge-quantizer"), stock=True),
    "onnxruntime": Way(title="ONNX Runtime static", command=(*STOCK, "onnxruntime"), suffix=".onnx", stock=True),
    "ptq": Way(title="edgecv PTQ", command=(*EDGECV, "quantize")),
    "ptq-onnx": Way(title="edgecv PTQ, ONNX", command=(*EDGECV, "quantize"), suffix=".onnx"),
    "ladder": Way(title="edgecv ladder", command=(*EDGECV, "quantize"), more=("--max-drop", MAX_DROP, "--json")),
    "qat": Way(title="edgecv QAT", command=(*EDGECV, "quantize"), more=("--method", "qat")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a case's inputs and outputs are."""

    case: Case
    model: Path
    data: Path
    folder: Path

    @property
    def spec(self) -> tuple[str, ...]:
        return ("--spec", str(ROOT / "benchmarks" / self.case.spec)) if self.case.spec else ()

    def file(self, way: str) -> Path:
        return self.folder / f"{way}{WAYS[way].suffix}"

    def uri(self, name: str) -> str:
        return f"npz:{self.data / name}.npz"


def make(place: Place, name: str) -> dict[str, Any]:
    """Make a way's file; returns what `measured` says of the process that made it."""
    record = place.folder / f"{name}.json"
    if record.exists():
        known: dict[str, Any] = json.loads(record.read_text())
        return known
    way, case = WAYS[name], place.case
    data = place.uri(case.qat_data if name == "qat" and case.qat_data else case.data)
    options = (*way.more, *(case.qat if name == "qat" else ()), *place.spec, "--data", data)
    line = [*way.command, str(place.model), *options, "--out", str(place.file(name))]
    print(f"{case.name}: {way.title}", file=sys.stderr, flush=True)
    found = measured(line, place.folder / "log.txt")
    with atomic_path(record) as partial:
        partial.write_text(json.dumps(found, indent=1))
    return found


def measured(line: list[str], log: Path) -> dict[str, Any]:
    """Run a command; returns its wall-clock and processor seconds, peak memory, exit code and what it printed."""
    start = time.perf_counter()
    with log.open("a") as stream:
        stream.write(f"$ {' '.join(line)}\n")
        stream.flush()
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=stream, text=True)
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    return {
        "seconds": round(time.perf_counter() - start, 2), "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_rss_bytes": usage.ru_maxrss * 1024,
        "exit": code, "output": output,
    }  # fmt: skip


def evaluated(place: Place, name: str, contract: Any) -> Evaluation:
    """Return a file's answers on the test split."""
    record = place.folder / f"{name}.evaluation.json"
    if not record.exists():
        dataset = models.open_data(place.uri(place.case.data), None)
        with open_artifact(place.file(name), spec=contract) as predictor:
            found = evaluate(predictor, dataset.split("test"), dataset.name, targets=dataset.targets)
        with atomic_path(record) as partial:
            partial.write_text(json.dumps(codec.encode(found)))
    return codec.decode(Evaluation, json.loads(record.read_text()), where=str(record))


def latencies(place: Place, names: list[str]) -> dict[str, dict[str, Any]]:
    """Return each file's time as a share of the float .tflite's, measured in one interleaved run."""
    record = place.folder / "bench.json"
    if not record.exists():
        print(f"{place.case.name}: latency", file=sys.stderr, flush=True)
        files = [str(place.file(name)) for name in names]
        line = [*EDGECV, "bench", *files, "--baseline", str(place.file("float32")), "--plan", "quick", "--json"]
        done = measured(line, place.folder / "log.txt")
        if done["exit"]:
            raise RuntimeError(f"{' '.join(line)} ended with {done['exit']}; see {place.folder / 'log.txt'}")
        with atomic_path(record) as partial:
            partial.write_text(done["output"])
    artifacts = {a["name"]: a["latency"][0] for a in json.loads(record.read_text())["artifacts"] if a["latency"]}
    return {name: artifacts[place.file(name).name] for name in names if place.file(name).name in artifacts}


def row(place: Place) -> dict[str, Any]:
    """Make, evaluate and time every file of a case."""
    place.folder.mkdir(parents=True, exist_ok=True)
    processes = {name: make(place, name) for name in WAYS}
    made = [name for name in WAYS if place.file(name).exists()]
    source = models.Source(path=place.model, spec=Path(place.spec[1]) if place.spec else None)
    contract = models.require_manifest(models.load(source)).spec
    answers = {name: evaluated(place, name, contract) for name in made}
    times = latencies(place, [name for name in made if name != "float32"])
    stock = [name for name in made if WAYS[name].stock]
    best = max(stock, key=lambda name: answers[name].value)
    ways = {
        name: {
            **_process(processes[name]),
            **(_accuracy(answers, name, best) if name in made else {}),
            **(_latency(times[name]) if name in times else {}),
            **({"size_bytes": place.file(name).stat().st_size} if name in made else {}),
        }
        for name in WAYS
    }
    ways["ladder"]["trials"] = _trials(processes["ladder"]["output"])
    case = place.case
    return {
        "case": case.name, "title": case.title, "kind": case.kind, "data": case.data, "split": "test",
        "n": answers["float32"].n, "float": answers["float32"].value, "best_stock": best, "ways": ways,
    }  # fmt: skip


def _process(found: dict[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in ("seconds", "cpu_seconds", "peak_rss_bytes", "exit")}


def _accuracy(answers: dict[str, Evaluation], name: str, best: str) -> dict[str, Any]:
    drop, behind = drop_between(answers["float32"], answers[name]), drop_between(answers[best], answers[name])
    return {
        "value": answers[name].value, "drop": _points(drop.value), "drop_ci95": [_points(b) for b in drop.ci95],
        "behind_best_stock": _points(behind.value), "behind_best_stock_ci95": [_points(b) for b in behind.ci95],
    }  # fmt: skip


def _points(share: float) -> float:
    return round(100 * share, 3)


def _latency(found: dict[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in ("engine", "p50", "ratio_to_baseline", "ratio_ci95")}


def _trials(output: str) -> list[dict[str, Any]]:
    """Return what each step of the ladder lost on the validation split."""
    keys = ("step", "drop", "drop_ci95", "seconds", "failure")
    return [{key: trial[key] for key in keys} for trial in json.loads(output)["trials"]] if output.strip() else []


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
    return "\n".join([*parts, *(f"- {sentence}" for sentence in findings(rows)), ""])


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
    return f"{way['seconds']:.0f}, {way['cpu_seconds']:.0f}; {way['peak_rss_bytes'] / 1e6:.0f}"


def places(options: argparse.Namespace) -> Iterator[Place]:
    """Yield the chosen cases whose network is there; the others are named on stderr."""
    source = Path(__file__).with_suffix(".toml")
    for case in codec.decode(Cases, read_toml(source, what="cases"), where=str(source)).case:
        if options.case and case.name not in options.case:
            continue
        folder = options.parents if case.parent else options.models
        model = folder / str(case.parent or case.model) if folder else None
        if model is None or not model.exists():
            print(f"{case.name}: left out, {model or '--models'} is not there", file=sys.stderr)
            continue
        yield Place(case=case, model=model, data=options.data, folder=options.out / case.name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder written by prepare_data.py")
    parser.add_argument("--parents", type=Path, required=True, help="folder written by zoo_results.py")
    parser.add_argument("--models", type=Path, help="folder of given models, for the cases that start from one")
    parser.add_argument("--out", type=Path, required=True, help="folder of files and of the summary")
    parser.add_argument("--case", action="append", help="only this one; repeatable")
    parser.add_argument("--json", action="store_true", help="the summary as JSON on stdout")
    options = parser.parse_args()
    rows = [row(place) for place in places(options)]
    summary = {
        "kind": "measured", "host": host_facts(), "tools": dict(tool_versions()), "max_drop": float(MAX_DROP),
        "findings": list(findings(rows)), "rows": rows,
    }  # fmt: skip
    titles = {name: way.title for name, way in WAYS.items()}
    contents = {"json": json.dumps(summary, indent=1) + "\n", "md": markdown(rows), "svg": chart(rows, titles)}
    for suffix, content in contents.items():
        with atomic_path(options.out / f"quantisers.{suffix}") as partial:
            partial.write_text(content)
    print(contents["json"] if options.json else contents["md"], end="")
    return 1 if any("value" not in way for entry in rows for way in entry["ways"].values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
