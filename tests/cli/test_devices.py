"""`edgecv device …`, and `--device` of the commands that have it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from edgecv.web import packages
from tests.cli.conftest import edgecv
from tests.web.test_scripts import install_files


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
        ("browser", "browser", "measured"),
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


def test_serving_browsers_prints_a_link_and_ends_cleanly(tmp_path, monkeypatch):
    install_files(tmp_path / "web")
    monkeypatch.setenv(packages.FOLDER_VARIABLE, str(tmp_path / "web"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-m", "edgecv.cli.main", "device", "serve", "--browser", "--json"]
    served = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert served.stdout is not None
        document = "".join(iter(lambda: served.stdout.readline(), "}\n")) + "}"
        link = json.loads(document)["link"]
        assert link.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(link) as answer:
            assert b"edgecv device" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(link.rsplit("/", 2)[0] + "/")
        # Commands find it, and say what is missing: nobody has opened the link.
        result = edgecv("device", "doctor", "browser")
        assert "no browser is" in result.out  # folded in a column of the table
        result = edgecv("device", "serve", "--browser")
        assert result.code == 2
        assert f"runs already (process {served.pid})" in result.err
    finally:
        served.send_signal(signal.SIGTERM)
        _, err = served.communicate(timeout=60)
    assert served.returncode == 0, err
    assert "ended: tabs can be closed" in err
    assert not list((tmp_path / "temporary").iterdir())
    assert not list((tmp_path / "cache" / "edgecv" / "browsers").glob("server.json"))


def test_serving_needs_a_kind_and_the_scripts(tmp_path, monkeypatch):
    result = edgecv("device", "serve")
    assert result.code == 2
    assert "edgecv device serve --browser" in result.err
    monkeypatch.setenv(packages.FOLDER_VARIABLE, str(tmp_path / "nothing"))
    result = edgecv("device", "serve", "--browser")
    assert result.code == 2
    assert "make web" in result.err
