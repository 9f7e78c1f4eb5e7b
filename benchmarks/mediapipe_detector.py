r"""A trained detector in MediaPipe Tasks: whether it finds the same boxes as edgecv's runtime, in float and in int8.

    make mediapipe
    edgecv train ssdlite_mnv2 --data scenes --input-size 96 --width 0.5 --out ssd.keras \
        --recipe benchmarks/recipes/ssdlite_scenes.toml
    python benchmarks/mediapipe_detector.py ssd.keras --out found.json

`EDGECV_MEDIAPIPE_PYTHON` names the environment with MediaPipe, as for `edgecv verify --as mediapipe`.

The network becomes a float and an int8 `.tflite` with TFLite Metadata (`--metadata mediapipe`). Each is judged on the
data's test images by edgecv's runtime, and `edgecv verify --as mediapipe` asks both about the same images: of the
input's size, where nothing is resized, and as they are, which MediaPipe resizes in its own way.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import edgecv
from edgecv.jobs.mediapipe_verify import Difference, verify_as_mediapipe
from edgecv.runtime.host import host_facts

SPLITS = ("train", "validation", "test")


def made(model: Any, data: str | None, folder: Path) -> dict[str, Path]:
    """Return the files that MediaPipe takes, by type."""
    files = {kind: folder / f"{kind}.tflite" for kind in ("float32", "int8")}
    edgecv.convert(model, out=files["float32"], metadata="mediapipe", quiet=True)
    edgecv.quantize(model, out=files["int8"], data=data, metadata="mediapipe", quiet=True)
    return files


def record(file: Path, data: str | None) -> dict[str, Any]:
    """Return what a file finds, and how far MediaPipe is from it."""
    judged = edgecv.evaluate(file, data=data, quiet=True)
    (head,) = judged.heads
    ap50 = head.figures["ap50"]
    if ap50 is None:
        raise SystemExit(f"{data} has no boxes to judge by")
    return {
        "size_bytes": file.stat().st_size,
        head.metric.name: round(head.value, 4),
        "ap50": round(ap50, 4),
        "images": judged.n,
        "mediapipe": {split: compared(file, data, split) for split in SPLITS},
    }


def compared(file: Path, data: str | None, split: str) -> dict[str, Any]:
    found = verify_as_mediapipe(file, data=data, split=split)
    return {
        "engine": found.engine, "images": found.n, "passed": found.passed, "allowed": found.allowed,
        "fitted": told(found.fitted), "as_is": told(found.as_is),
    }  # fmt: skip


def told(difference: Difference | None) -> dict[str, Any] | None:
    return None if difference is None else asdict(difference)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a trained .keras of an SSD")
    parser.add_argument("--data", help="default: what it was trained on")
    parser.add_argument("--out", type=Path, help="write the document here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        model = edgecv.load_model(options.model)
        files = made(model, options.data, Path(name))
        document = {"host": host_facts(), "model": options.model.name, "files": {}}
        for kind, file in files.items():
            document["files"][kind] = record(file, options.data)
            print(kind, json.dumps(document["files"][kind]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0 if all(one["passed"] for file in document["files"].values() for one in file["mediapipe"].values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
