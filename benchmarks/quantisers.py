"""Quantisers side by side on the same trained networks: TFLite's, ai-edge-quantizer, ONNX Runtime's and edgecv's.

    python benchmarks/prepare_data.py SETS --out data --part cifar10:10000
    python benchmarks/zoo_results.py data --out results
    python benchmarks/quantisers.py data --parents results --out compared [--case NAME …] [--json]

Every file is made by a process of its own from the same .keras, on the same 100 calibration images: the others as in
`stock_quantisers.py`, edgecv by its commands. Wall time, processor time and peak memory are of that whole process,
imports included. Accuracy is on the whole test split through the on-device runtime, with paired 95 % intervals; latency
is interleaved with the float .tflite in one run, one thread. A finished step is not done again: the same line
continues a run.

A case with `steps` also makes a file of every step of the ladder (`whole_ladder.py`) and of further schemes, and says
how often each answers as the float file does. Models and images that are not ours to pass on come from `data` and
`--models`.

The summary goes to `<out>/quantisers.json`, `<out>/quantisers.md` and `<out>/quantisers.svg`. `--beside FILE` adds the
rows that an earlier summary has of other cases. The exit code is 1 when something failed to be made.

`--way NAME` makes and judges this way and the float file alone, a matter of minutes: `<out>/ways.json`, without times.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from quantisers_chart import chart
from quantisers_tables import findings, markdown
from quantisers_ways import ALONE, EDGECV, MAX_DROP, SPEED, WAYS, WHOLE

from edgecv.core import codec
from edgecv.core.files import atomic_path
from edgecv.evaluate import drop_between, evaluate
from edgecv.jobs import models
from edgecv.jobs.evaluate import open_artifact
from edgecv.jobs.ladder.steps import step_file
from edgecv.modelio import tool_versions
from edgecv.report import host_facts
from edgecv.values.evaluation import Evaluation
from edgecv.values.profiles import read_toml

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One trained network.

    Attributes:
        kind: What its family is known for.
        data: Set of calibration and test.
        parent: Its file in the folder of --parents; or `model`, in that of --models, with its contract `spec`.
        qat: Options of quantisation-aware training; `qat_data` the set that it trains on, when it is a part of `data`.
        steps: Whether every step of the ladder is made as well.
        caution: What its figures do not say, in a sentence.
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
    steps: bool = False
    caution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    case: tuple[Case, ...]


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
        return self.folder / f"{way}{(WAYS | ALONE | SPEED)[way].suffix}"

    def uri(self, name: str) -> str:
        return f"npz:{self.data / name}.npz"


def make(place: Place, name: str) -> dict[str, Any]:
    """Make a way's file; returns what `measured` says of the process that made it."""
    record = place.folder / f"{name}.json"
    if record.exists():
        known: dict[str, Any] = json.loads(record.read_text())
        return known
    way, case = (WAYS | ALONE | SPEED)[name], place.case
    data = place.uri(case.qat_data if name == "qat" and case.qat_data else case.data)
    options = (*way.more, *(case.qat if name == "qat" else ()), *place.spec, "--data", data)
    return _recorded(
        place, way.title, [*way.command, str(place.model), *options, "--out", str(place.file(name))], record
    )


def _recorded(place: Place, title: str, line: list[str], record: Path) -> dict[str, Any]:
    print(f"{place.case.name}: {title}", file=sys.stderr, flush=True)
    found = measured(line, place.folder / "log.txt")
    with atomic_path(record) as partial:
        partial.write_text(json.dumps(found, indent=1))
    return found


def every_step(place: Place) -> list[dict[str, Any]]:
    """Take every step of the ladder; return what each came to, its file under "file", or "failure"."""
    record, folder = place.folder / "steps.json", place.folder / "steps"
    if not record.exists():
        options = [*place.spec, "--data", place.uri(place.case.data), *place.case.qat, "--out", str(folder)]
        _recorded(place, "every step of the ladder", [*WHOLE, str(place.model), *options], record)
    output = json.loads(record.read_text())["output"]
    if not output.strip():
        raise RuntimeError(f"the ladder was not climbed; see {place.folder / 'log.txt'}")
    return [trial | {"file": folder / step_file(trial["step"])} for trial in json.loads(output)]


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


