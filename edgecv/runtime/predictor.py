"""Loading a model file and asking it: the whole public surface of the runtime."""

from __future__ import annotations

import dataclasses
import os
from types import TracebackType
from typing import Any, List, Optional, Sequence, Tuple, Type

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError, UnsupportedModelError
from edgecv.core.files import PathLike
from edgecv.runtime.container import read_manifest
from edgecv.runtime.engines import open_session
from edgecv.runtime.engines.base import Session
from edgecv.runtime.image import load_image, preprocess
from edgecv.runtime.tensors import to_real, to_stored
from edgecv.tasks.prediction import Prediction, read_outputs
from edgecv.values.manifest import Manifest, TensorInfo
from edgecv.values.specs import ModelSpec

Array = NDArray[Any]


def load(
    path: PathLike,
    *,
    engine: Optional[str] = None,
    accelerator: str = "cpu",
    threads: Optional[int] = None,
    strict: bool = True,
    precision: Optional[str] = None,
    program_cache: Optional[PathLike] = None,
    spec: Optional[ModelSpec] = None,
) -> Predictor:
    """Open a model file, ready to be asked.

    Args:
        path: A .tflite or .onnx file.
        engine: "litert", "tflite-runtime" or "onnxruntime"; None takes the first installed one that fits.
        accelerator: "cpu", "gpu" or "edgetpu"; there is no fallback from one to the other.
        threads: Of the interpreter on the CPU; None means 1.
        strict: On the GPU, refuse a model of which an operator would run on the CPU.
        precision: On the GPU, "float16" or "float32"; None leaves it to the accelerator.
        program_cache: Folder in which LiteRT's GPU accelerator keeps compiled programs for the next start.
        spec: The model's contract, for a file without a manifest; wins over the manifest's.

    Raises:
        ConfigError: The file is missing, or an option is wrong.
        UnsupportedModelError: The file is damaged, has no manifest (and no `spec` is given), or does not fit it.
        MissingDependencyError: No interpreter for the file is installed.
        DeviceError: The accelerator is missing or refuses the model; PartialAccelerationError: a part of it.
    """
    manifest = read_manifest(path)
    contract = spec or (manifest.spec if manifest else None)
    if contract is None:
        raise UnsupportedModelError(
            f"{os.fspath(path)} has no edgecv manifest, so nothing says how it is fed and read",
            hint="pass spec=ModelSpec(...), or make the file with edgecv convert",
        )
    session = open_session(
        path,
        engine=engine,
        accelerator=accelerator,
        threads=threads,
        strict=strict,
        precision=precision,
        program_cache=program_cache,
    )
    try:
        return Predictor(session, contract, manifest, path=os.fspath(path))
    except BaseException:
        session.close()
        raise


class Predictor:
    """A loaded model; a context manager. Not safe to share between threads.

    Attributes:
        spec: The model's contract.
        manifest: What the file says of itself; None for a file without one.
        engine: Interpreter and version: "ai-edge-litert 2.3.0".
        accelerator: "cpu", "gpu" or "edgetpu".
        inputs: Input tensors with their quantisation.
        outputs: Output tensors, likewise.
        session: The interpreter, for raw access.
        batch: Images that `run` takes at once.
    """

    batch = 1

    def __init__(self, session: Session, spec: ModelSpec, manifest: Optional[Manifest], *, path: str) -> None:
        self.session = session
        self.spec = spec
        self.manifest = manifest
        self.engine = session.engine
        self.accelerator = session.accelerator
        self.inputs = _completed(session.inputs, manifest.inputs if manifest else ())
        self.outputs = _completed(session.outputs, manifest.outputs if manifest else ())
        _check_contract(self.inputs, self.outputs, spec, path)

    @property
    def adapter(self) -> Optional[str]:
        """What the accelerator calls its device; None on the CPU."""
        return self.session.adapter

    @property
    def is_software_adapter(self) -> bool:
        """Whether that device is emulated by the CPU: its times are no GPU's."""
        return self.session.is_software_adapter

    @property
    def fully_accelerated(self) -> bool:
        """Whether every operator runs on the accelerator."""
        return self.session.fully_accelerated

    @property
    def precision(self) -> Optional[str]:
        """The float type that an accelerator computes in: "float16", "float32"; None on the CPU and where unknown."""
        return self.session.precision

    def predict(self, image: Any) -> Prediction:
        """Return what the model says of one image.

        Args:
            image: A path, a PIL image, or uint8 (H, W) or (H, W, 3) RGB, of any size; for a model of feature vectors,
                numbers of its input shape.

        Raises:
            DataError: The image is corrupt, of wrong channels or dtype, empty, or not finite.
            ConfigError: The path does not exist.
        """
        pixels = load_image(image) if self.spec.preprocessing else image
        return read_outputs(self.run([preprocess(pixels, self.spec)]), self.spec)

    def run(self, tensors: Sequence[Array]) -> List[Array]:
        """Run the model on prepared inputs.

        Args:
            tensors: float32 in real units, one per input, of its shape with batch 1. Integer inputs are quantised here.

        Returns:
            float32 in real units, one per output, with the batch.

        Raises:
            DataError: The number of tensors or a shape is wrong, or a value is not finite.
            DeviceError: The interpreter or the accelerator failed.
        """
        if len(tensors) != len(self.inputs):
            raise DataError(f"the model takes {len(self.inputs)} inputs, got {len(tensors)}")
        for tensor, info in zip(tensors, self.inputs):
            if tuple(tensor.shape) != info.shape:
                raise DataError(f"input '{info.name}' takes shape {info.shape}, got {tuple(tensor.shape)}")
        raw = self.session.run([to_stored(tensor, info) for tensor, info in zip(tensors, self.inputs)])
        return [to_real(array, info) for array, info in zip(raw, self.outputs)]

    def close(self) -> None:
        """Release the interpreter. Safe to call twice."""
        self.session.close()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()


def _completed(found: Tuple[TensorInfo, ...], promised: Tuple[TensorInfo, ...]) -> Tuple[TensorInfo, ...]:
    """Add the manifest's quantisation to integer tensors of formats whose inputs and outputs have none (ONNX)."""
    by_name = {info.name: info for info in promised}
    return tuple(_complete(info, by_name.get(info.name)) for info in found)


def _complete(info: TensorInfo, promise: Optional[TensorInfo]) -> TensorInfo:
    if promise is None or info.scale is not None or promise.dtype != info.dtype:
        return info
    return dataclasses.replace(info, scale=promise.scale, zero_point=promise.zero_point)


def _check_contract(
    inputs: Tuple[TensorInfo, ...], outputs: Tuple[TensorInfo, ...], spec: ModelSpec, path: str
) -> None:
    wanted = (1,) + tuple(spec.input_shape)
    if len(inputs) != 1 or inputs[0].shape != wanted:
        shapes = ", ".join(str(info.shape) for info in inputs)
        raise UnsupportedModelError(
            f"{path}: its spec declares one input of shape {wanted}, the file has {shapes}",
            hint="inputs are batch 1, height, width, channels",
        )
    if len(outputs) < len(spec.heads):
        raise UnsupportedModelError(
            f"{path}: its spec declares {len(spec.heads)} heads, the file has {len(outputs)} outputs"
        )
    for head, info in zip(spec.heads, outputs):
        units = int(np.prod(info.shape, dtype=np.int64))
        if head.task in ("classification", "multilabel") and head.labels and units != len(head.labels):
            raise UnsupportedModelError(
                f"{path}: head '{head.name}' has {len(head.labels)} labels, its output has {units} values",
                hint="give the spec one label per output, in order",
            )
