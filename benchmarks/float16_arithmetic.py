"""What float16 arithmetic costs in accuracy: a float16 .tflite marked for it, on a processor that computes in it.

    python benchmarks/float16_arithmetic.py MODEL.keras --data npz:cifar10.npz [--samples 1000] [--device arm64]

The device is an Arm processor with float16 arithmetic: the emulated Cortex-A76 of `make arm`, which runs XNNPACK's own
Arm kernels and says nothing of times, or a board. Both answers are to the same test images, float32 on this host and
the marked file on the device; the loss is paired, with its 95 % interval. Emulation takes half a second an image: the
figures in docs/targets/cpu.md, kept in reference/float16_arithmetic.json, are of the first 1,000 of CIFAR-10's test
images and the MobileNetV2 of `search_mobilenet_v2_small.toml`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgecv.core.progress import QUIET
from edgecv.evaluate import drop_between
from edgecv.jobs import convert, evaluate, models, verify


def _first(data: str, samples: int, folder: Path) -> str:
    """Return a set whose test split is the first samples of another's."""
    with np.load(data.removeprefix("npz:")) as held:
        cut = {name: held[name][:samples] if name in ("x_test", "y_test") else held[name] for name in held}
    np.savez(folder / "first.npz", **cut)
    return f"npz:{folder / 'first.npz'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True, help="npz:FILE with x_test and y_test")
    parser.add_argument("--samples", type=int, help="of the test images, the first; default: all")
    parser.add_argument("--device", default="arm64")
    options = parser.parse_args()
    source = models.Source(path=options.model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = _first(options.data, options.samples, folder) if options.samples else options.data
        plan = convert.Plan(scheme="float32", data=data)
        half = replace(plan, scheme="float16", arithmetic="float16")
        files = {}
        for title, one in (("float32", plan), ("float16", half)):
            files[title] = folder / f"{title}.tflite"
            convert.make(source, one, out=files[title], reporter=QUIET)
        here = evaluate.evaluate_file(files["float32"], evaluate.EvaluationRequest(data=data))
        asked = evaluate.EvaluationRequest(data=data, device=options.device)
        there = evaluate.evaluate_file(files["float16"], asked)
        drop = drop_between(here, there)
        agreement = verify.verify(files["float16"], device=options.device).agreement
        print(json.dumps({
            "model": options.model.name, "device": options.device, "kind": there.kind, "n": here.n,
            "float32": here.value, "float16": there.value, "drop": drop.value * 100,
            "drop_ci95": [one * 100 for one in drop.ci95],
            "max_abs_diff": agreement.max_abs_diff if agreement else None,
            "bytes": {title: file.stat().st_size for title, file in files.items()},
        }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
