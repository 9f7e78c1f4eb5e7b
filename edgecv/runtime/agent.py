"""The process that runs a model for a benchmark: one JSON document per line in on stdin, one per line out on stdout.

    python -m edgecv.runtime.agent

Commands (`{"command": NAME, ...}`), answered in order:

    hello                                  versions, host facts, pid
    pin      {cpu}                         bind to one CPU; null picks the idlest
    load     {path, engine, accelerator, threads, seed, partial, precision, program_cache}
    precision                              the float type that the accelerator computes in, found out on it
    warmup   {min_ms, max_ms, block_ms}    the first inference, then blocks until they stop getting faster
    run      {iterations | min_ms, settle, each}
    predict  {samples: [[tensor…]…]}       outputs of the loaded model for raw inputs; a tensor is {dtype, shape, data},
                                           its data the base64 of little-endian bytes
    memory                                 peak resident set
    state                                  temperatures, clock, energy counters (see edgecv.runtime.telemetry)
    profile  {path, engine, accelerator, threads, seed, runs, seconds}    time per operator
    close                                  answers, then ends

A failure is answered with `{"error": {"type", "message", "hint"}}`, a malformed line too; neither ends the process.

What a time is: `time.perf_counter_ns` around calls of the interpreter's invoke, inputs set beforehand to fixed seeded
values. In: one Python call, the interpreter's work and, for accelerators, the copies and the wait that invoke makes.
Out: pre- and post-processing, setting inputs, reading outputs, JSON. A block is `iterations` calls under one pair of
clock readings, after `settle` untimed calls that bring the caches back. Nothing is allocated or parsed by this module
within a block. `load_ms` runs from the path to an interpreter with its memory planned, importing the interpreter's
package included; the first inference, in which some accelerators compile, is timed apart.

The process opens no port and starts no other. Native libraries print to stdout, so the real one is kept aside.
"""

from __future__ import annotations

import dataclasses
import gc
import io
import json
import math
import os
import sys
import time
from typing import IO, Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from numpy.typing import NDArray

import edgecv
from edgecv.core.codec import decode
from edgecv.core.errors import ConfigError, EdgecvError, unknown_name
from edgecv.core.memory import limit_memory
from edgecv.runtime import host, open_session, profiling, telemetry
from edgecv.runtime.tensors import seeded_inputs
from edgecv.runtime.timing import time_block, time_each, warm_up
from edgecv.values.manifest import GoldenArray, TensorInfo, pack_array, unpack_array

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

PROTOCOL = 1
MEMORY_LIMIT = "EDGECV_AGENT_MEMORY_BYTES"
"""Environment variable: bytes that this process may write to; unset or empty: no limit but the device's memory."""
Opener = Callable[..., Any]
"""Called as edgecv.runtime.open_session is, for a Session."""


