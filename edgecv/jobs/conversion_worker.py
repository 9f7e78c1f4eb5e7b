"""The process that converts candidates: lines with paths of a `.keras` in, a float32 .tflite and a line of answer out.

Started by `candidates.Converter`. It ends when its input does, so none outlives the run that started it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import IO, Any

from edgecv.convert.freeze import freeze
from edgecv.convert.tflite.converter import convert_float
from edgecv.core.errors import EdgecvError
from edgecv.core.files import write_bytes
from edgecv.modelio import load_keras
from edgecv.modelio.opening import Opening


def main() -> int:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever native libraries print belongs to the log
    return serve(sys.stdin, answers)


def serve(requests: IO[str], answers: IO[str]) -> int:
    """Convert what each line names: {"model": "m.keras", "out": "m.tflite"}; an answer has an error, or is empty."""
    for line in requests:
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()
    return 0


def _answer(request: dict[str, Any]) -> dict[str, str]:
    try:
        # The file is the run's own: what the user let it load, it may load again.
        custom = Path(request["custom_objects"]) if "custom_objects" in request else None
        model = load_keras(request["model"], unsafe=True, opening=Opening(custom_objects=custom)).model
        write_bytes(Path(request["out"]), convert_float(freeze(model), "float32"))
    except EdgecvError as error:
        return {"error": error.message, "hint": error.hint}
    return {}


if __name__ == "__main__":
    sys.exit(main())
