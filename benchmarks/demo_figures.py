"""The table and the picture on the README's first screen: what the demo's files are beside the float one.

    edgecv demo --out demo
    python benchmarks/demo_figures.py demo            # writes reference/demo.json, docs/demo.svg, and README's table
    python benchmarks/demo_figures.py demo --json     # prints the figures, writes nothing

Sizes, accuracies and times come from the demo's report.json. Times are measured beside the float model in one run,
interleaved; the ratio is what carries to another day.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecv.report.markup import Markup, el

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "benchmarks" / "reference" / "demo.json"
PICTURE = ROOT / "docs" / "demo.svg"
README = ROOT / "README.md"
BEGIN, END = "<!-- demo_figures.py: begin -->", "<!-- demo_figures.py: end -->"
SHOWN = ("float32.tflite", "float16.tflite", "dynamic.tflite", "int8-ptq.tflite", "int8-qat.tflite")
WIDTH, LEFT, TOP, LINE, GAP, RIGHT = 860, 150, 44, 26, 34, 62
COLOURS = {"float32": "#57606a", "float16": "#0b6bcb", "dynamic": "#8250df", "int8": "#c2410c"}


def figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the table and the picture show."""
    found = {name: _named(report, name) for name in SHOWN}
    largest = found[SHOWN[0]]["size_bytes"]
    rows = [_row(name, artifact, largest) for name, artifact in found.items()]
    host, baseline, data = report["host"], report["baseline"], report["dataset"]
    return {
        "network": found[SHOWN[0]]["name"].removesuffix(f"-{SHOWN[0]}"),
        "created": report["created"],
        "host": {key: host[key] for key in ("cpu_model", "isa", "cpus", "os", "python", "packages")},
        "engine": baseline["engine"],
        "data": {key: data[key] for key in ("name", "split", "n", "sha256")},
        "metric": baseline["metric"]["name"],
        "rows": rows,
    }


def _named(report: Mapping[str, Any], end: str) -> Mapping[str, Any]:
    named = [a for a in report["artifacts"] if a["name"].endswith(f"-{end}") and "pruned" not in a["name"]]
    return next(a for a in named if "gpu" not in a["name"] and "edgetpu" not in a["name"])


def _row(name: str, artifact: Mapping[str, Any], largest: int) -> dict[str, Any]:
    latency = artifact["latency"][0]
    return {
        "file": name,
        "scheme": artifact["scheme"],
        "size_bytes": artifact["size_bytes"],
        "times_smaller": largest / artifact["size_bytes"],
        "value": artifact["value"],
        "drop": artifact["drop"],
        "drop_ci95": artifact["drop_ci95"],
        "p50_ms": latency["p50"],
        "ratio": latency["ratio_to_baseline"],
        "ratio_ci95": latency["ratio_ci95"],
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the README's table and the sentence under it."""
    head = (
        f"| file | size | {found['metric']} | drop, points, 95 % interval | p50 | time beside float, 95 % interval |\n"
        "|---|---:|---:|---:|---:|---:|\n"
    )
    host, data = found["host"], found["data"]
    said = (
        f"`{found['network']}` on the {data['n']} {data['split']} images of `{data['name']}`; measured with "
        f"{found['engine']} on {host['cpus']} cores of an {host['cpu_model']} ({host['isa']}), interleaved with the "
        "float model. Made by `edgecv demo` and `python benchmarks/demo_figures.py demo`."
    )
    return head + "".join(_line(row) for row in found["rows"]) + "\n" + said + "\n"


def _line(row: Mapping[str, Any]) -> str:
    low, high = (100 * bound + 0.0 for bound in row["drop_ci95"])
    fast, slow = row["ratio_ci95"]
    smaller = f" (÷ {row['times_smaller']:.1f})" if row["times_smaller"] > 1.05 else ""
    faster = f" ({1 / row['ratio']:.1f} × as fast)" if slow < 1 else ""
    return (
        f"| `{row['file']}` | {row['size_bytes'] / 1e6:.2f} MB{smaller} | {row['value']:.4f} "
        f"| {100 * row['drop'] + 0.0:+.2f} [{low:+.2f}, {high:+.2f}] | {row['p50_ms']:.3f} ms "
        f"| {row['ratio']:.2f} [{fast:.2f}, {slow:.2f}]{faster} |\n"
    )


def picture(found: Mapping[str, Any]) -> str:
    """Return the SVG: per file, its share of the float file's size and of the float model's time."""
    rows: Sequence[Mapping[str, Any]] = found["rows"]
    wide = (WIDTH - LEFT - GAP - 2 * RIGHT) / 2
    starts = (LEFT, LEFT + wide + RIGHT + GAP)
    height = TOP + LINE * len(rows) + 12
    parts = [el("rect", x=0, y=0, width=WIDTH, height=height, fill="#ffffff")]
    parts += [
        el("text", title, x=round(start, 1), y=24, font_weight="bold")
        for title, start in zip(("size, share of float32", "time, share of float, 95 % interval"), starts, strict=True)
    ]
    for index, row in enumerate(rows):
        y = TOP + LINE * index
        parts.append(el("text", row["file"], x=LEFT - 10, y=y + 14, text_anchor="end"))
        parts += _bar(1 / row["times_smaller"], None, row["scheme"], starts[0], wide, y)
        parts += _bar(row["ratio"], row["ratio_ci95"], row["scheme"], starts[1], wide, y)
    drawn = el(
        "svg", *parts, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height}", role="img",
        font_family="system-ui, sans-serif", font_size=13, fill="#1b1f24",
    )  # fmt: skip
    return f"{drawn}\n"


def _bar(
    share: float, interval: Sequence[float] | None, scheme: str, start: float, wide: float, y: float
) -> list[Markup]:

    unit = wide / 1.08  # a file of no gain is a little slower on some days
    colour, middle = COLOURS.get(scheme, "#57606a"), y + 9.0
    parts = [el("rect", x=round(start, 1), y=y, width=round(unit * share, 1), height=18, rx=3, fill=colour)]
    end = start + unit * share
    if interval is not None:
        low, high = (round(start + unit * bound, 1) for bound in interval)
        parts.append(el("line", x1=low, y1=middle, x2=high, y2=middle, stroke="#1b1f24", stroke_width=1.5))
        end = max(end, high)
    parts.append(el("text", f"{share:.2f}", x=round(end + 6, 1), y=y + 14))
    return parts


def with_table(text: str, found: Mapping[str, Any]) -> str:
    """Return a document with the table between its marks replaced."""
    block = f"{BEGIN}\n{table(found)}{END}"
    made, count = re.subn(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: block, text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"expected the marks {BEGIN} and {END} once, found {count}")
    return made


def main() -> None:
    """Write the record, the picture and the table from a demo's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="Of `edgecv demo --out FOLDER`.")
    parser.add_argument("--json", action="store_true", help="Print the figures and write nothing.")
    asked = parser.parse_args()
    found = figures(json.loads((asked.folder / "report.json").read_text(encoding="utf-8")))
    if asked.json:
        print(json.dumps(found, indent=1))
        return
    REFERENCE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    PICTURE.write_text(picture(found), encoding="utf-8")
    README.write_text(with_table(README.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