class Agent:
    """Answers commands; holds at most one open model.

    Args:
        open_session: Opens a model file.
    """

    def __init__(self, open_session: Opener) -> None:
        self._open_session = open_session
        self._session: Any = None
        self._iteration_ns = 0.0
        self._rss_before: Optional[int] = None
        self._commands: Mapping[str, Callable[[Dict[str, Any]], Dict[str, Any]]] = {
            "hello": self._hello,
            "pin": self._pin,
            "load": self._load,
            "precision": self._precision,
            "warmup": self._warmup,
            "run": self._run,
            "predict": self._predict,
            "memory": self._memory,
            "state": telemetry.answer,
            "profile": profiling.answer,
            "close": self._close,
        }

    def answer(self, line: str) -> Tuple[Dict[str, Any], bool]:
        """Return the answer to one line, and whether to go on."""
        try:
            request = _parse(line)
            name = _take(request, "command", str)
            if name not in self._commands:
                raise unknown_name("agent command", name, self._commands)
            return self._commands[name](request), name != "close"
        except EdgecvError as error:
            return _error(type(error).__name__, error.message, error.hint), True
        except Exception as error:
            # The process boundary: whatever an interpreter raises becomes an answer that names it.
            return _error("DeviceError", f"{type(error).__name__}: {error}", "see the agent's stderr"), True

    def close(self) -> None:
        """Close the model, if one is open."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _hello(self, request: Dict[str, Any]) -> Dict[str, Any]:
        return {"protocol": PROTOCOL, "edgecv": edgecv.__version__, "pid": os.getpid(), "host": host.host_facts()}

    def _pin(self, request: Dict[str, Any]) -> Dict[str, Any]:
        cpus = host.usable_cpus()
        cpu = _take(request, "cpu", int, None)
        if not cpus:
            return {"cpu": None, "cpus": []}
        chosen = host.idlest_cpu(cpus) if cpu is None else cpu
        if chosen not in cpus:
            raise ConfigError(f"cannot bind to CPU {chosen}: this process may use {cpus}")
        os.sched_setaffinity(0, {chosen})
        return {"cpu": chosen, "cpus": cpus}

    def _load(self, request: Dict[str, Any]) -> Dict[str, Any]:
        path = _take(request, "path", str)
        engine, accelerator = _take(request, "engine", str, None), _take(request, "accelerator", str, "cpu")
        threads, seed = _take(request, "threads", int, None), _take(request, "seed", int, 0)
        self.close()
        self._rss_before = peak_rss_bytes()
        start = time.perf_counter_ns()
        self._session = self._open_session(
            path, engine=engine, accelerator=accelerator, threads=threads, **_accelerator_options(request)
        )
        load_ns = time.perf_counter_ns() - start
        self._session.set_inputs(seeded_inputs(self._session.inputs, seed))
        # Garbage collection between blocks only, and never over what is loaded by now.
        gc.collect()
        gc.freeze()
        gc.disable()
        return {
            "load_ms": load_ns / 1e6,
            "engine": self._session.engine,
            "accelerator": self._session.accelerator,
            "kind": "simulated" if self._session.is_software_adapter else "measured",
            "adapter": self._session.adapter,
            "inputs": [dataclasses.asdict(info) for info in self._session.inputs],
            "fully_accelerated": getattr(self._session, "fully_accelerated", True),
            "outputs": [dataclasses.asdict(info) for info in getattr(self._session, "outputs", ())],
            "compile_ms": getattr(self._session, "compile_ms", None),
            "from_cache": getattr(self._session, "from_cache", False),
        }

    def _precision(self, request: Dict[str, Any]) -> Dict[str, Any]:
        return {"precision": self._loaded().precision}

    def _warmup(self, request: Dict[str, Any]) -> Dict[str, Any]:
        limits = [round(_number(request, key, default) * 1e6) for key, default in _WARMUP_MS.items()]
        done = warm_up(self._loaded().invoke, min_ns=limits[0], max_ns=limits[1], block_ns=limits[2])
        self._iteration_ns = done.iteration_ns
        return {
            "first_ms": done.first_ns / 1e6,
            "iteration_ns": done.iteration_ns,
            "blocks": done.blocks,
            "stable": done.stable,
            "elapsed_ms": done.elapsed_ns / 1e6,
        }

    def _run(self, request: Dict[str, Any]) -> Dict[str, Any]:
        invoke = self._loaded().invoke
        settle = _take(request, "settle", int, 0)
        iterations = self._iterations(request)
        if iterations < 1 or settle < 0:
            raise ConfigError(f"run needs iterations >= 1 and settle >= 0, got {iterations} and {settle}")
        timed = (time_each if _take(request, "each", bool, False) else time_block)(invoke, iterations, settle)
        answer = {"iterations": timed.iterations, "wall_ns": timed.wall_ns, "cpu_ns": timed.cpu_ns}
        return {**answer, "switches": timed.switches, "each_ns": timed.each_ns}

    def _iterations(self, request: Dict[str, Any]) -> int:
        if "iterations" in request:
            return int(_take(request, "iterations", int))
        if not self._iteration_ns:
            raise ConfigError("run with min_ms needs a warmup first", hint="send warmup, or run with iterations")
        return max(1, math.ceil(_number(request, "min_ms", None) * 1e6 / self._iteration_ns))

    def _predict(self, request: Dict[str, Any]) -> Dict[str, Any]:
        session = self._loaded()
        answers = []
        for number, sample in enumerate(_take(request, "samples", list)):
            tensors = _tensors(sample, session.inputs, number)
            answers.append([dataclasses.asdict(pack_array(array)) for array in session.run(tensors)])
        return {"samples": answers}

    def _memory(self, request: Dict[str, Any]) -> Dict[str, Any]:
        return {"peak_rss_bytes": peak_rss_bytes(), "rss_before_load_bytes": self._rss_before}

    def _close(self, request: Dict[str, Any]) -> Dict[str, Any]:
        self.close()
        return {"closed": True}

    def _loaded(self) -> Any:
        if self._session is None:
            raise ConfigError("no model is loaded", hint="send load first")
        return self._session


_WARMUP_MS: Dict[str, float] = {"min_ms": 50.0, "max_ms": 1000.0, "block_ms": 3.0}


def peak_rss_bytes() -> Optional[int]:
    """Return the peak resident set of this process in bytes, None where the system does not say.

    VmHWM where there is /proc: getrusage's maximum is inherited from the process that forked this one.
    """
    peak = host.status_bytes("VmHWM")
    if peak is not None or resource is None:
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def serve(lines: Iterable[str], out: IO[str], open_session: Opener) -> int:
    """Answer each of `lines` on `out` until close or the end; return the exit status, 0."""
    agent = Agent(open_session)
    try:
        for line in lines:
            if not line.strip():
                continue
            answer, go_on = agent.answer(line)
            out.write(json.dumps(answer) + "\n")
            out.flush()
            if not go_on:
                break
    finally:
        agent.close()
    return 0


def main(opener: Opener = open_session) -> int:
    """Serve stdin and the real stdout; everything else that this process prints goes to stderr."""
    if os.environ.get(MEMORY_LIMIT, "").isdigit():
        limit_memory(int(os.environ[MEMORY_LIMIT]))
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    lines = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace")
    with os.fdopen(real, "w", encoding="utf-8") as out:
        try:
            return serve(lines, out, opener)
        except (BrokenPipeError, KeyboardInterrupt):
            # Whoever started this process is gone or wants it gone: no traceback.
            return 1


def _accelerator_options(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return the options of accelerators that the request names; none, so that openers need not know them."""
    found = {key: _take(request, key, str, None) for key in ("precision", "program_cache")}
    options: Dict[str, Any] = {key: value for key, value in found.items() if value is not None}
    return {**options, "strict": False} if _take(request, "partial", bool, False) else options


