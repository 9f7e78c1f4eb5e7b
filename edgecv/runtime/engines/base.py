"""What every interpreter looks like to the rest of the runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import UnsupportedModelError
from edgecv.runtime.tensors import random_input
from edgecv.values.manifest import TensorInfo

Array = NDArray[Any]


class Session(ABC):
    """A model opened in an interpreter. Not safe to share between threads.

    Attributes:
        engine: Package and version: "ai-edge-litert 2.3.0".
        accelerator: "cpu", "gpu" or "edgetpu".
        threads: Of the interpreter, on the CPU.
        inputs: Input tensors in the file's order; integer ones with their quantisation where the format has it.
        outputs: Output tensors, likewise.
        adapter: What the accelerator calls its device; None on the CPU.
        is_software_adapter: Whether that device is emulated by the CPU (SwiftShader, llvmpipe): its results are true,
            its times are no GPU's.
        fully_accelerated: Whether every operator runs on the accelerator.
        n_accelerated: How many do when not all; None when all do, or nobody counts. `n_operators`: of how many.
        compile_ms: What the accelerator took to compile the model; None where nothing is compiled.
        from_cache: Whether it found its programs compiled already.
    """

    accelerator: ClassVar[str] = "cpu"

    def __init__(self, engine: str, threads: int, inputs: Tuple[TensorInfo, ...], outputs: Tuple[TensorInfo, ...]):
        self.engine = engine
        self.threads = threads
        self.inputs = inputs
        self.outputs = outputs
        self.adapter: Optional[str] = None
        self.is_software_adapter = False
        self.fully_accelerated = True
        self.n_accelerated: Optional[int] = None
        self.n_operators: Optional[int] = None
        self.compile_ms: Optional[float] = None
        self.from_cache = False

    @property
    def precision(self) -> Optional[str]:
        """The float type that an accelerator computes in: "float16", "float32"; None on the CPU and where unknown."""
        return None

    def run(self, arrays: Sequence[Array]) -> List[Array]:
        """Run once: raw arrays as the file stores them in, raw arrays out, both with the batch."""
        self.set_inputs(arrays)
        self.invoke()
        return self.get_outputs()

    def fill(self, seed: int) -> None:
        """Set every input to seeded random values: floats in 0..1, integers over the range of their dtype."""
        generator = np.random.default_rng(seed)
        self.set_inputs([random_input(info.shape, info.dtype, generator) for info in self.inputs])

    @abstractmethod
    def set_inputs(self, arrays: Sequence[Array]) -> None:
        """Copy raw arrays, of the inputs' shapes and dtypes, to where `invoke` reads them."""

    @abstractmethod
    def invoke(self) -> None:
        """Run on the inputs set before. On an accelerator this includes waiting for the outputs.

        Raises:
            DeviceError: The interpreter or the accelerator failed.
        """

    @abstractmethod
    def get_outputs(self) -> List[Array]:
        """Return copies of the raw outputs of the last `invoke`."""

    @abstractmethod
    def close(self) -> None:
        """Release the interpreter. Safe to call twice."""


def package_version(distribution: str, module: Any) -> str:
    """Return "name version" of an installed package; of its module where it was installed without metadata."""
    import importlib.metadata  # here, since it takes as long to import as all of the runtime

    try:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{distribution} {getattr(module, '__version__', 'of unknown version')}"


def batch_of_one(name: str, sizes: Sequence[Any], path: str) -> Tuple[int, ...]:
    """Return an input's shape with a variable batch set to 1.

    Args:
        name: Of the tensor, for the message.
        sizes: One per axis; anything but a positive integer (-1, None, a name) is variable.
        path: Of the file, for the message.

    Raises:
        UnsupportedModelError: An axis after the first is variable.
    """
    fixed = [size if isinstance(size, int) and size > 0 else None for size in sizes]
    if None in fixed[1:]:
        shown = ", ".join("?" if size is None else str(size) for size in fixed)
        raise UnsupportedModelError(
            f"{path}: its input '{name}' has the dynamic shape ({shown})", hint="convert it again with a static input"
        )
    return tuple(1 if size is None else size for size in fixed)
