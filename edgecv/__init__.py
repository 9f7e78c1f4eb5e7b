"""edgecv: from a float vision CNN to the fastest file that still meets an accuracy budget on a device.

    model = edgecv.load_model("flowers.keras")
    made = edgecv.quantize(model, data="folder:flowers", out="flowers.tflite")
    print(made, edgecv.evaluate("flowers.tflite", data="folder:flowers/test"))

`import edgecv` and `import edgecv.runtime` need numpy alone; every other package is imported where it is used.
"""

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from edgecv.api import (
        Model,
        bench,
        build,
        check,
        compress,
        convert,
        debug,
        evaluate,
        export,
        import_model,
        inspect,
        load_model,
        prune,
        quantize,
        report,
        reshape,
        save,
        slim,
        spec,
        train,
        verify,
        view,
    )

__version__ = "0.1.0"
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


class _Command(types.ModuleType):
    """A part of edgecv that has a command's name: calling it is calling the function of `edgecv.api`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module("edgecv.api"), self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Package(types.ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # `edgecv.train` is a part and a function; whichever is asked for first, it must be both.
        if name in __all__ and isinstance(value, types.ModuleType):
            value.__class__ = _Command
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("edgecv.api"), name)
    raise AttributeError(f"module 'edgecv' has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})


sys.modules[__name__].__class__ = _Package
