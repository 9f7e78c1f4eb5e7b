"""What a device says of its state, from made-up /sys folders in the layout of real boards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecv.bench.devices.fake import FakeDevice
from edgecv.bench.link import AgentLink
from edgecv.bench.records import Reading
from edgecv.bench.states import energies, energy_missing, read_state
from edgecv.core import codec
from edgecv.runtime import telemetry
from edgecv.values.latency import DeviceState

FIGURES = {"temperatures_c", "governor", "frequency_mhz", "throttled", "energy_uj", "power_mw"}


def root(tmp_path: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = tmp_path / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(tmp_path)


def test_a_host_that_tells_nothing(tmp_path):
    found = telemetry.state(str(tmp_path))
    assert set(found["missing"]) == FIGURES, "every unknown figure has a reason"
    assert all(found["missing"].values())
    assert (found["governor"], found["throttled"], found["energy_uj"]) == (None, None, {})


def test_this_host_is_json_that_decodes():
    found = json.loads(json.dumps(telemetry.state()))
    state = codec.decode(DeviceState, found, where="this host")
    known = {name for name in FIGURES if getattr(state, name) not in (None, {})}
    assert known | set(state.missing) == FIGURES
    assert not known & set(state.missing)


def test_a_raspberry_pi(tmp_path):
    cpus = {f"devices/system/cpu/cpu{i}/cpufreq/scaling_governor": "ondemand\n" for i in range(2)}
    clocks = {f"devices/system/cpu/cpu{i}/cpufreq/scaling_cur_freq": f"{600 + i}000\n" for i in range(2)}
    zone = {"class/thermal/thermal_zone0/type": "cpu-thermal\n", "class/thermal/thermal_zone0/temp": "51121\n"}
    firmware = {"devices/platform/soc/soc:firmware/get_throttled": "50005\n"}
    found = telemetry.state(root(tmp_path, {**cpus, **clocks, **zone, **firmware}))
    assert found["temperatures_c"] == {"cpu-thermal": 51.121}
    assert found["governor"] == "ondemand"
    assert found["frequency_mhz"] == {"cpu0": 600.0, "cpu1": 601.0}
    assert found["throttled"] is True
    assert set(found["missing"]) == {"energy_uj", "power_mw"}


@pytest.mark.parametrize(("answer", "throttled"), [("0", False), ("50000", False), ("4", True), ("nonsense", None)])
def test_only_throttling_now_counts(tmp_path, answer, throttled):
    files = {"devices/platform/soc/soc:firmware/get_throttled": answer}
    assert telemetry.state(root(tmp_path, files))["throttled"] is throttled


def test_cooling_devices_of_the_cpu_tell_of_throttling(tmp_path):
    files = {
        "class/thermal/cooling_device0/type": "Fan",
        "class/thermal/cooling_device0/cur_state": "3",
        "class/thermal/cooling_device1/type": "Processor",
        "class/thermal/cooling_device1/cur_state": "0",
    }
    assert telemetry.state(root(tmp_path, files))["throttled"] is False, "a fan cools without slowing anything"
    (tmp_path / "sys/class/thermal/cooling_device1/cur_state").write_text("2")
    assert telemetry.state(str(tmp_path))["throttled"] is True


def test_governors_that_differ_are_all_named(tmp_path):
    names = ("powersave", "performance")
    files = {f"devices/system/cpu/cpu{i}/cpufreq/scaling_governor": name for i, name in enumerate(names)}
    assert telemetry.state(root(tmp_path, files))["governor"] == "performance, powersave"


def test_rapl_packages_without_their_parts(tmp_path):
    files = {
        "class/powercap/intel-rapl:0/energy_uj": "123456789",
        "class/powercap/intel-rapl:0/name": "package-0",
        "class/powercap/intel-rapl:0:0/energy_uj": "99",
        "class/powercap/intel-rapl:0:0/name": "core",
    }
    assert telemetry.state(root(tmp_path, files))["energy_uj"] == {"rapl package-0": 123456789}


def test_a_rapl_counter_for_root_only_says_so(tmp_path, monkeypatch):
    base = root(tmp_path, {"class/powercap/intel-rapl:0/energy_uj": "1", "class/powercap/intel-rapl:0/name": "p"})
    plain = Path.read_text

    def refuse(self: Path, *arguments: object, **options: object) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return plain(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", refuse)
    found = telemetry.state(base)
    assert found["energy_uj"] == {}
    assert "only root" in found["missing"]["energy_uj"]


def test_power_monitors(tmp_path):
    files = {
        "class/hwmon/hwmon0/name": "ina219",
        "class/hwmon/hwmon0/power1_input": "2500000",
        "class/hwmon/hwmon0/curr1_input": "500",
        "class/hwmon/hwmon0/in1_input": "5000",
        "class/hwmon/hwmon1/name": "ina3221",
        "class/hwmon/hwmon1/in1_label": "VDD_IN",
        "class/hwmon/hwmon1/in1_input": "5000",
        "class/hwmon/hwmon1/curr1_input": "800",
        "class/hwmon/hwmon1/in2_input": "5000",
        "class/hwmon/hwmon1/curr2_input": "100",
        "class/hwmon/hwmon2/name": "amdgpu",
        "class/hwmon/hwmon2/power1_average": "7000000",
    }
    found = telemetry.state(root(tmp_path, files))["power_mw"]
    expected = {"ina219 power1": 2500.0, "ina3221 VDD_IN": 4000.0, "ina3221 rail 2": 500.0, "amdgpu power1": 7000.0}
    assert found == expected


def test_energy_counters_of_chips_and_sensors_of_one_name(tmp_path):
    files = {
        "class/hwmon/hwmon0/name": "ina238",
        "class/hwmon/hwmon0/energy1_input": "42",
        "class/hwmon/hwmon1/name": "ina238",
        "class/hwmon/hwmon1/energy1_input": "43",
        "class/hwmon/hwmon2/name": "k10temp",
        "class/hwmon/hwmon2/temp1_input": "45500",
    }
    found = telemetry.state(root(tmp_path, files))
    assert found["energy_uj"] == {"ina238 energy1": 42, "ina238 energy1 #2": 43}
    assert found["temperatures_c"] == {"k10temp temp1": 45.5}, "sensors stand in where there is no thermal zone"


def test_the_agent_tells_its_state():
    from edgecv.bench.devices import open_device

    with AgentLink(open_device("local").start(), "x") as agent:
        state = read_state(agent)
    assert set(state.missing) <= FIGURES


@pytest.mark.parametrize(
    ("message", "words"),
    [("unknown agent command 'state'", "older than here"), ("x cannot state: it only times", "only times")],
)
def test_an_agent_that_cannot_tell_is_no_error(message, words):
    device = FakeDevice({}, state={"error": {"type": "ConfigError", "message": message}})
    state = read_state(AgentLink(device.start(), "x"))
    assert set(state.missing) == FIGURES
    assert all(words in reason for reason in state.missing.values())


def at(seconds: float, **figures: object) -> Reading:
    return Reading(at_s=seconds, state=DeviceState(**figures))  # type: ignore[arg-type]


def test_energy_from_a_counter():
    readings = [at(0, energy_uj={"rapl p": 1_000_000}), at(1, energy_uj={"rapl p": 4_000_000})]
    (energy,) = energies(readings, 1000)
    assert (energy.source, energy.joules, energy.per_inference_mj) == ("rapl p", pytest.approx(3.0), pytest.approx(3.0))


def test_energy_from_power_is_a_trapezoid():
    readings = [at(0, power_mw={"ina": 1000.0}), at(2, power_mw={"ina": 3000.0}), at(3, power_mw={"ina": 3000.0})]
    (energy,) = energies(readings, 7)
    assert energy.joules == pytest.approx(4.0 + 3.0)
    assert energy.per_inference_mj == pytest.approx(1000.0)


def test_a_counter_that_wrapped_stood_still_or_went_away_tells_nothing():
    for after in ({"r": 5}, {"r": 9}, {}):
        readings = [at(0, energy_uj={"r": 9}), at(1, energy_uj=after)]
        assert energies(readings, 10) == ()
    assert energies([], 10) == ()


def test_a_sensor_read_too_rarely_tells_nothing():
    assert energies([at(0, power_mw={"i": 1.0}), at(31, power_mw={"i": 1.0})], 10) == ()


def test_why_there_is_no_energy():
    words = energy_missing([at(0, missing={"energy_uj": "no counter", "power_mw": "no sensor"})])
    assert words == "not available: no counter; no sensor"
    assert "wrapped" in energy_missing([at(0)])