def _parse(line: str) -> Dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not a JSON document: {error}", hint='send {"command": "hello"}') from error
    if not isinstance(request, dict):
        raise ConfigError(f"expected a JSON object, got {type(request).__name__}", hint='send {"command": "hello"}')
    return request


def _tensors(sample: Any, inputs: Sequence[TensorInfo], number: int) -> List[NDArray[Any]]:
    """Return the arrays of one sample, checked against the model's inputs: native code takes what it is given."""
    if not isinstance(sample, list) or len(sample) != len(inputs):
        raise ConfigError(f"sample {number} must be a list of {len(inputs)} tensors")
    arrays = []
    for packed, info in zip(sample, inputs):
        try:
            array = unpack_array(decode(GoldenArray, packed, where=f"sample {number}"))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"sample {number}: a tensor cannot be read: {error}") from error
        if array.dtype.name != info.dtype or array.shape != tuple(info.shape):
            raise ConfigError(
                f"sample {number}: input '{info.name}' takes {info.dtype} {tuple(info.shape)}, "
                f"got {array.dtype.name} {array.shape}"
            )
        arrays.append(array)
    return arrays


_REQUIRED: Any = object()


def _take(request: Dict[str, Any], key: str, kind: type, default: Any = _REQUIRED) -> Any:
    value = request.get(key, default)
    if value is _REQUIRED:
        raise ConfigError(f"the command needs the key '{key}'")
    if value is default:
        return value
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"'{key}' must be a {kind.__name__}, got {value!r}")
    return value


def _number(request: Dict[str, Any], key: str, default: Optional[float]) -> float:
    value = request.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise ConfigError(f"'{key}' must be a number of milliseconds, 0 or more, got {value!r}")
    return float(value)


def _error(kind: str, message: str, hint: str) -> Dict[str, Any]:
    return {"error": {"type": kind, "message": message, "hint": hint}}


if __name__ == "__main__":
    sys.exit(main())
