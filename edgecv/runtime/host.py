"""What a host is, for reports and for telling real hardware from software renderers. No host name, no user, no path.

Everything is read from /proc, /sys and package metadata, so it also works on a board with nothing but Python.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

PACKAGES = (
    "ai-edge-litert",
    "tflite-runtime",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorflow",
    "tensorflow-cpu",
    "numpy",
)
SOFTWARE_RENDERERS = ("swiftshader", "lvp", "llvmpipe", "lavapipe")
# Kernel display drivers without a GPU behind them, and those of virtual machines whose host may or may not have one.
_VIRTUAL_DRIVERS = (
    "vgem",
    "vkms",
    "bochs-drm",
    "cirrus",
    "simple-framebuffer",
    "virtio_gpu",
    "virtio-pci",
    "hyperv_drm",
)
# Flags of /proc/cpuinfo: arch/x86/include/asm/cpufeatures.h and arch/arm64/kernel/cpuinfo.c of Linux; what XNNPACK asks
# for: src/configs/hardware-config.c.
_X86, _ARM64, _ARM = ("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "armv8l", "arm")
_ISAS: Tuple[Tuple[str, Tuple[str, ...], Callable[[FrozenSet[str]], bool]], ...] = (
    ("x86-vnni", _X86, lambda flags: bool(flags & {"avx512_vnni", "avx_vnni"})),
    ("x86-avx2", _X86, lambda flags: {"avx2", "fma"} <= flags),
    ("arm64-i8mm", _ARM64, lambda flags: "i8mm" in flags),
    ("arm64-dotprod", _ARM64, lambda flags: "asimddp" in flags),
    ("arm64", _ARM64, lambda flags: True),
    ("armv7", _ARM, lambda flags: "neon" in flags),
)
_GPU_NODES = ("dev/nvidia[0-9]*", "dev/mali*", "dev/kgsl-3d0", "dev/dxg")
_ICD_FOLDERS = ("usr/share/vulkan/icd.d", "etc/vulkan/icd.d", "usr/local/share/vulkan/icd.d")


def host_facts(root: str = "/") -> Dict[str, Any]:
    """Return what a reader of a measurement must know of the host, as JSON data; None for what cannot be read.

    Args:
        root: Folder that holds proc, sys and etc.

    Returns:
        cpu_model, machine, isa (see `cpu_isa`), cpus (all), usable_cpus (this process's), memory_bytes, os,
        kernel, governor (of the first CPU), virtual_machine, python, packages (name to version) and gpu (see
        `gpu_adapter`).
    """
    base = Path(root)
    return {
        "cpu_model": _cpu_model(base),
        "machine": platform.machine(),
        "isa": cpu_isa(root),
        "cpus": os.cpu_count(),
        "usable_cpus": len(usable_cpus()) or os.cpu_count(),
        "memory_bytes": _memory_bytes(base),
        "os": _value(base / "etc/os-release", "PRETTY_NAME", "=") or platform.system(),
        "kernel": f"{platform.system()} {platform.release()}",
        "governor": _text(base / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "virtual_machine": " hypervisor" in (_value(base / "proc/cpuinfo", "flags", ":") or ""),
        "python": platform.python_version(),
        "packages": package_versions(),
        "gpu": gpu_adapter(root),
    }


def package_versions() -> Dict[str, str]:
    """Return the versions of the installed interpreters and numpy, without importing them."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def usable_cpus() -> List[int]:
    """Return the numbers of the CPUs that this process may run on; empty where the system cannot say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def idlest_cpu(cpus: Sequence[int], sample_s: float = 0.05, root: str = "/") -> int:
    """Return the CPU of `cpus` that idled most during `sample_s` seconds; the last one where /proc cannot say."""
    before = _idle_ticks(Path(root))
    time.sleep(sample_s)
    after = _idle_ticks(Path(root))
    # The last CPU on a tie: the first one serves most interrupts.
    return max(cpus, key=lambda cpu: (after.get(cpu, 0) - before.get(cpu, 0), cpu))


def cpu_isa(root: str = "/", machine: Optional[str] = None) -> Optional[str]:
    """Return the instruction set of this CPU that decides which kernels XNNPACK takes; None for one without a name.

    Args:
        root: Folder that holds proc.
        machine: As `platform.machine()`, which it is by default.

    Returns:
        "x86-vnni", "x86-avx2", "arm64-i8mm", "arm64-dotprod", "arm64" or "armv7". What a heterogeneous CPU's listed
        cores have in common counts.
    """
    base, kind = Path(root), (platform.machine() if machine is None else machine).lower()
    flags = _cpu_flags(base)
    return next((name for name, machines, needed in _ISAS if kind in machines and needed(flags)), None)


def status_bytes(key: str) -> Optional[int]:
    """Return a memory figure of /proc/self/status ("VmHWM", "VmRSS") in bytes, None where there is none."""
    found = (_value(Path("/proc/self/status"), key, ":") or "").split()
    return int(found[0]) * 1024 if found and found[0].isdigit() else None


def gpu_adapter(root: str = "/", environ: Optional[Mapping[str, str]] = None) -> Dict[str, Optional[str]]:
    """Say whether a Vulkan adapter here is a real GPU, a software renderer, or missing.

    Args:
        root: Folder that holds dev, sys, usr and etc.
        environ: Environment to read VK_DRIVER_FILES and VK_ICD_FILENAMES from; None: this process's.

    Returns:
        kind: "real" (a kernel driver of a GPU, and no variable that forces a software renderer), "software" or
        "none"; driver: its kernel driver, device node, or the ICD file's stem.
        Source: Vulkan loader, "Loader and driver interface", sections on driver discovery and VK_DRIVER_FILES.
    """
    base, env = Path(root), os.environ if environ is None else environ
    chosen = _chosen_drivers(env)
    if chosen and all(_is_software(name) for name in chosen):
        return {"kind": "software", "driver": chosen[0]}
    hardware = _gpu_driver(base)
    if hardware:
        return {"kind": "real", "driver": hardware}
    installed = chosen or _installed_drivers(base)
    software = next((name for name in installed if _is_software(name)), None)
    return {"kind": "software" if software else "none", "driver": software}


def has_hardware_vulkan(root: str = "/", environ: Optional[Mapping[str, str]] = None) -> bool:
    """Say whether a Vulkan driver other than a software renderer is installed and not overridden by one."""
    env = os.environ if environ is None else environ
    drivers = _chosen_drivers(env) or _installed_drivers(Path(root))
    return any(not _is_software(name) for name in drivers)


def has_nvidia(root: str = "/") -> bool:
    """Say whether the device file of an NVIDIA GPU is there."""
    return any(Path(root).glob("dev/nvidia[0-9]*")) or (Path(root) / "dev/dxg").exists()


def _idle_ticks(base: Path) -> Dict[int, int]:
    rows = [line.split() for line in (_text(base / "proc/stat") or "").splitlines()]
    return {int(row[0][3:]): int(row[4]) for row in rows if row[0].startswith("cpu") and row[0] != "cpu"}


def _chosen_drivers(env: Mapping[str, str]) -> List[str]:
    forced = env.get("VK_DRIVER_FILES") or env.get("VK_ICD_FILENAMES") or ""
    return [Path(name).stem for name in forced.split(os.pathsep) if name]


def _installed_drivers(base: Path) -> List[str]:
    return [icd.stem for folder in _ICD_FOLDERS for icd in sorted((base / folder).glob("*.json"))]


def _is_software(name: str) -> bool:
    return any(renderer in name.lower() for renderer in SOFTWARE_RENDERERS)


def _gpu_driver(base: Path) -> Optional[str]:
    for node in sorted(base.glob("sys/class/drm/renderD*/device/driver")):
        driver = os.path.basename(os.path.realpath(node))
        if driver not in _VIRTUAL_DRIVERS:
            return driver
    return next((node.name for pattern in _GPU_NODES for node in sorted(base.glob(pattern))), None)


def _cpu_flags(base: Path) -> FrozenSet[str]:
    """Return the flags that all listed cores have."""
    lines = (_text(base / "proc/cpuinfo") or "").splitlines()
    rows = (line.partition(":") for line in lines)
    found = [frozenset(value.split()) for name, _, value in rows if name.strip() in ("flags", "Features")]
    return frozenset.intersection(*found) if found else frozenset()


def _cpu_model(base: Path) -> Optional[str]:
    board = _text(base / "proc/device-tree/model")
    for key in ("model name", "Hardware", "cpu model"):
        found = _value(base / "proc/cpuinfo", key, ":")
        if found:
            return f"{found} ({board})" if board else found
    return board or platform.processor() or None


def _memory_bytes(base: Path) -> Optional[int]:
    found = (_value(base / "proc/meminfo", "MemTotal", ":") or "").split()
    return int(found[0]) * 1024 if found and found[0].isdigit() else None


def _value(path: Path, key: str, separator: str) -> Optional[str]:
    for line in (_text(path) or "").splitlines():
        name, found, value = line.partition(separator)
        if found and name.strip() == key:
            return value.strip().strip('"')
    return None


def _text(path: Path) -> Optional[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None
