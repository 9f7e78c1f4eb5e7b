"""What deployment targets can run: reads the data in the top-level folder `targets/` and judges model files by it."""

# Each registers its verdict procedure or its compiler.
from edgecv.targets import cpu, edgetpu, edgetpu_compiler, gpu, table, vela
from edgecv.targets.compiling import compile_file, inspect_or_compile
from edgecv.targets.inspection import inspect, summarize
from edgecv.targets.minimum import parse_minimum

__all__ = [
    "compile_file",
    "cpu",
    "edgetpu",
    "edgetpu_compiler",
    "gpu",
    "inspect",
    "inspect_or_compile",
    "parse_minimum",
    "summarize",
    "table",
    "vela",
]
