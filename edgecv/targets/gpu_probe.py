"""Asking LiteRT's GPU accelerator about a file, in a process of its own: native code may hang or crash."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgecv.targets.vulkan import Driver

TIMEOUT_S = 120.0

Runner = Callable[..., "subprocess.CompletedProcess[str]"]

# -P keeps the working folder off the child's import path.
_CHILD = """
import sys
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator as H
model = CompiledModel.from_file(sys.argv[1], hardware_accel=H.GPU | H.CPU)
print("edgecv: fully accelerated:", model.is_fully_accelerated(), flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the accelerator said of a file.

    Attributes:
        adapter: Name of the Vulkan adapter; "" when none was opened.
        software: The adapter is a software renderer.
        fully: Every operator runs on the GPU; None when loading failed.
        refused: Builtin name to reason, for each kind of operator that it refuses.
        n_gpu: Operators on the GPU by its own count; None when it gave none.
        dynamic: It refuses the whole file because of dynamic shapes.
        failure: Why there is no verdict; "" when there is one.
        errors: Other errors in its log.
    """

    adapter: str = ""
    software: bool = False
    fully: bool | None = None
    refused: Mapping[str, str]
    n_gpu: int | None = None
    dynamic: bool = False
    failure: str = ""
    errors: tuple[str, ...] = ()


def ask(path: Path, driver: Driver, *, run: Runner = subprocess.run, timeout_s: float = TIMEOUT_S) -> Answer:
    """Load the file on the GPU through `driver`, and return what the accelerator's log and API say."""
    command = [sys.executable, "-P", "-c", _CHILD, str(path)]
    environment = {**os.environ, **driver.environment}
    try:
        done = run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return Answer(refused={}, failure=f"the accelerator did not answer within {timeout_s:.0f} s")
    except OSError as error:
        return Answer(refused={}, failure=f"the accelerator's process cannot be started: {error}")
    return parse(done.stdout + "\n" + done.stderr, done.returncode)


def parse(log: str, returncode: int) -> Answer:
    """Read the accelerator's log.

    Args:
        log: stdout and stderr of the process.
        returncode: Of the process; negative after a signal.
    """
    adapter = re.search(r"Selected adapter: ([^,\n]+)", log)
    software = re.search(r"Selected adapter: [^\n]*adapterType=[^\n]*(CPU|Software)", log)
    fully = re.search(r"^edgecv: fully accelerated: (True|False)", log, re.MULTILINE)
    dynamic = "only supports static-sized tensors" in log
    return Answer(
        adapter=adapter[1].strip() if adapter else "",
        software=software is not None,
        fully=fully[1] == "True" if fully else None,
        refused=_refused(log),
        n_gpu=_gpu_count(log),
        dynamic=dynamic,
        failure="" if fully or (dynamic and adapter) else _failure(log, returncode),
        errors=tuple(re.findall(r"^E\d{4} [^\]]*\] (.+)$", log, re.MULTILINE))[:5] if adapter else (),
    )


def _refused(log: str) -> dict[str, str]:
    block = re.search(
        r"operations are not supported by GPU delegate:\n(.*?)\n[^\n]*operations will run", log, re.DOTALL
    )
    lines = block[1].splitlines() if block else []
    refused: dict[str, str] = {}
    for line in lines:
        name, colon, reason = line.partition(": ")
        if colon and re.fullmatch(r"[A-Z0-9_]+|CUSTOM \S+|\w+", name):
            refused[name.removeprefix("CUSTOM ")] = reason.strip()
    return refused


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
