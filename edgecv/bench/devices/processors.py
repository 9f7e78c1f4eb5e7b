"""The Arm processors that can be emulated, as Linux and qemu describe them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgecv.core.errors import unknown_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """What Linux on a processor says of it in /proc/cpuinfo; interpreters choose their kernels by it.

    Attributes:
        part: Its number. Source: Linux, arch/arm64/include/asm/cputype.h and arch/arm/include/asm/cputype.h.
        features: In Linux's words. Source: Linux, arch/arm64/kernel/cpuinfo.c and arch/arm/kernel/setup.c.
    """

    part: int
    architecture: int
    features: str


_V8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_V82 = f"{_V8} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
_V7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One architecture.

    Attributes:
        debian: Debian's name of it.
        machine: As wheels name it.
        qemu: The emulator's programs, the preferred first.
        processors: By qemu's name. Its "max" is left out: interpreters give wrong answers on it under qemu 7.2, and
            no board is one.
    """

    debian: str
    machine: str
    qemu: tuple[str, ...]
    processors: Mapping[str, Processor]


ARCHITECTURES: dict[str, Architecture] = {
    "arm64": Architecture(
        debian="arm64",
        machine="aarch64",
        qemu=("qemu-aarch64-static", "qemu-aarch64"),
        processors={
            "cortex-a53": Processor(part=0xD03, architecture=8, features=_V8),
            "cortex-a72": Processor(part=0xD08, architecture=8, features=_V8),
            "cortex-a76": Processor(part=0xD0B, architecture=8, features=_V82),
            "neoverse-n1": Processor(part=0xD0C, architecture=8, features=_V82),
        },
    ),
    "armv7": Architecture(
        debian="armhf",
        machine="armv7l",
        qemu=("qemu-arm-static", "qemu-arm"),
        processors={
            "cortex-a7": Processor(part=0xC07, architecture=7, features=_V7),
            "cortex-a15": Processor(part=0xC0F, architecture=7, features=_V7),
        },
    ),
}


def check_cpu(arch: str, cpu: str, where: str) -> None:
    """Raise ConfigError unless `cpu` is a processor of `arch` that can be emulated."""
    processors = ARCHITECTURES[arch].processors
    if cpu not in processors:
        raise unknown_name(f"cpu of {where}:", cpu, processors)


def cpuinfo(processor: Processor, cpus: int) -> str:
    """Return the text of /proc/cpuinfo on such a processor.

    qemu-user shows this host's file instead, in which interpreters find no Arm core and crash.
    """
    lines = (
        ("BogoMIPS", "108.00"),
        ("Features", processor.features),
        ("CPU implementer", "0x41"),
        ("CPU architecture", str(processor.architecture)),
        ("CPU variant", "0x0"),
        ("CPU part", f"0x{processor.part:03x}"),
        ("CPU revision", "1"),
    )
    body = "".join(f"{key}\t: {value}\n" for key, value in lines)
    return "".join(f"processor\t: {number}\n{body}\n" for number in range(cpus))
