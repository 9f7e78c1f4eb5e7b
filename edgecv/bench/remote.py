"""Asking a model that runs on a device: preprocessing, quantisation and reading here, by the runtime's own code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgecv.bench.cases import BenchCase
from edgecv.bench.devices.base import Device
from edgecv.bench.link import AgentLink, Opened
from edgecv.core.errors import DataError, UnsupportedModelError
from edgecv.runtime import Predictor, Session, read_manifest
from edgecv.runtime.tensors import to_real, to_stored
from edgecv.values.kind import Kind
from edgecv.values.run_options import DEFAULTS, RunOptions
from edgecv.values.specs import ModelSpec

Array = np.ndarray[Any, Any]

BATCH = 16
"""Samples per request: a slow link's round trip is paid once for all of them."""


class DeviceSession(Session):
    """A model open in an agent, as a session of the runtime. Closing it ends the agent.

    Args:
        link: To an agent that has loaded the model.
        opened: Its answer.
    """

    def __init__(self, link: AgentLink, opened: Opened) -> None:
        super().__init__(opened.engine, 1, opened.inputs, opened.outputs)
        self.accelerator = opened.accelerator  # type: ignore[misc]  # a class variable of local sessions
        self.adapter = opened.adapter
        self.is_software_adapter = opened.kind == "simulated"
        self.fully_accelerated = opened.fully_accelerated
        self.link = link
        self._inputs: list[Array] = []
        self._outputs: list[Array] = []

    @property
    def precision(self) -> str | None:
        """The float type that the device's accelerator computes in; None on the CPU."""
        return None if self.accelerator == "cpu" else self.link.precision()

    def set_inputs(self, arrays: Sequence[Array]) -> None:
        self._inputs = list(arrays)

    def invoke(self) -> None:
        self._outputs = self.link.predict([self._inputs])[0]

    def get_outputs(self) -> list[Array]:
        return self._outputs

    def close(self) -> None:
        self.link.close()


class DevicePredictor(Predictor):
    """A `runtime.Predictor` whose interpreter is on a device; takes several samples at once.

    Attributes:
        device: Its name.
        kind: "simulated" when the device, or its accelerator, is.
    """

    batch = BATCH

    def __init__(self, session: DeviceSession, spec: ModelSpec, manifest: Any, *, path: str, device: Device) -> None:
        super().__init__(session, spec, manifest, path=path)
        self.device = device.name
        self.kind: Kind = "simulated" if session.is_software_adapter else device.kind
        self._link = session.link

    def run(self, tensors: Sequence[Array]) -> list[Array]:
        """Run the model on prepared inputs, as `Predictor.run` does, with any number of samples.

        Raises:
            DataError: The number of tensors or a shape is wrong, or a value is not finite.
            DeviceError: The device failed.
        """
        tensors = self.in_file_order(tensors)
        for tensor, info in zip(tensors, self.inputs, strict=True):
            if tuple(tensor.shape[1:]) != info.shape[1:]:
                raise DataError(f"input '{info.name}' takes shape {info.shape}, got {tuple(tensor.shape)}")
        samples = [
            [to_stored(tensor[i : i + 1], info) for tensor, info in zip(tensors, self.inputs, strict=True)]
            for i in range(len(tensors[0]))
        ]
        answers = self.predict_raw(samples)
        real = [[to_real(raw, info) for raw, info in zip(one, self.outputs, strict=True)] for one in answers]
        return [np.concatenate(each) for each in zip(*real, strict=True)]

    def predict_raw(self, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """Return the outputs as the file stores them, for inputs as it stores them. Raises DeviceError."""
        return self._link.predict(samples)

    def __enter__(self) -> DevicePredictor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_on_device(
    file: Path,
    device: Device,
    *,
    options: RunOptions = DEFAULTS,
    spec: ModelSpec | None = None,
) -> DevicePredictor:
    """Open a model file on a device.

    Args:
        file: `.tflite` or `.onnx`, on this host; sent unless the device has it.
        device: Where.
        options: With what it is run there; the device has program caches of its own.
        spec: The model's contract, for a file without a manifest.

    Raises:
        ConfigError, UnsupportedModelError, MissingDependencyError: The file or an option is wrong for the device.
        DeviceError: The device failed.
    """
    manifest = read_manifest(file)
    contract = spec or (manifest.spec if manifest else None)
    if contract is None:
        raise UnsupportedModelError(
            f"{file} has no edgecv manifest, so nothing says how it is fed and read",
            hint="pass --spec, or make the file with edgecv convert",
        )
    case = BenchCase(
        name=file.name, path=str(file), engine=options.engine, accelerator=options.accelerator,
        partial=not options.strict, precision=options.precision,
    )  # fmt: skip
    there = device.put(file)
    link = AgentLink(device.start(), f"{file.name} on {device.name}")
    try:
        link.hello()
        session = DeviceSession(link, link.describe(case, there))
        return DevicePredictor(session, contract, manifest, path=str(file), device=device)
    except BaseException:
        link.close()
        raise
