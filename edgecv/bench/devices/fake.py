"""A device that runs nothing: scripted timings, its own clock, every answer reproducible.

For tests of the loop, of reports and of programs built on them. Its results are `simulated`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import DeviceError
from edgecv.values.kind import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeModel:
    """How long a model's inferences take on a FakeDevice.

    Attributes:
        median_ms: Of an inference.
        launch_sigma: Standard deviation of the log of a process's own speed: layout, page colours.
        block_sigma: Standard deviation of the log of a block's time.
        interruption_share: Share of blocks in which another process gets the CPU; they take `interruption_ms` more.
        load_ms: To open it.
        first_factor: The first inference's time over the median.
        peak_rss_bytes: Of its process.
        kind: What its agent calls its times: "simulated" plays a software renderer.
        compile_ms: Plays an accelerator that compiles for so long, less with a program cache; None plays a CPU.
    """

    median_ms: float = 1.0
    launch_sigma: float = 0.0
    block_sigma: float = 0.0
    interruption_share: float = 0.0
    interruption_ms: float = 3.0
    load_ms: float = 5.0
    first_factor: float = 3.0
    peak_rss_bytes: int = 50_000_000
    kind: Kind = "measured"
    compile_ms: float | None = None


@dataclass
class FakeClock:
    """Seconds that pass only when a fake device works."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeDevice:
    """Plays an agent for each process started.

    Attributes:
        models: By file name.
        seed: Of all noise.
        fail_after: The device drops out after so many answers; None: never.
        clock: To hand to `bench`.
        start_seconds: What starting a process costs.
        answers: Given so far.
        launches: Processes started so far.
        state: Answer to `state`; a test may change it at any time.
        profile: Answer to `profile`.
    """

    models: Mapping[str, FakeModel]
    seed: int = 0
    fail_after: int | None = None
    clock: FakeClock = field(default_factory=FakeClock)
    start_seconds: float = 0.2
    name: str = "fake"
    kind: Kind = "simulated"
    answers: int = 0
    launches: int = 0
    state: Mapping[str, Any] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lane(self) -> str:
        """Fake devices take nothing from one another: each has a lane of its own."""
        return self.name

    def facts(self) -> Mapping[str, Any]:
        return {"cpu_model": "fake", "governor": None}

    def put(self, path: Path) -> str:
        return path.name

    def start(self) -> FakeChannel:
        self.launches += 1
        self.clock.now += self.start_seconds
        return FakeChannel(self, np.random.default_rng((self.seed, self.launches)))

    def answer(self) -> None:
        """Count one answer. Raises DeviceError when the device has dropped out."""
        if self.fail_after is not None and self.answers >= self.fail_after:
            raise DeviceError("the agent process ended with status 1", hint="fail_after was reached")
        self.answers += 1


class FakeChannel:
    """An agent that lives in this process; made by FakeDevice."""

    def __init__(self, device: FakeDevice, rng: np.random.Generator) -> None:
        self._device = device
        self._rng = rng
        self._model = FakeModel()
        self._speed = 1.0
        self._line = ""
        self.closed = False

    def send(self, line: str) -> None:
        self._line = line

    def receive(self, timeout_s: float) -> str:
        self._device.answer()
        request = json.loads(self._line)
        return json.dumps(getattr(self, f"_{request['command']}")(request))

    def close(self) -> None:
        self.closed = True

    def _hello(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"protocol": 1, "edgecv": "", "pid": self._device.launches, "host": dict(self._device.facts())}

    def _pin(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"cpu": request["cpu"] or 0, "cpus": [0]}

    def _load(self, request: Mapping[str, Any]) -> dict[str, Any]:
        model = self._device.models.get(request["path"])
        if model is None:
            message = f"{request['path']} is not a model of this device"
            return {"error": {"type": "UnsupportedModelError", "message": message, "hint": ""}}
        self._model = model
        self._speed = math.exp(self._rng.normal(0.0, model.launch_sigma)) if model.launch_sigma else 1.0
        self._pass(model.load_ms)
        engine = request["engine"] or "fake"
        answer = {"load_ms": model.load_ms, "engine": engine, "accelerator": request["accelerator"], "kind": model.kind}
        if model.compile_ms is None:
            return answer
        return {**answer, "adapter": "fake", "compile_ms": model.compile_ms, **self._cached(request)}

    def _cached(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Play a program cache: a start that finds one compiles in a tenth of the time."""
        if "program_cache" not in request:
            return {}
        programs = Path(request["program_cache"]) / "programs.bin"
        if programs.exists():
            return {"from_cache": True, "compile_ms": (self._model.compile_ms or 0.0) / 10}
        programs.parent.mkdir(parents=True, exist_ok=True)
        programs.write_bytes(b"programs")
        return {}

    def _precision(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"precision": None if self._model.compile_ms is None else "float16"}

    def _warmup(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._pass(request["min_ms"])
        steady = self._model.median_ms * self._speed
        first = steady * self._model.first_factor
        return {"first_ms": first, "iteration_ns": steady * 1e6, "blocks": 10, "stable": True, "elapsed_ms": 0.0}

    def _run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        model, iterations = self._model, int(request["iterations"])
        noise = math.exp(self._rng.normal(0.0, model.block_sigma)) if model.block_sigma else 1.0
        cpu_ms = iterations * model.median_ms * self._speed * noise
        interrupted = bool(model.interruption_share) and self._rng.random() < model.interruption_share
        wall_ms = cpu_ms + (model.interruption_ms if interrupted else 0.0)
        self._pass(wall_ms)
        times = {"wall_ns": round(wall_ms * 1e6), "cpu_ns": round(cpu_ms * 1e6)}
        return {"iterations": iterations, **times, "switches": int(interrupted), "each_ns": None}

    def _memory(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"peak_rss_bytes": self._model.peak_rss_bytes, "rss_before_load_bytes": None}

    def _state(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return dict(self._device.state)

    def _profile(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return dict(self._device.profile)

    def _pass(self, milliseconds: float) -> None:
        self._device.clock.now += milliseconds / 1e3
