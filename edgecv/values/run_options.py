"""With what a model file is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional


@dataclass(frozen=True)
class RunOptions:
    """With what a model file is run; everything has a default.

    Attributes:
        engine: "litert", "tflite-runtime" or "onnxruntime"; None takes the first installed one that fits.
        accelerator: "cpu", "gpu" or "edgetpu"; there is no fallback from one to the other.
        threads: Of the interpreter on the CPU; None means 1.
        strict: On the GPU, refuse a model of which an operator would run on the CPU.
        precision: On the GPU, "float16" or "float32"; None leaves it to the accelerator.
        program_cache: Folder in which LiteRT's GPU accelerator keeps compiled programs for the next start.
    """

    engine: Optional[str] = None
    accelerator: str = "cpu"
    threads: Optional[int] = None
    strict: bool = True
    precision: Optional[str] = None
    program_cache: Optional[str] = None

    @property
    def arguments(self) -> Dict[str, Any]:
        """The options by name, as `edgecv.runtime.load` and `open_session` take them."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


DEFAULTS = RunOptions()
"""The first interpreter that fits, on the CPU, in one thread."""
