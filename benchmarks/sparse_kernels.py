"""What a pruned network's zeros are worth on a CPU: bytes, and time by XNNPACK's sparse kernels where it has them.

    python benchmarks/sparse_kernels.py data/cifar10.npz --out sparse [--device arm64 …] [--epochs 20] [--json]

Trains a MobileNet that fulfils the conditions of the sparse kernels, prunes it, converts it with and without
`--sparse`, and times the two files against each other on this host and on every device named, interleaved. Every step
is a command of edgecv; a finished step is not done again. Times on emulated devices are simulated and say nothing of a
board's; that the profiler sees sparse kernels there is the same library's choice as on a board.

The summary goes to `<out>/sparse_kernels.json` and `<out>/sparse_kernels.md`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from slimming import edgecv, zipped

from edgecv.core.files import atomic_path, write_text
from edgecv.runtime.host import host_facts

NETWORK = ("mobilenet_v2_small", "--variant", "centred")


def files(options: Any) -> tuple[dict[str, Path], dict[str, Any]]:
    """Make the pruned network's dense and sparse file; return them, and what was said of the sparse one."""
    out, data = options.out, ("--data", f"npz:{options.data}")
    parent, pruned = out / "parent.keras", out / "pruned.keras"
    width = ("--width", str(options.width))
    edgecv(out / "parent.json", "train", *NETWORK, *width, *data, "--epochs", str(options.epochs), "--out", str(parent))
    edgecv(out / "pruned.json", "prune", str(parent), "--sparsity", str(options.sparsity), *data, "--epochs",
           str(options.prune_epochs), "--out", str(pruned))  # fmt: skip
    found = {name: out / f"{name}.tflite" for name in ("dense", "sparse")}
    edgecv(out / "dense.json", "convert", str(pruned), *data, "--out", str(found["dense"]))
    told = edgecv(out / "sparse.json", "convert", str(pruned), "--sparse", *data, "--out", str(found["sparse"]))
    return found, told


def timed(found: dict[str, Path], device: str, out: Path) -> dict[str, Any]:
    """Time sparse against dense on a device, and count the sparse kernels that its profiler saw."""
    times = edgecv(out / f"{device}-compare.json", "bench", "compare", str(found["sparse"]), str(found["dense"]),
                   "--device", device)  # fmt: skip
    profile = edgecv(out / f"{device}-profile.json", "bench", str(found["sparse"]), "--device", device, "--profile",
                     "--plan", "quick")  # fmt: skip
    rows = profile["artifacts"][0]["latency"][0]["profile"]["ops"]
    return {
        "device": device,
        "kind": times["latency_a"]["kind"],
        "ratio": times["ratio"],
        "ratio_ci95": times["ci95"],
        "sparse_kernels": sum("SPMM" in row["name"] for row in rows),
    }


def markdown(summary: dict[str, Any]) -> str:
    dense, sparse, judged = summary["dense"], summary["sparse"], summary["judged"]
    lines = [
        f"{summary['zeros']:.1%} zeros; dense {dense['size_bytes']:,} bytes ({dense['gzip_bytes']:,} after gzip), "
        f"sparse {sparse['size_bytes']:,} ({sparse['gzip_bytes']:,}); top-1 {dense['value']:.4f} and "
        f"{sparse['value']:.4f}",
        "",
        "| device | time of the dense file's [95 %] | kind | sparse kernels seen | expected |",
        "|---|---|---|---|---|",
    ]
    for row in summary["devices"]:
        low, high = row["ratio_ci95"] or (None, None)
        ratio = "unknown" if row["ratio"] is None else f"{row['ratio']:.3f} [{low:.3f}, {high:.3f}]"
        lines.append(f"| {row['device']} | {ratio} | {row['kind']} | {row['sparse_kernels']} | {judged} on Arm |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="an .npz of 32x32 colour images")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", action="append", default=[], help="besides this host; may be repeated")
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--prune-epochs", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found, told = files(options)
    facts = host_facts()
    summary: dict[str, Any] = {
        "schema": "edgecv.sparse_kernels/1",
        "host": {key: facts[key] for key in ("cpu_model", "usable_cpus", "os", "python", "packages")},
        "network": " ".join(NETWORK),
        "width": options.width,
        "epochs": [options.epochs, options.prune_epochs],
        "zeros": told["kept"]["zeros"],
        "judged": told["sparse"]["sparse"],
        "convolutions": len(told["sparse"]["layers"]),
        "devices": [timed(found, device, options.out) for device in ("local", *options.device)],
    }
    for name, path in found.items():
        test = edgecv(options.out / f"{name}-test.json", "evaluate", str(path), "--data", f"npz:{options.data}")
        summary[name] = {"size_bytes": path.stat().st_size, "gzip_bytes": zipped(path), "value": test["value"]}
    with atomic_path(options.out / "sparse_kernels.json") as partial:
        partial.write_text(json.dumps(summary, indent=1) + "\n")
    write_text(options.out / "sparse_kernels.md", markdown(summary))
    print(json.dumps(summary) if options.json else markdown(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
