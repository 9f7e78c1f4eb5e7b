"""What the documents say to type works, and their links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgecv.cli.main import main
from edgecv.tasks.registry import task_of
from edgecv.values.spec_file import read_spec
from tests.docs.pages import blocks, commands, typed

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")])


@pytest.mark.flow
@pytest.mark.timeout(900)
def test_the_readmes_commands_work_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = commands(ROOT / "README.md")
    assert len(lines) >= 10
    for line in lines:
        typed(line)
    assert (tmp_path / "gates.xml").exists()
    _run_python(ROOT / "README.md", tmp_path)
    _run_python(ROOT / "docs" / "artifacts.md", tmp_path)


def _run_python(document: Path, folder: Path) -> None:
    """Run a document's Python with what its comments say is given: an image, and it as the model's input."""
    from edgecv.data import open_dataset
    from edgecv.runtime import preprocess
    from edgecv.runtime.container import read_manifest

    manifest = read_manifest(folder / "int8.tflite")
    assert manifest is not None
    image = open_dataset("digits").split("test").image(0)
    with contextlib.redirect_stdout(io.StringIO()):
        for block in blocks(document, "python"):
            exec(compile(block, str(document), "exec"), {"image": image, "x": preprocess(image, manifest.spec)})


def test_the_specs_of_the_documentation_decode_and_fit_their_tasks(tmp_path: Path) -> None:
    specs = []
    for text in blocks(ROOT / "docs" / "specs.md", "toml"):
        (tmp_path / "spec.toml").write_text(text)
        specs.append(read_spec(tmp_path / "spec.toml"))
        for head in specs[-1].heads:
            task_of(head).settings(head)
    assert [spec.name for spec in specs] == ["mobilenet_v2", "smiling", "street", "pair"]
    assert specs[0].labels == ("cat", "dog")
    assert specs[1].head.settings == {"threshold": 0.3}
    assert specs[2].head.outputs == ("softmax",)
    assert [only.name for only in specs[3].inputs] == ["first", "second"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        made = (document.parent / target).resolve() == ROOT / "docs" / "reference" / "commands.md"  # by `make docs`
        assert made or "://" in target or (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_example_labels_an_image(tmp_path: Path) -> None:
    from PIL import Image

    from edgecv.data import open_dataset

    model, image = tmp_path / "m.keras", tmp_path / "digit.png"
    Image.fromarray(open_dataset("digits").split("test").image(0)).save(image)
    for command in (("train", "lenet5", "--epochs", "2", "--out", str(model)),
                    ("convert", str(model), "--out", str(tmp_path / "m.tflite"))):  # fmt: skip
        with pytest.raises(SystemExit) as stop, contextlib.redirect_stdout(io.StringIO()):
            main(list(command))
        assert not stop.value.code
    example = [sys.executable, str(ROOT / "examples" / "classify.py"), str(tmp_path / "m.tflite"), str(image)]
    done = subprocess.run(example, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r".*digit\.png: \d \(\d+\.\d%\)\n", done.stdout)
