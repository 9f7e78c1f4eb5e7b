"""What LiteRT's GPU accelerator takes of the zoo, whether `edgecv inspect` says the same, and how well it answers.

    python benchmarks/gpu_coverage.py --out benchmarks/reference/gpu_coverage.json
    python benchmarks/gpu_coverage.py --network alexnet --way float32 --precision float16
    python benchmarks/gpu_coverage.py --ops

Weights are random, fitted to made-up images (see edgecv/pipeline/matrix.py); inputs are 8 such images. On a software
renderer this is simulated: coverage and numerics, never latency. Exit 1 when inspect and the accelerator disagree, or
an answer is further from the CPU's than the tolerance. `--ops` holds single operators against the table in
targets/gpu.toml, which decides where no adapter opens.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv import runtime
from edgecv.core.errors import PartialAccelerationError
from edgecv.core.files import atomic_path
from edgecv.graphs import read_graph
from edgecv.runtime.image import preprocess_batch
from edgecv.targets import inspect, vulkan
from edgecv.targets.gpu import WRONG

NETWORKS = (
    "lenet5", "resnet8", "se_resnet20", "mobilenet_v2", "googlenet_small", "densenet_small", "xception_small",
    "alexnet_quarter", "alexnet", "alexnet/grouped",
)  # fmt: skip
# Of the largest answer. float32: other orders of summation; float16: 11 bits through some 50 layers of a random
# network, which spreads noise as no trained one does. int8 files are computed in float on a GPU, so that values near
# the middle of two steps go either way: they may be twice as far from the CPU's as those are from the float model's.
TOLERANCES = {("float32", "float32"): 1e-4, ("float32", "float16"): 0.05, ("int8-ptq", "float32"): None}
SAMPLES = 8


def one(network: str, way: str, precision: str) -> dict[str, Any]:
    """Return the record of one network, computed in this process."""
    from edgecv.jobs import zoo_check as matrix

    name, _, variant = network.partition("/")
    vulkan.activate_first()
    with tempfile.TemporaryDirectory() as folder:
        path = matrix.settled_file(name, Path(folder), variant=variant or "canonical", way=way)
        said = inspect(path, "gpu")
        record: dict[str, Any] = {"network": network, "way": way, "precision": precision, "kind": said.kind}
        wrong = sum(op.status == WRONG for op in said.ops)
        record |= {"n_ops": said.n_ops, "inspect": said.n_mapped, "known_wrong": wrong}
        record["unmapped"] = [f"{op.op} of {op.layer or '?'}: {op.reason}" for op in said.ops if not op.mapped]
        with runtime.load(path, accelerator="gpu", strict=False, precision=precision) as gpu, runtime.load(path) as cpu:
            session = gpu.session
            record["accelerator"] = said.n_ops if session.fully_accelerated else session.n_accelerated
            record["adapter"], record["found_precision"] = gpu.adapter, gpu.precision
            record["difference"] = _difference(gpu, cpu)
            record["noise"] = None if way == "float32" else _noise(path, way, cpu)
        try:
            runtime.load(path, accelerator="gpu", precision=precision).close()
            record["strict"] = "opens"
        except PartialAccelerationError:
            record["strict"] = "refuses"
        return record


def _noise(path: Path, way: str, cpu: runtime.Predictor) -> float:
    """Return how far the CPU's answers are from the float model's, which lies beside the file."""
    from edgecv.evaluate import KerasPredictor
    from edgecv.modelio import load_keras

    with KerasPredictor(load_keras(path.with_name(f"{way}.keras"))) as keras:
        return _difference(keras, cpu)


def _difference(gpu: Any, cpu: Any) -> float:
    """Return the largest difference of an answer over the largest answer, on images like those of calibration.

    Beyond the ranges that calibration saw, int8 saturates on the CPU and not in the GPU's float arithmetic.
    """
    from edgecv.data.synthetic import synthetic

    split, worst, size = synthetic(cpu.spec).split("test"), 0.0, 0.0
    for index in range(min(SAMPLES, len(split))):
        samples = [preprocess_batch([split.image(index)], cpu.spec)]
        for here, there in zip(cpu.run(samples), gpu.run(samples), strict=True):
            worst = max(worst, float(np.abs(here - there).max()))
            size = max(size, float(np.abs(here).max()))
    return worst / size


def problem(record: dict[str, Any]) -> str:
    """Return what is wrong with a record; "" when nothing is."""
    if "failed" in record:
        return str(record["failed"])
    whole = record["accelerator"] == record["n_ops"]
    if record["inspect"] + record["known_wrong"] != record["accelerator"] or (record["strict"] == "opens") != whole:
        return "inspect and the accelerator disagree"
    limit = TOLERANCES[record["way"], record["precision"]]
    if limit is None:
        limit = 2 * record["noise"]
    if record["known_wrong"]:
        return ""  # inspect says so
    return "" if record["difference"] <= limit else f"answers differ by more than {limit:g}"


def in_process(network: str, way: str, precision: str) -> dict[str, Any]:
    """Return the record of one network, computed in a process of its own: native code may end it."""
    command = [sys.executable, __file__, "--one", network, "--way", way, "--precision", precision]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip() or "killed").splitlines()
        wanted = [line for line in last if "Error" in line] or last
        return {"network": network, "way": way, "precision": precision, "failed": wanted[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(records: list[dict[str, Any]]) -> str:
    lines = ["network            way       precision  ops  inspect  accelerator  strict   difference  int8 noise"]
    for r in records:
        start = f"{r['network']:18} {r['way']:9} {r['precision']:9}"
        if "failed" not in r:
            counts = f"{r['n_ops']:4}  {r['inspect']:7}  {r['accelerator']:11}  {r['strict']:8} {r['difference']:.1e}"
            counts += "" if r["noise"] is None else f"     {r['noise']:.1e}"
            start += f" {counts}"
        lines.append(f"{start} {problem(r)}".rstrip())
        lines += [f"    {reason}" for reason in r.get("unmapped", ())[:6]]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", help="NAME or NAME/VARIANT; repeatable")
    parser.add_argument("--way", action="append", choices=("float32", "int8-ptq"))
    parser.add_argument("--precision", action="append", choices=("float32", "float16"))
    parser.add_argument("--ops", action="store_true", help="single operators against the table")
    parser.add_argument("--out", type=Path, help="the records as JSON")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one, options.way[0], options.precision[0])))
        return 0
    records = _ops() if options.ops else list(_networks(options))
    if options.out:
        with atomic_path(options.out) as partial:
            partial.write_text(json.dumps(records, indent=1) + "\n")
    text = _ops_table(records) if options.ops else table(records)
    print(json.dumps(records) if options.json else text)
    return 1 if any((r["accelerator"] != r["table"]) if options.ops else problem(r) for r in records) else 0


def _networks(options: Any) -> Any:
    for way, precision in TOLERANCES:
        if way not in (options.way or [way]) or precision not in (options.precision or [precision]):
            continue
        for network in options.network or NETWORKS:
            print(f"{network} {way} {precision} …", file=sys.stderr, flush=True)
            yield in_process(network, way, precision)


def _ops() -> list[dict[str, Any]]:
    """Return what the accelerator and the table say of one small file per operator."""
    from gpu_operators import single_operator_files

    records = []
    with tempfile.TemporaryDirectory() as folder:
        for label, path in single_operator_files(Path(folder)):
            said = inspect(path, "gpu")
            by_table = _by_table(path)
            for op, finding in zip(said.ops, by_table, strict=True):
                record = {"case": label, "op": op.op, "kind": said.kind, "accelerator": op.mapped, "table": finding}
                records.append({**record, "reason": op.reason})
    return records


def _by_table(path: Path) -> list[bool]:
    from edgecv.targets.gpu import by_table
    from edgecv.targets.verdict import Request
    from edgecv.values import profiles

    request = Request(path=path, graph=read_graph(path), profile=profiles.target("gpu"))
    return [finding.mapped for finding in by_table(request)]


def _ops_table(records: list[dict[str, Any]]) -> str:
    odd = [r for r in records if r["accelerator"] != r["table"]]
    lines = [f"{len(records)} operators, {len(odd)} where the table and the accelerator disagree"]
    for r in records:
        mark = "" if r["accelerator"] == r["table"] else "  TABLE SAYS " + ("yes" if r["table"] else "no")
        lines.append(f"{r['op']:28} {r['case']:28} {'yes' if r['accelerator'] else 'no ':3} {r['reason']}{mark}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
