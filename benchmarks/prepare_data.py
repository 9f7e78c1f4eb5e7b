"""Turn public image sets, as they are passed around, into the .npz files that `--data npz:PATH` reads.

    python benchmarks/prepare_data.py FOLDER --out data

FOLDER holds one folder per set. In it is one .npz, of either form:

- arrays x_train, y_train, x_test, y_test (Keras' form of MNIST and Fashion-MNIST): copied uncompressed;
- "jpegpack": per split S the arrays S_jpeg (all JPEG files in a row, uint8), S_offsets (int64, n + 1) and y_S, and
  class_names: each file is decoded to RGB.

or image files with a labels.csv that has the columns index (of the class) and file, as ImageNet samples are passed
around. Of such a set `--calibrate COUNT` images, drawn by a fixed seed, are its training split, to calibrate with; the
others are both its validation and its test split, since there is nothing to train or to choose on.

`--part NAME:COUNT` also writes NAME_COUNT.npz with the first COUNT training images and the whole test split.
`--unseen NAME:CLASSES` also writes the folder NAME_unseen for networks that compare: its test/ holds the listed
classes, such as 7,8,9, and its train/ all others, so that a network is tested on what it has never seen.

Images come out as uint8 (n, height, width) or (n, height, width, 3). A set that is already in --out is left alone.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.core.errors import DataError
from edgecv.core.files import atomic_path
from edgecv.core.optional import require

Array = np.ndarray[Any, Any]
SPLITS = ("train", "test")
SEED = 0
CLASS_NAMES = {
    "fashion_mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
}  # fmt: skip


def unpacked(data: Any, split: str) -> Array:
    """Return the decoded images of one split of a jpegpack, uint8 (n, height, width, 3)."""
    pil = require("PIL.Image", why="to decode JPEG files")
    stream, offsets = data[f"{split}_jpeg"], data[f"{split}_offsets"]
    pairs = zip(offsets[:-1], offsets[1:], strict=True)
    images = [np.asarray(pil.open(io.BytesIO(stream[start:end].tobytes())).convert("RGB")) for start, end in pairs]
    return np.stack(images)


def arrays(source: Path) -> dict[str, Array]:
    """Return the arrays of one set in the form that edgecv reads."""
    with np.load(source, allow_pickle=False) as data:
        if all(f"{split}_jpeg" in data for split in SPLITS):
            out = {f"x_{split}": unpacked(data, split) for split in SPLITS}
        elif "x_train" in data:
            out = {f"x_{split}": data[f"x_{split}"] for split in SPLITS}
        else:
            raise DataError(f"{source} holds {', '.join(data.files)}", hint="expected x_train, … or train_jpeg, …")
        out |= {f"y_{split}": data[f"y_{split}"].astype(np.int64).reshape(-1) for split in SPLITS}
        names = data["class_names"] if "class_names" in data else CLASS_NAMES.get(source.parent.name)
    return out if names is None else out | {"class_names": np.asarray(names)}


def listed(labels: Path, calibrate: int) -> dict[str, Array]:
    """Return the arrays of images with a labels.csv, `calibrate` of them for training."""
    pil = require("PIL.Image", why="to decode image files")
    with labels.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not {"index", "file"} <= rows[0].keys():
        raise DataError(f"{labels} has not the columns index and file", hint="name them in its first line")
    images = np.stack([np.asarray(pil.open(labels.parent / row["file"]).convert("RGB")) for row in rows])
    classes = np.array([int(row["index"]) for row in rows], np.int64)
    drawn = np.random.default_rng(SEED).permutation(len(rows))[:calibrate]
    train, rest = np.sort(drawn), np.setdiff1d(np.arange(len(rows)), drawn)
    out: dict[str, Array] = {}
    for split, chosen in (("train", train), ("val", rest), ("test", rest)):
        out |= {f"x_{split}": images[chosen], f"y_{split}": classes[chosen]}
    # By number, as the contract of a network that was trained elsewhere has them.
    return out | {"class_names": np.array([str(index) for index in range(int(classes.max()) + 1)])}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds one folder per set, each with one .npz")
    parser.add_argument("--out", type=Path, required=True, help="folder of the prepared .npz files")
    parser.add_argument("--calibrate", type=int, default=100, help="images of a set with a labels.csv for calibration")
    parser.add_argument("--part", action="append", default=[], help="NAME:COUNT; repeatable")
    parser.add_argument("--unseen", action="append", default=[], help="NAME:CLASS,CLASS,…; repeatable")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found = sorted(path for name in ("*.npz", "labels.csv") for path in options.folder.glob(f"*/{name}"))
    if not found:
        print(f"error: no set in {options.folder}: expected SET/FILE.npz or SET/labels.csv", file=sys.stderr)
        return 2
    for source in found:
        target = options.out / f"{source.parent.name}.npz"
        if target.exists():
            continue
        with atomic_path(target) as partial, partial.open("wb") as stream:
            held: Any = listed(source, options.calibrate) if source.suffix == ".csv" else arrays(source)
            np.savez(stream, **held)
        print(f"{target}: {target.stat().st_size / 1e6:.0f} MB", file=sys.stderr)
    for part in options.part:
        write_part(options.out, *part.split(":"))
    for unseen in options.unseen:
        write_unseen(options.out, *unseen.split(":"))
    return 0


def write_part(folder: Path, name: str, count: str) -> None:
    """Write the first `count` training images of a prepared set, with its test split, beside it."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as data:
        kept = {key: data[key][: int(count)] if key.endswith("_train") else data[key] for key in data.files}
    with atomic_path(folder / f"{name}_{count}.npz") as partial, partial.open("wb") as stream:
        np.savez(stream, **kept)


def write_unseen(folder: Path, name: str, classes: str) -> None:
    """Write a prepared set as `identities:` reads it: the listed classes for testing only, the others for training."""
    pil = require("PIL.Image", why="to write image files")
    target = folder / f"{name}_unseen"
    if target.exists():
        return
    tested = np.array([int(index) for index in classes.split(",")])
    with np.load(folder / f"{name}.npz", allow_pickle=False) as data, atomic_path(target) as partial:
        for split in SPLITS:
            images, labels = data[f"x_{split}"], data[f"y_{split}"]
            for row in np.flatnonzero(np.isin(labels, tested) == (split == "test")):
                path = partial / split / str(labels[row]) / f"{row:05}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pil.fromarray(images[row]).save(path)


if __name__ == "__main__":
    raise SystemExit(main())
