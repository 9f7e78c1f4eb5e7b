"""Devices without a python: LiteRT's own `benchmark_model` plays the agent. It times; it gives no answers.

Each timed block is a run of the program, so a launch is a row of processes, not one; the times are the program's own,
around calls of the interpreter's invoke, and inputs are its random values.
Source: https://github.com/tensorflow/tensorflow/tree/master/tensorflow/lite/tools/benchmark
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecv.bench.devices.shell import RemoteDevice, Shell
from edgecv.core.errors import ConfigError, DeviceError, EdgecvError, UnsupportedModelError
from edgecv.runtime import benchmark_model, op_records, profiling

PROTOCOL = 1
RUN_TIMEOUT_S = 300.0
LEAST_RUNS = 20
"""Inferences of a block: starting the program takes so long that fewer would be a waste."""
LEAST_WARMUP = 5
"""Untimed inferences before each block: the process is new."""

_INIT = re.compile(r"Initialized session in ([\d.]+) ?ms")
_STATS = re.compile(r"count=(\d+)(.*)")
_FIELD = re.compile(r"(\w+)=([-+\d.eE]+)")
_TIMINGS = re.compile(
    r"Inference timings in us: Init: ([-+\d.eE]+), First inference: ([-+\d.eE]+), "
    r"Warmup \(avg\): ([-+\d.eE]+), Inference \(avg\): ([-+\d.eE]+)"
)
_DELTA = re.compile(r"Memory footprint delta from the start of the tool \(MB\): init=([-+\d.eE]+) overall=([-+\d.eE]+)")
_PEAK = re.compile(r"Overall peak memory footprint \(MB\) via periodic monitoring: ([-+\d.eE]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """What one run of the program says.

    Attributes:
        init_ms: From the file to an interpreter with its memory planned.
        first_ms: The first inference.
        warmup_ms: Mean of the untimed ones.
        avg_ms: Mean of the timed ones.
        std_ms: Their standard deviation; None when the program does not print it (a single inference).
        min_ms: The fastest; None likewise. `max_ms` the slowest.
        count: How many were timed.
        memory_bytes: Growth of the process from its start; None when unknown.
        peak_bytes: Its peak; None unless it was watched.
    """

    init_ms: float
    first_ms: float
    warmup_ms: float
    avg_ms: float
    std_ms: float | None
    min_ms: float | None
    max_ms: float | None
    count: int
    memory_bytes: int | None
    peak_bytes: int | None


def parse(text: str) -> Timings:
    """Read the program's output.

    Raises:
        DeviceError: It holds no timings, or a value is not a finite number above 0; the message has its errors.
    """
    timings = _TIMINGS.search(text)
    blocks = [(int(count), dict(_FIELD.findall(rest))) for count, rest in _STATS.findall(text)]
    if timings is None or not blocks:
        words = [line for line in text.splitlines() if re.search(r"ERROR|[Ff]ail|not ", line)] or text.splitlines()
        raise DeviceError(f"benchmark_model gave no timings: {' | '.join(words[-3:]) or 'it printed nothing'}")
    init, first, warmup, average = (_number(value, timings[0]) / 1e3 for value in timings.groups())
    # The warm-up's statistics come first, the timed runs' last.
    count, fields = blocks[-1]
    delta, peak = _DELTA.search(text), _PEAK.search(text)
    return Timings(
        init_ms=init,
        first_ms=first,
        warmup_ms=warmup,
        avg_ms=average,
        std_ms=_milliseconds(fields, "std"),
        min_ms=_milliseconds(fields, "min"),
        max_ms=_milliseconds(fields, "max"),
        count=count,
        memory_bytes=None if delta is None else round(_number(delta[2], delta[0]) * 2**20),
        peak_bytes=None if peak is None or float(peak[1]) <= 0 else round(_number(peak[1], peak[0]) * 2**20),
    )


def _milliseconds(fields: Mapping[str, str], name: str) -> float | None:
    return _number(fields[name], name) / 1e3 if name in fields else None


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise DeviceError(f"benchmark_model printed a number that is none: {where}")
    return value


class BenchmarkModelDevice(RemoteDevice):
    """A device on which the program times models.

    Args:
        name: What the user calls it.
        shell: To it.
        folder: For edgecv's files there.
        program: `benchmark_model` for the device, on this host.
    """

    def __init__(self, name: str, shell: Shell, *, folder: str, program: Path) -> None:
        super().__init__(name, shell, folder=folder, python="")
        self._program = program

    @property
    def makes_environment(self) -> bool:
        return False

    def put_runtime(self) -> str:
        """Send the program unless the device has it, and return its path there."""
        if self._runtime is None:
            if not self._program.is_file():
                raise ConfigError(
                    f"{self.name}: benchmark_model is {self._program}, which does not exist",
                    hint="LiteRT publishes it for each platform; give the file's path on this host",
                )
            there = self.put(self._program)
            self.checked('chmod 700 -- "$1"', there)
            self._runtime = there
        return self._runtime

    def facts(self) -> Mapping[str, Any]:
        """Return what the shell tells: without python there is no more."""
        if self._facts is None:
            self._facts = dict(_parse_facts(self.checked(FACTS).out))
        return dict(self._facts)

    def start(self) -> BenchmarkModelChannel:  # type: ignore[override]  # another channel, with the same methods
        self.put_runtime()
        return BenchmarkModelChannel(self)

    def measure(self, options: Mapping[str, Any]) -> Timings:
        """Run the program once. Raises DeviceError or UnsupportedModelError with its words."""
        words = [f"--{key}={value}" for key, value in options.items()]
        done = self.shell.run('exec "$@" 2>&1', self.put_runtime(), *words, timeout_s=RUN_TIMEOUT_S)
        if "Failed to load model" in done.out or "Could not load model" in done.out:
            raise UnsupportedModelError(f"benchmark_model cannot read {options['graph']}", hint="is it a .tflite file?")
        if done.status != 0 and not _TIMINGS.search(done.out):
            said = " | ".join(done.out.strip().splitlines()[-3:])
            raise DeviceError(f"benchmark_model ended with status {done.status}: {said}")
        return parse(done.out)

    def profile(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer `profile`: time per operator, from the program's own profiler.

        Raises:
            DeviceError: The program wrote none, as builds without its profiler do.
        """
        csv = f"{self.folder}/ops-{uuid.uuid4().hex}.csv"
        options = {"graph": request["path"], "num_threads": request.get("threads") or 1, "use_xnnpack": "true"}
        limits = {"num_runs": request.get("runs") or LEAST_RUNS, "max_secs": request.get("seconds") or 10}
        try:
            flags = {"enable_op_profiling": "true", "profiling_output_csv_file": csv}
            timings = self.measure({**options, **limits, **flags})
            text = self.shell.run('exec cat -- "$1"', csv).out
        finally:
            self.shell.run('exec rm -f -- "$1"', csv)
        records = benchmark_model.read_csv(text)
        if not records:
            raise DeviceError("benchmark_model wrote no operator profile", hint="was it built with its profiler?")
        return profiling.averaged(op_records.Runs(benchmark_model.SOURCE, [records], [timings.avg_ms * 1e3], 1.0))


