"""What quantisation-aware training keeps of zeros, 2:4 blocks and clusters, and what that is worth after gzip.

    python benchmarks/preserving_qat.py --out preserved [--network lenet5] [--data digits] [--epochs 4] [--json]

One network is trained, then pruned, pruned 2:4, clustered, and pruned and clustered; each, and the network itself, is
trained on with quantisation for as many epochs. Every step is a command of edgecv, as a user types it; a finished step
is not done again. Accuracy is on the whole test split, through the on-device runtime.

The summary goes to `<out>/preserving_qat.json` and `<out>/preserving_qat.md`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from slimming import edgecv, paired, zipped

from edgecv.convert.check.weight_census import held_weights
from edgecv.core.files import atomic_path, write_text
from edgecv.runtime.host import host_facts

WAYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "dense": (),
    "pruned 75 %": (("--sparsity", "0.75"),),
    "pruned 2:4": (("--pattern", "2:4"),),
    "16 clusters": (("--clusters", "16"),),
    "pruned 75 %, 16 clusters": (("--sparsity", "0.75"), ("--clusters", "16")),
}


def made(name: str, steps: tuple[tuple[str, ...], ...], parent: Path, options: Any) -> dict[str, Any]:
    """Bring one way to its row: the model, its int8 file by training, what both hold and are worth."""
    folder = options.out / name.replace(" ", "-").replace("%", "percent").replace(",", "").replace(":", "-")
    folder.mkdir(parents=True, exist_ok=True)
    current, data = parent, ("--data", options.data)
    for index, step in enumerate(steps, start=1):
        out = folder / f"step{index}.keras"
        edgecv(folder / f"step{index}.json", "prune", str(current), *step, *data, "--epochs", str(options.epochs),
               "--out", str(out), *forced(out))  # fmt: skip
        current = out
    path = folder / "qat.tflite"
    told = edgecv(folder / "qat.json", "quantize", str(current), "--method", "qat", *data, "--epochs",
                  str(options.epochs), "--out", str(path), *forced(path))  # fmt: skip
    test = edgecv(folder / "test.json", "evaluate", str(path), *data)
    held = held_weights(path)
    return {
        "way": name,
        "steps": [" ".join(step) for step in steps],
        "kept": told["kept"],
        "value": test["value"],
        "n": test["n"],
        "file": path,
        "zeros": held.zeros,
        "patterned_2_4": held.patterned,
        "values_per_channel": held.values_per_channel,
        "values_per_kernel": held.values_per_kernel,
        "size_bytes": path.stat().st_size,
        "gzip_bytes": zipped(path),
    }


def forced(path: Path) -> tuple[str, ...]:
    return ("--force",) if path.exists() else ()


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| before training | zeros | values in a channel, in a kernel | bytes | after gzip | of the dense one's "
        "| top-1 | drop, points [95 %] |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["drop_ci95"]
        lines.append(
            f"| {row['way']} | {row['zeros']:.3f} | {row['values_per_channel']}, {row['values_per_kernel']} | "
            f"{row['size_bytes']:,} | {row['gzip_bytes']:,} | {row['gzip_bytes'] / rows[0]['gzip_bytes']:.2f} | "
            f"{row['value']:.4f} | {100 * row['drop']:+.2f} [{100 * low:.2f}, {100 * high:.2f}] |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--network", default="lenet5")
    parser.add_argument("--data", default="digits")
    parser.add_argument(
        "--epochs", type=int, default=4, help="of pruning, clustering, and training on with quantisation"
    )
    parser.add_argument("--train-epochs", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    parent = options.out / "parent.keras"
    edgecv(options.out / "parent.json", "train", options.network, "--data", options.data, "--epochs",
           str(options.train_epochs), "--out", str(parent), *forced(parent))  # fmt: skip
    rows = [made(name, steps, parent, options) for name, steps in WAYS.items()]
    built = [row.pop("file") for row in rows]
    for row, path in zip(rows, built, strict=True):
        drop = paired(built[0], path, options.data)
        row |= {"drop": drop.value, "drop_ci95": list(drop.ci95)}
    facts = host_facts()
    host = {key: facts[key] for key in ("cpu_model", "usable_cpus", "os", "python", "packages")}
    summary = {"schema": "edgecv.preserving_qat/1", "host": host, "network": options.network, "data": options.data,
               "epochs": options.epochs, "ways": rows}  # fmt: skip
    with atomic_path(options.out / "preserving_qat.json") as partial:
        partial.write_text(json.dumps(summary, indent=1) + "\n")
    write_text(options.out / "preserving_qat.md", markdown(rows))
    print(json.dumps(summary) if options.json else markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