def stopped(place: Place, trials: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the file that the ladder stops at in its place; return what `make` would, as far as it is known."""
    passed = [i for i, trial in enumerate(trials) if not trial["failure"] and trial["drop"] <= float(MAX_DROP)]
    taken = trials[: passed[0] + 1] if passed else trials
    made = [trial for trial in taken if not trial["failure"]]
    if made:
        shutil.copyfile(min(made, key=lambda trial: trial["drop"])["file"], place.file("ladder"))
    told = [{key: value for key, value in trial.items() if key != "file"} for trial in taken]
    return {
        "seconds": round(sum(trial["seconds"] for trial in taken), 2), "cpu_seconds": None, "peak_rss_bytes": None,
        "exit": 0 if passed else 1, "output": json.dumps({"trials": told}),
    }  # fmt: skip


def evaluated(place: Place, file: Path, contract: Any) -> Evaluation:
    """Return a file's answers on the test split."""
    # Pickled: what a task keeps of a sample has types of its own, which JSON does not.
    record = file.with_name(f"{file.stem}.evaluation.pickle")
    if not record.exists():
        dataset = models.open_data(place.uri(place.case.data), None)
        with open_artifact(file, spec=contract) as predictor:
            found = evaluate(predictor, dataset.split("test"), dataset.name, targets=dataset.targets)
        with atomic_path(record) as partial:
            partial.write_bytes(pickle.dumps(found))
    known: Evaluation = pickle.loads(record.read_bytes())
    return known


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
    names = [*WAYS, *(ALONE if place.case.steps else ())]
    # Last, since every other step is taken before: then the ladder's own file is one of them.
    processes = {name: make(place, name) for name in names if not (place.case.steps and name == "ladder")}
    if place.case.steps:
        processes["ladder"] = stopped(place, every_step(place))
    made = [name for name in names if place.file(name).exists()]
    source = models.Source(path=place.model, spec=Path(place.spec[1]) if place.spec else None)
    contract = models.require_manifest(models.load(source)).spec
    answers = {name: evaluated(place, place.file(name), contract) for name in made}
    times = latencies(place, [name for name in made if name in WAYS and name != "float32"])
    stock = [name for name in made if (WAYS | ALONE)[name].stock]
    best = max(stock, key=lambda name: answers[name].value)
    ways = {
        name: {
            **_process(processes[name]),
            **(_accuracy(answers, name, best) if name in made else {}),
            **(_latency(times[name]) if name in times else {}),
            **({"size_bytes": place.file(name).stat().st_size} if name in made else {}),
        }
        for name in names
    }
    ways["ladder"]["trials"] = _trials(processes["ladder"]["output"])
    case = place.case
    found = {
        "case": case.name, "title": case.title, "kind": case.kind, "data": case.data, "split": "test",
        "n": answers["float32"].n, "float": answers["float32"].value, "best_stock": best, "ways": ways,
    }  # fmt: skip
    if case.steps:
        found |= {"caution": case.caution, "steps": _steps(place, answers["float32"], contract)}
    return found


def alone(place: Place, names: list[str]) -> dict[str, Any]:
    """Make and evaluate some ways of a case beside its float file."""
    place.folder.mkdir(parents=True, exist_ok=True)
    processes = {name: make(place, name) for name in ("float32", *names)}
    source = models.Source(path=place.model, spec=Path(place.spec[1]) if place.spec else None)
    contract = models.require_manifest(models.load(source)).spec
    baseline = evaluated(place, place.file("float32"), contract)
    ways: dict[str, Any] = {name: _process(processes[name]) for name in names}
    for name in names:
        if place.file(name).exists():
            answers = evaluated(place, place.file(name), contract)
            ways[name] |= {
                "value": answers.value, **_drop_of(baseline, answers), "agreement": agreement(baseline, answers),
                "size_bytes": place.file(name).stat().st_size,
            }  # fmt: skip
    return {
        "case": place.case.name, "title": place.case.title, "data": place.case.data, "split": "test", "n": baseline.n,
        "float": baseline.value, "float_size_bytes": place.file("float32").stat().st_size,
        "caution": place.case.caution, "ways": ways,
    }  # fmt: skip


def _steps(place: Place, baseline: Evaluation, contract: Any) -> list[dict[str, Any]]:
    found = []
    for trial in every_step(place):
        entry = {key: trial[key] for key in ("step", "scheme", "method", "seconds", "size_bytes", "failure")}
        if not trial["failure"]:
            answers = evaluated(place, trial["file"], contract)
            entry |= {"value": answers.value, **_drop_of(baseline, answers), "agreement": agreement(baseline, answers)}
        found.append(entry)
    return found


def agreement(one: Evaluation, other: Evaluation) -> float | None:
    """Return the share of samples that two files put in the same class first; None of a head that has no classes."""
    pairs = list(zip(one.first.evidence, other.first.evidence, strict=True))
    if not all(hasattr(evidence, "best") for pair in pairs for evidence in pair):
        return None
    return sum(a.best == b.best for a, b in pairs) / len(pairs)


def _process(found: dict[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in ("seconds", "cpu_seconds", "peak_rss_bytes", "exit")}


def _accuracy(answers: dict[str, Evaluation], name: str, best: str) -> dict[str, Any]:
    behind = drop_between(answers[best], answers[name])
    return {
        "value": answers[name].value, **_drop_of(answers["float32"], answers[name]),
        "agreement": agreement(answers["float32"], answers[name]),
        "behind_best_stock": _points(behind.value), "behind_best_stock_ci95": [_points(b) for b in behind.ci95],
    }  # fmt: skip


def _drop_of(baseline: Evaluation, answers: Evaluation) -> dict[str, Any]:
    drop = drop_between(baseline, answers)
    return {"drop": _points(drop.value), "drop_ci95": [_points(bound) for bound in drop.ci95]}


def _points(share: float) -> float:
    return round(100 * share, 3)


def _latency(found: dict[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in ("engine", "p50", "ratio_to_baseline", "ratio_ci95")}


def _trials(output: str) -> list[dict[str, Any]]:
    """Return what each step of the ladder lost on the validation split."""
    keys = ("step", "drop", "drop_ci95", "seconds", "failure")
    return [{key: trial[key] for key in keys} for trial in json.loads(output)["trials"]] if output.strip() else []


def places(options: argparse.Namespace) -> Iterator[Place]:
    """Yield the chosen cases whose network is there; the others are named on stderr."""
    source = Path(__file__).with_suffix(".toml")
    for case in codec.decode(Cases, read_toml(source, what="cases"), where=str(source)).case:
        if options.case and case.name not in options.case:
            continue
        asked, folder = ("--parents", options.parents) if case.parent else ("--models", options.models)
        model = folder / str(case.parent or case.model) if folder else None
        if model is None or not model.exists():
            print(f"{case.name}: left out, {model or asked} is not there", file=sys.stderr)
            continue
        yield Place(case=case, model=model, data=options.data, folder=options.out / case.name)


def merged(rows: list[dict[str, Any]], beside: Path | None) -> list[dict[str, Any]]:
    """Return the rows, behind those of an earlier summary whose cases they are not; each keeps its host and tools."""
    if beside is None:
        return rows
    earlier, new = json.loads(beside.read_text()), {entry["case"]: entry for entry in rows}
    facts = {key: earlier[key] for key in ("host", "tools")}
    kept = [new.pop(old["case"], None) or {"measured_on": facts} | old for old in earlier["rows"]]
    return [*kept, *new.values()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder written by prepare_data.py")
    parser.add_argument("--parents", type=Path, help="folder written by zoo_results.py")
    parser.add_argument("--models", type=Path, help="folder of given models, for the cases that start from one")
    parser.add_argument("--out", type=Path, required=True, help="folder of files and of the summary")
    parser.add_argument("--case", action="append", help="only this one; repeatable")
    parser.add_argument("--beside", type=Path, help="a quantisers.json whose rows of other cases are kept")
    parser.add_argument("--json", action="store_true", help="the summary as JSON on stdout")
    parser.add_argument("--way", action="append", choices=sorted(WAYS | ALONE), help="only this one; repeatable")
    options = parser.parse_args()
    if options.way:
        return some_ways(options)
    rows = merged([row(place) for place in places(options)], options.beside)
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
    return _failed(rows)


def some_ways(options: argparse.Namespace) -> int:
    rows = [alone(place, options.way) for place in places(options)]
    summary = {"kind": "measured", "host": host_facts(), "tools": dict(tool_versions()), "rows": rows}
    text = json.dumps(summary, indent=1) + "\n"
    with atomic_path(options.out / "ways.json") as partial:
        partial.write_text(text)
    print(text, end="")
    return _failed(rows)


def _failed(rows: list[dict[str, Any]]) -> int:
    return 1 if any("value" not in way for entry in rows for way in entry["ways"].values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
