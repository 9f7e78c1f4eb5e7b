"""The tutorial works in order, by its text alone, and every page of the documentation has a place in the site."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import blocks, commands

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"


@pytest.mark.flow
@pytest.mark.timeout(900)
def test_it_works_in_order(tmp_path: Path) -> None:
    (tmp_path / "make.py").write_text(blocks(TUTORIAL, "python")[0])
    lines = [[sys.executable, "make.py"]]
    for line in commands(TUTORIAL):
        program, *arguments = shlex.split(line)
        assert program == "edgecv"
        lines.append([sys.executable, "-m", "edgecv", *arguments])
    assert len(lines) == 8
    said = {}
    for line in lines:
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        said[line[3] if len(line) > 3 else "make"] = done.stdout + done.stderr
    assert "scales them itself" in said["spec"]
    accuracies = re.search(r"top1: (0\.\d+|1\.0+) in float, (0\.\d+|1\.0+) in this file", said["quantize"])
    assert accuracies is not None
    assert min(map(float, accuracies.groups())) > 0.9
    assert (tmp_path / "seen.png").exists()
    assert (tmp_path / "report" / "report.html").exists()


def test_every_page_has_a_place_in_the_site() -> None:
    listed = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.MULTILINE))
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert pages | {"reference/commands.md"} == listed
