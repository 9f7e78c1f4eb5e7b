"""The benchmark's end of the agent's protocol: typed questions and answers, errors that say at which stage."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from edgecv.bench.cases import BenchCase, BenchPlan
from edgecv.bench.devices.base import Channel
from edgecv.core import codec, errors
from edgecv.core.errors import DeviceError, EdgecvError
from edgecv.values.kind import Kind
from edgecv.values.manifest import GoldenArray, TensorInfo, pack_array, unpack_array

Array = np.ndarray[Any, Any]
T = TypeVar("T")

START_TIMEOUT_S = 60.0
LOAD_TIMEOUT_S = 300.0
RUN_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The answer to load. Milliseconds."""

    load_ms: float
    engine: str
    accelerator: str
    kind: Kind
    adapter: str | None = None
    compile_ms: float | None = None
    from_cache: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The answer to load, for asking the model: its tensors as the device's interpreter shows them."""

    engine: str
    accelerator: str
    kind: Kind
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    adapter: str | None = None
    fully_accelerated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Warm:
    """The answer to warmup: the first inference, and a steady one."""

    first_ms: float
    iteration_ns: float
    stable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The answer to run: one timed block of `iterations` inferences."""

    iterations: int
    wall_ns: int
    cpu_ns: int
    switches: int | None


class AgentLink:
    """Talks to one agent; a context manager that ends it.

    Args:
        channel: To a process that has just been started.
        label: What it is for, in messages: the case's name.
    """

    def __init__(self, channel: Channel, label: str) -> None:
        self._channel = channel
        self._label = label

    def __enter__(self) -> AgentLink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the agent. Safe to call twice."""
        self._channel.close()

    def hello(self) -> Mapping[str, Any]:
        """Wait until the agent is up; return its versions and host facts."""
        return self.ask("starting", START_TIMEOUT_S, command="hello")

    def pin(self, cpu: int | None) -> int | None:
        """Bind the agent to `cpu`, or to the idlest when None; return which, None where it cannot be done."""
        answer = self.ask("binding to a CPU", START_TIMEOUT_S, command="pin", cpu=cpu)
        bound = answer.get("cpu")
        return None if bound is None else int(bound)

    def load(self, case: BenchCase, path: str, seed: int, program_cache: str | None = None) -> Loaded:
        """Open the case's model, which lies at `path` on the device; with `program_cache`, a folder there."""
        request = {"engine": case.engine, "accelerator": case.accelerator, "threads": case.threads, "seed": seed}
        options = {"precision": case.precision, "partial": case.partial or None, "program_cache": program_cache}
        request |= {key: value for key, value in options.items() if value is not None}
        answer = self.ask("loading", LOAD_TIMEOUT_S, command="load", path=path, **request)
        return self._typed(Loaded, answer)

    def warm_up(self, plan: BenchPlan) -> Warm:
        """Run until inferences get no faster."""
        limits = {"min_ms": plan.warmup_ms, "max_ms": plan.max_warmup_ms, "block_ms": plan.block_ms}
        return self._typed(Warm, self.ask("warming up", LOAD_TIMEOUT_S, command="warmup", **limits))

    def precision(self) -> str | None:
        """Return the float type that the accelerator computes in; None on the CPU and where it cannot be found out."""
        found = self.ask("asking the accelerator", LOAD_TIMEOUT_S, command="precision").get("precision")
        return None if found is None else str(found)

    def run(self, iterations: int, settle: int) -> Block:
        """Time one block of `iterations` inferences, after `settle` untimed ones."""
        answer = self.ask("measuring", RUN_TIMEOUT_S, command="run", iterations=iterations, settle=settle)
        return self._typed(Block, answer)

    def describe(self, case: BenchCase, path: str) -> Opened:
        """Open the case's model as `load` does; return what it takes and gives."""
        request = {"engine": case.engine, "accelerator": case.accelerator, "threads": case.threads}
        options = {"precision": case.precision, "partial": case.partial or None}
        given = {key: value for key, value in options.items() if value is not None}
        answer = self.ask("loading", LOAD_TIMEOUT_S, command="load", path=path, **request, **given)
        found = {name: answer[name] for name in _names(Opened, answer) if name in answer}
        return codec.decode(Opened, found, where=f"{self._label}: the agent's answer to load")

    def predict(self, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """Return the raw outputs for each sample's raw inputs, as the loaded file stores both.

        Args:
            samples: Arrays with batch 1, of the inputs' shapes and dtypes.
        """
        packed = [[codec.encode(pack_array(array)) for array in sample] for sample in samples]
        answers = self.ask("predicting", RUN_TIMEOUT_S, command="predict", samples=packed).get("samples")
        if not isinstance(answers, list) or len(answers) != len(samples):
            raise DeviceError(f"{self._label}: the agent answered {len(samples)} samples with something else")
        return [
            [
                unpack_array(codec.decode(GoldenArray, array, where=f"{self._label}: the agent's answer"))
                for array in one
            ]
            for one in answers
        ]

    def peak_rss_bytes(self) -> int | None:
        """Return the largest resident set that the agent's process has had."""
        peak = self.ask("reading memory", START_TIMEOUT_S, command="memory").get("peak_rss_bytes")
        return None if peak is None else int(peak)

    def ask(self, stage: str, timeout_s: float, **request: Any) -> Mapping[str, Any]:
        """Send one command and return its answer.

        Raises:
            DeviceError: The agent died, hung or answered nonsense; the message names the case and the stage.
            EdgecvError: The agent reports an error; of the type that it names.
        """
        try:
            self._channel.send(json.dumps(request))
            answer = json.loads(self._channel.receive(timeout_s))
        except DeviceError as error:
            raise DeviceError(f"{self._label}: while {stage}: {error.message}", hint=error.hint) from error
        except ValueError as error:
            raise DeviceError(f"{self._label}: while {stage}: the agent's answer is not JSON: {error}") from error
        if not isinstance(answer, dict):
            raise DeviceError(f"{self._label}: while {stage}: the agent's answer is not an object: {answer!r}")
        if "error" in answer:
            raise self._reported(stage, answer["error"])
        return answer

    def _reported(self, stage: str, report: Mapping[str, Any]) -> EdgecvError:
        kind = getattr(errors, str(report.get("type")), None)
        cls = kind if isinstance(kind, type) and issubclass(kind, EdgecvError) else DeviceError
        return cls(f"{self._label}: while {stage}: {report.get('message')}", hint=str(report.get("hint") or ""))

    def _typed(self, cls: type[T], answer: Mapping[str, Any]) -> T:
        try:
            return cls(**{name: answer[name] for name in _names(cls, answer)})
        except KeyError as error:
            raise DeviceError(
                f"{self._label}: the agent's answer lacks {error}", hint="is edgecv on the device as new as here?"
            ) from error


def _names(cls: Any, answer: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls) if field.default is MISSING or field.name in answer)
