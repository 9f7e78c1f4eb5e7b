"""TensorFlow, for float baselines: a frozen graph on an NVIDIA GPU, or on the CPU.

No artifact ships in this format; `convert/graphdef.py` writes it from a keras model. The file is one line of JSON
(`{"inputs": [{"tensor", "name", "shape", "dtype"}], "outputs": […]}`), then a serialised GraphDef.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DeviceError, PartialAccelerationError, UnsupportedModelError
from edgecv.core.files import read_bytes
from edgecv.core.optional import require
from edgecv.runtime.engines.base import Session
from edgecv.values.manifest import TensorInfo

Array = NDArray[Any]

CPU, GPU = "/device:CPU:0", "/device:GPU:0"


def open_cpu(path: str, threads: int, strict: bool) -> Session:
    """Open a frozen graph on the CPU. `strict` has no meaning there."""
    tensorflow = _tensorflow()
    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        raise ConfigError(f"TensorFlow runs already, so its threads cannot be set: {error}") from error
    return TensorflowSession(tensorflow, path, threads, CPU)


def open_gpu(path: str, threads: int, strict: bool, precision: Optional[str] = None) -> Session:
    """Open a frozen graph on the first NVIDIA GPU.

    Args:
        strict: Every operator must have a GPU kernel; otherwise TensorFlow runs those without one on the CPU.
        precision: "float32" keeps matrix products out of TF32, whose mantissa has 10 bits; None allows it.

    Raises:
        DeviceError: TensorFlow sees no GPU.
        ConfigError: Another precision.
    """
    if precision not in (None, "float32"):
        raise ConfigError(
            f"TensorFlow computes in the graph's own type, not in '{precision}'", hint="leave the precision out"
        )
    tensorflow = _tensorflow()
    devices = tensorflow.config.list_physical_devices("GPU")
    if not devices:
        raise DeviceError(
            "TensorFlow sees no GPU", hint="pip install 'tensorflow[and-cuda]' on a host with an NVIDIA driver"
        )
    tensorflow.config.experimental.enable_tensor_float_32_execution(precision is None)
    tensorflow.config.set_soft_device_placement(not strict)
    return TensorflowGpuSession(tensorflow, path, threads, _name(tensorflow, devices[0]), strict, precision)


class TensorflowSession(Session):
    """A frozen graph whose operators are placed on one device.

    Raises:
        UnsupportedModelError: The file is no such graph.
    """

    def __init__(self, tensorflow: Any, path: str, threads: int, device: str) -> None:
        header, graph = _read(tensorflow, path)
        for node in graph.node:
            node.device = device
        self._tensorflow = tensorflow
        self._call: Optional[Any] = _function(tensorflow, graph, header)
        inputs, outputs = _infos(header, "inputs"), _infos(header, "outputs")
        super().__init__(f"tensorflow {tensorflow.__version__}", threads, inputs, outputs)
        self._feed: List[Any] = []
        self._results: List[Array] = []

    def set_inputs(self, arrays: Sequence[Array]) -> None:
        self._feed = [self._tensorflow.constant(array) for array in arrays]

    def invoke(self) -> None:
        if self._call is None:
            raise ConfigError("the model was closed", hint="load it again")
        try:
            # The copies to the host wait for the device; a run that returns early would otherwise look fast.
            self._results = [found.numpy() for found in self._call(*self._feed)]
        except self._tensorflow.errors.OpError as error:
            raise self._failed(str(error.message).splitlines()[0]) from error

    def _failed(self, reason: str) -> DeviceError:
        return DeviceError(f"{self.engine} failed to run the model: {reason}")

    def get_outputs(self) -> List[Array]:
        return list(self._results)

    def close(self) -> None:
        self._call = None


class TensorflowGpuSession(TensorflowSession):
    """A frozen graph on the first NVIDIA GPU."""

    accelerator = "gpu"

    def __init__(
        self, tensorflow: Any, path: str, threads: int, name: str, strict: bool, precision: Optional[str]
    ) -> None:
        super().__init__(tensorflow, path, threads, GPU)
        self.adapter = name
        self.fully_accelerated = strict
        self._precision = precision or "tf32"

    @property
    def precision(self) -> Optional[str]:
        """Of a float32 graph: "float32", or "tf32" where matrix products may use that."""
        return self._precision

    def _failed(self, reason: str) -> DeviceError:
        if "Cannot assign a device" in reason or "Could not satisfy" in reason:
            return PartialAccelerationError(
                f"the model does not run on '{self.adapter}' alone: {reason}",
                hint="allow it to run in part (strict=False)",
            )
        return super()._failed(reason)


def _tensorflow() -> Any:
    return require("tensorflow", why="to run the baseline in TensorFlow")


def _name(tensorflow: Any, device: Any) -> str:
    details = tensorflow.config.experimental.get_device_details(device)
    return str(details.get("device_name") or device.name)


def _read(tensorflow: Any, path: str) -> Tuple[Dict[str, Any], Any]:
    first, _, rest = read_bytes(path, what="frozen graph").partition(b"\n")
    graph = tensorflow.compat.v1.GraphDef()
    try:
        header = json.loads(first)
        header["inputs"], header["outputs"]
        graph.ParseFromString(rest)
    # Besides ValueError, protobuf raises an error of its own without a public base class.
    except Exception as error:
        raise UnsupportedModelError(
            f"{path} is no frozen graph of edgecv: {error}", hint="--baseline takes the .keras itself"
        ) from error
    return header, graph


def _function(tensorflow: Any, graph: Any, header: Dict[str, Any]) -> Any:
    imported = tensorflow.compat.v1.wrap_function(lambda: tensorflow.graph_util.import_graph_def(graph, name=""), [])
    ends = [[imported.graph.as_graph_element(entry["tensor"]) for entry in header[side]] for side in _SIDES]
    return imported.prune(*ends)


_SIDES = ("inputs", "outputs")


def _infos(header: Dict[str, Any], side: str) -> Tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(name=entry["name"], shape=tuple(entry["shape"]), dtype=np.dtype(entry["dtype"]).name)
        for entry in header[side]
    )
