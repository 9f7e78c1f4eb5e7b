"""Is int8 faster than float on this CPU? TFLite's quantiser, edgecv's, and edgecv's with float where it is faster.

    python benchmarks/prepare_data.py SETS --out data --part cifar10:10000
    edgecv train lenet5 --data npz:data/mnist.npz --epochs 1 --out results/lenet5-mnist/float.keras
    python benchmarks/integer_speed.py data --parents results --out compared [--case NAME …] [--json FILE] [--docs]

The cases are those of `quantisers.toml` whose integers gain least: small, depthwise, with gates, with tanh. Their
networks come from `zoo_results.py`, or from `edgecv train` as above: for the published rows with one epoch (LeNet-5),
two or, on the EPYC, four (xception_small), three (mobilenet_v2_small, `--variant gated`) and eight
(mobilenet_v2_small). Files are made by the tools' own commands from the same .keras on the same 100 calibration
images; each file's time is a share of the float .tflite's, one thread, all interleaved in one run, and its loss is on
the whole test split, with paired 95 % intervals. The bound is what no choice of layers in int8 and in float goes
below: the sum of each layer's shorter time over the sum of their float times, conversions not counted. A finished step
is not done again. `--json` keeps the rows, beside those of other cases and processors that it has; `--docs` writes the
tables into docs/ptq.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import quantisers
from quantisers_ways import SPEED, WAYS

from edgecv.core.files import atomic_path, write_text
from edgecv.evaluate import drop_between
from edgecv.jobs import float_islands, models
from edgecv.modelio import tool_versions
from edgecv.report import host_facts

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "ptq.md"
BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"
CASES = (
    "lenet5-mnist", "xception_small-cifar10", "mobilenet_v2_small_gated-cifar10", "mobilenet_v2_small-cifar10",
)  # fmt: skip
NAMES = ("tflite", "ptq", "islands")


def row(place: quantisers.Place) -> dict[str, Any]:
    """Make, judge and time a case's files."""
    place.folder.mkdir(parents=True, exist_ok=True)
    for name in ("float32", *NAMES):
        if quantisers.make(place, name)["exit"] not in (0, 1) or not place.file(name).exists():
            raise RuntimeError(f"{place.file(name)} was not made; see {place.folder / 'log.txt'}")
    contract = models.require_manifest(models.load(models.Source(path=place.model))).spec
    answers = {name: quantisers.evaluated(place, place.file(name), contract) for name in ("float32", *NAMES)}
    times = quantisers.latencies(place, list(NAMES))
    ways = {}
    for name in NAMES:
        drop = drop_between(answers["float32"], answers[name])
        ways[name] = {
            "ratio": times[name]["ratio_to_baseline"], "ratio_ci95": times[name]["ratio_ci95"],
            "value": answers[name].value, "drop": drop.value * 100, "drop_ci95": [one * 100 for one in drop.ci95],
            "size_bytes": place.file(name).stat().st_size,
        }  # fmt: skip
    costs = float_islands.measured(place.file("ptq"), place.file("float32"))
    return {
        "case": place.case.name, "title": place.case.title, "n": answers["float32"].n,
        "bound": costs.least / costs.in_float,
        "float": answers["float32"].value, "float_size_bytes": place.file("float32").stat().st_size, "ways": ways,
        "host": host_facts()["cpu_model"], "tools": tool_versions(),
    }  # fmt: skip


def tables(rows: list[dict[str, Any]]) -> str:
    """Return the rows as tables in Markdown, one of each processor."""
    hosts = dict.fromkeys(one["host"] for one in rows)
    return "\n".join(table([one for one in rows if one["host"] == host], host) for host in hosts)


def table(rows: list[dict[str, Any]], host: str) -> str:
    """Return the rows of a processor as a table in Markdown."""
    titles = [(WAYS | SPEED)[name].title for name in NAMES]
    lines = [f"| network, test accuracy | {' | '.join([*titles, 'bound'])} |", f"|{'---|' * (2 + len(NAMES))}"]
    for one in rows:
        cells = [
            f"{way['ratio']:.2f} [{way['ratio_ci95'][0]:.2f}, {way['ratio_ci95'][1]:.2f}]; "
            f"{way['drop']:+.2f} [{way['drop_ci95'][0]:+.2f}, {way['drop_ci95'][1]:+.2f}]"
            for way in (one["ways"][name] for name in NAMES)
        ]
        lines.append(f"| {one['title']}, {one['float']:.4f} | {' | '.join([*cells, format(one['bound'], '.2f')])} |")
    return "\n".join([*lines, "", f"Measured by `benchmarks/integer_speed.py` on {host}, one thread.", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("data", type=Path, help="folder with the sets of prepare_data.py")
    parser.add_argument("--parents", type=Path, required=True, help="folder with trained networks of zoo_results.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--case", action="append", default=[], help="repeatable; default: all")
    parser.add_argument("--json", type=Path, help="where the rows are kept")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/ptq.md")
    options = parser.parse_args()
    options.models, options.case = None, options.case or list(CASES)
    found = [row(place) for place in quantisers.places(options)]
    kept = json.loads(options.json.read_text()) if options.json and options.json.exists() else []
    fresh = {(one["case"], one["host"]) for one in found}
    old = [one for one in kept if (one["case"], one["host"]) not in fresh]
    rows = sorted(old + found, key=lambda one: (one["host"], CASES.index(one["case"])))
    if options.json:
        with atomic_path(options.json) as partial:
            partial.write_text(json.dumps(rows, indent=1) + "\n")
    print(tables(rows))
    if options.docs:
        text = PAGE.read_text()
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        write_text(PAGE, f"{before}{BEGIN}\n{tables(rows)}{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
