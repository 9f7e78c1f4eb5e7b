"""`edgecv lint`: what is wrong with a contract or with gates, without a model, and nothing about other files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgecv.jobs.lint import lint
from tests.cli.conftest import edgecv

CONTRACT = """name = "net"
[[inputs]]
name = "image"
shape = [8, 8, 1]
preprocessing = {color = "gray"}
[[heads]]
name = "kind"
task = "classification"
activation = "logits"
labels = ["a", "b"]
"""
GATES = '[[gate]]\nartifact = "a"\nmetric = {reference = 0.9, tolerance_down = 0.1, tolerance_up = 0.1}\n'


def written(folder: Path, text: str, name: str = "file.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("text", "kind"), [(CONTRACT, "contract"), (GATES, "gates")])
def test_what_is_right_passes(tmp_path: Path, text: str, kind: str) -> None:
    found = lint([written(tmp_path, text)])
    assert found.passed
    assert list(found.read.values()) == [kind]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CONTRACT.replace("classification", "clasification"), "unknown task 'clasification'"),
        (CONTRACT.replace("color", "colour"), "colour"),
        (CONTRACT + "settings = {treshold = 0.3}\n", "treshold"),
        (CONTRACT.replace("shape = [8, 8, 1]", "shape = [8, 8, 3]"), "does not fit colour"),
        (GATES.replace("tolerance_up", "tolerance_high"), "tolerance_high"),
        ("name = [", "not valid TOML"),
        ('title = "something"', "neither a contract nor a gates file"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    (finding,) = lint([path]).findings
    assert message in finding.message
    assert str(path) in finding.message


def test_the_command_names_every_file_and_ends_with_1(tmp_path: Path) -> None:
    wrong = written(tmp_path, CONTRACT.replace("logits", "logit"), "wrong.toml")
    other = written(tmp_path, 'title = "x"', "other.toml")
    done = edgecv("lint", wrong, written(tmp_path, CONTRACT), other, "--skip-others")
    assert done.code == 1
    assert "WRONG" in done.out
    assert "1 of 2 right, 1 left alone" in done.out
    assert edgecv("lint", other, "--skip-others").code == 0


def test_it_imports_neither_tensorflow_nor_an_interpreter(tmp_path: Path) -> None:
    code = (
        "import sys; from edgecv.jobs.lint import lint; from pathlib import Path; lint([Path(sys.argv[1])]); "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'tensorflow', 'tf_keras', 'ai_edge_litert', 'onnx'}))"
    )
    command = [sys.executable, "-c", code, str(written(tmp_path, CONTRACT))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
