"""Which engine runs the float baseline: a real GPU's if one can be used here, else this host's CPU, and says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgecv import optional
from edgecv.runtime import host
from edgecv.specs import Format

Providers = Callable[[], tuple[str, ...]]

NO_GPU = "no GPU found: the baseline is the float model on this host's CPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineEngine:
    """What runs the baseline.

    Attributes:
        engine: For BenchCase: "litert" or "onnxruntime".
        accelerator: "gpu" or "cpu".
        format: Of the float32 file that the engine takes.
        device: The hardware, for tables: a CPU's model, a GPU's driver.
        sentence: For the first line of every table and report.
    """

    engine: str
    accelerator: str
    format: Format
    device: str
    sentence: str


def onnx_providers() -> tuple[str, ...]:
    """Return ONNX Runtime's execution providers, none when it is not installed."""
    if not optional.available("onnxruntime"):
        return ()
    return tuple(optional.require("onnxruntime").get_available_providers())


def choose_baseline_engine(
    facts: Mapping[str, Any] | None = None,
    *,
    nvidia: bool | None = None,
    vulkan: bool | None = None,
    providers: Providers = onnx_providers,
) -> BaselineEngine:
    """Choose where the float baseline runs. Looks at device files and package metadata; opens no GPU.

    In order: ONNX Runtime's CUDA on an NVIDIA GPU, LiteRT's GPU accelerator on a real Vulkan adapter, the CPU. A
    software renderer is never chosen. TensorFlow is no choice: the agent that measures runs files that ship.

    Args:
        facts: As host_facts() returns them; None reads this host's.
        nvidia: Whether an NVIDIA device file is there; None looks.
        vulkan: Whether a hardware Vulkan driver is installed; None looks.
        providers: ONNX Runtime's; called, and the package imported, only when there is an NVIDIA GPU.
    """
    known = host.host_facts() if facts is None else facts
    gpu = known.get("gpu") or {}
    has_nvidia = host.has_nvidia() if nvidia is None else nvidia
    if has_nvidia and "CUDAExecutionProvider" in providers():
        return _gpu("onnxruntime", "onnx", "NVIDIA GPU (CUDA)", "ONNX Runtime CUDA")
    drivable = host.has_hardware_vulkan() if vulkan is None else vulkan
    if gpu.get("kind") == "real" and drivable and optional.available("ai_edge_litert"):
        return _gpu("litert", "tflite", f"GPU ({gpu.get('driver')}, Vulkan)", "LiteRT's GPU accelerator")
    cpu = str(known.get("cpu_model") or "host CPU")
    sentence = _unusable(has_nvidia, gpu) or NO_GPU
    return BaselineEngine(engine="litert", accelerator="cpu", format="tflite", device=cpu, sentence=sentence)


def _gpu(engine: str, format: Format, device: str, how: str) -> BaselineEngine:
    sentence = f"the baseline is the float model on {device} through {how}"
    return BaselineEngine(engine=engine, accelerator="gpu", format=format, device=device, sentence=sentence)


def _unusable(has_nvidia: bool, gpu: Mapping[str, Any]) -> str:
    """Say what keeps a GPU that is there from being used; "" when there is none."""
    cpu = "the baseline is the float model on this host's CPU"
    if has_nvidia:
        return f"a GPU was found, but no engine here can use it (pip install onnxruntime-gpu): {cpu}"
    if gpu.get("kind") == "real":
        return f"a GPU was found ({gpu.get('driver')}), but no Vulkan driver or no LiteRT for it: {cpu}"
    return ""
