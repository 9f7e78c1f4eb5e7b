"""Networks trained on real data: float against int8 by post-training quantisation and by quantisation-aware training.

    python benchmarks/prepare_data.py SETS --out data --part cifar10:10000
    python benchmarks/zoo_results.py data --out results [--cases task_results.toml] [--case NAME …] [--json]

Every step is a command of edgecv, as a user types it: train, convert, quantize twice, report. A finished step is not
done again, and a killed one goes on where it was, so the same line continues an interrupted run. The cases are
`benchmarks/zoo_results.toml`, or those of another file beside it. The metric, of the task of each network, is on the
whole test split, through the on-device runtime; drops carry paired 95 % intervals; latency ratios are interleaved with
the float model on the same CPU.

The summary goes to `<out>/zoo_results.json` and `<out>/zoo_results.md`, named like the file of cases.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.core import codec
from edgecv.core.errors import ConfigError, EdgecvError
from edgecv.core.files import atomic_path
from edgecv.values.profiles import read_toml

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ROOT / "benchmarks" / "recipes"
EMBEDDED = ("digits", "scenes", "scenes:one")
ARTIFACTS = {"float32": "float32.tflite", "ptq": "int8-ptq.tflite", "qat": "int8-qat.tflite"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One network on one data set.

    Attributes:
        train: Options of `edgecv train`; "{NAME}" stands for the float model of another case.
        model: A given file in place of training, relative to the folder of models.
        spec: TOML of its contract, relative to this folder.
        qat: Options of quantisation-aware training.
        qat_data: Set that it trains on, when it is a part of `data`.
        at_least: Accuracy that the float model is meant to reach, 0..1.
        quantized: Whether it goes on to int8.
    """

    name: str
    title: str
    data: str
    train: tuple[str, ...] = ()
    model: str | None = None
    spec: str | None = None
    qat: tuple[str, ...] = ()
    qat_data: str | None = None
    at_least: float | None = None
    quantized: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    case: tuple[Case, ...]


