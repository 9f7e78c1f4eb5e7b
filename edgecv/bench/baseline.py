"""Which engine runs the float baseline: a real GPU's if one can be used here, else this host's CPU, and says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edgecv.core import optional
from edgecv.core.errors import unknown_name
from edgecv.runtime import host

BaselineFormat = Literal["tflite", "onnx", "graphdef"]
"""Of the float32 file that an engine takes; "graphdef" is TensorFlow's."""

NO_GPU = "no GPU found: the baseline is the float model on this host's CPU"
CHOICES = ("auto", "onnxruntime", "tensorflow", "litert")
"""What a user may ask for: "auto" takes the first of the others whose GPU can be used."""

_FORMATS: dict[str, BaselineFormat] = {"onnxruntime": "onnx", "tensorflow": "graphdef", "litert": "tflite"}
_NAMES = {"onnxruntime": "ONNX Runtime", "tensorflow": "TensorFlow", "litert": "LiteRT"}
_PACKAGES = {"onnxruntime": "onnxruntime", "tensorflow": "tensorflow", "litert": "ai_edge_litert"}
# In a process of its own: TensorFlow takes the whole GPU's memory for the process that looks.
_ASK_TENSORFLOW = "import tensorflow as t; print('edgecv: gpus', len(t.config.list_physical_devices('GPU')))"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineEngine:
    """What runs the baseline.

    Attributes:
        engine: For BenchCase: "litert", "onnxruntime" or "tensorflow".
        accelerator: "gpu" or "cpu".
        format: Of the float32 file that the engine takes.
        device: The hardware, for tables: a CPU's model, a GPU's driver.
        sentence: For the first line of every table and report.
    """

    engine: str
    accelerator: str
    format: BaselineFormat
    device: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """How to find out what this host has; tests put their own in place. Each is called only when its answer matters.

    Attributes:
        nvidia: Whether an NVIDIA device file is there.
        vulkan: Whether a hardware Vulkan driver is installed.
        providers: ONNX Runtime's execution providers, none when it is not installed.
        tensorflow_gpus: GPUs that TensorFlow can use.
        available: Whether a package is installed.
    """

    nvidia: Callable[[], bool]
    vulkan: Callable[[], bool]
    providers: Callable[[], tuple[str, ...]]
    tensorflow_gpus: Callable[[], int]
    available: Callable[[str], bool]


def onnx_providers() -> tuple[str, ...]:
    """Return ONNX Runtime's execution providers, none when it is not installed."""
    if not optional.available("onnxruntime"):
        return ()
    return tuple(optional.require("onnxruntime").get_available_providers())


def tensorflow_gpus(timeout_s: float = 60.0) -> int:
    """Return how many GPUs TensorFlow can use, asked in a process of its own; 0 when it does not answer."""
    if not optional.available("tensorflow"):
        return 0
    command = [sys.executable, "-P", "-c", _ASK_TENSORFLOW]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(int(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith("edgecv: gpus"))


HERE = Probes(
    nvidia=host.has_nvidia,
    vulkan=host.has_hardware_vulkan,
    providers=onnx_providers,
    tensorflow_gpus=tensorflow_gpus,
    available=optional.available,
)


def choose_baseline_engine(
    facts: Mapping[str, Any] | None = None, *, wanted: str = "auto", probes: Probes = HERE
) -> BaselineEngine:
    """Choose where the float baseline runs. Looks at device files, package metadata and providers; opens no model.

    "auto" takes the first that can use a GPU here: ONNX Runtime's CUDA, TensorFlow's CUDA, LiteRT's GPU accelerator on
    a real Vulkan adapter; else LiteRT on the CPU. A software renderer is never chosen. An engine that is asked for by
    name runs on its GPU when it can use one, else on the CPU, which the sentence declares.

    Args:
        facts: As host_facts() returns them; None reads this host's.
        wanted: One of `CHOICES`.
        probes: How to look.

    Raises:
        ConfigError: `wanted` is something else.
        MissingDependencyError: The engine that is asked for is not installed.
    """
    if wanted not in CHOICES:
        raise unknown_name("baseline engine", wanted, CHOICES)
    known = host.host_facts() if facts is None else facts
    if wanted != "auto" and not probes.available(_PACKAGES[wanted]):
        optional.require(_PACKAGES[wanted], why=f"for --baseline-engine {wanted}")
    gpu = known.get("gpu") or {}
    for engine in CHOICES[1:] if wanted == "auto" else (wanted,):
        device = _gpu_of(engine, gpu, probes)
        if device:
            return _on_gpu(engine, device)
    return _on_cpu("litert" if wanted == "auto" else wanted, wanted, known, probes)


def _gpu_of(engine: str, gpu: Mapping[str, Any], probes: Probes) -> str:
    """Return what to call the GPU that an engine can use; "" when it can use none."""
    if engine == "litert":
        usable = gpu.get("kind") == "real" and probes.vulkan() and probes.available("ai_edge_litert")
        return f"GPU ({gpu.get('driver')}, Vulkan)" if usable else ""
    if not probes.nvidia():
        return ""
    if engine == "onnxruntime":
        return "NVIDIA GPU (CUDA)" if "CUDAExecutionProvider" in probes.providers() else ""
    return "NVIDIA GPU (CUDA)" if probes.tensorflow_gpus() > 0 else ""


def _on_gpu(engine: str, device: str) -> BaselineEngine:
    how = "LiteRT's GPU accelerator" if engine == "litert" else f"{_NAMES[engine]} CUDA"
    sentence = f"the baseline is the float model on {device} through {how}"
    return BaselineEngine(engine=engine, accelerator="gpu", format=_FORMATS[engine], device=device, sentence=sentence)


def _on_cpu(engine: str, wanted: str, facts: Mapping[str, Any], probes: Probes) -> BaselineEngine:
    reason = _unusable(wanted, probes, facts.get("gpu") or {})
    asked = "" if wanted == "auto" else f", run by {_NAMES[engine]} as asked"
    return BaselineEngine(
        engine=engine,
        accelerator="cpu",
        format=_FORMATS[engine],
        device=str(facts.get("cpu_model") or "host CPU"),
        sentence=(reason or NO_GPU) + asked,
    )


def _unusable(wanted: str, probes: Probes, gpu: Mapping[str, Any]) -> str:
    """Say what keeps a GPU that is there from being used; "" when there is none."""
    cpu = "the baseline is the float model on this host's CPU"
    if probes.nvidia():
        whom = "no engine here can" if wanted == "auto" else f"{_NAMES[wanted]} here cannot"
        return f"a GPU was found, but {whom} use it ({_REMEDY[wanted]}): {cpu}"
    if gpu.get("kind") == "real":
        return f"a GPU was found ({gpu.get('driver')}), but no Vulkan driver or no LiteRT for it: {cpu}"
    return ""


_REMEDY = {
    "auto": "pip install onnxruntime-gpu",
    "onnxruntime": "pip install onnxruntime-gpu",
    "tensorflow": "pip install 'tensorflow[and-cuda]'",
    "litert": "install its Vulkan driver",
}
