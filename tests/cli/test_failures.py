"""Commands that fail, for programs: one JSON document on stdout, whatever went wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecv.cli import announced, console, failures
from edgecv.cli.main import _interrupted

from .conftest import Made, edgecv


@pytest.mark.parametrize(
    ("line", "kind", "says"),
    [
        ("inspect gone.tflite", "ConfigError", "gone.tflite does not exist"),
        ("convert", "UsageError", "model"),
        ("nothing", "UsageError", "nothing"),
        ("bench gone.tflite --bogus", "UsageError", "--bogus"),
        ("quantize m.keras --scheme int8 --epochs x --out a.tflite", "UsageError", "--epochs"),
        ("check gone.toml", "ConfigError", "gone.toml"),
        ("zoo show lenet6", "ConfigError", "lenet6"),
    ],
)
def test_a_failure_is_one_document(line: str, kind: str, says: str) -> None:
    result = edgecv(*line.split(), "--json")
    told = json.loads(result.out)["error"]
    assert set(told) == {"kind", "message", "hint", "exit_code"}
    assert (told["kind"], told["exit_code"], result.code) == (kind, 2, 2)
    assert says in told["message"]
    assert told["hint"]
    assert "Traceback" not in result.err
    assert edgecv(*line.split()).out == ""


def test_a_result_that_fails_a_gate_is_the_only_document(made: Made) -> None:
    result = edgecv("inspect", made.float32, "--target", "edgetpu", "--min-mapped", 1, "--json")
    assert result.code == 1
    assert json.loads(result.out)["target"] == "edgetpu"


def test_an_interrupted_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    console.printed.clear()
    assert _interrupted(True) == failures.INTERRUPTED == 130
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 130


def test_the_first_line_names_the_work() -> None:
    assert announced.line("edgecv quantize", [Path("a.keras")], Path("b.tflite")) == "quantize a.keras, to b.tflite …"
    assert announced.line("edgecv bench ", [[Path("a"), Path("b")]], None) == "bench a b …"
    assert announced.line("edgecv report", [list("abcde")], Path("r")) == "report a b c and 2 more, to r …"
    assert announced.line("edgecv debug", [Path("a"), None], None) == "debug a …"


def test_the_first_line_comes_before_anything_heavy() -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from edgecv.cli import app\n"
        "heavy = {'tensorflow', 'numpy', 'PIL', 'onnx', 'ai_edge_litert'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_name_of_a_family_lists_its_members(made: Made) -> None:
    result = edgecv("inspect", made.int8, "--target", "ethos-u")
    assert result.code == 2
    assert "'ethos-u' is a family of targets" in result.err
    assert "ethos-u55-128, ethos-u55-256, ethos-u65-256" in result.err
    assert "unknown target" in edgecv("inspect", made.int8, "--target", "zz").err


def test_names_of_before_go_on_working(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab.toml").write_text('[sill]\nkind = "ssh"\nhost = "pi"\ntitle = "on the sill"\n')
    monkeypatch.chdir(tmp_path)
    for option in (["--devices", "lab.toml"], ["--devices=lab.toml"], ["--device-file", "lab.toml"]):
        assert "sill" in edgecv("device", "list", *option).out
    assert edgecv("run", "--help").code == edgecv("zoo", "check", "--help").code == 0
    assert "--devices" not in edgecv("device", "list", "--help").out
    assert "│ run " not in edgecv("--help").out


def test_recording_gates_is_a_document_too(tmp_path: Path) -> None:
    stored = Path(__file__).parents[1] / "report" / "data"
    report = next(stored.rglob("*.json"))
    result = edgecv("check", tmp_path / "gates.toml", "--record", report, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out) == {"recorded": str(tmp_path / "gates.toml")}
