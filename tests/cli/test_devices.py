"""`edgecv device …`, and `--device` of the commands that have it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import edgecv


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No devices but the shipped ones, and none of those set up."""
    monkeypatch.delenv("EDGECV_DEVICES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_list(tmp_path):
    (tmp_path / "lab.toml").write_text('[pi4]\nkind = "ssh"\nhost = "pi4.local"\ntitle = "on the sill"\n')
    listed = json.loads(edgecv("device", "list", "--devices", "lab.toml", "--json").out)
    assert [(d["name"], d["how"], d["kind"]) for d in listed] == [
        ("arm64", "emulated", "simulated"),
        ("armv7", "emulated", "simulated"),
        ("local", "local", "measured"),
        ("pi4", "ssh", "measured"),
    ]
    assert "on the sill" in edgecv("device", "list", "--devices", "lab.toml").out
    assert "pi4" not in edgecv("device", "list").out


def test_a_wrong_file_of_devices(tmp_path):
    (tmp_path / "edgecv-devices.toml").write_text('[pi4]\nkind = "ssh"\nhots = "pi4.local"\n')
    result = edgecv("device", "list", "--json")
    assert result.code == 2
    assert json.loads(result.out)["error"]["hint"].startswith("did you mean 'host'?")
    assert "edgecv-devices.toml: device 'pi4': unknown key 'hots'" in result.err
    assert "did you mean 'host'?" in result.err


def test_doctor():
    result = edgecv("device", "doctor", "local", "--json")
    assert result.code == 0, result.err
    (local,) = json.loads(result.out)
    assert local["healthy"]
    assert {"space", "clock", "agent", "interpreter"} <= {check["name"] for check in local["checks"]}
    result = edgecv("device", "doctor", "arm64")
    assert result.code == 3
    assert "not set up" in result.out
    assert "1 of 1 devices failed: arm64" in result.err


def test_setup_of_this_host():
    ready = json.loads(edgecv("device", "setup", "local", "--json").out)
    assert ready["changed"] is False
    assert "numpy" in ready["packages"]


@pytest.mark.parametrize("command", ["verify", "evaluate", "bench"])
def test_unknown_devices(made, command):
    result = edgecv(command, made.int8, "--device", "locale")
    assert result.code == 2
    assert "unknown device 'locale'" in result.err
    assert "did you mean 'local'?" in result.err


@pytest.mark.parametrize("command", ["verify", "evaluate"])
def test_devices_that_are_not_set_up(made, command):
    result = edgecv(command, made.int8, "--device", "arm64")
    assert result.code == 3
    assert "device 'arm64' is not set up" in result.err
    assert "edgecv device setup arm64" in result.err


def test_devices_take_no_keras_models(made):
    result = edgecv("evaluate", made.keras, "--device", "arm64")
    assert result.code == 2
    assert "devices run .tflite and .onnx files" in result.err
