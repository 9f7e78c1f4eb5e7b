"""docs/detection.md: its commands work in order, its tables are whole, and its spec is one of a detector."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from edgecv import zoo
from edgecv.data import open_dataset
from edgecv.tasks.detection import DetectionSettings
from edgecv.tasks.detection.figures import ORDER, PER_LABEL
from edgecv.tasks.detection.settings import Decoder
from edgecv.tasks.registry import task_of
from edgecv.values.spec_file import read_spec
from tests.docs.pages import blocks, commands, typed

PATH = Path(__file__).parents[2] / "docs" / "detection.md"
PAGE = PATH.read_text()


def first_columns(title: str) -> list[str]:
    """Return every name in code of the first column of the table with a title."""
    (table,) = re.findall(rf"(?m)^\| {title} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE)
    return re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.splitlines()))


@pytest.mark.flow
@pytest.mark.timeout(900)
def test_the_commands_and_the_python_work_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scenes = open_dataset("scenes").split("test")
    pixels = scenes.image(0)
    images = np.random.default_rng(0).integers(0, 256, (12, 48, 48, 3), np.uint8)
    given = {"Path": Path, "Image": Image, "images": images, "pixels": pixels}
    folder, answer = blocks(PATH, "python")
    exec(compile(folder, "detection.md", "exec"), given)
    lines = commands(PATH)
    assert len(lines) >= 8
    for line in lines:
        typed(line)
    Image.fromarray(pixels.squeeze()).save("photo.jpg")
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(answer, "detection.md", "exec"), given)
    assert (tmp_path / "drawn.png").is_file()
    assert (tmp_path / "report" / "report.html").is_file()


def test_every_setting_and_every_decoder_is_in_its_table() -> None:
    assert sorted(first_columns("setting")) == sorted(field.name for field in fields(DetectionSettings))
    assert sorted(first_columns("decoder")) == sorted(get_args(Decoder))


def test_the_defaults_of_the_table_are_those_of_the_settings() -> None:
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| `?([\w.]+)`? \|", PAGE))
    told = {name: value for name, value in rows.items() if name in {field.name for field in fields(DetectionSettings)}}
    assert len(told) >= 12
    for name, value in told.items():
        default = getattr(DetectionSettings(), name)
        said = {"none": (), "true": True, "false": False}.get(value, value)
        if name == "match_iou":
            assert default is None
        elif name == "scale_xy":
            assert (default, value) == ((), "1")
        else:
            assert said == (default if isinstance(default, (str, bool, tuple)) else f"{default:g}"), name


def test_every_figure_is_in_the_table() -> None:
    for name in {*ORDER, *PER_LABEL}:
        assert f"`{name}`" in PAGE or name in ("ar_medium", "ar_large"), name


def test_the_networks_of_the_table_are_in_the_zoo() -> None:
    named = set(first_columns("network"))
    assert {"yolo_small", "ssdlite_mnv2"} <= named <= set(zoo.names())
    assert {zoo.get(name).task for name in named} == {"detection"}


def test_its_spec_is_one_of_a_detector_that_decodes_itself(tmp_path: Path) -> None:
    (text,) = blocks(PATH, "toml")
    (tmp_path / "spec.toml").write_text(text)
    spec = read_spec(tmp_path / "spec.toml")
    task_of(spec.head).check(spec.head, [(1, 4 + len(spec.head.labels), 8400)])
    assert task_of(spec.head).settings(spec.head).columns


def test_there_is_a_place_for_the_measured_figures() -> None:
    assert PAGE.count("<!-- detection.py: begin -->") == PAGE.count("<!-- detection.py: end -->") == 1