FACTS = (
    'echo "machine $(uname -m)"; echo "kernel $(uname -s) $(uname -r)"; '
    'echo "cpu_model $(getprop ro.soc.model 2>/dev/null) $(getprop ro.product.model 2>/dev/null)"; '
    'echo "os Android $(getprop ro.build.version.release 2>/dev/null)"; '
    'echo "governor $(cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null)"; '
    'echo "cpus $(grep -c ^processor /proc/cpuinfo 2>/dev/null)"'
)


def _parse_facts(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        found[key] = value.strip() or None
    count = found.get("cpus")
    return {**found, "cpus": int(count) if count and count.isdigit() else None}


class BenchmarkModelChannel:
    """Speaks the agent's protocol and runs the program for each answer; made by BenchmarkModelDevice."""

    def __init__(self, device: BenchmarkModelDevice) -> None:
        self._device = device
        self._options: dict[str, Any] = {}
        self._loaded: Timings | None = None
        self._line = ""
        self._commands: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "hello": self._hello,
            "pin": lambda request: {"cpu": None, "cpus": []},
            "load": self._load,
            "warmup": self._warmup,
            "run": self._run,
            "memory": self._memory,
            "profile": self._profile,
            "precision": lambda request: {"precision": None},
            "close": lambda request: {"closed": True},
        }

    def send(self, line: str) -> None:
        self._line = line

    def receive(self, timeout_s: float) -> str:
        request = json.loads(self._line)
        command = self._commands.get(request["command"])
        try:
            if command is None:
                raise ConfigError(
                    f"benchmark_model cannot {request['command']}: it only times models",
                    hint="set python in the file of devices for answers from the device",
                )
            return json.dumps(command(request))
        except DeviceError:
            raise
        except EdgecvError as error:
            report = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
            return json.dumps({"error": report})

    def close(self) -> None:
        return

    def _hello(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"protocol": PROTOCOL, "edgecv": "", "pid": 0, "host": dict(self._device.facts())}

    def _load(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("engine") not in (None, "litert"):
            raise ConfigError(f"benchmark_model is LiteRT's: it has no engine '{request['engine']}'")
        gpu = request.get("accelerator", "cpu") == "gpu"
        self._options = {
            "graph": request["path"],
            "num_threads": request.get("threads") or 1,
            "use_gpu": str(gpu).lower(),
            "use_xnnpack": str(not gpu).lower(),
            "min_secs": "0.000001",
            "warmup_min_secs": "0",
        }
        self._loaded = self._device.measure(
            {**self._options, "num_runs": 1, "warmup_runs": 1, "report_peak_memory_footprint": "true"}
        )
        return {
            "load_ms": self._loaded.init_ms,
            "engine": "benchmark_model",
            "accelerator": "gpu" if gpu else "cpu",
            "kind": "measured",
            "adapter": None,
        }

    def _warmup(self, request: Mapping[str, Any]) -> dict[str, Any]:
        loaded = self._opened()
        found = self._measure(LEAST_RUNS, LEAST_WARMUP)
        return {
            "first_ms": loaded.first_ms,
            "iteration_ns": found.avg_ms * 1e6,
            "blocks": 1,
            "stable": found.std_ms is not None and found.std_ms <= 0.1 * found.avg_ms,
            "elapsed_ms": found.avg_ms * found.count,
        }

    def _run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._opened()
        found = self._measure(max(LEAST_RUNS, int(request["iterations"])), LEAST_WARMUP)
        wall_ns = round(found.avg_ms * found.count * 1e6)
        # The program tells elapsed times only; nobody uses these CPU times, since nothing counts interruptions here.
        times = {"wall_ns": wall_ns, "cpu_ns": wall_ns, "std_ns": None if found.std_ms is None else found.std_ms * 1e6}
        return {"iterations": found.count, **times, "switches": None, "each_ns": None}

    def _memory(self, request: Mapping[str, Any]) -> dict[str, Any]:
        loaded = self._loaded
        return {"peak_rss_bytes": None if loaded is None else loaded.peak_bytes, "rss_before_load_bytes": None}

    def _profile(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("accelerator", "cpu") != "cpu":
            raise UnsupportedModelError("operators on the GPU cannot be profiled, only on the cpu")
        return self._device.profile(request)

    def _measure(self, runs: int, warmup: int) -> Timings:
        return self._device.measure({**self._options, "num_runs": runs, "warmup_runs": warmup})

    def _opened(self) -> Timings:
        if self._loaded is None:
            raise ConfigError("no model is loaded", hint="send load first")
        return self._loaded
