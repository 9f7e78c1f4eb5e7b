"""Loading a model file and asking it: the whole public surface of the runtime."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Type, Union

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError, UnsupportedModelError
from edgecv.core.files import PathLike
from edgecv.runtime.call_settings import CallSettings
from edgecv.runtime.container import read_manifest
from edgecv.runtime.engines import open_session
from edgecv.runtime.engines.base import Session
from edgecv.runtime.input_range import first_misfit, held_by
from edgecv.runtime.many import answered
from edgecv.runtime.reading import loaded_sample, read_outputs, samples_of
from edgecv.runtime.stored import stored_input
from edgecv.runtime.tensors import completed, to_real, to_stored
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_inputs, bind_outputs, in_order
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
    apart: bool = False,
) -> Predictor:
    """Open a model file, ready to be asked.

    Args:
        path: A .tflite or .onnx file, a bundle of such (.edgecv), or an .xml of a cascade (`edgecv.runtime.cascade`).
        engine: "litert", "tflite-runtime" or "onnxruntime"; None takes the first installed one that fits.
        accelerator: "cpu", "gpu" or "edgetpu"; there is no fallback from one to the other.
        threads: Of the interpreter on the CPU; None means 1.
        strict: On the GPU, refuse a model of which an operator would run on the CPU.
        precision: On the GPU, "float16" or "float32"; None leaves it to the accelerator.
        program_cache: Folder in which LiteRT's GPU accelerator keeps compiled programs for the next start.
        spec: The model's contract, for a file without a manifest; wins over the manifest's.
        apart: Open it in a process of its own with limits on time and memory (see `edgecv.core.apart`), for a file of
            unknown origin. Each run then takes a tenth of a millisecond more, and the copies of the tensors.

    Raises:
        CrashError: With `apart`, the file ends that process or exceeds a limit.
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
    options: Dict[str, Any] = {
        "engine": engine,
        "accelerator": accelerator,
        "threads": threads,
        "strict": strict,
        "precision": precision,
        "program_cache": None if program_cache is None else os.fspath(program_cache),
    }
    if manifest is not None and manifest.format == "cascade":
        options["input_shape"] = tuple(contract.input_shape)
    session = _apart(path, options) if apart else open_session(path, **options)
    try:
        predictor = Predictor(session, contract, manifest, path=os.fspath(path))
        options.pop("input_shape", None)
        predictor.another = lambda: load(path, spec=spec, apart=apart, **options)
        return predictor
    except BaseException:
        session.close()
        raise


