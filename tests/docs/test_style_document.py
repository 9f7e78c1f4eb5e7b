"""docs/style.md: its commands and its Python work in order, and its tables are whole."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image

from edgecv.cli.app import app
from edgecv.tasks.imaging import ImagingSettings
from tests.docs.pages import typed

PAGE = (Path(__file__).parents[2] / "docs" / "style.md").read_text()


@pytest.mark.flow
@pytest.mark.timeout(900)
def test_the_commands_and_the_python_work_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, object] = {}
    for language, text in re.findall(r"```(python|console)\n(.*?)```", PAGE, flags=re.DOTALL):
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(text, "style.md", "exec"), given)
            continue
        for line in text.splitlines():
            typed(line.removeprefix("$ "))
    assert Image.open("styled.png").size == Image.open("photo.png").size
    assert len(list(Path("previews").iterdir())) == 2


def test_its_figures_are_those_that_were_measured() -> None:
    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("style_benchmark", root / "benchmarks" / "style.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    told = json.loads((root / "benchmarks" / "reference" / "style.json").read_text())
    (block,) = re.findall(r"<!-- style.py: begin -->\n(.*?)\n<!-- style.py: end -->", PAGE, flags=re.DOTALL)
    assert block == benchmark.table(told)
    assert all(form["falls_at_each_step"] and form["ratio"] >= 10 for form in told["transfer"].values())
    ratios = [round(told["transfer"][form]["ratio"]) for form in ("paper", "book")]
    assert f"has a {ratios[0]}st of its" in PAGE
    assert f"and a {ratios[1]}th in the book's" in PAGE
    rows = [told["dncnn_small"][name] for name in ("float32", "int8")]
    assert "{:.1f} dB in float and {:.1f} dB in int8".format(*(row["psnr"]["mean"] for row in rows)) in PAGE
    assert "SSIM {:.3f} and {:.3f}".format(*(row["ssim"]["mean"] for row in rows)) in PAGE


def test_its_settings_and_options_are_there() -> None:
    (table,) = re.findall(r"\| setting \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE)
    listed = re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.splitlines()))
    assert listed == [field.name for field in fields(ImagingSettings)]
    import typer

    transfer = typer.main.get_command(app).commands["style"].commands["transfer"]  # type: ignore[attr-defined]
    known = {option for parameter in transfer.params for option in parameter.opts}
    (table,) = re.findall(r"\| option \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE)
    assert set(re.findall(r"`(--[\w-]+)`", "\n".join(row.split("|")[1] for row in table.splitlines()))) <= known
