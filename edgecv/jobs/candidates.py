"""Converting candidate networks in a process of its own, since the converter is native code that can crash."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgecv.bench.devices.process import ProcessChannel
from edgecv.core.apart import child_environment
from edgecv.core.errors import ConversionError, DeviceError
from edgecv.modelio import manifest_for, save_keras
from edgecv.values.specs import ModelSpec

COMMAND = (sys.executable, "-P", "-m", "edgecv.jobs.conversion_worker")
TIMEOUT_S = 900.0
"""For one conversion, the start of tensorflow included; the largest networks of the zoo take one minute."""


class CrashedError(ConversionError):
    """The process that converts ended or went silent: that says nothing of the network yet."""


class Converter:
    """One process that lives through a run; a new one is started after one that ended. A context manager.

    Args:
        folder: For the files that go there and back.
        spec: The contract of all models.
        custom_objects: The user's Python file with classes that they have.
        command: How to start the process.
        timeout_s: For one conversion.
    """

    def __init__(
        self,
        folder: Path,
        spec: ModelSpec,
        custom_objects: Path | None = None,
        *,
        command: Sequence[str] = COMMAND,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._custom_objects = custom_objects
        self._folder, self._spec, self._command, self._timeout_s = folder, spec, tuple(command), timeout_s
        self._channel: ProcessChannel | None = None

    def __enter__(self) -> Converter:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def pid(self) -> int | None:
        """Process id of the process; None while there is none."""
        return self._channel.pid if self._channel else None

    def convert(self, model: Any, out: Path) -> Path:
        """Write a model as a float32 .tflite.

        Raises:
            CrashedError: The process crashed, was killed, or did not answer in time.
            ConversionError: The converter refused the model.
        """
        source = self._folder / "candidate.keras"
        save_keras(model, source, manifest_for(self._spec, recipe={"step": "candidate"}), force=True)
        custom = {"custom_objects": str(self._custom_objects)} if self._custom_objects else {}
        answer = self._asked({"model": str(source), "out": str(out), **custom})
        if "error" in answer:
            raise ConversionError(f"a network cannot be converted: {answer['error']}", hint=answer["hint"])
        return out

    def _asked(self, request: dict[str, str]) -> dict[str, str]:
        try:
            if self._channel is None:
                self._channel = ProcessChannel(self._command, environment=child_environment(), explain=_explained)
            self._channel.send(json.dumps(request))
            answer: dict[str, str] = json.loads(self._channel.receive(self._timeout_s))
            return answer
        except DeviceError as error:
            self._end(kill=True)
            raise CrashedError(error.message, hint=error.hint) from error
        except BaseException:
            self._end(kill=True)
            raise

    def _end(self, *, kill: bool = False) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close(at_once=kill)


def _explained(status: int | None, log: str) -> DeviceError:
    """Return what the end of the process means."""
    how = f"by {_signal(-status)}" if status is not None and status < 0 else f"with status {status}"
    last = " | ".join(log.splitlines()[-3:])
    return DeviceError(f"the process that converts candidates ended {how}", hint=last and f"its last words: {last}")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
