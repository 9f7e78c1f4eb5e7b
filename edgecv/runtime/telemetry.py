"""What a device says of its own state: temperatures, clock frequency, throttling, energy counters, power sensors.

Everything is read from /sys; what is not there is absent, and `missing` says why. Nothing here needs root, except
that Linux lets only root read RAPL counters.

Source: Linux kernel documentation, admin-guide/pm/cpufreq.rst, driver-api/thermal/sysfs-api.rst,
power/powercap/powercap.rst, hwmon/sysfs-interface.rst.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

_CPU = "sys/devices/system/cpu"
_RASPBERRY = "sys/devices/platform/soc/soc:firmware/get_throttled"
# Bits of the Raspberry Pi firmware's answer that are about now: under-voltage, frequency capped, throttled, soft limit.
# Source: Raspberry Pi documentation, vcgencmd get_throttled.
_THROTTLED_NOW = 0xF
_COOLING = ("processor", "cpufreq", "cpu")


def answer(request: Dict[str, Any]) -> Dict[str, Any]:
    """Answer the agent's command `state`."""
    return state()


def state(root: str = "/") -> Dict[str, Any]:
    """Return temperatures_c, governor, frequency_mhz, throttled, energy_uj, power_mw and missing, as JSON data.

    Args:
        root: Folder that holds sys.
    """
    base = Path(root)
    missing: Dict[str, str] = {}
    found = {
        "temperatures_c": _temperatures(base),
        "governor": _governor(base),
        "frequency_mhz": _frequencies(base),
        "throttled": _throttled(base),
        "energy_uj": _energy(base, missing),
        "power_mw": _power(base),
    }
    for figure, reason in _REASONS.items():
        if not found[figure] and found[figure] is not False:
            missing.setdefault(figure, reason)
    return {**found, "missing": missing}


_REASONS = {
    "temperatures_c": "no thermal zone or temperature sensor under /sys (a virtual machine has none)",
    "governor": "no cpufreq under /sys: the system does not let the clock be seen (usual on virtual machines)",
    "frequency_mhz": "no cpufreq under /sys: the system does not let the clock be seen (usual on virtual machines)",
    "throttled": "no CPU cooling device under /sys/class/thermal, and no Raspberry Pi firmware",
    "energy_uj": "no energy counter: neither RAPL under /sys/class/powercap nor energy sensors under /sys/class/hwmon",
    "power_mw": "no power sensor under /sys/class/hwmon",
}


def _temperatures(base: Path) -> Dict[str, float]:
    found: Dict[str, float] = {}
    for zone in _sorted(base, "sys/class/thermal/thermal_zone*"):
        _put(found, _text(zone / "type") or zone.name, _number(zone / "temp"), 1e-3)
    if found:
        return found
    for sensor in _sorted(base, "sys/class/hwmon/hwmon*/temp*_input"):
        _put(found, _sensor_name(sensor), _number(sensor), 1e-3)
    return found


def _governor(base: Path) -> Optional[str]:
    names = {_text(path) for path in base.glob(f"{_CPU}/cpu[0-9]*/cpufreq/scaling_governor")}
    return ", ".join(sorted(name for name in names if name)) or None


def _frequencies(base: Path) -> Dict[str, float]:
    found: Dict[str, float] = {}
    for path in _sorted(base, f"{_CPU}/cpu[0-9]*/cpufreq/scaling_cur_freq"):
        _put(found, path.parent.parent.name, _number(path), 1e-3)
    return found


def _throttled(base: Path) -> Optional[bool]:
    firmware = _text(base / _RASPBERRY)
    if firmware is not None:
        try:
            return bool(int(firmware, 16) & _THROTTLED_NOW)
        except ValueError:
            return None
    states: List[int] = []
    for device in _sorted(base, "sys/class/thermal/cooling_device*"):
        level = _number(device / "cur_state")
        if level is not None and (_text(device / "type") or "").lower().startswith(_COOLING):
            states.append(level)
    return any(level > 0 for level in states) if states else None


def _energy(base: Path, missing: Dict[str, str]) -> Dict[str, int]:
    found: Dict[str, int] = {}
    # Packages only ("intel-rapl:0", AMD's too): their parts ("intel-rapl:0:0") are contained in them.
    for package in _sorted(base, "sys/class/powercap/*-rapl:[0-9]*"):
        if package.name.count(":") != 1:
            continue
        try:
            value = int((package / "energy_uj").read_text())
        except PermissionError:
            missing["energy_uj"] = "RAPL counters are there, but only root may read them"
            continue
        except (OSError, ValueError):
            continue
        found[f"rapl {_text(package / 'name') or package.name}"] = value
    for sensor in _sorted(base, "sys/class/hwmon/hwmon*/energy*_input"):
        _put_whole(found, _sensor_name(sensor), _number(sensor))
    return found


def _power(base: Path) -> Dict[str, float]:
    found: Dict[str, float] = {}
    for kind in ("input", "average"):
        for sensor in _sorted(base, f"sys/class/hwmon/hwmon*/power*_{kind}"):
            _put(found, _sensor_name(sensor), _number(sensor), 1e-3)
    # Some monitors (INA3221, on Jetson boards) tell volts and amperes of each rail, and no power.
    for current in _sorted(base, "sys/class/hwmon/hwmon*/curr*_input"):
        index = current.name[len("curr") : -len("_input")]
        if not (_text(current.parent / "name") or "").startswith("ina") or (current.parent / "power1_input").exists():
            continue
        volts, amperes = _number(current.parent / f"in{index}_input"), _number(current)
        if volts is not None and amperes is not None:
            chip = _text(current.parent / "name") or current.parent.name
            rail = _text(current.parent / f"in{index}_label") or f"rail {index}"
            found[f"{chip} {rail}"] = volts * amperes / 1e3
    return found


def _sensor_name(sensor: Path) -> str:
    stem = sensor.name.rpartition("_")[0]
    chip = _text(sensor.parent / "name") or sensor.parent.name
    return f"{chip} {_text(sensor.parent / f'{stem}_label') or stem}"


def _put(found: Dict[str, float], name: str, value: Optional[int], scale: float) -> None:
    if value is not None:
        found[_unused(name, tuple(found))] = round(value * scale, 6)


def _put_whole(found: Dict[str, int], name: str, value: Optional[int]) -> None:
    if value is not None:
        found[_unused(name, tuple(found))] = value


def _unused(name: str, taken: Tuple[str, ...]) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name} #{number}", number + 1
    return free


def _sorted(base: Path, pattern: str) -> List[Path]:
    return sorted(base.glob(pattern))


def _number(path: Path) -> Optional[int]:
    text = _text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _text(path: Path) -> Optional[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None
