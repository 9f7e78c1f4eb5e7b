from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edgecv.bench import choose_baseline_engine, host_facts
from edgecv.bench.baseline import Probes, tensorflow_gpus
from edgecv.bench.devices import LocalDevice, open_device
from edgecv.core import optional
from edgecv.core.errors import ConfigError, MissingDependencyError
from edgecv.runtime import host

CPU = {"cpu_model": "Some CPU", "gpu": {"kind": "none", "driver": None}}
GPU = {"cpu_model": "Some CPU", "gpu": {"kind": "real", "driver": "amdgpu"}}


def fake_root(tmp_path: Path, files: dict[str, str], render_driver: str = "") -> str:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if render_driver:
        device = tmp_path / "sys/class/drm/renderD128/device"
        device.mkdir(parents=True)
        (tmp_path / "drivers" / render_driver).mkdir(parents=True)
        os.symlink(tmp_path / "drivers" / render_driver, device / "driver")
    return str(tmp_path)


def test_facts_of_this_host_are_json_without_names():
    text = json.dumps(host_facts())
    assert json.loads(text)["cpus"] >= 1
    assert "numpy" in json.loads(text)["packages"]
    name = socket.gethostname()
    assert len(name) < 4 or name not in text


def test_facts_of_a_board(tmp_path):
    root = fake_root(
        tmp_path,
        {
            "proc/cpuinfo": "processor : 0\nHardware\t: BCM2835\n",
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
            "proc/meminfo": "MemTotal:        3884296 kB\nMemFree: 1 kB\n",
            "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        },
    )
    facts = host_facts(root)
    assert facts["cpu_model"] == "BCM2835 (Raspberry Pi 4 Model B Rev 1.4)"
    assert facts["memory_bytes"] == 3884296 * 1024
    assert facts["os"] == "Debian GNU/Linux 12 (bookworm)"
    assert facts["governor"] == "ondemand"
    assert facts["virtual_machine"] is False


def test_facts_where_nothing_can_be_read(tmp_path):
    facts = host_facts(str(tmp_path))
    assert facts["memory_bytes"] is None
    assert facts["governor"] is None
    assert facts["gpu"] == {"kind": "none", "driver": None}


@pytest.mark.parametrize(
    ("files", "driver", "environ", "expected"),
    [
        ({}, "", {}, ("none", None)),
        ({}, "amdgpu", {}, ("real", "amdgpu")),
        ({}, "virtio_gpu", {}, ("none", None)),
        ({"dev/nvidia0": ""}, "", {}, ("real", "nvidia0")),
        ({"dev/nvidiactl": ""}, "", {}, ("none", None)),
        ({}, "amdgpu", {"VK_ICD_FILENAMES": "/x/vk_swiftshader_icd.json"}, ("software", "vk_swiftshader_icd")),
        ({}, "", {"VK_DRIVER_FILES": "/x/lvp_icd.json"}, ("software", "lvp_icd")),
        ({"usr/share/vulkan/icd.d/lvp_icd.x86_64.json": "{}"}, "", {}, ("software", "lvp_icd.x86_64")),
        ({"usr/share/vulkan/icd.d/radeon_icd.json": "{}"}, "", {}, ("none", None)),
    ],
)
def test_gpu_adapter(tmp_path, files, driver, environ, expected):
    found = host.gpu_adapter(fake_root(tmp_path, files, driver), environ)
    assert (found["kind"], found["driver"]) == expected


def test_hardware_vulkan(tmp_path):
    root = fake_root(tmp_path, {"usr/share/vulkan/icd.d/lvp_icd.json": "", "etc/vulkan/icd.d/nvidia_icd.json": ""})
    assert host.has_hardware_vulkan(root, {})
    assert not host.has_hardware_vulkan(root, {"VK_ICD_FILENAMES": "/x/vk_swiftshader_icd.json"})


def test_the_idlest_cpu(tmp_path):
    root = fake_root(tmp_path, {"proc/stat": "cpu  1 1 1 9\ncpu0 1 0 0 5 0\ncpu1 1 0 0 5 0\n"})
    assert host.idlest_cpu([0, 1], 0.0, root) == 1, "the last on a tie"
    assert host.idlest_cpu([0], 0.0, root) == 0
    assert host.idlest_cpu([2, 3], 0.0, str(tmp_path / "none")) == 3


def never(*_: object) -> object:
    raise AssertionError("asked without need")


def probes(**found: object) -> Probes:
    """Probes of a host without anything, but for what is given."""
    answers = {"nvidia": False, "vulkan": False, "providers": (), "tensorflow_gpus": 0, "available": True, **found}
    return Probes(**{name: (a if callable(a) else lambda *_, a=a: a) for name, a in answers.items()})


CUDA = ("CUDAExecutionProvider", "CPUExecutionProvider")


def test_no_gpu_means_the_cpu_and_says_so():
    found = choose_baseline_engine(CPU, probes=probes(providers=never, tensorflow_gpus=never, vulkan=never))
    assert (found.engine, found.accelerator, found.format) == ("litert", "cpu", "tflite")
    assert found.device == "Some CPU"
    assert found.sentence == "no GPU found: the baseline is the float model on this host's CPU"


def test_a_software_renderer_is_no_gpu():
    facts = {**CPU, "gpu": {"kind": "software", "driver": "lvp"}}
    assert choose_baseline_engine(facts, probes=probes(vulkan=True)).accelerator == "cpu"


def test_cuda_comes_first():
    found = choose_baseline_engine(GPU, probes=probes(nvidia=True, vulkan=True, providers=CUDA, tensorflow_gpus=never))
    assert (found.engine, found.accelerator, found.format) == ("onnxruntime", "gpu", "onnx")
    assert "CUDA" in found.sentence


def test_tensorflow_comes_next():
    found = choose_baseline_engine(GPU, probes=probes(nvidia=True, vulkan=never, tensorflow_gpus=1))
    assert (found.engine, found.accelerator, found.format) == ("tensorflow", "gpu", "graphdef")
    assert "TensorFlow CUDA" in found.sentence


def test_a_real_vulkan_adapter():
    found = choose_baseline_engine(GPU, probes=probes(vulkan=True))
    assert (found.engine, found.accelerator, found.format) == ("litert", "gpu", "tflite")
    assert "amdgpu" in found.sentence


@pytest.mark.parametrize("wanted", ["onnxruntime", "tensorflow", "litert"])
def test_an_engine_by_name_takes_its_gpu(wanted):
    everything = probes(nvidia=True, vulkan=True, providers=CUDA, tensorflow_gpus=1)
    found = choose_baseline_engine(GPU, wanted=wanted, probes=everything)
    assert (found.engine, found.accelerator) == (wanted, "gpu")


@pytest.mark.parametrize(
    ("wanted", "format"), [("onnxruntime", "onnx"), ("tensorflow", "graphdef"), ("litert", "tflite")]
)
def test_an_engine_by_name_falls_back_to_the_cpu_and_says_so(wanted, format):
    found = choose_baseline_engine(CPU, wanted=wanted, probes=probes())
    assert (found.engine, found.accelerator, found.format) == (wanted, "cpu", format)
    assert found.sentence.startswith("no GPU found: the baseline is the float model on this host's CPU, run by ")
    with_gpu = choose_baseline_engine(CPU, wanted=wanted, probes=probes(nvidia=True))
    assert with_gpu.accelerator == "cpu"
    assert "a GPU was found, but" in with_gpu.sentence
    assert "this host's CPU" in with_gpu.sentence


def test_an_engine_that_is_not_there_and_one_that_does_not_exist(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingDependencyError, match="baseline-engine tensorflow"):
        choose_baseline_engine(CPU, wanted="tensorflow", probes=probes(available=False))
    with pytest.raises(ConfigError, match="unknown baseline engine 'cuda'"):
        choose_baseline_engine(CPU, wanted="cuda", probes=probes())


def test_a_gpu_that_nothing_can_use_is_told():
    found = choose_baseline_engine(GPU, probes=probes(nvidia=True, providers=("CPUExecutionProvider",)))
    assert found.accelerator == "cpu"
    assert "a GPU was found, but no engine" in found.sentence
    assert "amdgpu" in choose_baseline_engine(GPU, probes=probes()).sentence


def test_tensorflow_is_asked_in_a_process_of_its_own(monkeypatch):
    asked = []

    def run(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, stdout="noise\nedgecv: gpus 2\n", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(optional, "available", lambda module: True)
    assert tensorflow_gpus() == 2
    assert "tensorflow" in asked[0][-1]
    monkeypatch.setattr(optional, "available", lambda module: False)
    assert (tensorflow_gpus(), len(asked)) == (0, 1)


def test_devices_by_name():
    assert isinstance(open_device("local"), LocalDevice)
    with pytest.raises(ConfigError, match="unknown device 'locla'") as raised:
        open_device("locla")
    assert "did you mean 'local'" in raised.value.hint


@pytest.mark.parametrize(
    ("machine", "flags", "isa"),
    [
        ("x86_64", "flags\t\t: fpu avx2 fma avx512f avx512_vnni", "x86-vnni"),
        ("x86_64", "flags\t\t: fpu avx2 fma avx_vnni", "x86-vnni"),
        ("x86_64", "flags\t\t: fpu avx2 fma", "x86-avx2"),
        ("x86_64", "flags\t\t: fpu sse4_1", None),
        ("aarch64", "Features\t: fp asimd asimddp i8mm", "arm64-i8mm"),
        ("aarch64", "Features\t: fp asimd asimddp", "arm64-dotprod"),
        ("aarch64", "Features\t: fp asimd", "arm64"),
        ("aarch64", "Features\t: fp asimd asimddp\nFeatures\t: fp asimd", "arm64"),
        ("armv7l", "Features\t: half thumb neon vfpv4", "armv7"),
        ("armv7l", "Features\t: half thumb vfpv3d16", None),
        ("riscv64", "isa\t: rv64imafdc", None),
    ],
)
def test_instruction_set(tmp_path, machine, flags, isa):
    root = fake_root(tmp_path, {"proc/cpuinfo": f"processor\t: 0\n{flags}\n"})
    assert host.cpu_isa(root, machine) == isa
