"""Asking LiteRT's GPU accelerator about a file, in a process of its own: native code may hang or crash."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgecv.core.apart import child_environment, limits
from edgecv.targets.vulkan import Driver

# What code does to itself; others (SIGKILL, …) come from outside and say nothing of the file.
_CRASHES = (signal.SIGILL, signal.SIGABRT, signal.SIGFPE, signal.SIGSEGV, signal.SIGBUS, signal.SIGTRAP)

Runner = Callable[..., "subprocess.CompletedProcess[str]"]

# The first argument is the file, the second how much memory the process may have. -P keeps the working folder off the
# child's import path. The second half runs the model on both, on the same input: the accelerator takes some operators
# (grouped convolutions) and then computes nonsense.
_CHILD = """
import sys
import numpy as np
from edgecv.core.memory import limit_memory
limit_memory(int(sys.argv[2]))
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator as H
from ai_edge_litert.interpreter import Interpreter
model = CompiledModel.from_file(sys.argv[1], hardware_accel=H.GPU | H.CPU)
print("edgecv: compiled", flush=True)

def random(shape, dtype, rng):
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, size=shape, dtype=dtype, endpoint=True)
    return rng.random(size=shape).astype(dtype)

cpu, rng = Interpreter(sys.argv[1], num_threads=1), np.random.default_rng(0)
cpu.allocate_tensors()
key = next(iter(model.get_signature_list()))
places = [entry["index"] for entry in model.get_input_tensor_details(key).values()]
sources, sinks = model.create_input_buffers(0), model.create_output_buffers(0)
for entry in cpu.get_input_details():
    sample = random(entry["shape"], entry["dtype"], rng)
    cpu.set_tensor(entry["index"], sample)
    sources[places.index(entry["index"])].write(np.ascontiguousarray(sample))
cpu.invoke()
model.run_by_index(0, sources, sinks)
places = [entry["index"] for entry in model.get_output_tensor_details(key).values()]
worst = 0.0
for entry in cpu.get_output_details():
    here = cpu.get_tensor(entry["index"])
    there = sinks[places.index(entry["index"])].read(here.size, here.dtype.type).reshape(here.shape)
    here, there = here.astype(np.float64), there.astype(np.float64)
    size = float(np.sqrt(np.square(here).sum()))
    off = float(np.sqrt(np.square(there - here).sum())) / size if size > 0 else float(np.abs(there).max(initial=0.0))
    worst = max(worst, off) if np.isfinite(off) else float("inf")
print("edgecv: relative difference:", worst, flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the accelerator said of a file.

    Attributes:
        adapter: Name of the Vulkan adapter; "" when none was opened.
        software: The adapter is a software renderer.
        fully: Every operator runs on the GPU; None when loading failed.
        refused: (builtin name, reason) of each refusal; a reason may end in the name of a tensor of the operator.
        n_gpu: Operators on the GPU by its own count; None when it gave none, since it took all.
        difference: Of its answers from the CPU's on random input, relative: the length of the difference over the
            length of the CPU's answer, worst output; infinite when not finite; None when it was not run.
        abort: What its native code gave up over, with the whole process; "" when it did not.
        dynamic: It refuses the whole file because of dynamic shapes.
        failure: Why there is no verdict; "" when there is one.
        errors: Other errors in its log.
    """

    adapter: str = ""
    software: bool = False
    fully: bool | None = None
    refused: tuple[tuple[str, str], ...] = ()
    n_gpu: int | None = None
    difference: float | None = None
    abort: str = ""
    dynamic: bool = False
    failure: str = ""
    errors: tuple[str, ...] = ()


def ask(path: Path, driver: Driver, *, run: Runner = subprocess.run, timeout_s: float | None = None) -> Answer:
    """Load the file on the GPU through `driver`, run it once, and return what the accelerator's log and answers say.

    Args:
        path: The file.
        driver: Of Vulkan.
        run: Starts processes, as subprocess.run.
        timeout_s: Of all; None: as `apart.limits` says, which limits the memory too.
    """
    allowed = limits()
    timeout_s = allowed.seconds if timeout_s is None else timeout_s
    command = [sys.executable, "-P", "-c", _CHILD, str(path), str(allowed.memory_bytes)]
    environment = {**child_environment(), **driver.environment}
    try:
        done = run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return Answer(failure=f"the accelerator did not answer within {timeout_s:.0f} s")
    except OSError as error:
        return Answer(failure=f"the accelerator's process cannot be started: {error}")
    return parse(done.stdout + "\n" + done.stderr, done.returncode)


def parse(log: str, returncode: int) -> Answer:
    """Read the accelerator's log.

    Args:
        log: stdout and stderr of the process.
        returncode: Of the process; negative after a signal.
    """
    adapter = re.search(r"Selected adapter: ([^,\n]+)", log)
    software = re.search(r"Selected adapter: [^\n]*adapterType=[^\n]*(CPU|Software)", log)
    compiled = "edgecv: compiled" in log
    # Its own "fully accelerated" counts what XNNPACK takes on the CPU as accelerated, so only its log tells.
    refused, n_gpu = _refused(log), _gpu_count(log)
    abort = _abort(log, returncode) if adapter else ""
    dynamic = "only supports static-sized tensors" in log
    return Answer(
        adapter=adapter[1].strip() if adapter else "",
        software=software is not None,
        fully=not refused and n_gpu is None if compiled else None,
        refused=refused,
        n_gpu=n_gpu,
        difference=_difference(log),
        abort=abort,
        dynamic=dynamic,
        failure="" if compiled or abort or (dynamic and adapter) else _failure(log, returncode),
        errors=tuple(dict.fromkeys(re.findall(r"^E\d{4} [^\]]*\] (.+)$", log, re.MULTILINE)))[:5] if adapter else (),
    )


def _abort(log: str, returncode: int) -> str:
    """Return why the native code ended the process, once it had an adapter; "" when it did not."""
    check = re.search(r"^F\d{4} [^\]]*\] (.+)$", log, re.MULTILINE)
    if check and returncode:
        return check[1].strip()
    return f"{signal.Signals(-returncode).name}" if -returncode in _CRASHES else ""


def _difference(log: str) -> float | None:
    found = re.search(r"^edgecv: relative difference: (\S+)$", log, re.MULTILINE)
    return float(found[1]) if found else None


def _refused(log: str) -> tuple[tuple[str, str], ...]:
    block = re.search(
        r"operations are not supported by GPU delegate:\n(.*?)\n[^\n]*operations will run", log, re.DOTALL
    )
    lines = block[1].splitlines() if block else []
    refused: list[tuple[str, str]] = []
    for line in lines:
        name, colon, reason = line.partition(": ")
        if colon and re.fullmatch(r"[A-Z0-9_]+|CUSTOM \S+|\w+", name):
            refused.append((name.removeprefix("CUSTOM "), reason.strip()))
    return tuple(refused)


def _gpu_count(log: str) -> int | None:
    if "No operations will run on the GPU" in log:
        return 0
    found = re.search(r"(\d+) operations will run on the GPU", log)
    return int(found[1]) if found else None


def _failure(log: str, returncode: int) -> str:
    if "No adapters found" in log or "Couldn't load Vulkan" in log:
        return "no Vulkan adapter can be opened"
    if "No module named" in log:
        return "the package ai-edge-litert is not installed"
    if returncode < 0:
        return f"the accelerator's native library crashed (signal {-returncode})"
    last = [line for line in log.splitlines() if re.match(r"(\w*Error|└|ERROR)", line.strip())]
    return f"the accelerator failed to load the file: {last[-1].strip()}" if last else "the accelerator gave no answer"
