"""edgecv in Python: each function does what the command of its name does, and returns what that prints.

    import edgecv

    made = edgecv.quantize("lenet5.keras", data="digits", out="lenet5-int8.tflite")
    print(made)

Results are frozen dataclasses: their fields are those of `--json`, `str` is what the command prints, and a notebook
shows that. Errors are `edgecv.core.errors.EdgecvError`. `quiet=True` says nothing on stderr.
"""

from edgecv.api import showing as _showing
from edgecv.api.judging import bench, check, debug, evaluate, inspect, report, verify, view
from edgecv.api.making import (
    build,
    compress,
    convert,
    export,
    import_model,
    optimize,
    prune,
    quantize,
    reshape,
    save,
    slim,
    train,
)
from edgecv.api.model import Model, load_model, spec

__all__ = [
    "Model",
    "bench",
    "build",
    "check",
    "compress",
    "convert",
    "debug",
    "evaluate",
    "export",
    "import_model",
    "inspect",
    "load_model",
    "optimize",
    "prune",
    "quantize",
    "report",
    "reshape",
    "save",
    "slim",
    "spec",
    "train",
    "verify",
    "view",
]
_showing.register()
