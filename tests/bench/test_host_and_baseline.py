from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from edgecv import optional
from edgecv.bench import choose_baseline_engine, host_facts
from edgecv.bench.devices import LocalDevice, open_device
from edgecv.errors import ConfigError
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


def test_no_gpu_means_the_cpu_and_says_so():
    found = choose_baseline_engine(CPU, nvidia=False, vulkan=False)
    assert (found.engine, found.accelerator, found.format) == ("litert", "cpu", "tflite")
    assert found.device == "Some CPU"
    assert found.sentence == "no GPU found: the baseline is the float model on this host's CPU"


def test_a_software_renderer_is_no_gpu():
    facts = {**CPU, "gpu": {"kind": "software", "driver": "lvp"}}
    assert choose_baseline_engine(facts, nvidia=False, vulkan=False).accelerator == "cpu"


def test_cuda_comes_first():
    found = choose_baseline_engine(GPU, nvidia=True, vulkan=True, providers=lambda: ("CUDAExecutionProvider",))
    assert (found.engine, found.accelerator, found.format) == ("onnxruntime", "gpu", "onnx")
    assert "CUDA" in found.sentence


def test_a_real_vulkan_adapter(monkeypatch):
    monkeypatch.setattr(optional, "available", lambda module: True)
    found = choose_baseline_engine(GPU, nvidia=False, vulkan=True)
    assert (found.engine, found.accelerator, found.format) == ("litert", "gpu", "tflite")
    assert "amdgpu" in found.sentence


def test_a_gpu_that_nothing_can_use_is_told():
    found = choose_baseline_engine(GPU, nvidia=True, vulkan=False, providers=lambda: ("CPUExecutionProvider",))
    assert found.accelerator == "cpu"
    assert "a GPU was found, but no engine" in found.sentence
    assert "amdgpu" in choose_baseline_engine(GPU, nvidia=False, vulkan=False).sentence


def test_packages_are_not_asked_without_a_gpu():
    def never() -> tuple[str, ...]:
        raise AssertionError("onnxruntime was imported")

    choose_baseline_engine(CPU, nvidia=False, vulkan=False, providers=never)


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
