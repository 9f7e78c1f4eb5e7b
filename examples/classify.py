"""Classify image files on a device: needs numpy, pillow, one interpreter and edgecv's runtime, nothing else.

python examples/classify.py int8.tflite photo.jpg another.png
"""

from __future__ import annotations

import sys

from edgecv import runtime
from edgecv.core.errors import EdgecvError


def main(model_path: str, *images: str) -> int:
    with runtime.load(model_path) as model:
        for image in images:
            prediction = model.predict(image)
            print(f"{image}: {prediction.label} ({prediction.score:.1%})")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} MODEL IMAGE…")
    try:
        sys.exit(main(*sys.argv[1:]))
    except EdgecvError as error:
        sys.exit(f"error: {error}")