def edgecv(*arguments: str, log: Path) -> float:
    """Run one command; returns its seconds. Its output goes to `log`."""
    start = time.perf_counter()
    with log.open("a") as stream:
        stream.write(f"$ edgecv {' '.join(arguments)}\n")
        stream.flush()
        done = subprocess.run(
            [sys.executable, str(ROOT / "cli.py"), *arguments], stdout=stream, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode != 0:
        raise RuntimeError(f"edgecv {' '.join(arguments)} ended with {done.returncode}; see {log}")
    return time.perf_counter() - start


def step(out: Path, *arguments: str, folder: Path) -> None:
    """Run a command that writes `out`, unless it has done so; notes its seconds beside the results."""
    if out.exists():
        return
    print(f"{folder.name}: {arguments[0]} {out.name}", file=sys.stderr, flush=True)
    seconds = edgecv(*arguments, log=folder / "log.txt")
    times = folder / "seconds.json"
    known = json.loads(times.read_text()) if times.exists() else {}
    times.write_text(json.dumps(known | {out.name: round(seconds, 1)}, indent=1))


def address(named: str, folder: Path) -> str:
    """Return the address of a case's data: a bare name is an .npz in the folder, a path lies in it."""
    scheme, colon, path = named.partition(":")
    if named in EMBEDDED:
        return named
    return f"{scheme}:{folder / path}" if colon else f"npz:{folder / named}.npz"


def run(case: Case, data: Path, models: Path | None, out: Path) -> dict[str, Any]:
    """Bring one case to its report and return its row of the summary."""
    folder = out / case.name
    folder.mkdir(parents=True, exist_ok=True)
    samples = ["--data", address(case.data, data)]
    keras, spec = _float_model(case, samples, models, folder)
    if not case.quantized:
        return {"case": case.name, "title": case.title, "data": case.data, **_accuracy(keras, samples, folder)}
    files = {name: folder / file for name, file in ARTIFACTS.items()}
    step(files["float32"], "convert", str(keras), "--out", str(files["float32"]), *samples, *spec, folder=folder)
    step(files["ptq"], "quantize", str(keras), "--out", str(files["ptq"]), *samples, *spec, folder=folder)
    part = ["--data", address(case.qat_data or case.data, data)]
    step(
        files["qat"], "quantize", str(keras), "--method", "qat", *case.qat, "--out", str(files["qat"]), *part, *spec,
        folder=folder,
    )  # fmt: skip
    made = folder / "report" / "report.json"
    step(
        made, "report", *map(str, files.values()), "--baseline", str(files["float32"]), "--out", str(made.parent),
        *samples, folder=folder,
    )  # fmt: skip
    return row(case, json.loads(made.read_text()), folder)


def attempt(case: Case, data: Path, models: Path | None, out: Path) -> dict[str, Any]:
    """Run one case; what fails does not keep the others from running, and says so in the summary."""
    try:
        return run(case, data, models, out)
    except (RuntimeError, EdgecvError) as error:
        print(f"{case.name}: {error}", file=sys.stderr, flush=True)
        return {"case": case.name, "title": case.title, "data": case.data, "failed": str(error)}


def _accuracy(keras: Path, samples: list[str], folder: Path) -> dict[str, Any]:
    """Return the float model's accuracy on the test split."""
    out = folder / "evaluation.json"
    if not out.exists():
        line = [sys.executable, str(ROOT / "cli.py"), "evaluate", str(keras), *samples, "--json"]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        out.write_text(done.stdout)
    found = json.loads(out.read_text())
    return {"n": found["n"], "value": found["value"]}


def _float_model(case: Case, samples: list[str], models: Path | None, folder: Path) -> tuple[Path, list[str]]:
    if case.model is None:
        keras = folder / "float.keras"
        options = [option.format_map(_Others(folder.parent)) for option in case.train]
        step(keras, "train", *options, *samples, "--out", str(keras), folder=folder)
        return keras, []
    if models is None:
        raise ConfigError(f"case '{case.name}' needs a given model", hint=f"pass --models FOLDER with {case.model}")
    return models / case.model, ["--spec", str(ROOT / "benchmarks" / str(case.spec))]


class _Others(dict[str, str]):
    """The float models of other cases by their names."""

    def __init__(self, out: Path) -> None:
        super().__init__()
        self._out = out

    def __missing__(self, name: str) -> str:
        if name == "recipes":
            return str(RECIPES)
        return str(self._out / name / "float.keras")


def row(case: Case, report: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what the summary says of a case, from its report."""
    artifacts = {a["name"]: a for a in report["artifacts"]}
    schemes = {name: _figures(artifacts[file]) for name, file in ARTIFACTS.items()}
    times = folder / "seconds.json"
    return {
        "case": case.name,
        "title": case.title,
        "data": case.data,
        "n": report["dataset"]["n"],
        "at_least": case.at_least,
        "schemes": schemes,
        "seconds": json.loads(times.read_text()) if times.exists() else {},
        "host": report["host"],
    }


def _figures(artifact: dict[str, Any]) -> dict[str, Any]:
    latency = artifact["latency"][0] if artifact["latency"] else {}
    targets = [artifact["mapping"], *artifact["other_mappings"]]
    return {
        "metric": artifact["metric"]["name"],
        "unit": artifact["metric"]["unit"],
        **{key: artifact[key] for key in ("value", "drop", "drop_ci95", "size_bytes")},
        "figures": artifact["heads"][0]["figures"],
        **{key: latency.get(key) for key in ("p50", "ratio_to_baseline", "ratio_ci95")},
        "mapped": {m["target"]: [m["n_mapped"], m["n_ops"], m["kind"]] for m in targets if m},
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the table of the summary."""
    lines = [
        "| network, data | float | int8 PTQ: drop in points [95 %] | int8 QAT: drop in points [95 %] | size PTQ | "
        "time float / PTQ / QAT |",
        "|---|---|---|---|---|---|",
    ]
    for entry in rows:
        if "schemes" not in entry:
            value = f"{entry['value']:.4f}" if "value" in entry else "failed"
            lines.append(f"| {entry['title']} | {value} | | | | |")
            continue
        floats, ptq, qat = (entry["schemes"][name] for name in ARTIFACTS)
        ratios = " / ".join(f"{s['ratio_to_baseline']:.2f}" if s["ratio_to_baseline"] else "?" for s in (ptq, qat))
        lines.append(
            f"| {entry['title']} | {floats['value']:.4f} | {_drop(ptq)} | {_drop(qat)} | "
            f"{ptq['size_bytes'] / floats['size_bytes']:.2f} of {floats['size_bytes'] / 1e6:.2f} MB | 1 / {ratios} |"
        )
    return "\n".join(lines) + "\n"


def _drop(figures: dict[str, Any]) -> str:
    low, high = figures["drop_ci95"]
    return f"{figures['value']:.4f}: {100 * figures['drop']:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder written by prepare_data.py")
    parser.add_argument("--out", type=Path, required=True, help="folder of models, reports and the summary")
    parser.add_argument("--models", type=Path, help="folder of given models, for the cases that start from one")
    parser.add_argument("--cases", default="zoo_results.toml", help="file of cases beside this script")
    parser.add_argument("--case", action="append", help="only this one; repeatable")
    parser.add_argument("--json", action="store_true", help="the summary as JSON on stdout")
    options = parser.parse_args()
    source = ROOT / "benchmarks" / options.cases
    cases = codec.decode(Cases, read_toml(source, what="cases"), where=str(source)).case
    chosen = [case for case in cases if not options.case or case.name in options.case]
    rows = [attempt(case, options.data, options.models, options.out) for case in chosen]
    text = markdown(rows)
    stem = Path(options.cases).stem
    for name, content in ((f"{stem}.json", json.dumps(rows, indent=1) + "\n"), (f"{stem}.md", text)):
        with atomic_path(options.out / name) as partial:
            partial.write_text(content)
    print(json.dumps(rows) if options.json else text)
    return 1 if any("failed" in row for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
