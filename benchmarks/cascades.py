"""Haar cascades in numpy beside OpenCV: which windows pass, and how long it takes.

    python benchmarks/cascades.py --out cascades.json

Needs `opencv-python-headless>=4.14,<5`, which brings the cascades, and scikit-image, which brings the pictures. Each
time is the best of several runs in one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import UnsupportedModelError
from edgecv.runtime.cascade import load_cascade
from edgecv.runtime.cascade.detector import gray_of
from edgecv.runtime.host import host_facts

PICTURES = ("astronaut", "chelsea", "coffee", "rocket")
RUNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    import cv2
    from cv2.data import haarcascades

    cv2.setNumThreads(1)
    rows, refused = [], []
    for path in sorted(Path(haarcascades).glob("*.xml")):
        try:
            rows += [_compared(cv2, path, name) for name in PICTURES]
        except UnsupportedModelError as error:
            refused.append({"file": path.name, "why": error.message.split("/")[-1]})
    told = {"opencv": cv2.__version__, "numpy": np.__version__, "host": host_facts(), "refused": refused, "rows": rows}
    out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"{len(rows)} pairs of cascade and picture, {sum(row['windows'] for row in rows):,} windows that pass")
    print(f"windows of OpenCV's that are missing: {sum(row['missing'] for row in rows)}")
    print(f"windows that OpenCV has not: {sum(row['further'] for row in rows)}")
    print(f"pictures whose finds differ: {sum(not row['same_finds'] for row in rows)}")
    ratios = [row["ms"] / row["opencv_ms"] for row in rows]
    print(f"time of OpenCV's: median {np.median(ratios):.1f}, {min(ratios):.1f} to {max(ratios):.1f}")


def _compared(cv2: Any, path: Path, name: str) -> dict[str, Any]:
    import skimage.data

    gray = gray_of(getattr(skimage.data, name)())
    ours, theirs = load_cascade(path), cv2.CascadeClassifier(str(path))
    own, ms = _timed(lambda: ours.windows(gray))
    expected, opencv_ms = _timed(lambda: theirs.detectMultiScale(gray, 1.1, 0))
    # OpenCV cuts windows off at the edge of the image.
    own = np.concatenate([own[:, :2], np.minimum(own[:, 2:], np.array(gray.shape[::-1]) - own[:, :2])], axis=1)
    found, wanted = ({tuple(row) for row in np.asarray(rows).reshape(-1, 4).tolist()} for rows in (own, expected))
    finds = np.asarray(theirs.detectMultiScale(gray, 1.1, 3)).reshape(-1, 4)
    corners = {(x, y, x + width, y + height) for x, y, width, height in finds.tolist()}
    same = corners == {tuple(row) for row in ours.predict(gray).xyxy.astype(int).tolist()}
    return {
        "file": path.name, "picture": name, "size": list(gray.shape), "windows": len(wanted),
        "missing": len(wanted - found), "further": len(found - wanted), "finds": len(finds), "same_finds": same,
        "ms": round(ms, 1), "opencv_ms": round(opencv_ms, 1),
    }  # fmt: skip


def _timed(run: Callable[[], Any]) -> tuple[Any, float]:
    best, result = float("inf"), None
    for _ in range(RUNS):
        begin = time.perf_counter()
        result = run()
        best = min(best, time.perf_counter() - begin)
    return result, 1e3 * best


if __name__ == "__main__":
    main()