def _apart(path: PathLike, options: Dict[str, Any]) -> Session:
    from edgecv.runtime.apart_session import ApartSession  # here, since importing the runtime must stay cheap

    return ApartSession(path, options)


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
        bound_inputs: For each input of the spec, its place among the file's; `bound_outputs` for each head, the places
            of its outputs.
        batch: Samples that `run` takes at once.
        path: The file.
        another: Opens the same file again; None for one that cannot be opened twice.
    """

    batch = 1
    another: Optional[Callable[[], Predictor]] = None

    def __init__(self, session: Session, spec: ModelSpec, manifest: Optional[Manifest], *, path: str) -> None:
        self.session = session
        self.path = path
        self.spec = spec
        self.manifest = manifest
        self.engine = session.engine
        self.accelerator = session.accelerator
        self.inputs = completed(session.inputs, manifest.inputs if manifest else ())
        self.outputs = completed(session.outputs, manifest.outputs if manifest else ())
        _check_types(self.inputs, self.outputs, path)
        self.bound_inputs = _checked_inputs(self.inputs, spec, path)
        self.bound_outputs = _checked_outputs(self.outputs, spec, path)
        self._call_settings = CallSettings()

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

    def __repr__(self) -> str:
        takes = ", ".join(f"{only.name} {'x'.join(map(str, only.shape))}" for only in self.spec.inputs)
        gives = ", ".join(f"{head.name}: {head.task}" for head in self.spec.heads)
        return f"<Predictor {self.path}: {takes} -> {gives}; {self.engine}, {self.accelerator}>"

    def predict(self, image: Any, *, color: str = "rgb", **settings: Any) -> Any:
        """Return what the model says of one sample.

        Args:
            image: A path, a PIL image, or uint8 (H, W) or (H, W, 3), 0..255, of any size; for a model of feature
                vectors, numbers of its input shape. For a model of several inputs, a tuple or list with one of these
                per input, in the order of the spec.
            color: What the three channels of arrays are: "rgb", or "bgr" as OpenCV reads and captures them.
            settings: How this answer is told, in place of what the file says: `score=0.4, iou=0.6, most=20` of a
                detector. They are those of the first head; another head's come as a mapping under its name. The task's
                `call_settings` are the known ones.

        Returns:
            The prediction of the first head's task (a `Classification`, a `Segmentation`, …), in the image's own
            coordinates. Its `heads` has those of all heads by name, its `outputs` what the model gave.

        Raises:
            DataError: An image is corrupt, of wrong channels or dtype, empty, or not finite; or their number is wrong.
            ConfigError: The path does not exist, the colour or a setting is unknown, or a setting's value is wrong.
        """
        spec = self._call_settings.of(self.spec, settings)
        sample = loaded_sample(image, self.spec, color=color)
        infos = [self.inputs[place] for place in self.bound_inputs]
        stored = [stored_input(one, only, info) for one, only, info in zip(sample, self.spec.inputs, infos)]
        return read_outputs(self._answer(self.in_file_order(stored)), spec, self.bound_outputs, sample)

    def predict_many(
        self, images: Union[PathLike, Iterable[Any]], *, threads: int = 1, color: str = "rgb", **settings: Any
    ) -> Iterator[Any]:
        """Yield what the model says of each of many samples, in their order.

        Samples are read as they are needed, so that a generator may go on forever; with several threads, a few ahead.

        Args:
            images: A folder, whose images are taken by name, or anything that yields what `predict` takes: a list, a
                generator, uint8 (N, H, W, 3).
            threads: Samples that are answered at the same time, each by an interpreter of its own.
            color: As `predict` takes it.
            settings: As `predict` takes them, for every sample.

        Raises:
            DataError, ConfigError: As `predict`, when the sample's turn comes; or `threads` is below 1, or a setting is
                wrong.
        """
        self._call_settings.of(self.spec, settings)
        return answered(self, samples_of(images), threads=threads, color=color, settings=settings)

    def run(self, tensors: Sequence[Array]) -> List[Array]:
        """Run the model on prepared inputs.

        Args:
            tensors: float32 in real units, one per input in the spec's order, of its shape with batch 1. Integer
                inputs are quantised here.

        Returns:
            float32 in real units, one per output in the file's order, with the batch; `bound_outputs` says for each
            head which are its own.

        Raises:
            DataError: The number of tensors or a shape is wrong, or a value is not finite.
            DeviceError: The interpreter or the accelerator failed.
        """
        ordered = self.in_file_order(tensors)
        for tensor, info in zip(ordered, self.inputs):
            if tuple(tensor.shape) != info.shape:
                raise DataError(f"input '{info.name}' takes shape {info.shape}, got {tuple(tensor.shape)}")
        return self._answer([to_stored(tensor, info) for tensor, info in zip(ordered, self.inputs)])

    def _answer(self, stored: Sequence[Array]) -> List[Array]:
        """Return the outputs in real units, for inputs as the file stores them, in its order."""
        raw = self.session.run(stored)
        return [to_real(array, info) for array, info in zip(raw, self.outputs)]

    def in_file_order(self, tensors: Sequence[Array]) -> List[Array]:
        """Return tensors in the spec's order as the file takes them. Raises DataError for a wrong number."""
        if len(tensors) != len(self.inputs):
            raise DataError(f"the model takes {len(self.inputs)} inputs, got {len(tensors)}")
        return in_order(tensors, self.bound_inputs)

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


def _check_types(inputs: Tuple[TensorInfo, ...], outputs: Tuple[TensorInfo, ...], path: str) -> None:
    for side, infos, kinds in (("input", inputs, "iuf"), ("output", outputs, "biuf")):
        for info in infos:
            if _kind(info.dtype) not in kinds:
                raise UnsupportedModelError(
                    f"{path}: its {side} '{info.name}' is of type {info.dtype}, expected real numbers",
                    hint="convert the model with float or integer inputs and outputs",
                )


def _kind(dtype: str) -> str:
    try:
        return np.dtype(dtype).kind
    except TypeError:  # a type that numpy does not have
        return "O"


def _checked_inputs(inputs: Tuple[TensorInfo, ...], spec: ModelSpec, path: str) -> Tuple[int, ...]:
    places = bind_inputs(spec, [info.name for info in inputs], path)
    for only, place in zip(spec.inputs, places):
        wanted = (1,) + tuple(only.shape)
        if inputs[place].shape != wanted:
            raise UnsupportedModelError(
                f"{path}: its spec declares input '{only.name}' of shape {wanted}, the file has {inputs[place].shape}",
                hint=_layout_hint(wanted, inputs[place].shape),
            )
        found = first_misfit([only], [held_by(inputs[place])], certain=True)
        if found is not None:
            raise UnsupportedModelError(f"{path}: {found.text}", hint=found.hint)
    return places


def _layout_hint(wanted: Tuple[int, ...], found: Tuple[int, ...]) -> str:
    if len(wanted) == 4 and found == (wanted[0], wanted[3], wanted[1], wanted[2]):
        return (
            "the file takes channels first, and images come with channels last: export it with the transposition "
            "inside, in PyTorch a module whose forward is model(x.permute(0, 3, 1, 2)), with a channels-last example"
        )
    return "inputs are batch 1, height, width, channels"


def _checked_outputs(outputs: Tuple[TensorInfo, ...], spec: ModelSpec, path: str) -> Tuple[Tuple[int, ...], ...]:
    places = bind_outputs(spec, [info.name for info in outputs], path)
    for head, own in zip(spec.heads, places):
        try:
            task_of(head).check(head, [outputs[place].shape for place in own])
        except UnsupportedModelError as error:
            raise UnsupportedModelError(f"{path}: {error.message}", hint=error.hint) from error
    return places
