"""Times in browsers: LeNet-5 and MobileNetV2, float and int8, as shares of the float file's time in the same browser.

    make web browsers
    python benchmarks/browser_latency.py --work FOLDER --out browser_latency.json [--docs]

Each browser that is installed is started without a screen, with a fresh profile, and opens the link of a server of
browsers: it is a device of edgecv like any other, and `edgecv.bench` times it. Every file runs in each of its
interpreters there, LiteRT.js or onnxruntime-web on wasm, with one thread and with as many as the machine has, in turns
with the float .tflite in LiteRT.js on one thread; the ratio has a 95 % interval over launches and rounds. Weights are
random, which does not change the work. The files and raw samples are kept in the work folder: the same command goes on
where it was stopped. `--docs` writes the table into docs/browser.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.bench import BenchCase, BenchPlan, Device, ResultsFile, bench, open_device, plan
from edgecv.bench.browsers.server import BrowserServer
from edgecv.core.files import atomic_path
from edgecv.jobs.zoo_check import settled_file
from edgecv.runtime.host import host_facts
from edgecv.values.latency import Latency

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- browsers: begin -->", "<!-- browsers: end -->"
NETWORKS = {"lenet5": (32, 32, 1), "mobilenet_v2": (224, 224, 3)}
WAYS = {"float32": "float32", "int8": "int8-ptq"}
FORMATS = {"tflite": "LiteRT.js", "onnx": "onnxruntime-web"}
LABELS = 10
BROWSERS = {
    "chromium": ("chromium", "--headless", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-extensions",
                 "--user-data-dir={}"),
    "firefox": ("firefox-esr", "--headless", "--no-remote", "--profile", "{}"),
}  # fmt: skip
START_S = 120.0
FACTS = ("browser", "isolated", "clock_resolution_us", "relaxed_simd", "cpus", "gpu", "packages")


def made(network: str, work: Path) -> dict[tuple[str, str], Path]:
    """Return a network's files by type and format; those that exist are taken as they are."""
    found = {}
    for kind, way in WAYS.items():
        for format in FORMATS:
            path = work / f"{network}-{kind}.{format}"
            if not path.exists():
                with tempfile.TemporaryDirectory() as name:
                    shape = NETWORKS[network]
                    settled = settled_file(
                        network, Path(name), input_shape=shape, way=way, format=format, labels=LABELS
                    )
                    with atomic_path(path) as written:
                        shutil.copy(settled, written)
            found[kind, format] = path
    return found


@contextlib.contextmanager
def opened(which: str, server: BrowserServer) -> Iterator[Device]:
    """Start a browser on the server's link; ended at once when done."""
    program, *options = BROWSERS[which]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *(option.format(profile) for option in options), server.link]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, start_new_session=True, **quiet)  # type: ignore[call-overload]
        try:
            deadline = time.monotonic() + START_S
            while not server.hub.connected():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{program} did not open the link")
                time.sleep(0.1)
            yield open_device("browser")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def cases_of(network: str, files: Mapping[tuple[str, str], Path], threads: Sequence[int]) -> list[BenchCase]:
    """Return every case of a network; the first is the baseline."""
    return [
        BenchCase(name=f"{network} {kind} {FORMATS[format]} {count}", path=str(path), threads=count)
        for (kind, format), path in files.items()
        for count in threads
    ]


