"""Devices in TOML: one clear rule of where they come from, and errors that name file, device and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgecv.bench import open_device
from edgecv.bench.devices import LocalDevice, declared, find
from edgecv.bench.devices.emulated import EmulatedDevice
from edgecv.bench.devices.fake import FakeDevice
from edgecv.bench.devices.shell import RemoteDevice
from edgecv.bench.devices.specs import devices_file
from edgecv.core.errors import ConfigError

LAB = """
[pi4]
kind = "ssh"
title = "Raspberry Pi 4 on the window sill"
host = "pi4.local"
user = "pi"
port = 2222
identity = "keys/pi"
jump = "me@gate:22,other"

[phone]
kind = "adb"
serial = "R58M123ABC"
python = "/data/local/tmp/python/bin/python3"

[paper]
kind = "fake"
seed = 3
[paper.models."m.tflite"]
median_ms = 2.5
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("EDGECV_DEVICES", raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "lab.toml"
    path.write_text(LAB)
    return path


def test_the_shipped_devices(lab):
    found = declared()
    assert set(found) == {"local", "arm64", "armv7", "browser"}
    assert {name: device.kind for name, device in found.items()} == {
        "local": "measured",
        "arm64": "simulated",
        "armv7": "simulated",
        "browser": "measured",
    }
    assert isinstance(open_device("local"), LocalDevice)
    assert isinstance(open_device("arm64"), EmulatedDevice)


def test_the_users_devices_come_on_top(lab):
    assert set(declared(lab)) == {"local", "arm64", "armv7", "browser", "pi4", "phone", "paper"}
    pi4 = find("pi4", lab)
    assert pi4.source == str(lab)
    assert pi4.spec.identity == str(lab.parent / "keys" / "pi")
    assert isinstance(open_device("pi4", lab), RemoteDevice)
    paper = open_device("paper", lab)
    assert isinstance(paper, FakeDevice)
    assert paper.models["m.tflite"].median_ms == 2.5
    assert paper.name == "paper"


def test_the_option_wins_over_the_variable_and_that_over_the_working_folder(lab, monkeypatch):
    here = Path("edgecv-devices.toml")
    assert devices_file() is None
    here.write_text('[here]\nkind = "local"\n')
    assert devices_file() == here
    assert "here" in declared()
    (lab.parent / "variable.toml").write_text('[variable]\nkind = "local"\n')
    monkeypatch.setenv("EDGECV_DEVICES", str(lab.parent / "variable.toml"))
    assert "variable" in declared()
    assert "here" not in declared()
    assert "variable" not in declared(lab)
    monkeypatch.setenv("EDGECV_DEVICES", "/nowhere.toml")
    with pytest.raises(ConfigError, match=r"\$EDGECV_DEVICES: the file of devices /nowhere\.toml does not exist"):
        declared()
    with pytest.raises(ConfigError, match=r"--device-file: the file of devices gone\.toml does not exist"):
        declared(Path("gone.toml"))


def test_an_unknown_device_has_a_nearest_match(lab):
    with pytest.raises(ConfigError, match="unknown device 'pi5'") as raised:
        open_device("pi5", lab)
    assert "did you mean 'pi4'?" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[local]\nkind = "local"', "a device called 'local' is shipped"),
        ("pi4 = 3", "expected a table for each device, got pi4 = 3"),
        ("[pi4]\nhost = 'x'", "device 'pi4': the key kind is missing"),
        ("[pi4]\nkind = 'shh'\nhost = 'x'", "device 'pi4': unknown kind 'shh'"),
        ("[pi4]\nkind = 'ssh'", "device 'pi4': the key 'host' is missing"),
        ("[pi4]\nkind = 'ssh'\nhots = 'x'", "device 'pi4': unknown key 'hots'"),
        ("[pi4]\nkind = 'ssh'\nhost = 'x'\nport = '22'", "device 'pi4': port: expected a int, got '22'"),
        ("[pi4]\nkind = 'ssh'\nhost = 'x'\nport = 0", "port: expected 1 to 65535, got '0'"),
        ("[pi4]\nkind = 'ssh'\nhost = '-oProxyCommand=touch pwned'", "host: expected without spaces"),
        ("[pi4]\nkind = 'ssh'\nhost = 'a;b'", "host: expected without spaces"),
        ("[pi4]\nkind = 'ssh'\nhost = ''", "host: expected without spaces"),
        ("[pi4]\nkind = 'ssh'\nhost = 'x'\nuser = '-l'", "user: expected without spaces"),
        ("[pi4]\nkind = 'ssh'\nhost = 'x'\njump = '$(id)'", "jump: expected without spaces"),
        ("[pi4]\nkind = 'ssh'\nhost = 'x'\nfolder = 'tmp'", "folder: expected an absolute path on the device"),
        ('[pi4]\nkind = "ssh"\nhost = "x"\nfolder = "/a\\nb"', "folder: expected an absolute path on the device"),
        ("[pi4]\nkind = 'ssh'\nhost = 'x'\npython = 'python3'", "python: expected an absolute path on the device"),
        ("[phone]\nkind = 'adb'\nserial = '-s other'", "serial: expected as `adb devices` prints it"),
        ("[phone]\nkind = 'adb'\npython = '/p'\nbenchmark_model = 'b'", "give python or benchmark_model, not both"),
        ("[a]\nkind = 'emulated'\narch = 'mips'\ncpu = 'x'", "arch: unknown value 'mips'"),
        ("[a]\nkind = 'emulated'\narch = 'arm64'\ncpu = 'max'", "unknown cpu of"),
        ("['-x']\nkind = 'local'", "device '-x': names are letters"),
        ("['../x']\nkind = 'local'", "device '../x': names are letters"),
        ("[a]\nkind = 'fake'\n[a.models.m]\nmedian = 2", "models.m: unknown key 'median'"),
        ("[a\n", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(lab, text, words):
    lab.write_text(text)
    with pytest.raises(ConfigError) as raised:
        declared(lab)
    assert words in raised.value.message
    assert "lab.toml" in raised.value.message


def test_the_devices_of_the_documentation_are_right(lab):
    document = Path(__file__).parents[3] / "docs" / "devices.md"
    blocks = re.findall(r"```toml\n(.*?)```", document.read_text(), flags=re.DOTALL)
    lab.write_text("\n".join(blocks))
    assert set(declared(lab)) - {"local", "arm64", "armv7", "browser"} == {"pi4", "phone", "arm64-a53", "paper"}