def record(network: str, files: Mapping[tuple[str, str], Path], case: BenchCase, latency: Latency) -> dict[str, Any]:
    kind, format = next(key for key, path in files.items() if str(path) == case.path)
    return {
        "network": network, "input": list(NETWORKS[network]), "type": kind, "format": format, "threads": case.threads,
        "engine": latency.engine, "backend": latency.accelerator, "kind": latency.kind,
        "p50_ms": round(latency.p50, 4), "load_ms": round(latency.load_ms or 0, 1),
        "first_ms": round(latency.first_ms or 0, 2), "ratio": _rounded(latency.ratio_to_baseline),
        "ci95": latency.ratio_ci95 and [_rounded(bound) for bound in latency.ratio_ci95],
        "warnings": list(latency.warnings),
    }  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def measured(
    device: Device, network: str, files: Mapping[tuple[str, str], Path], threads: Sequence[int], store: ResultsFile,
    chosen: BenchPlan,
) -> list[dict[str, Any]]:  # fmt: skip
    """Time every file of a network in one browser."""
    baseline, *cases = cases_of(network, files, threads)
    found = bench(
        cases, baseline=baseline, device=device, plan=chosen, save=store.save, earlier=store.read(), retries=2
    )
    return [record(network, files, one.case, one.latency) for one in found]


def table(document: Mapping[str, Any]) -> list[str]:
    """Return the rows of the table for the document."""
    heads, rows = [], []
    for browser in document["browsers"]:
        facts = browser["facts"]
        isolated = "isolated" if facts["isolated"] else "not isolated"
        heads.append(f"{facts['browser']}, {isolated}, clock {facts['clock_resolution_us']:g} us")
        for one in browser["records"]:
            ratio = "1" if one["ratio"] is None else f"{one['ratio']:.2f} [{one['ci95'][0]:.2f}, {one['ci95'][1]:.2f}]"
            engine = one["engine"].partition(" in ")[0]
            rows.append(
                f"| {facts['browser']} | {one['network']} | {one['type']} | {engine} | {one['backend']} "
                f"| {one['threads']} | {ratio} | {one['p50_ms']:.2f} |"
            )
    first = [
        f"Measured in {'; '.join(heads)}; {document['host']['cpu_model']}, {document['threads']} cores, load average "
        f"{document['load_average'][0]:.0f} to {document['load_average'][1]:.0f}.",
        "",
        "| browser | network | type | interpreter | backend | threads | share of float's time, one thread | ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return [*first, *rows]


def write_docs(document: Mapping[str, Any]) -> None:
    """Put the table into docs/browser.md."""
    page = ROOT / "docs" / "browser.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text("\n".join([before + BEGIN, *table(document), END]) + after, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of files and raw samples")
    parser.add_argument("--network", choices=NETWORKS, action="append", help="repeatable; default: all")
    parser.add_argument("--browser", choices=BROWSERS, action="append", help="repeatable; default: those installed")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="the larger number of threads")
    parser.add_argument("--plan", default="quick", help="of the measurement: quick, default or thorough")
    parser.add_argument("--launches", type=int, help="at least; an interval needs three")
    parser.add_argument("--out", type=Path, help="write the document here")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/browser.md")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    files = {network: made(network, options.work) for network in options.network or NETWORKS}
    # A server of its own, beside one that the user may have running.
    os.environ["XDG_CACHE_HOME"] = str(options.work / "cache")
    chosen = plan(options.plan)
    chosen = replace(chosen, min_launches=options.launches) if options.launches else chosen
    load, counts = os.getloadavg()[0], sorted({1, options.threads})
    document: dict[str, Any] = {
        "host": host_facts(),
        "threads": options.threads,
        "plan": asdict(chosen),
        "browsers": [],
    }
    for which in options.browser or [name for name, (program, *_) in BROWSERS.items() if shutil.which(program)]:
        with BrowserServer() as server, opened(which, server) as device:
            facts, store = device.facts(), ResultsFile(options.work / f"{which}.json")
            found: dict[str, Any] = {"facts": {name: facts.get(name) for name in FACTS}, "records": []}
            document["browsers"].append(found)
            for network, made_of_it in files.items():
                found["records"] += measured(device, network, made_of_it, counts, store, chosen)
                document["load_average"] = [round(load, 1), round(os.getloadavg()[0], 1)]
                if options.out:
                    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.docs:
        write_docs(document)
    print("\n".join(table(document)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
